from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.kernel import Accumulator
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.frames import KEY_WINDOW_BITS, Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.run.intervals import Interval, Intervals
from muonstream.simulation.telescope import simulate_words
from muonstream.words import WINDOW_SECONDS, Words, decode

CATALOGUE = Catalogue(Detector.default())
ACCUMULATE = Accumulator(CATALOGUE)


def frames_of(words: Words) -> Frames:
    builder = FrameBuilder(Detector.default().boards)
    return Frames.join([builder.push(words), builder.finish()])


def by_interval(frames: Frames, windows: int) -> dict[tuple[int, int], Counts]:
    """The slow and obvious way: one kernel call a window."""
    out: dict[tuple[int, int], Counts] = {}
    for i, key in enumerate(frames.keys.tolist()):
        epoch, window = key >> KEY_WINDOW_BITS, key & ((1 << KEY_WINDOW_BITS) - 1)
        words = frames.window(i)
        one = ACCUMULATE(Frames(words, np.array([0, len(words)]), frames.keys[i : i + 1])).total
        where = (epoch, window // windows)
        out[where] = out.get(where, CATALOGUE.zeros()) + one
    return out


def run(words: Words, windows: int, cuts: list[int], *, workers: int = 0) -> list[Interval]:
    intervals = Intervals(CATALOGUE, windows=windows)
    taken: list[Interval] = []
    with Pipeline(Detector.default(), workers=workers) as pipeline:
        pipeline.intervals = intervals
        for piece in np.split(words, cuts):
            pipeline.push(piece)
            pipeline.snapshot()
            taken += intervals.take()
        pipeline.finish()
    return taken + intervals.take()


WORDS = simulate_words(12_000, rate_hz=4000.0, seed=3)


@settings(max_examples=25)
@given(
    windows=st.integers(1, 40),
    cuts=st.lists(st.integers(0, len(WORDS)), max_size=6).map(sorted),
    workers=st.sampled_from([0, 2]),
)
def test_each_interval_has_the_counts_of_its_windows(windows: int, cuts: list[int], workers: int) -> None:
    expected = by_interval(frames_of(WORDS), windows)
    found = run(WORDS, windows, cuts, workers=workers)
    assert [interval.sequence for interval in found] == list(range(1, len(expected) + 1))
    for interval, where in zip(found, sorted(expected), strict=True):
        assert np.array_equal(interval.counts, expected[where])


def test_an_interval_ends_at_a_counter_reset() -> None:
    once = WORDS[decode(WORDS).orbit < 12_000]
    intervals = Intervals(CATALOGUE, windows=1000)
    with Pipeline(Detector.default(), workers=0) as pipeline:
        pipeline.intervals = intervals
        pipeline.push(once)
        pipeline.boundary()
        pipeline.push(once)
        pipeline.finish()
        assert pipeline.builder.counts.resets == 1
    first, second = intervals.take()
    assert np.array_equal(first.counts, second.counts)


@given(order=st.permutations(range(12)), closings=st.lists(st.integers(0, 12), max_size=4))
def test_out_of_order_nothing_is_lost(order: list[int], closings: list[int]) -> None:
    intervals = Intervals(CATALOGUE, windows=3, in_order=False)
    frames = frames_of(WORDS)
    pieces = [ACCUMULATE(piece) for piece in Intervals(CATALOGUE, windows=1).pieces(frames)][:12]
    taken: list[Interval] = []
    for step, which in enumerate(order):
        intervals.add(pieces[which])
        if step in closings:
            intervals.close(int(pieces[step].keys[0]))
        taken += intervals.take()
    intervals.finish()
    taken += intervals.take()
    total = sum((interval.counts for interval in taken), start=CATALOGUE.zeros())
    assert np.array_equal(total, sum((piece.total for piece in pieces), start=CATALOGUE.zeros()))
    assert [interval.sequence for interval in taken] == list(range(1, len(taken) + 1))


@given(at=st.integers(0, 12), windows=st.integers(1, 5), in_order=st.booleans())
def test_state_and_restore_change_nothing(at: int, windows: int, in_order: bool) -> None:
    pieces = [ACCUMULATE(piece) for piece in Intervals(CATALOGUE, windows=1).pieces(frames_of(WORDS))][:12]
    whole = Intervals(CATALOGUE, windows=windows, in_order=in_order)
    first = Intervals(CATALOGUE, windows=windows, in_order=in_order)
    second = Intervals(CATALOGUE, windows=windows, in_order=in_order)
    for piece in pieces:
        whole.add(piece)
    for piece in pieces[:at]:
        first.add(piece)
    second.restore(first.state())
    for piece in pieces[at:]:
        second.add(piece)
    for intervals in (whole, second):
        intervals.finish()
    expected, found = whole.take(), second.take()
    assert [interval.sequence for interval in found] == [interval.sequence for interval in expected]
    assert all(np.array_equal(a.counts, b.counts) for a, b in zip(found, expected, strict=True))


def test_what_was_taken_is_kept_until_it_is_dropped() -> None:
    intervals = Intervals(CATALOGUE, windows=1)
    for piece in [ACCUMULATE(piece) for piece in intervals.pieces(frames_of(WORDS))][:6]:
        intervals.add(piece)
    assert [interval.sequence for interval in intervals.take()] == [1, 2, 3, 4, 5]
    assert intervals.take() == []
    intervals.drop(3)
    after = Intervals(CATALOGUE, windows=1)
    after.restore(intervals.state())
    assert [interval.sequence for interval in after.take()] == [4, 5]
    after.drop(5)
    after.finish()
    assert [interval.sequence for interval in after.take()] == [6]


def test_a_state_of_other_intervals_is_refused() -> None:
    with pytest.raises(ValueError, match="found intervals of 3 windows, expected 4"):
        Intervals(CATALOGUE, windows=4).restore(Intervals(CATALOGUE, windows=3).state())
    with pytest.raises(ValueError, match="windows: found 0"):
        Intervals(CATALOGUE, windows=0)


@pytest.mark.parametrize(("seconds", "windows"), [(5.0, 55), (0.01, 1), (WINDOW_SECONDS * 7, 7)])
def test_seconds_become_whole_windows(seconds: float, windows: int) -> None:
    assert Intervals.windows_of(seconds) == windows
