"""What reconstruction finds in simulated data, beside what is true of them; the document's tables in small."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matching import Comparison, compare, frames_of, truth_of
from benchmarks.reconstruction_truth import RESOLUTION_MM
from muonstream.detector.model import Detector
from muonstream.muons.segments import SegmentConfig, SegmentFinder
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.words import ORBIT_SECONDS

TELESCOPE = Detector.default()
FREE = SegmentFinder(TELESCOPE)
TRUTH = truth_of(Simulation(SimulationConfig(seed=21, duration_s=60, muon_rate_hz=120), TELESCOPE))


@pytest.fixture(scope="module")
def free() -> Comparison:
    return compare(TRUTH, FREE)


def test_muons_with_four_hits_are_found(free: Comparison) -> None:
    assert free.muons > 15_000
    assert free.found.mean() > 0.99
    assert free.found[np.abs(free.tan) < 1].mean() > 0.997


def test_sides_are_right_but_for_tracks_that_pass_all_wires_on_one_side(free: Comparison) -> None:
    for steepest, with_same_side, most in ((1.0, True, 0.004), (np.inf, False, 0.01), (np.inf, True, 0.03)):
        wrong, n = free.wrong_sides(steepest, with_same_side=with_same_side)
        assert n > 30_000
        assert wrong / n < most


def test_the_passage_time_helps(free: Comparison) -> None:
    known = compare(TRUTH, SegmentFinder(TELESCOPE, SegmentConfig(use_passage=True)))
    assert known.found.mean() > 0.99
    assert known.wrong_sides(1.0)[0] < free.wrong_sides(1.0)[0]


def test_pulls_are_one_wide(free: Comparison) -> None:
    for name, pulls in free.pulls(FREE.patterns(0), RESOLUTION_MM).items():
        assert np.std(pulls) == pytest.approx(1, abs=0.05), name
        assert np.mean(pulls) == pytest.approx(0, abs=0.03), name


def test_noise_alone_makes_no_segments() -> None:
    config = SimulationConfig(seed=7, rate_hz=4000, muon_rate_hz=0.0, duration_s=200_000 * ORBIT_SECONDS)
    words = np.concatenate(list(Simulation(config, TELESCOPE).blocks()))
    # fewer than one in 100,000 orbits
    assert len(FREE(frames_of(words, TELESCOPE)).segments) < 2
