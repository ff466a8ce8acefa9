from __future__ import annotations

import numpy as np
import pytest
from layouts import ODD

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator
from muonstream.counting.muon_entries import (
    FULL_SEGMENTS,
    GIVEN_UP,
    MUONS,
    SEGMENTS,
    TRACKS,
    drift_velocity_um_per_ns,
    wilson,
)
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.segments import SegmentConfig
from muonstream.run.muon_summary import muon_summary
from muonstream.run.snapshot_codec import decode, encode
from muonstream.simulation.telescope import simulate_words
from muonstream.statistics.core import fit_core
from muonstream.words import CHANNEL_SHIFT

TELESCOPE = Detector.default()
SMEARING_MM = 4 * 0.0538
WORDS = simulate_words(300_000, TELESCOPE, muon_rate_hz=120, seed=8, hit_efficiency=0.95, deltas=0.0, afterpulses=0.0)
BUILDER = FrameBuilder(TELESCOPE.boards)
FRAMES = Frames.join([BUILDER.push(WORDS), BUILDER.finish()])
CATALOGUE = Catalogue(TELESCOPE, muons=True)
RECONSTRUCTION = Reconstruction(CATALOGUE, SegmentConfig(resolution_mm=SMEARING_MM))
WHOLE = RECONSTRUCTION(FRAMES)


def test_what_is_counted_without_muons_is_the_same() -> None:
    plain = Accumulator(Catalogue(TELESCOPE))(FRAMES)
    size = CATALOGUE.counted_size
    assert size == Catalogue(TELESCOPE).size < CATALOGUE.size
    assert np.array_equal(WHOLE.total[:size], plain.total)
    assert np.array_equal(WHOLE.recent[:, :size], plain.recent)
    assert np.array_equal(WHOLE.slots, plain.slots)
    assert np.array_equal(WHOLE.rows[:, : plain.rows.shape[1]], plain.rows)


def test_without_time_hits_are_given_up_and_all_else_is_counted() -> None:
    hurried = Reconstruction(CATALOGUE)
    hurried.hurried = lambda: True
    found = hurried(FRAMES)
    counts = CATALOGUE.view(found.total, "muon_counts")
    assert counts[SEGMENTS] == counts[TRACKS] == 0
    codes = TELESCOPE.channel_map().codes[FRAMES.words >> np.uint64(CHANNEL_SHIFT)]
    assert counts[GIVEN_UP] == np.count_nonzero(codes < TELESCOPE.channel_map().n_cell_codes)
    assert np.array_equal(found.total[: CATALOGUE.counted_size], WHOLE.total[: CATALOGUE.counted_size])


def test_any_grouping_of_windows_adds_up_to_the_same() -> None:
    total, recent = CATALOGUE.zeros(), dict.fromkeys(WHOLE.slots.tolist(), CATALOGUE.zeros())
    for part in list(FRAMES.split(7000))[::-1]:
        made = RECONSTRUCTION(part)
        total += made.total
        for slot, data in zip(made.slots.tolist(), made.recent, strict=True):
            if slot in recent:
                recent[slot] = recent[slot] + data
    assert np.array_equal(total, WHOLE.total)
    assert np.array_equal(np.stack([recent[slot] for slot in WHOLE.slots.tolist()]), WHOLE.recent)


def test_the_histograms_agree_with_one_another() -> None:
    counts = CATALOGUE.view(WHOLE.total, "muon_counts")
    hits = CATALOGUE.view(WHOLE.total, "segment_hits")
    assert counts[SEGMENTS] == hits.sum() == CATALOGUE.view(WHOLE.total, "segment_tan").sum()
    assert counts[FULL_SEGMENTS] == hits[:, 4].sum() == CATALOGUE.view(WHOLE.total, "segment_chi2").sum()
    assert set(np.flatnonzero(hits.sum(axis=0)).tolist()) == {3, 4}
    assert counts[TRACKS] == CATALOGUE.view(WHOLE.total, "track_tan").sum() > 1000
    assert counts[MUONS] == CATALOGUE.view(WHOLE.total, "zenith").sum() > 300
    for name in ("residual_biased", "residual_count"):
        assert np.array_equal(CATALOGUE.view(WHOLE.total, name).sum(axis=1), 4 * hits[:, 4])


def test_hits_on_segments_are_counted_by_cell_where_no_scintillator_fired() -> None:
    found = RECONSTRUCTION.find_segments(FRAMES)
    s, base = found.segments, TELESCOPE.channel_map().cell_base
    counted = CATALOGUE.view(WHOLE.total, "cell_on_segment").reshape(-1)
    expected = np.zeros_like(counted)
    for i in np.flatnonzero(np.isnan(found.passage_ns)):
        for cell in s.cell[i][s.cell[i] >= 0]:
            expected[base[s.chamber[i]] + cell] += 1
    assert np.array_equal(counted, expected)
    assert 0 < expected.sum() < (CATALOGUE.view(WHOLE.total, "segment_hits").sum(axis=0) * np.arange(7)).sum()
    for c in range(4):
        alone = CATALOGUE.hits_per_cell(WHOLE.total, c) - CATALOGUE.hits_per_cell_with_scintillator(WHOLE.total, c)
        assert (CATALOGUE.cells_of(WHOLE.total, "cell_on_segment", c) <= alone).all()


def test_residuals_are_as_wide_as_the_smearing_makes_them() -> None:
    # with four hits and three unknowns the sum of the squares is one variance, and so the biased ones are half as wide
    for c in range(4):
        n = CATALOGUE.view(WHOLE.total, "residual_count")[c].sum()
        rms_um = np.sqrt(CATALOGUE.view(WHOLE.total, "residual_sum2_um2")[c].sum() / n)
        # a TDC count adds 25/30 ns / sqrt(12)
        assert rms_um == pytest.approx(500 * np.hypot(SMEARING_MM, 0.0538 * 25 / 30 / np.sqrt(12)), rel=0.05)


def test_misfits_are_as_wide_as_a_hits_error() -> None:
    counts = CATALOGUE.view(WHOLE.total, "misfit")
    for c in range(4):
        assert counts[c].sum() == CATALOGUE.view(WHOLE.total, "segment_hits")[c, 4]
        peak = fit_core(CATALOGUE.entries["misfit"].axis.centres, counts[c, 1:-1])
        assert peak is not None
        assert peak.sigma == pytest.approx(SMEARING_MM, rel=0.08)
        assert abs(peak.mean) < 4 * peak.mean_error


def test_velocity_and_efficiency_come_back() -> None:
    for c in range(4):
        velocity, error = drift_velocity_um_per_ns(CATALOGUE.view(WHOLE.total, "velocity")[c])
        assert error < 0.1
        assert velocity == pytest.approx(53.8, abs=4 * error + 0.05)
    expected, found = (int(CATALOGUE.view(WHOLE.total, name).sum()) for name in ("cell_expected", "cell_found"))
    assert found / expected == pytest.approx(0.95, abs=0.01)


def test_t0_is_the_passage_time() -> None:
    difference = CATALOGUE.view(WHOLE.total, "t0_passage").sum(axis=0)
    middle = np.searchsorted(np.cumsum(difference), difference.sum() / 2) - 1 - 100
    assert abs(middle) <= 2
    assert difference[90:112].sum() > 0.9 * difference.sum()


def test_wilson_is_the_interval_in_the_literature() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3: 81/263, 15/148, 0/20, 1/29
    for found, expected, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson(found, expected, 1.959964) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1, 29, 1.959964) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_too_little_data_has_no_velocity() -> None:
    assert np.isnan(drift_velocity_um_per_ns(np.zeros(4, np.int64))).all()


def test_a_pipeline_with_muons_has_them_in_snapshots_and_summaries() -> None:
    with Pipeline(TELESCOPE, workers=1, reconstruct=True) as pipeline:
        pipeline.push(WORDS)
        pipeline.finish()
        snapshot = pipeline.snapshot("ended")
    assert snapshot.account.balanced
    summary = muon_summary(snapshot)
    assert summary["segments"] == CATALOGUE.view(snapshot.total, "muon_counts")[SEGMENTS]
    assert summary["chambers"]["1"]["efficiency"]["share"] > 0.95
    assert summary["given_up"] == {"hits": 0, "choices": 0, "fits": 0, "segments": 0}
    again = decode(encode(snapshot))
    assert np.array_equal(again.total, snapshot.total)
    assert again.catalogue.entries.keys() == CATALOGUE.entries.keys()
    assert again.muons == snapshot.muons != ()


def test_a_catalogue_without_muons_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected Catalogue\(detector, muons=True\)"):
        Reconstruction(Catalogue(TELESCOPE))


def test_chambers_of_other_shapes_are_reconstructed_as_far_as_they_can_be() -> None:
    catalogue = Catalogue(ODD, muons=True)
    words = simulate_words(60_000, ODD, rate_hz=3000, muon_rate_hz=60, seed=5)
    builder = FrameBuilder(ODD.boards)
    made = Reconstruction(catalogue)(Frames.join([builder.push(words), builder.finish()]))
    hits = catalogue.view(made.total, "segment_hits")
    assert set(np.flatnonzero(hits[0]).tolist()) == {4, 5}
    assert hits[1].sum() == 0
    assert set(np.flatnonzero(hits[2]).tolist()) == {3}
    assert hits[0].sum() > 300
    velocity, error = drift_velocity_um_per_ns(catalogue.view(made.total, "velocity")[0])
    assert velocity == pytest.approx(53.8, abs=5 * error)
    tracks = catalogue.view(made.total, "miss")
    # of two chambers turned round to one another the lines meet all the same
    assert tracks[2].sum() > 30
    assert tracks[2, 80:122].sum() > 0.6 * tracks[2].sum()


def test_a_detector_whose_chambers_have_too_few_layers_has_no_segments() -> None:
    flat = ODD.model_copy(update={"chambers": ODD.chambers[1:2]})
    catalogue = Catalogue(flat, muons=True)
    words = simulate_words(5000, flat, seed=5)
    builder = FrameBuilder(ODD.boards)
    made = Reconstruction(catalogue)(Frames.join([builder.push(words), builder.finish()]))
    assert catalogue.view(made.total, "muon_counts").sum() == 0
    assert catalogue.view(made.total, "counts").sum() == 5000
