from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import FULL_SEGMENTS, MUONS, SEGMENTS, TRACKS, drift_velocity_um_per_ns
from muonstream.counting.muon_rates import MuonSeries
from muonstream.counting.rates import RateBins
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.run.checkpoint import CheckpointError
from muonstream.run.monitor import Monitor
from muonstream.run.snapshot_codec import decode, encode
from muonstream.simulation.telescope import simulate_words

TELESCOPE = Detector.default()
CHAMBERS = len(TELESCOPE.chambers)
CATALOGUE = Catalogue(TELESCOPE, muons=True)
WORDS = simulate_words(200_000, TELESCOPE, rate_hz=3000, muon_rate_hz=120, seed=8)
BUILDER = FrameBuilder(TELESCOPE.boards)
FRAMES = Frames.join([BUILDER.push(WORDS), BUILDER.finish()])
PARTS = [Reconstruction(CATALOGUE)(part) for part in FRAMES.split(9000)]


def series(parts: list[int]) -> tuple[RateBins, MuonSeries]:
    monitor = Monitor(CATALOGUE)
    for part in parts:
        monitor.add(PARTS[part])
    found = monitor.rates.series().muons
    assert found is not None
    return monitor.rates, found


def test_rates_times_live_time_are_the_counts_of_the_catalogue() -> None:
    rates, found = series(list(range(len(PARTS))))
    seconds = rates.covered_s()
    total = sum((part.total for part in PARTS), start=CATALOGUE.zeros())
    counts = CATALOGUE.view(total, "muon_counts")
    assert found.segments_hz.T @ seconds == pytest.approx(CATALOGUE.view(total, "segment_hits").sum(axis=1))
    assert (found.segments_hz.T @ seconds).sum() == pytest.approx(counts[SEGMENTS])
    assert (found.full_hz.T @ seconds).sum() == pytest.approx(counts[FULL_SEGMENTS])
    assert (found.tracks_hz.T @ seconds).sum() == pytest.approx(counts[TRACKS])
    assert found.tracks_hz.T @ seconds == pytest.approx(CATALOGUE.view(total, "track_tan").sum(axis=1))
    assert found.muons_hz @ seconds == pytest.approx(counts[MUONS])
    assert counts[MUONS] > 300
    assert np.array_equal(found.velocity_sums.sum(axis=0), CATALOGUE.view(total, "velocity"))
    assert len(found.velocity_time_s) == 3
    velocity, error = found.velocity_um_per_ns()
    for c in range(CHAMBERS):
        assert (velocity[1, c], error[1, c]) == drift_velocity_um_per_ns(found.velocity_sums[1, c])
    assert np.abs((velocity - 53.8) / error).max() < 4.5


def test_the_order_in_which_parts_come_does_not_matter() -> None:
    n = len(PARTS)
    (forward, one), (backward, two) = series(list(range(n))), series(list(range(n))[::-1])
    assert np.array_equal(forward.rows, backward.rows)
    for name in MuonSeries.__slots__:
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_too_few_segments_have_no_velocity() -> None:
    _, found = series([0])
    few = replace(found, velocity_sums=found.velocity_sums // found.velocity_sums[..., :1])
    assert np.isnan(few.velocity_um_per_ns()).all()


def test_thinned_series_keep_their_sums_and_means() -> None:
    _, found = series(list(range(len(PARTS))))
    thin = found.mapped(lambda array: array[::2]).thinned_velocity(2)
    assert len(thin.muons_hz) == -(-len(found.muons_hz) // 2)
    assert np.array_equal(thin.velocity_sums.sum(axis=0), found.velocity_sums.sum(axis=0))
    assert thin.velocity_time_s.tolist() == found.velocity_time_s[[0, 2]].tolist()
    assert thin.velocity_width_s == 2 * found.velocity_width_s


def test_snapshots_carry_them_and_a_restored_monitor_has_them() -> None:
    with (
        Pipeline(TELESCOPE, workers=0, reconstruct=True) as pipeline,
        Pipeline(TELESCOPE, workers=0, reconstruct=True) as other,
    ):
        half = len(WORDS) // 2
        pipeline.push(WORDS[:half])
        other.restore(pipeline.state())
        assert other.monitor.snapshot(other.intake()).muons == pipeline.monitor.snapshot(pipeline.intake()).muons != ()
        for each in (pipeline, other):
            each.push(WORDS[half:])
            each.finish()
        one, two = pipeline.snapshot("ended"), other.snapshot("ended")
    assert one.muons == two.muons == decode(encode(one)).muons
    sent = decode(encode(one, rate_bins=10_000)).rates.muons
    assert sent is not None
    assert one.rates.muons is not None
    assert two.rates.muons is not None
    for name in MuonSeries.__slots__:
        assert np.array_equal(getattr(one.rates.muons, name), getattr(two.rates.muons, name)), name
        assert np.array_equal(getattr(one.rates.muons, name), getattr(sent, name)), name


@pytest.mark.parametrize(("before", "now"), [(True, False), (False, True)])
def test_a_run_goes_on_only_as_it_began(before: bool, now: bool) -> None:
    with Pipeline(TELESCOPE, workers=0, reconstruct=before) as pipeline:
        state = pipeline.state()
    was, option = ("with", "--reconstruct") if before else ("without", "--no-reconstruct")
    with (
        Pipeline(TELESCOPE, workers=0, reconstruct=now) as other,
        pytest.raises(CheckpointError, match=f"{was} reconstruction; go on with {option}"),
    ):
        other.restore(state)
