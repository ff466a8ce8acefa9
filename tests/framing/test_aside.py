from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.frames import KEY_WINDOW_BITS, Frames
from muonstream.framing.builder import BuilderCounts, FrameBuilder
from muonstream.words import FPGA_SHIFT, ORBIT_SECONDS, ORBIT_SHIFT, Words, encode

BOARDS = (0, 1)


def taken(seconds: float, rate_hz: float, *, start: int = 0, boards: tuple[int, ...] = BOARDS, seed: int = 1) -> Words:
    """Hits at random times, of boards at random."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.random(round(seconds * rate_hz)) * seconds)
    orbits = start + (times / ORBIT_SECONDS).astype(np.int64)
    return encode(fpga=rng.choice(boards, len(orbits)), channel=5, orbit=orbits & 0xFFFFFFFF, bx=7, tdc=1)


def built(words: Words, cuts: list[int] | None = None) -> tuple[Frames, BuilderCounts]:
    builder = FrameBuilder(BOARDS)
    parts = [builder.push(part) for part in np.split(words, sorted(cuts or []))]
    return Frames.join([*parts, builder.finish()]), builder.counts


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3, 0.45, 0.9, 1.2, 3.0])
@pytest.mark.parametrize("boards", [(0,), (1,), BOARDS])
def test_a_fall_of_all_is_a_reset_whatever_its_size(seconds: float, boards: tuple[int, ...]) -> None:
    before, after = taken(seconds, 5000, boards=boards), taken(2, 5000, boards=boards, seed=2)
    frames, counts = built(np.concatenate([before, after]))
    assert (counts.resets, counts.late, counts.stray, len(frames.words)) == (1, 0, 0, len(before) + len(after))
    epochs = np.repeat(frames.keys >> KEY_WINDOW_BITS, np.diff(frames.starts))
    assert abs(int(np.count_nonzero(epochs == 0)) - len(before)) <= 2


@pytest.mark.parametrize("start", [3_869_200_167, 2_000_000_000, 900_000, 100_000])
@pytest.mark.parametrize("words", [1, 3, 10, 30, 100, 1000])
@pytest.mark.parametrize("boards", [(0,), (1,), BOARDS])
def test_leftovers_are_a_reset_or_stray_and_never_a_gap(start: int, words: int, boards: tuple[int, ...]) -> None:
    left = taken(words / 3e5, 3e5, start=start, boards=boards)
    run = taken(3, 5000, seed=2)
    frames, counts = built(np.concatenate([left, run]))
    assert counts.late == 0
    assert (counts.resets, counts.stray) in ((1, 0), (0, len(left)))
    newest = frames.keys[frames.keys >> KEY_WINDOW_BITS == counts.resets] & ((1 << KEY_WINDOW_BITS) - 1)
    assert newest.max() <= 3 / ORBIT_SECONDS / 1024


@pytest.mark.parametrize("start", [3_869_200_167, 50_000_000])
@pytest.mark.parametrize("words", [30, 100, 300, 1000])
@pytest.mark.parametrize("packet", [1, 16])
def test_leftovers_of_one_board_do_not_part_it_from_another_that_has_none(start: int, words: int, packet: int) -> None:
    """One board sends the new run's words while the other still sends what the run before left, then its own."""
    run, left = taken(6, 5000, seed=2), taken(words / 3e5, 3e5, start=start, boards=(1,))
    second = run >> np.uint64(FPGA_SHIFT) & np.uint64(7) == 1
    boards = [run[~second], np.concatenate([left, run[second]])]
    turns = np.concatenate([np.arange(len(one)) // packet * 2 + i for i, one in enumerate(boards)])
    frames, counts = built(np.concatenate(boards)[np.argsort(turns, kind="stable")])
    assert (counts.held, counts.late) == (0, 0)
    assert (counts.resets, counts.stray) in ((2, 0), (0, len(left)))
    epochs = np.repeat(frames.keys >> KEY_WINDOW_BITS, np.diff(frames.starts))
    assert np.count_nonzero(epochs == counts.resets) >= 0.9 * len(run)


@pytest.mark.parametrize("every_s", [0.5, 2, 10, 30])
@pytest.mark.parametrize("hits", [1, 16])
def test_a_quiet_beam_loses_nothing(every_s: float, hits: int) -> None:
    words = np.repeat(taken(200 * every_s, 1 / every_s, seed=4), hits)
    frames, counts = built(words)
    assert (counts.resets, counts.late, counts.stray, len(frames.words)) == (0, 0, 0, len(words))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5])
def test_wild_orbits_neither_move_time_nor_stop_it(share: float) -> None:
    rng = np.random.default_rng(7)
    words = taken(20, 5000, start=1_000_000)
    wild = rng.random(len(words)) < share
    bits = np.uint64(0xFFFFFFFF << ORBIT_SHIFT)
    orbits = rng.integers(0, 1 << 32, len(words)).astype(np.uint64) << np.uint64(ORBIT_SHIFT)
    frames, counts = built(np.where(wild, words & ~bits | orbits, words))
    assert counts.resets == 0
    assert len(frames.words) >= np.count_nonzero(~wild)
    assert counts.late + counts.stray >= 0.99 * np.count_nonzero(wild)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 400_000), st.sampled_from([0.2, 1.0, 3.0]), st.sampled_from([20, 500])), max_size=6
    ),
    st.lists(st.integers(0, 4000), max_size=6),
)
def test_any_cut_of_any_resets_and_gaps_gives_the_same(parts: list[tuple[int, float, int]], cuts: list[int]) -> None:
    pieces = [taken(seconds, rate, start=start, seed=start) for start, seconds, rate in parts]
    words = np.concatenate([np.empty(0, np.uint64), *pieces])
    whole, counts = built(words)
    cut, cut_counts = built(words, [min(at, len(words)) for at in cuts])
    assert np.array_equal(whole.words, cut.words)
    assert np.array_equal(whole.keys, cut.keys)
    assert counts == cut_counts
    assert counts.words == len(whole.words) + counts.late + counts.stray
