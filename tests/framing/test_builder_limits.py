"""The frame builder at its limits: what it closes early depends on the words, not on how they were cut."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.words import WINDOW_ORBITS, Words, encode

BOARDS = (0, 1)


def hits(board: int, windows: Iterable[int], head: int = 2) -> Words:
    """A word in each window."""
    return encode(head=head, fpga=board, channel=1, orbit=np.array(list(windows)) * WINDOW_ORBITS + 700, bx=5, tdc=1)


def same(one: Frames, other: Frames) -> None:
    assert one.keys.tolist() == other.keys.tolist()
    assert one.starts.tolist() == other.starts.tolist()
    assert np.array_equal(one.words, other.words)


class AnyCut(RuleBasedStateMachine):
    """Two builders get the same words: one at each step, cut anywhere, the other all of them at once."""

    @initialize(
        held=st.sampled_from([1, 5, 12, 40, 1 << 20]),
        windows=st.sampled_from([2, 3, 6, 20]),
        lateness=st.integers(0, 2),
    )
    def begin(self, held: int, windows: int, lateness: int) -> None:
        def made() -> FrameBuilder:
            return FrameBuilder(
                BOARDS,
                lateness_windows=lateness,
                idle_seconds=5.0,
                agree_words=4,
                max_held_words=held,
                max_open_windows=windows,
            )

        self.pieces, self.whole = made(), made()
        self.waiting: list[Words] = []
        self.cut: list[Frames] = []
        self.uncut: list[Frames] = []
        self.top = [10, 10]

    def push(self, words: Words, cuts: list[int]) -> None:
        self.waiting.append(words)
        self.cut += [self.pieces.push(part) for part in np.split(words, sorted(min(c, len(words)) for c in cuts))]

    cuts = st.lists(st.integers(0, 30), max_size=4)
    boards = st.sampled_from(BOARDS)

    @rule(board=boards, steps=st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 5]), max_size=20), cuts=cuts)
    def goes_on(self, board: int, steps: list[int], cuts: list[int]) -> None:
        windows = self.top[board] + np.cumsum(steps, dtype=np.int64)
        self.top[board] = int(windows[-1]) if steps else self.top[board]
        self.push(hits(board, windows), cuts)

    @rule(board=boards, back=st.lists(st.integers(0, 40), max_size=30), cuts=cuts)
    def any_window_behind(self, board: int, back: list[int], cuts: list[int]) -> None:
        self.push(hits(board, [max(self.top[board] - step, 0) for step in back]), cuts)

    @rule(board=boards, windows=st.lists(st.integers(0, 4000), max_size=6), cuts=cuts)
    def wild(self, board: int, windows: list[int], cuts: list[int]) -> None:
        self.push(hits(board, windows), cuts)

    @rule(board=boards, to=st.sampled_from([0, 3, 50, 900]), words=st.integers(1, 12), cuts=cuts)
    def jumps(self, board: int, to: int, words: int, cuts: list[int]) -> None:
        self.top[board] = to
        self.push(hits(board, [to + i // 3 for i in range(words)]), cuts)

    @rule(board=boards, words=st.integers(1, 15), cuts=cuts)
    def words_without_a_time(self, board: int, words: int, cuts: list[int]) -> None:
        self.push(hits(board, [0] * words, head=4), cuts)

    @rule()
    def a_new_file(self) -> None:
        self.catch_up()
        self.cut.append(self.pieces.boundary())
        self.uncut.append(self.whole.boundary())

    def catch_up(self) -> None:
        self.uncut.append(self.whole.push(np.concatenate([np.empty(0, np.uint64), *self.waiting])))
        self.waiting = []

    @rule()
    def compare(self) -> None:
        self.catch_up()
        same(Frames.join(self.cut), Frames.join(self.uncut))
        assert self.pieces.counts == self.whole.counts

    @rule()
    def goes_on_from_its_state(self) -> None:
        restored = FrameBuilder(BOARDS)
        restored.restore(self.pieces.state())
        self.pieces = restored

    @invariant()
    def every_word_is_somewhere(self) -> None:
        counts = self.pieces.counts
        framed = sum(len(frames.words) for frames in self.cut)
        assert counts.words == framed + counts.late + counts.stray + counts.held

    def teardown(self) -> None:
        if hasattr(self, "pieces"):
            self.compare()
            self.cut.append(self.pieces.finish())
            self.uncut.append(self.whole.finish())
            same(Frames.join(self.cut), Frames.join(self.uncut))
            assert self.pieces.counts == self.whole.counts
            self.every_word_is_somewhere()


test_any_cut_gives_the_same_at_every_limit = AnyCut.TestCase
AnyCut.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize("most", [3, 64, 1 << 15])
def test_windows_in_any_order_past_the_limit_close_the_same_however_cut(most: int, cut: int) -> None:
    random = np.random.default_rng(4)
    ahead = 4 * most
    # board 0 stays, board 1 goes on: so all windows between them are open
    first = np.concatenate([hits(0, [5] * 4), hits(1, [5] * 4), hits(1, [5 + ahead] * 80)])
    words = np.concatenate([first, hits(1, random.integers(6, 5 + ahead, min(6 * most, 4000)))])

    def built(parts: Iterable[Words]) -> tuple[Frames, FrameBuilder]:
        builder = FrameBuilder(BOARDS, max_open_windows=most, idle_seconds=1e6)
        frames = [builder.push(part) for part in parts]
        return Frames.join([*frames, builder.finish()]), builder

    one, whole = built([words])
    other, pieces = built(np.split(words, range(cut, len(words), cut)) if cut < len(words) else [words])
    same(one, other)
    assert whole.counts == pieces.counts
    assert (whole.counts.forced > 0) == (most < 1000)


def test_inputs_of_any_number_release_what_they_set_aside() -> None:
    """The table of open windows is large enough for all that a word may release."""
    builder = FrameBuilder(BOARDS, max_open_windows=2)
    builder.push(hits(0, [3] * 4))
    for source in range(1, 41):
        builder.push(hits(1, [3] * 4), source)
        builder.push(hits(1, 2000 + 37 * np.arange(60)), source)
    counts = builder.counts
    assert counts.words == 4 + 40 * 64
    framed = builder.finish()
    assert builder.counts.words >= len(framed.words)
    assert builder.counts.held == 0
