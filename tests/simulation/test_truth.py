from __future__ import annotations

import numpy as np
import pytest

from muonstream.detector.geometry import middle_mm
from muonstream.detector.model import Detector
from muonstream.simulation.drift import DEAD_TIME_NS, Origin
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import NS_PER_TDC, TDC_PER_ORBIT, time_tdc

TELESCOPE = Detector.default()
SHIFTED = TELESCOPE.model_copy(
    update={
        "chambers": tuple(
            chamber.model_copy(update={"x_mm": 7.0 * i, "tilt_deg": 0.5 * i, "dead_cells": (5, 6)})
            for i, chamber in enumerate(TELESCOPE.chambers)
        )
    }
)


def truth_of(detector: Detector = TELESCOPE, **options: float) -> Truth:
    config = SimulationConfig(seed=11, duration_s=20, start_orbit=1000, **options)  # type: ignore[arg-type]
    return Truth.joined(list(with_truth(Simulation(config, detector))))


TRUTH = truth_of(SHIFTED, drift_smearing_ns=0.0, scintillator_jitter_ns=0.0)


def late_ns(truth: Truth) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Time of the words after the passage time."""
    counts = time_tdc(truth.words) - truth.orbit * TDC_PER_ORBIT
    return np.asarray(counts * NS_PER_TDC - truth.passage_ns)


def test_the_words_are_those_of_the_simulation() -> None:
    config = SimulationConfig(seed=4, words=30_000, disorder=0.1, ancillary_hz=100)
    words = np.concatenate(list(Simulation(config, TELESCOPE).blocks()))
    truth = Truth.joined(list(with_truth(Simulation(config, TELESCOPE))))
    assert np.array_equal(truth.words, words)
    assert set(truth.origin.tolist()) == {int(origin) for origin in Origin if origin != Origin.DECAY}
    ancillary = words >> np.uint64(61) != 2
    assert np.array_equal(ancillary, truth.origin == Origin.ANCILLARY)


def test_drift_times_are_distances_over_velocity() -> None:
    for chamber in SHIFTED.chambers:
        hits = (TRUTH.chamber == chamber.number) & (TRUTH.origin == Origin.MUON)
        drift_ns = late_ns(TRUTH)[hits] + chamber.time_offset_ns
        expected = np.abs(TRUTH.distance_mm[hits]) * 1000 / chamber.drift_velocity_um_per_ns
        # a count begins with its hit, and the board counts from 1
        assert np.all(drift_ns - expected > -0.01)
        assert np.all(drift_ns - expected < NS_PER_TDC + 0.01)
        assert np.abs(TRUTH.distance_mm[hits]).max() <= chamber.cell_width_mm / 2 + 0.01
        assert not np.isin(TRUTH.cell[TRUTH.chamber == chamber.number], chamber.dead_cells).any()


def test_a_muon_is_one_line_in_all_chambers_of_a_view() -> None:
    a, b = SHIFTED.chambers[0], SHIFTED.chambers[2]
    line = {}
    for chamber in (a, b):
        hits = np.flatnonzero((TRUTH.chamber == chamber.number) & (TRUTH.muon >= 0))
        line[chamber.number] = {int(TRUTH.muon[i]): i for i in hits}
    both = sorted(set(line[a.number]) & set(line[b.number]))
    i, j = (np.array([line[c.number][muon] for muon in both]) for c in (a, b))
    angle = np.degrees(np.arctan(TRUTH.tan))
    assert angle[i] + a.tilt_deg == pytest.approx(angle[j] + b.tilt_deg, abs=1e-3)
    tan = np.tan(np.radians(angle[i] + a.tilt_deg))
    fall = middle_mm(a) - middle_mm(b)
    # a tilt of a degree moves a point at the chamber's edge by some hundredths of a millimetre
    tilt = np.radians(b.tilt_deg)
    at_b = TRUTH.x_mm[j] * (np.cos(tilt) + tan * np.sin(tilt)) + b.x_mm
    assert at_b == pytest.approx(TRUTH.x_mm[i] + a.x_mm + tan * fall, abs=0.02)


def test_origins_come_as_often_as_asked_for() -> None:
    truth = truth_of(deltas=0.2, afterpulses=0.1, hit_efficiency=1.0, muon_rate_hz=200, rate_hz=10000)
    n = {origin: int((truth.origin == origin).sum()) for origin in Origin}
    assert n[Origin.AFTERPULSE] / (n[Origin.MUON] + n[Origin.DELTA] / 2) == pytest.approx(0.1, abs=0.02)
    assert n[Origin.DELTA] / (n[Origin.MUON] + n[Origin.DELTA] / 2) == pytest.approx(0.2, abs=0.03)
    assert n[Origin.NOISE] > n[Origin.MUON]
    assert np.all(truth.muon[truth.origin == Origin.NOISE] == -1)
    assert np.all(truth.muon[(truth.origin != Origin.NOISE) & (truth.origin != Origin.ANCILLARY)] >= 0)


def test_no_cell_hits_twice_within_its_dead_time() -> None:
    truth = truth_of(deltas=0.5, afterpulses=0.5, muon_rate_hz=200)
    brought = np.flatnonzero((truth.muon >= 0) & (truth.cell >= 0))
    time = time_tdc(truth.words[brought])
    order = np.lexsort((time, truth.cell[brought], truth.chamber[brought], truth.muon[brought]))
    i = brought[order]
    same = np.ones(len(i) - 1, np.bool_)
    for column in (truth.muon, truth.chamber, truth.cell):
        same &= column[i][1:] == column[i][:-1]
    assert same.sum() > 100
    assert np.diff(time[order])[same].min() * NS_PER_TDC > DEAD_TIME_NS - 2 * NS_PER_TDC


def test_muons_come_with_the_square_of_the_cosine_of_the_zenith_angle() -> None:
    config = SimulationConfig(seed=2, duration_s=200, muon_rate_hz=200)
    simulation = Simulation(config, TELESCOPE)
    muons = [muons for _, _, muons in simulation.slabs()]
    tan2 = np.concatenate([m.tan_x**2 + m.tan_y**2 for m in muons])
    x = np.concatenate([m.x_mm for m in muons])
    y = np.concatenate([m.y_mm for m in muons])
    # through the middle, where every angle of up to 45 degrees reaches a chamber
    through = (np.abs(x) < 100) & (np.abs(y) < 100) & (tan2 < 1)
    cos = 1 / np.sqrt(1 + tan2[through])
    # flux through a level plane goes as cos^3 d(cos), and so cos^4 is uniform from 1/4 to 1
    assert np.mean(cos**4) == pytest.approx(0.625, abs=4 * 0.2165 / np.sqrt(through.sum()))
