"""The frame builder: words in order of arrival in, closed frames out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muonstream.buffers import Buffers
from muonstream.frames import KEY_WINDOW_MASK, ClosedWindows, Frames, ScatteredFrames, uniform
from muonstream.framing import state as fr
from muonstream.framing.aside import resolve_pending
from muonstream.framing.inputs import update_closed
from muonstream.framing.remarks import (
    LateInput,
    counter_bits,
    counter_remark,
    late_remarks,
    seconds,
    short_counter_remark,
)
from muonstream.framing.scan import scan
from muonstream.framing.windows import (
    close_all,
    closing_in_log,
    collect,
    compact,
    in_log,
    keep,
    make_room,
    open_windows,
    table_of,
)
from muonstream.words import WINDOW_SECONDS, Words

BUFFERS = 8
"""Number of buffers for frames that are kept for reuse."""
CHUNK_WORDS = 1 << 18
"""Words are processed in chunks that stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class BuilderCounts:
    """The builder's counts of words: pushed, and not put into frames.

    words: all words pushed; late: for windows already closed; stray: wild orbits that nothing confirmed;
    held: waiting in open windows, or set aside until others agree; forced: windows closed early to save memory;
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
    nothing waiting to be read (`caught_up`) while others passed it by as much, does not hold the watermark. A jump
    ahead of more than `jump_seconds` moves time only when `agree_words` hit words of that input agree on it. When all
    inputs fall back together it is a counter reset and a new epoch begins. At most `max_held_words` are held, and fewer
    than `max_open_windows` windows stay open: beyond that the oldest close, and words for them are late.

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
        max_open_windows: int = fr.OPEN_WINDOWS,
    ) -> None:
        """Raise ValueError naming the option, what was found and what is expected."""
        for name, value, low, high in (
            ("lateness_windows", lateness_windows, 0, 1 << 20),
            ("idle_seconds", idle_seconds, WINDOW_SECONDS, 1e6),
            ("jump_seconds", jump_seconds, WINDOW_SECONDS, 1e6),
            ("agree_words", agree_words, 2, fr.PENDING_WORDS),
            ("max_held_words", max_held_words, 1, 1 << 36),
            ("max_open_windows", max_open_windows, 2, 1 << 20),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}: found {value}, expected {low} to {high}")
        if not boards or any(not 0 <= board <= 7 for board in boards) or len(set(boards)) != len(boards):
            raise ValueError(f"boards: found {list(boards)}, expected different numbers from 0 to 7, at least one")
        self._boards = tuple(boards)
        self._names: list[int] = []
        self._buffers = Buffers(BUFFERS)
        self._words = 0
        self._lost: list[tuple[int, int, int]] = []
        self._lost_before = 0
        control = np.zeros(fr.WHOLE_FIELDS, np.int64)
        control[[fr.CLOSED, fr.ALL_TOP, fr.FALL_HIGH, fr.FALL_LOW]] = -1
        control[fr.LATENESS] = lateness_windows
        control[fr.IDLE] = math.ceil(idle_seconds / WINDOW_SECONDS)
        control[fr.JUMP] = math.ceil(jump_seconds / WINDOW_SECONDS)
        control[fr.AGREE] = agree_words
        control[fr.LINK] = 1 << 12
        control[[fr.MAX_HELD, fr.MOST_OPEN]] = max_held_words, max_open_windows
        self._state = fr.State(
            control=control,
            table=np.empty((fr.TABLE_ROWS, 0), np.int64),
            runs=np.empty((0, 3), np.int64),
            pending=np.zeros((0, fr.PENDING_WORDS), np.uint64),
            log=np.empty(0, np.uint64),
        )
        self._lay_out(np.zeros((0, fr.SOURCE_COLUMNS), np.int64), np.zeros((0, fr.INPUT_COLUMNS), np.int64))

    @property
    def _sources(self) -> NDArray[np.int64]:
        """The rows of all sources, a view."""
        c = self._state.control
        return c[c[fr.SOURCES_AT] : c[fr.SOURCES_END]].reshape(-1, fr.SOURCE_COLUMNS)

    @property
    def _inputs(self) -> NDArray[np.int64]:
        """The rows of all inputs, a view."""
        c = self._state.control
        return c[c[fr.INPUTS_AT] : c[fr.INPUTS_END]].reshape(-1, fr.INPUT_COLUMNS)

    def _lay_out(self, sources: NDArray[np.int64], inputs: NDArray[np.int64]) -> None:
        """Lay the rows into the control array; their references to one another are offsets, computed again."""
        whole = self._state.control[: fr.WHOLE_FIELDS].copy()
        sources_at = fr.WHOLE_FIELDS
        inputs_at = sources_at + sources.size
        whole[[fr.SOURCES_AT, fr.SOURCES_END]] = sources_at, inputs_at
        whole[[fr.INPUTS_AT, fr.INPUTS_END]] = inputs_at, inputs_at + inputs.size
        boards = len(self._boards)
        source_rows = sources_at + np.arange(len(sources)) * fr.SOURCE_COLUMNS
        input_rows = inputs_at + np.arange(len(inputs)) * fr.INPUT_COLUMNS
        sources[:, fr.S_INPUT :] = -1
        for source in range(len(sources)):
            rows = input_rows[source * boards : (source + 1) * boards]
            sources[source, [fr.S_INPUT + board for board in self._boards]] = rows
        inputs[:, fr.SOURCE] = np.repeat(source_rows, boards)
        inputs[:, fr.PENDING_AT] = np.arange(len(inputs))
        pending = np.zeros((len(inputs), fr.PENDING_WORDS), np.uint64)
        pending[: len(self._state.pending)] = self._state.pending
        control = np.concatenate([whole, sources.ravel(), inputs.ravel()])
        self._state = self._state._replace(control=control, pending=pending)
        if self._state.table.shape[1] < fr.table_size(int(whole[fr.MOST_OPEN]), len(inputs)):
            table = table_of(int(whole[fr.MOST_OPEN]), len(inputs), *open_windows(self._state))
            self._state = self._state._replace(table=table)

    def add_source(self, source: int = 0) -> None:
        """Announce a source, so that windows wait for it; `push` announces an unknown source automatically."""
        if source in self._names:
            return
        new = np.zeros((len(self._boards), fr.INPUT_COLUMNS), np.int64)
        new[:, fr.NEWEST] = new[:, fr.TOP] = new[:, fr.SAVED] = -1
        new[:, fr.BOARD] = self._boards
        new[:, fr.MARK_ALL] = self._state.control[fr.ALL_PROGRESS]
        new[:, fr.MARK_SCANNED] = self._state.control[fr.SCANNED]
        row = np.zeros((1, fr.SOURCE_COLUMNS), np.int64)
        row[0, fr.S_TOP] = -1
        # words without a time yet are told apart by where their source's row will stay: sources come first
        row[0, fr.S_CURRENT] = fr.NO_KEY + fr.WHOLE_FIELDS + len(self._names) * fr.SOURCE_COLUMNS
        self._names.append(source)
        self._lay_out(np.concatenate([self._sources, row]), np.concatenate([self._inputs, new]))

    def push(self, words: Words, source: int = 0) -> Frames:
        """Take words (uint64[n]) of a source, in order of arrival; give the frames they close.

        Raises ValueError for a source that has ended.
        """
        frames = self.push_scattered(words, source)
        return frames.gather(self._buffers.room(frames.n_words)) if len(frames) else Frames.empty()

    def push_scattered(self, words: Words, source: int = 0) -> ScatteredFrames:
        """The same without copying what needs no copy: while the frames are in use the words must stay as they are."""
        self.add_source(source)
        index = self._names.index(source)
        if self._sources[index, fr.S_ENDED]:
            raise ValueError(f"source {source} has ended and takes no more words")
        words = uniform(words)
        self._words += len(words)
        closed = ClosedWindows(words)
        row, kept = self._row(index), int(self._state.control[fr.RUNS])
        for begin in range(0, len(words), CHUNK_WORDS):
            end = min(begin + CHUNK_WORDS, len(words))
            # words set aside before or in this chunk may be released in it
            self._reserve(end - begin, end - begin)
            st, at = self._state, begin
            while at < end:
                at = scan(st.control, st.table, st.runs, st.pending, st.log, row, words, at, end)
                if self._collect(closed):
                    kept = 0
        self._keep(words, kept)
        return closed.frames()

    def _collect(self, closed: ClosedWindows) -> bool:
        """Take the windows that have closed out of the state, and say whether there were any."""
        st = self._state
        closing, runs = int(st.control[fr.CLOSING]), int(st.control[fr.RUNS])
        if not closing:
            return False
        # sorted here, since numba takes seconds to compile a sort; windows that close later have higher keys and no
        # fewer lost words
        rows = st.table[:, :closing]
        for row in (fr.T_CLOSING, fr.T_LATE, fr.T_STRAY):
            rows[row].sort()
        self._note_lost(rows[fr.T_CLOSING], rows[fr.T_LATE], rows[fr.T_STRAY])
        room = closed.filled + closing_in_log(st.control, st.runs)
        if room > len(closed.held):
            grown = self._buffers.room(room)
            grown[: closed.filled] = closed.held[: closed.filled]
            closed.held = grown
        stretches = np.empty((runs, 2), np.int64)
        ends, keys = np.empty(closing, np.int64), np.empty(closing, np.int64)
        k, n, closed.filled = collect(
            st.control, st.table, st.runs, st.log, closed.held, closed.filled, stretches, ends, keys
        )
        closed.add(stretches[:n], ends[:k], keys[:k])
        return True

    def _note_lost(self, keys: NDArray[np.int64], late: NDArray[np.int64], stray: NDArray[np.int64]) -> None:
        """Keep the keys of windows at whose closing more words had been lost than at that of the one before."""
        if late[-1] + stray[-1] == self._lost_before:
            return
        lost = late + stray
        for i in np.flatnonzero(np.diff(lost, prepend=self._lost_before)).tolist():
            self._lost.append((int(keys[i]), int(late[i]), int(stray[i])))
        self._lost_before = int(lost[-1])

    def take_lost(self) -> list[tuple[int, int, int]]:
        """For windows that closed since the last time: (key, words late, words stray) where more had been lost.

        The numbers are of the run up to the moment at which the window closed, which the words alone decide.
        """
        lost, self._lost = self._lost, []
        return lost

    def _keep(self, words: Words, first: int) -> None:
        """Copy held words out of the caller's array, in runs from `first` on."""
        st = self._state
        if st.control[fr.DROPPED_RUNS]:
            self._forget_dropped()
            first = 0
        runs = st.runs[first : int(st.control[fr.RUNS])]
        self._reserve(0, int(runs[runs[:, 0] >= fr.IN_CHUNK, 1].sum()))
        st = self._state
        keep(st.control, st.runs, st.log, words, first)

    def _forget_dropped(self) -> None:
        """Remove runs whose words are no longer held: they would fill the log, which is sized for held words."""
        st = self._state
        runs = st.runs[: int(st.control[fr.RUNS])]
        held = runs[runs[:, 2] != fr.DROPPED]
        if len(held) < len(runs):
            runs[: len(held)] = held
            st.control[[fr.RUNS, fr.DROPPED_RUNS]] = len(held), 0

    def _reserve(self, runs: int, words: int) -> None:
        """Make room for so many more runs, and words held: compact the log when that helps, else let it grow."""
        st = self._state
        # any of the words set aside may be released: a word of the log and a run each
        released = st.pending.size
        used = int(st.control[fr.RUNS])
        runs += used + 1 + released
        if runs > len(st.runs):
            grown = np.empty((2 * runs, 3), np.int64)
            grown[:used] = st.runs[:used]
            st = st._replace(runs=grown)
        used = int(st.control[fr.LOG])
        needed = used + words + released
        if needed > len(st.log):
            self._forget_dropped()
            live = self.held_words + words + released
            if 2 * live > len(st.log):
                grown_log = np.empty(4 * live, np.uint64)
                grown_log[:used] = st.log[:used]
                st = st._replace(log=grown_log)
            compact(st.control, st.runs, st.log, in_log(st))
        self._state = st

    def boundary(self, source: int = 0) -> Frames:
        """A new file begins on this source: if its counter starts again before the last file's end, that is a reset.

        What the last file left unconfirmed is decided first, as at the end of an input.
        """
        self.add_source(source)
        index = self._names.index(source)
        self._resolve(index)
        self._inputs[self._inputs[:, fr.SOURCE] == self._row(index), fr.BOUNDARY] = 1
        return self._drain()

    def _resolve(self, index: int) -> None:
        first = len(self._boards) * index
        for board in range(len(self._boards)):
            self._reserve(0, 0)
            st = self._state
            row = int(st.control[fr.INPUTS_AT]) + (first + board) * fr.INPUT_COLUMNS
            resolve_pending(st.control, st.table, st.runs, st.pending, st.log, row)
            make_room(st.control, st.table, st.runs)

    def _row(self, index: int) -> int:
        """The offset of a source's row in the control array."""
        return fr.WHOLE_FIELDS + index * fr.SOURCE_COLUMNS

    def caught_up(self, source: int, caught_up: bool = True) -> None:
        """Set whether the source has nothing waiting to be read."""
        self.add_source(source)
        self._sources[self._names.index(source), fr.S_CAUGHT_UP] = int(caught_up)

    def idle(self, sources: Iterable[int]) -> Frames:
        """These sources have nothing waiting to be read at this moment, for which others need not wait for them."""
        sources = list(sources)
        for source in sources:
            self.caught_up(source)
        update_closed(self._state.control, self._state.table)
        frames = self._drain()
        for source in sources:
            self.caught_up(source, False)
        return frames

    def end(self, source: int = 0) -> Frames:
        """The source has ended: it no longer holds back any window."""
        self.add_source(source)
        index = self._names.index(source)
        self._sources[index, fr.S_ENDED] = 1
        self._resolve(index)
        first = len(self._boards) * index
        self._inputs[first : first + len(self._boards), fr.ENDED] = 1
        update_closed(self._state.control, self._state.table)
        return self._drain()

    def finish(self) -> Frames:
        """All sources have ended: give everything that is still held. Counts stay readable."""
        parts = [self.end(source) for source in self._names]
        st = self._state
        close_all(st.control, st.table, st.runs)
        return Frames.join([*parts, self._drain()])

    def _drain(self) -> Frames:
        closed = ClosedWindows(np.empty(0, np.uint64))
        self._collect(closed)
        return closed.frames().gather()

    def held(self) -> Frames:
        """A copy of the windows still open, without words set aside."""
        st = self._state
        runs = st.runs[: int(st.control[fr.RUNS])]
        runs = runs[(runs[:, 2] >= 0) & (runs[:, 2] < fr.NO_KEY)]
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
        top = int(self._sources[self._names.index(source), fr.S_TOP])
        return max(0, top - int(st.control[fr.CLOSED])) if top >= 0 else 0

    @property
    def held_words(self) -> int:
        """Words held now, as `counts` has them."""
        return int(self._state.control[fr.HELD])

    @property
    def counts(self) -> BuilderCounts:
        """The builder's part of the account."""
        st = self._state
        late = self._inputs[:, fr.LATE]
        by_input = {
            f"{self._names[i // len(self._boards)]}/{self._inputs[i, fr.BOARD]}": int(late[i])
            for i in np.flatnonzero(late)
        }
        whole = st.control
        return BuilderCounts(
            words=self._words,
            late=int(late.sum()),
            stray=int(whole[fr.STRAY]),
            held=int(whole[fr.HELD]),
            forced=int(whole[fr.FORCED]),
            resets=int(whole[fr.RESETS]),
            late_by_input=by_input,
        )

    def remarks(self, *, damaged: bool = False) -> list[str]:
        """Remarks on the inputs, a line each: late words with the option to set, narrow orbit counters.

        damaged: some words were read from damaged data
        """
        c, late = self._state.control, []
        for i in np.flatnonzero(self._inputs[:, fr.LATE]):
            board, words, behind = self._inputs[i, [fr.BOARD, fr.LATE, fr.LATE_BY]].tolist()
            late.append(LateInput(self._names[i // len(self._boards)], board, words, seconds(behind)))
        lines = late_remarks(late, len(self._names), seconds(int(c[fr.IDLE])), damaged=damaged)
        falls, lowest, highest = (int(c[field]) for field in (fr.RESETS, fr.FALL_LOW, fr.FALL_HIGH))
        bits = counter_bits(falls, lowest, max(highest, int(c[fr.ALL_TOP]) & KEY_WINDOW_MASK))
        if bits is not None:
            lines.append(counter_remark(bits, falls))
        elif c[fr.ALL_TOP] == 0 and len(self._inputs):
            short = short_counter_remark(int(self._inputs[:, fr.EARLY_TOP].max()), int(self._inputs[:, fr.TURNS].max()))
            lines += [short] if short else []
        return lines

    def state(self) -> dict[str, Any]:
        """The builder's whole state, as plain numbers and arrays, for `restore`."""
        st = self._state
        compact(st.control, st.runs, st.log, in_log(st))
        c = st.control
        opened, open_words = open_windows(st)
        return {
            "layout": list(fr.LAYOUT),
            "boards": list(self._boards),
            "names": list(self._names),
            "words": self._words,
            "control": c.copy(),
            "open": opened,
            "open_words": open_words,
            "runs": st.runs[: c[fr.RUNS]].copy(),
            "pending": st.pending.copy(),
            "log": st.log[: c[fr.LOG]].copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state, with its options. Raises ValueError when it is of other boards or another version."""
        if tuple(state["layout"]) != fr.LAYOUT:
            raise ValueError(f"found a builder's state laid out as {state['layout']}, expected {list(fr.LAYOUT)}")
        if tuple(state["boards"]) != self._boards:
            raise ValueError(f"boards: found {state['boards']}, expected {list(self._boards)} as before")
        self._names, self._words = [int(name) for name in state["names"]], int(state["words"])
        runs, log = np.array(state["runs"], np.int64).reshape(-1, 3), np.array(state["log"], np.uint64)
        pending, most_open = state["pending"].copy(), int(state["control"][fr.MOST_OPEN])
        table = table_of(most_open, len(pending), state["open"], state["open_words"])
        self._state = fr.State(state["control"].copy(), table, runs, pending, log)
        self._lost_before = self.counts.late + self.counts.stray
