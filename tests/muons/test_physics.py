from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import MISFIT_TAN_BINS, TAN_BINS
from muonstream.dashboard.message.muons import muon_histograms, remarks, residual_peaks
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.segments import Found, Segments
from muonstream.simulation.telescope import simulate_words
from muonstream.words import NS_PER_TDC, ORBIT_SHIFT, WINDOW_ORBITS, Head, Words, decode, encode

TELESCOPE = Detector.default()
CATALOGUE = Catalogue(TELESCOPE, muons=True)
WORDS = simulate_words(60_000, TELESCOPE, rate_hz=5000, muon_rate_hz=300, seed=9)


def frames_of(words: Words) -> Frames:
    builder = FrameBuilder(TELESCOPE.boards)
    return Frames.join([builder.push(words), builder.finish()])


def looked_at(words: Words) -> tuple[dict[str, np.ndarray], Segments]:
    """The entries, and the segments that they were made of."""
    reconstruction, kept = Reconstruction(CATALOGUE), list[Found]()
    reconstruction.keep = kept.append
    total = reconstruction(frames_of(words)).total
    return {name: CATALOGUE.view(total, name) for name in CATALOGUE.entries}, kept[0].segments


ENTRIES, SEGMENTS = looked_at(WORDS)
FIELDS = decode(WORDS)


def test_pairs_of_segments_at_one_time_are_coincidences() -> None:
    of_orbit: dict[int, list[int]] = {}
    for a, orbit in enumerate(SEGMENTS.orbit.tolist()):
        of_orbit.setdefault(orbit, []).append(a)
    expected = np.zeros((4, 4), np.int64)
    for several in of_orbit.values():
        for a, b in combinations(several, 2):
            if abs(SEGMENTS.t0_ns[a] - SEGMENTS.t0_ns[b]) < 25:
                low, high = sorted((int(SEGMENTS.chamber[a]), int(SEGMENTS.chamber[b])))
                expected[low, high] += 1
    assert np.array_equal(ENTRIES["coincidences"], expected)
    assert expected.sum() > 1000


def test_codes_are_counted_of_each_chambers_hits() -> None:
    for c, chamber in enumerate(TELESCOPE.chambers):
        own = (FIELDS.head == Head.HIT) & (FIELDS.fpga == chamber.board) & (FIELDS.channel // 64 == c % 2)
        assert np.array_equal(ENTRIES["tdc_codes"][c], np.bincount(FIELDS.tdc[own], minlength=32)[:32])
        assert ENTRIES["tdc_codes"][c].sum() > 1000


def test_triggers_are_compared_with_segments_of_their_orbit() -> None:
    times: dict[int, list[float]] = {}
    for head, channel, orbit, bx, tdc in zip(
        *(getattr(FIELDS, name).tolist() for name in ("head", "channel", "orbit", "bx", "tdc")), strict=True
    ):
        if head == Head.HIT and channel == 138:
            times.setdefault(orbit, []).append((bx * 30 + tdc) * NS_PER_TDC)
    expected = np.zeros((4, 202), np.int64)
    for orbit, chamber, t0 in zip(
        SEGMENTS.orbit.tolist(), SEGMENTS.chamber.tolist(), SEGMENTS.t0_ns.tolist(), strict=True
    ):
        for time in times.get(orbit, []):
            expected[chamber, min(max(int(np.floor((time - t0 + 500) / 5)) + 1, 0), 201)] += 1
    assert np.array_equal(ENTRIES["trigger_late"], expected)
    assert expected[:, 1:-1].sum() > 300


def test_an_orbit_with_very_many_triggers_is_overflow() -> None:
    orbit, chamber = int(SEGMENTS.orbit[40]), int(SEGMENTS.chamber[40])
    of_it = WORDS[FIELDS.orbit == orbit]
    trigger = encode(fpga=0, channel=138, orbit=orbit, bx=np.arange(9), tdc=1)
    entries, segments = looked_at(np.concatenate([of_it, trigger]))
    assert entries["trigger_late"][:, :-1].sum() == 0
    assert entries["trigger_late"][chamber, -1] == (segments.chamber == chamber).sum() > 0
    assert orbit % WINDOW_ORBITS == int((of_it[0] >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1))


def test_drift_times_mean_timers_and_misfits_are_those_of_whole_segments() -> None:
    drift, distance = np.zeros((4, 47), np.int64), np.zeros((4, 47), np.int64)
    timers: list[Counter[int]] = [Counter() for _ in range(4)]
    misfits = np.zeros((4, TAN_BINS, MISFIT_TAN_BINS), np.int64)
    start_ns = CATALOGUE.entries["mean_timer"].axis.start
    s = SEGMENTS
    for i in np.flatnonzero(s.hits == 4).tolist():
        c = int(s.chamber[i])
        chamber = TELESCOPE.chambers[c]
        wires = chamber.wire_x_mm() - chamber.cells_per_layer * chamber.cell_width_mm / 2
        right = [(int(s.sides[i]) >> layer) & 1 for layer in range(4)]
        for layer in range(4):
            line = s.x_mm[i] + s.tan[i] * (layer - 1.5) * chamber.cell_height_mm - wires[s.cell[i, layer]]
            where = min(max(int(np.floor((s.drift_ns[i, layer] + 20) / 10)) + 1, 0), 46)
            drift[c, where] += 1
            distance[c, where] += round(1000 * (line if right[layer] else -line))
        for top in range(2):
            one, two, three = right[top : top + 3]
            if one != two and one == three:
                t = s.drift_ns[i]
                total = (t[top] + t[top + 2]) / 2 + t[top + 1]
                timers[c][min(max(int(np.floor((total - start_ns) / 2)) + 1, 0), 101)] += 1
        # of four hits, half of the misfit's square is in each... all of it is in the residuals
        misfit = np.sqrt((s.residual_mm[i, :4] ** 2).sum())
        if misfit < 2:
            misfits[c, min(int(abs(s.tan[i]) / 0.1), 11), min(int(misfit / 0.05), 39)] += 1
    assert np.array_equal(ENTRIES["drift_count"], drift)
    assert np.allclose(ENTRIES["drift_sum_um"], distance, atol=2)
    for c in range(4):
        assert ENTRIES["mean_timer"][c].tolist() == [timers[c][bin_] for bin_ in range(102)]
    assert abs(ENTRIES["misfit_tan"].reshape(misfits.shape) - misfits).sum() <= 4  # rounding at bins' edges
    assert misfits.sum() > 1000


def test_a_straight_relation_comes_back() -> None:
    count, distance = (ENTRIES[name][:, 6:38].sum(axis=0) for name in ("drift_count", "drift_sum_um"))
    at_ns = CATALOGUE.entries["drift_count"].axis.centres[5:37]
    assert np.allclose(distance / count, 53.8 * at_ns, atol=150)


def test_mean_timers_peak_at_the_longest_drift_time() -> None:
    counts = ENTRIES["mean_timer"].sum(axis=0)[1:-1]
    peak = CATALOGUE.entries["mean_timer"].axis.centres[counts.argmax()]
    assert abs(peak - TELESCOPE.chambers[0].t_max_ns) < 6


def test_muons_come_from_all_sides_alike() -> None:
    azimuth = ENTRIES["azimuth"][1:-1]
    assert azimuth.sum() == ENTRIES["zenith"].sum() > 300
    assert ENTRIES["azimuth"][[0, -1]].sum() == 0
    halves = azimuth.reshape(2, 18).sum(axis=1)
    assert abs(halves[0] - halves[1]) < 4 * np.sqrt(azimuth.sum())


def test_the_page_shows_the_relation_the_width_by_slope_and_coincidences() -> None:
    data = CATALOGUE.zeros()
    CATALOGUE.view(data, "drift_count")[1, 8] = 50  # 50 to 60 ns
    CATALOGUE.view(data, "drift_sum_um")[1, 8] = 50 * 3000
    # uniform up to 0.4 mm: the median is 0.2 mm
    CATALOGUE.view(data, "misfit_tan")[2].reshape(TAN_BINS, MISFIT_TAN_BINS)[3, :8] = 10
    CATALOGUE.view(data, "coincidences")[0, 2], CATALOGUE.view(data, "coincidences")[3, 3] = 1234, 5
    peaks = residual_peaks(CATALOGUE, data)[0]
    arrays = muon_histograms(CATALOGUE, data, peaks)
    relation = arrays["muon.relation.1"]
    assert np.flatnonzero(~np.isnan(relation)).tolist() == [7]
    assert relation[7] == pytest.approx(3000 - 55 * 53.8, abs=0.1)
    width = arrays["muon.by_tan.2"]
    assert np.flatnonzero(~np.isnan(width)).tolist() == [3]
    assert width[3] == pytest.approx(1.4826 * 200, rel=1e-3)
    said = remarks(CATALOGUE, data, peaks)
    assert (
        said["timing.coincidences"]
        == "Pairs of segments within 25 ns, chambers 1 and 3 1,234; two in one chamber, 4 5."
    )
    assert said["timing.trigger"] == "No segment has come in an orbit with a trigger word."
