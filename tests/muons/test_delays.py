from __future__ import annotations

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.segments import Found, Segments
from muonstream.simulation.decays import LIFETIME_NS
from muonstream.simulation.telescope import simulate_words
from muonstream.statistics.decay import fit_decay
from muonstream.words import NS_PER_TDC, TDC_PER_ORBIT, Head, Words, decode, encode

TELESCOPE = Detector.default()
CATALOGUE = Catalogue(TELESCOPE, muons=True)
NAMES = ("hit_gap", "hit_gap_hits", "decay_time", "decay_starts")
EDGES_NS = CATALOGUE.entries["decay_time"].axis.edges


def frames_of(words: Words) -> Frames:
    builder = FrameBuilder(TELESCOPE.boards)
    return Frames.join([builder.push(words), builder.finish()])


def counted(words: Words) -> tuple[dict[str, np.ndarray], Segments]:
    reconstruction, kept = Reconstruction(CATALOGUE), list[Found]()
    reconstruction.keep = kept.append
    total = reconstruction(frames_of(words)).total
    return {name: CATALOGUE.view(total, name) for name in NAMES}, kept[0].segments


def slowly(words: Words, segments: Segments) -> dict[str, np.ndarray]:
    """The four entries, one orbit and chamber after another."""
    f = decode(words)
    hits: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for head, board, channel, orbit, bx, tdc in zip(
        *(getattr(f, name).tolist() for name in ("head", "fpga", "channel", "orbit", "bx", "tdc")), strict=True
    ):
        for c, chamber in enumerate(TELESCOPE.chambers):
            cell = channel - chamber.first_channel
            if head == Head.HIT and board == chamber.board and 0 <= cell < chamber.cells:
                layer = int(chamber.layer_of_cell()[cell])
                hits.setdefault((orbit, c), []).append((bx * 30 + tdc, layer))
    gap, kinds = np.zeros((4, 200), np.int64), np.zeros((4, 2), np.int64)
    decay, starts = np.zeros((4, 200), np.int64), np.zeros((4, 1), np.int64)
    for (_, c), several in hits.items():
        several.sort()
        for i, (time, _) in enumerate(several):
            if time < TDC_PER_ORBIT - 24_000:
                kinds[c, 0] += 1
                apart = np.array([later - time for later, _ in several[i + 1 :]], np.int64)
                np.add.at(gap[c], apart[apart < 24_000] // 120, 1)
    starts_of: dict[tuple[int, int], list[float]] = {}
    for orbit, c, t0_ns in zip(segments.orbit.tolist(), segments.chamber.tolist(), segments.t0_ns, strict=True):
        starts_of.setdefault((orbit, c), []).append(t0_ns)
    for orbit, c, t0_ns in (
        (*key, t0_ns)
        for key, several in starts_of.items()
        for t0_ns in several
        if not any(0 < t0_ns - other <= 500 for other in several)
    ):
        begin = (t0_ns - TELESCOPE.chambers[c].time_offset_ns) / NS_PER_TDC
        if not 0 <= begin < TDC_PER_ORBIT - 24_000:
            continue
        starts[c] += 1
        rest = [hit for hit in hits[orbit, c] if hit[0] > begin + 600]
        while rest:
            first = rest[0][0]
            group = [hit for hit in rest if hit[0] <= first + 600]
            rest = rest[len(group) :]
            if len({layer for _, layer in group}) > 1 and first - begin < 24_000:
                decay[c, int((first - begin) / 120)] += 1
    return dict(zip(NAMES, (gap, kinds, decay, starts), strict=True))


def test_times_between_hits_and_after_segments_are_those_of_a_slow_count() -> None:
    words = simulate_words(20_000, rate_hz=20_000, muon_rate_hz=1000, stopping=0.3, seed=4)
    entries, segments = counted(words)
    expected = slowly(words, segments)
    for name in NAMES:
        assert np.array_equal(entries[name], expected[name]), name
    assert entries["hit_gap"].sum() > 10_000
    assert entries["decay_time"].sum() > 50


def test_the_lifetime_of_simulated_muons_comes_back() -> None:
    words = simulate_words(400_000, rate_hz=30_000, muon_rate_hz=1500, stopping=0.5, seed=6)
    counts = counted(words)[0]["decay_time"].sum(axis=0)
    fit = fit_decay(EDGES_NS[15:], counts[15:])
    assert fit is not None
    assert fit.clear
    assert abs(fit.lifetime - LIFETIME_NS) < 3 * fit.lifetime_error < 400


def test_without_stopping_muons_nothing_decays() -> None:
    words = simulate_words(60_000, rate_hz=10_000, muon_rate_hz=400, seed=6)
    counts = counted(words)[0]["decay_time"].sum(axis=0)
    fit = fit_decay(EDGES_NS[15:], counts[15:])
    assert fit is None or not fit.clear


@pytest.mark.parametrize("hits", [256, 257])
def test_an_orbit_with_very_many_hits_is_left_out_and_said(hits: int) -> None:
    words = encode(fpga=0, channel=3, orbit=5, bx=np.arange(hits), tdc=1)
    entries, _ = counted(words)
    taken = hits <= 256
    assert entries["hit_gap_hits"][0].tolist() == ([hits, 0] if taken else [0, hits])
    assert entries["hit_gap"].sum() == (hits * (hits - 1) // 2 if taken else 0)


def test_of_many_words_a_part_of_the_orbits_is_looked_at() -> None:
    orbit = np.repeat(np.arange(1024), 9)
    words = encode(fpga=0, channel=3, orbit=orbit, bx=np.tile(np.arange(9) * 100, 1024), tdc=1)
    entries, _ = counted(words)
    assert entries["hit_gap_hits"][0].tolist() == [9 * 512, 0]
