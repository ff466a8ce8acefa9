from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.geometry import depths_mm
from muonstream.detector.model import Chamber, Detector
from muonstream.frames import Frames
from muonstream.muons.segments import Found, SegmentConfig, SegmentFinder
from muonstream.words import NS_PER_TDC, Words, encode

DETECTOR = Detector.default()
Fit = tuple[tuple[int, ...], int, float, float, float, float]
"""Hits by layer, sides, chi2, tan, position and t0."""


def framed(words: Words) -> Frames:
    """Words by window."""
    window = (words >> np.uint64(27)).astype(np.int64) & 0x3FFFFF
    order = np.argsort(window, kind="stable")
    keys, first = np.unique(window[order], return_index=True)
    return Frames(words[order], np.append(first, len(words)).astype(np.int64), keys.astype(np.int64))


def fit_of(
    chamber: Chamber, hits: list[tuple[int, int]], chosen: tuple[int, ...], config: SegmentConfig, passage: float | None
) -> Fit | None:
    """The best side pattern of some hits, by numpy's least squares, or None."""
    layer, x = chamber.layer_of_cell(), chamber.wire_x_mm() - chamber.cells_per_layer * chamber.cell_width_mm / 2
    velocity, half = chamber.drift_velocity_um_per_ns / 1000, chamber.cell_width_mm / 2
    there = [j for j in chosen if j >= 0]
    depth = depths_mm(chamber)[[layer[hits[j][0]] for j in there]]
    wires = x[[hits[j][0] for j in there]]
    times = np.array([hits[j][1] * NS_PER_TDC + chamber.time_offset_ns for j in there])
    early = times.min()
    slack = config.tolerance_ns * velocity
    steps = np.abs(np.diff(wires)) > chamber.cell_width_mm + config.most_tan * np.diff(depth) + 2 * slack
    if np.ptp(times) > (half + 2 * slack) / velocity or steps.any():
        return None
    if passage is not None and not -slack <= (early - passage) * velocity <= half + slack:
        passage = None
    best: Fit | None = None
    for bits in product((-1.0, 1.0), repeat=len(there)):
        sign = np.array(bits[::-1])
        design = np.stack([np.ones(len(there)), depth, sign], axis=1)
        y = wires + sign * velocity * (times - times[0])
        tau = 0.0
        if passage is not None:
            tau = (passage - times[0]) * velocity
            design, y = design[:, :2], y - sign * tau
        if np.linalg.matrix_rank(design) < design.shape[1]:
            continue
        solved = np.linalg.lstsq(design, y)[0]
        chi2 = float(((y - design @ solved) ** 2).sum() / config.resolution_mm**2) if len(there) > len(solved) else 0.0
        tau = float(solved[2]) if passage is None else tau
        drift_mm = (times - times[0]) * velocity - tau
        if chi2 > config.most_chi2 or abs(solved[1]) > config.most_tan:
            continue
        if drift_mm.min() < -slack or drift_mm.max() > half + slack:
            continue
        if best is None or (chi2 < best[2] - 1e-7) or (chi2 < best[2] + 1e-7 and abs(solved[1]) < abs(best[3]) - 1e-7):
            sides = sum(1 << int(layer[hits[j][0]]) for j, s in zip(there, sign, strict=True) if s > 0)
            best = (chosen, sides, chi2, float(solved[1]), float(solved[0]), float(times[0] + tau / velocity))
    return best


def better(a: Fit, b: Fit) -> bool:
    hits = [sum(j >= 0 for j in fit[0]) for fit in (a, b)]
    if hits[0] != hits[1]:
        return hits[0] > hits[1]
    if abs(a[2] - b[2]) > 1e-7:
        return a[2] < b[2]
    return abs(a[3]) < abs(b[3]) - 1e-7


def oracle(
    chamber: Chamber, hits: list[tuple[int, int]], config: SegmentConfig, passage: float | None = None
) -> list[Fit]:
    """All segments of one orbit of a chamber with 4 layers, every choice of hits tried; hits: (cell, TDC count)."""
    hits = sorted(hits, key=lambda hit: (hit[1], hit[0]))
    layer = chamber.layer_of_cell()
    candidates = []
    for first in range(len(hits)):
        own = int(layer[hits[first][0]])
        choices = [
            [first] if one == own else [*(j for j in range(first + 1, len(hits)) if layer[hits[j][0]] == one), -1]
            for one in range(chamber.layers)
        ]
        for backwards in product(*choices[::-1]):
            if sum(j >= 0 for j in backwards) >= 3:
                candidates.append(fit_of(chamber, hits, backwards[::-1], config, passage))
    left = [fit for fit in candidates if fit is not None]
    taken: list[Fit] = []
    while left:
        best = left[0]
        for fit in left[1:]:
            if better(fit, best):
                best = fit
        taken.append(best)
        left = [fit for fit in left if not {j for j in fit[0] if j >= 0} & {j for j in best[0] if j >= 0}]
    return [(tuple(hits[j][0] if j >= 0 else -1 for j in fit[0]), *fit[1:]) for fit in taken]


def words_of(chamber: Chamber, hits: list[tuple[int, int]], orbit: int = 7) -> Words:
    cell, time = np.array(hits, dtype=np.int64).reshape(-1, 2).T
    return encode(
        fpga=chamber.board,
        channel=chamber.first_channel + cell,
        orbit=orbit,
        bx=(time - 1) // 30,
        tdc=1 + (time - 1) % 30,
    )


def as_fits(found: Found) -> list[Fit]:
    s = found.segments
    return [
        (
            tuple(s.cell[i].tolist()),
            int(s.sides[i]),
            float(s.chi2[i]),
            float(s.tan[i]),
            float(s.x_mm[i]),
            float(s.t0_ns[i]),
        )
        for i in range(len(s))
    ]


def same(ours: list[Fit], theirs: list[Fit]) -> None:
    assert [fit[:2] for fit in ours] == [fit[:2] for fit in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a[2:] == pytest.approx(b[2:], rel=1e-6, abs=1e-5)


# few columns and little time, so that many hits go together
dense = st.lists(st.tuples(st.integers(0, 15), st.integers(1, 700)), min_size=3, max_size=9, unique=True)


@given(dense, st.integers(0, 3), st.sampled_from([0.1, 0.5, 3.0]))
def test_the_kernel_finds_what_brute_force_finds(hits: list[tuple[int, int]], c: int, resolution_mm: float) -> None:
    config = SegmentConfig(resolution_mm=resolution_mm)
    chamber = DETECTOR.chambers[c]
    found = SegmentFinder(DETECTOR, config)(framed(words_of(chamber, hits)))
    same(as_fits(found), oracle(chamber, hits, config))
    assert np.all(found.segments.chamber == c)
    assert np.all(found.segments.orbit == 7)
    assert not found.given_up.any()


@given(dense, st.integers(1, 500))
def test_the_same_with_the_passage_time(hits: list[tuple[int, int]], passage: int) -> None:
    config = SegmentConfig(use_passage=True)
    chamber = DETECTOR.chambers[0]
    scintillator = encode(fpga=1, channel=128, orbit=7, bx=(passage - 1) // 30, tdc=1 + (passage - 1) % 30)
    words = np.append(words_of(chamber, hits), scintillator)
    found = SegmentFinder(DETECTOR, config)(framed(words))
    same(as_fits(found), oracle(chamber, hits, config, passage * NS_PER_TDC))
    assert found.passage_ns == pytest.approx(passage * NS_PER_TDC)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 700), st.integers(0, 3)), min_size=3, max_size=30))
def test_frames_can_be_cut_anywhere(table: list[tuple[int, int, int]]) -> None:
    chamber = DETECTOR.chambers[1]
    words = np.concatenate([words_of(chamber, [(cell, time)], window * 1024) for cell, time, window in table])
    frames = framed(words)
    finder = SegmentFinder(DETECTOR)
    whole = finder(frames).segments
    parts = [finder(part).segments for part in frames.split(1)]
    for name in ("orbit", "cell", "sides", "chi2", "x_mm", "tan", "t0_ns"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))


def test_residuals_are_hit_less_fit_and_words_are_the_hits() -> None:
    chamber = DETECTOR.chambers[0]
    # a vertical muon 5 mm right of the wires of layers 0 and 2, 16 mm left of those of 1 and 3, times whole counts
    hits = [(16, 1000 + 112), (18, 1000 + 357), (17, 1000 + 110), (19, 1000 + 357)]
    words = words_of(chamber, hits)
    found = SegmentFinder(DETECTOR)(framed(words)).segments
    assert len(found) == 1
    assert found.sides[0] == 0b0101
    assert found.cell[0].tolist() == [16, 18, 17, 19]
    assert np.array_equal(words[found.word[0]], words)
    assert found.x_mm[0] == pytest.approx(4 * 42 + 21 - 336 + 5, abs=0.3)
    assert found.tan[0] == pytest.approx(0, abs=0.01)
    assert found.residual_mm[0] @ found.residual_mm[0] / 0.25 == pytest.approx(found.chi2[0])
    assert found.drift_ns[0] + found.t0_ns[0] == pytest.approx(
        np.array([time for _, time in hits]) * NS_PER_TDC + chamber.time_offset_ns
    )


def test_settings_that_are_not_allowed_are_named() -> None:
    with pytest.raises(ValueError, match=r"most_tan: found 0, expected 0.01 to 100"):
        SegmentConfig(most_tan=0)
