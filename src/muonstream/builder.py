"""The frame builder: words in order of arrival in, closed frames out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from muonstream import framing as fr
from muonstream.frames import Frames
from muonstream.words import WINDOW_SECONDS, Words

CHUNK_WORDS = 1 << 16
"""Words are looked at in chunks that stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class BuilderCounts:
    """What the builder has been given and what it did not put into frames.

    words: all words pushed; late: for windows already closed; stray: wild orbits that nothing confirmed;
    held: waiting in open windows, or set aside until others agree; forced: windows closed for want of memory;
    resets: counter resets; late_by_input: late words by "source/board", where there are any
    """

    words: int
    late: int
    stray: int
    held: int
    forced: int
    resets: int
    late_by_input: Mapping[str, int]


class FrameBuilder:
    """Builds orbit-complete frames from the interleaved streams of several boards and sources.

    Each board of each source is an input with a time of its own. A window closes when every live input is confirmed
    past it by `lateness_windows`. An input that others of its source have passed by `idle_seconds` of data, or that has
    nothing waiting to be read (`caught_up`) while others passed it by as much, holds nobody back. A jump ahead of
    more than `jump_seconds` moves time only when `agree_words` hit words of that input agree on it; when all inputs
    fall back together it is a counter reset and a new epoch begins. What is held never exceeds `max_held_words`: past
    that, the oldest windows close, and words for them are late.

    The frames depend on each input's sequence of words only, not on how it was cut into pushes.
    """

    def __init__(
        self,
        boards: Sequence[int],
        *,
        lateness_windows: int = 1,
        idle_seconds: float = 5.0,
        jump_seconds: float = 1.0,
        agree_words: int = 64,
        max_held_words: int = 16 << 20,
    ) -> None:
        """Raise ValueError naming the option, what was found and what is allowed."""
        for name, value, low, high in (
            ("lateness_windows", lateness_windows, 0, 1 << 20),
            ("idle_seconds", idle_seconds, WINDOW_SECONDS, 1e6),
            ("jump_seconds", jump_seconds, WINDOW_SECONDS, 1e6),
            ("agree_words", agree_words, 2, fr.PENDING_WORDS),
            ("max_held_words", max_held_words, 1, 1 << 36),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}: found {value}, allowed are {low} to {high}")
        if not boards or any(not 0 <= board <= 7 for board in boards) or len(set(boards)) != len(boards):
            raise ValueError(f"boards: found {list(boards)}, allowed are different numbers from 0 to 7, at least one")
        self._boards = tuple(boards)
        self._names: list[int] = []
        self._words = 0
        whole = np.zeros(fr.WHOLE_FIELDS, np.int64)
        whole[fr.CLOSED] = whole[fr.G_TOP] = -1
        whole[fr.LATENESS] = lateness_windows
        whole[fr.IDLE] = math.ceil(idle_seconds / WINDOW_SECONDS)
        whole[fr.JUMP] = math.ceil(jump_seconds / WINDOW_SECONDS)
        whole[fr.AGREE] = agree_words
        whole[fr.LINK] = 1 << 12
        whole[fr.MAX_HELD] = max_held_words
        self._state = fr.State(
            inputs=np.zeros((0, fr.INPUT_COLUMNS), np.int64),
            input_of=np.full((0, 8), -1, np.int64),
            sources=np.zeros((0, fr.SOURCE_COLUMNS), np.int64),
            whole=whole,
            pending=np.zeros((0, fr.PENDING_WORDS), np.uint64),
            runs=np.zeros((CHUNK_WORDS, 3), np.int64),
            log=np.zeros(CHUNK_WORDS, np.uint64),
            table_key=np.full(fr.TABLE, -1, np.int64),
            table_count=np.zeros(fr.TABLE, np.int64),
            open_keys=np.zeros(fr.TABLE, np.int64),
            closing_keys=np.zeros(fr.TABLE, np.int64),
        )

    def add_source(self, source: int = 0) -> None:
        """Announce a source, so that it is waited for; `push` does it by itself for one not yet known."""
        if source in self._names:
            return
        st = self._state
        index = len(self._names)
        self._names.append(source)
        new = np.zeros((len(self._boards), fr.INPUT_COLUMNS), np.int64)
        new[:, fr.NEWEST] = new[:, fr.TOP] = new[:, fr.SAVED] = -1
        new[:, fr.SOURCE] = index
        new[:, fr.BOARD] = self._boards
        new[:, fr.MARK_ALL] = st.whole[fr.G_PROGRESS]
        input_of = np.full((1, 8), -1, np.int64)
        input_of[0, list(self._boards)] = len(st.inputs) + np.arange(len(self._boards))
        state_of_source = np.zeros((1, fr.SOURCE_COLUMNS), np.int64)
        state_of_source[0, fr.S_TOP] = -1
        state_of_source[0, fr.S_CURRENT] = fr.NO_KEY + index
        self._state = st._replace(
            inputs=np.concatenate([st.inputs, new]),
            input_of=np.concatenate([st.input_of, input_of]),
            sources=np.concatenate([st.sources, state_of_source]),
            pending=np.concatenate([st.pending, np.zeros((len(new), fr.PENDING_WORDS), np.uint64)]),
        )

    def push(self, words: Words, source: int = 0) -> Frames:
        """Take words (uint64[n]) of a source, in order of arrival; give the frames they close.

        Raises ValueError for a source that has ended.
        """
        self.add_source(source)
        index = self._names.index(source)
        if self._state.sources[index, fr.S_ENDED]:
            raise ValueError(f"source {source} has ended and takes no more words")
        words = np.ascontiguousarray(words, dtype=np.uint64)
        self._words += len(words)
        parts = []
        for begin in range(0, len(words), 16 * CHUNK_WORDS):
            parts.append(self._push(words[begin : begin + 16 * CHUNK_WORDS], index))
        return Frames.join(parts)

    def _push(self, words: Words, index: int) -> Frames:
        out = np.empty(len(words) + self._held(), np.uint64)
        filled = 0
        starts: list[np.ndarray] = [np.zeros(1, np.int64)]
        keys: list[np.ndarray] = []
        for begin in range(0, len(words), CHUNK_WORDS):
            chunk = words[begin : begin + CHUNK_WORDS]
            self._reserve(len(chunk))
            fr.scan(self._state, index, chunk)
            filled = self._gather(chunk, out, filled, starts, keys)
        return _frames(out, filled, starts, keys)

    def _gather(self, chunk: Words, out: Words, filled: int, starts: list[np.ndarray], keys: list[np.ndarray]) -> int:
        closing = int(self._state.whole[fr.CLOSING])
        ends, names = np.empty(closing + 1, np.int64), np.empty(closing, np.int64)
        n, filled = fr.gather(self._state, chunk, out, filled, ends, names)
        starts.append(ends[1 : n + 1])
        keys.append(names[:n])
        return filled

    def _held(self) -> int:
        return int(self._state.whole[fr.HELD])

    def _reserve(self, words: int) -> None:
        """Make room for a chunk: compact the log of held words when that helps, else let it grow."""
        st = self._state
        released = len(st.inputs) * fr.PENDING_WORDS
        runs = int(st.whole[fr.RUNS]) + words + 1 + released
        if runs > len(st.runs):
            grown = np.zeros((2 * runs, 3), np.int64)
            grown[: len(st.runs)] = st.runs
            st = st._replace(runs=grown)
        needed = int(st.whole[fr.LOG]) + words + released
        if needed > len(st.log):
            live = self._held() + words + released
            if 2 * live > len(st.log):
                grown_log = np.zeros(4 * live, np.uint64)
                grown_log[: len(st.log)] = st.log
                st = st._replace(log=grown_log)
            fr.compact(st)
        self._state = st

    def boundary(self, source: int = 0) -> None:
        """A new file begins on this source: if its counter starts again before the last file's end, that is a reset."""
        self.add_source(source)
        inputs = self._state.inputs
        inputs[inputs[:, fr.SOURCE] == self._names.index(source), fr.BOUNDARY] = 1

    def caught_up(self, source: int, caught_up: bool = True) -> None:
        """Say whether the source has nothing waiting to be read."""
        self.add_source(source)
        self._state.sources[self._names.index(source), fr.S_CAUGHT_UP] = int(caught_up)

    def end(self, source: int = 0) -> Frames:
        """The source has no more words: it holds nobody back any longer."""
        self.add_source(source)
        st = self._state
        index = self._names.index(source)
        st.sources[index, fr.S_ENDED] = 1
        self._reserve(0)
        mine = np.flatnonzero(self._state.inputs[:, fr.SOURCE] == index)
        for i in mine:
            fr.resolve_pending(self._state, i)
            self._reserve(0)
        self._state.inputs[mine, fr.ENDED] = 1
        fr.update_closed(self._state)
        return self._drain()

    def finish(self) -> Frames:
        """All sources have ended: give everything that is still held. Counts stay readable."""
        parts = [self.end(source) for source in self._names]
        fr.close_all(self._state)
        return Frames.join([*parts, self._drain()])

    def _drain(self) -> Frames:
        out = np.empty(self._held() + self._closing_words(), np.uint64)
        starts: list[np.ndarray] = [np.zeros(1, np.int64)]
        keys: list[np.ndarray] = []
        filled = self._gather(np.empty(0, np.uint64), out, 0, starts, keys)
        return _frames(out, filled, starts, keys)

    def _closing_words(self) -> int:
        st = self._state
        closed = st.runs[: int(st.whole[fr.RUNS])]
        return int(closed[closed[:, 2] <= st.whole[fr.CLOSED], 1].sum())

    def held(self) -> Frames:
        """A copy of the windows still open, as they are now; words set aside are not among them."""
        st = self._state
        runs = st.runs[: int(st.whole[fr.RUNS])]
        runs = runs[runs[:, 2] < fr.NO_KEY]
        runs = runs[np.argsort(runs[:, 2], kind="stable")]
        if not len(runs):
            return Frames.empty()
        first = np.flatnonzero(np.diff(runs[:, 2], prepend=-1))
        words = np.concatenate([st.log[offset : offset + length] for offset, length in runs[:, :2].tolist()])
        ends = np.cumsum(np.add.reduceat(runs[:, 1], first))
        return Frames(words, np.concatenate([[0], ends]), runs[first, 2])

    def lag_windows(self, source: int) -> int:
        """How many windows a source is ahead of the one furthest behind that holds it back; a reader pauses by it."""
        st = self._state
        if source not in self._names:
            return 0
        top = int(st.sources[self._names.index(source), fr.S_TOP])
        return max(0, top - int(st.whole[fr.CLOSED])) if top >= 0 else 0

    @property
    def counts(self) -> BuilderCounts:
        """The builder's part of the account."""
        st = self._state
        late = st.inputs[:, fr.LATE]
        by_input = {
            f"{self._names[one[fr.SOURCE]]}/{one[fr.BOARD]}": int(one[fr.LATE]) for one in st.inputs[late > 0]
        }
        whole = st.whole
        return BuilderCounts(
            words=self._words,
            late=int(late.sum()),
            stray=int(whole[fr.STRAY]),
            held=int(whole[fr.HELD]),
            forced=int(whole[fr.FORCED]),
            resets=int(whole[fr.RESETS]),
            late_by_input=by_input,
        )


def _frames(out: Words, filled: int, starts: list[np.ndarray], keys: list[np.ndarray]) -> Frames:
    if not keys or not sum(map(len, keys)):
        return Frames.empty()
    return Frames(out[:filled], np.concatenate(starts), np.concatenate(keys))
