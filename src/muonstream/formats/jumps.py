"""Where a run's time jumps: gaps and counter resets, by input and word, for notes. What they are is counted elsewhere.

One word in `EACH` is looked at, later on one in `SPARSE`; the level of a board is the median of its last three orbits
among these, so that single wild orbits do not matter. Where a level jumps, the words before show the place. The first
board to fall is a reset; the others follow it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.formats.notes import Notes
from muonstream.formats.plausible import is_hit
from muonstream.words import (
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_SHIFT,
    HEAD_SHIFT,
    ORBIT_MASK,
    ORBIT_SECONDS,
    ORBIT_SHIFT,
    Head,
    Words,
)

EACH: Final = 16
DENSE_WORDS, SPARSE = 1 << 18, 64
"""One word in `EACH` is looked at among the first `DENSE_WORDS`, then one in `SPARSE`, at a quarter of the cost."""
KEPT: Final = 1 << 13
"""So many words before a jump was noticed are searched for its place."""
JUMP_ORBITS: Final = round(1 / ORBIT_SECONDS)
INTERVALS: Final = 20
"""A gap is longer than so many mean intervals between the hits around it."""
STEPS: Final = 4
"""A rise is worth a look where it is so many mean rises."""
HELD: Final = 8
"""Hits behind a jump of which most must be beyond it, too."""
EVENTS: Final = 64

_SORTED_STEPS: Final = 16
_REVERSED_STEPS: Final = 64
"""So many steps between words that are looked at show an order that is not that of time, if nearly all are alike."""
_NEARLY_ALL: Final = 0.95

_PHASE, _TOP, _RESETS, _STEP, _LOOKS, _UPS, _DOWNS, _CHANNEL_UPS, _CHANNEL_DOWNS, _WHOLE = range(10)
"""Fields of the state, int64: words until the next one that is looked at; the highest level since the last reset, or
-1; resets; the mean rise of the highest level; words looked at; how often the orbit of a board rose and fell from one
of these to the next, and its channel."""
_FIRST, _SECOND, _THIRD, _LEVEL, _FALLS, _CHANNEL, _BOARD = range(7)
"""Fields of a board: its last three orbits, their median (-1: none yet), how often it has fallen, its last channel."""
_GAP, _RESET = range(2)


@compiled
def _look(words: Any, begin: int, s: Any, boards: Any, events: Any) -> tuple[int, int]:
    """Look at words[begin:] (uint64[n]) and note jumps; s: int64[_WHOLE]; boards: int64[8, _BOARD].

    events: int64[m, 4], filled with (what, index, board, highest level before it)
    Gives how far it came and how many events there are.
    """
    n_events = 0
    i = begin + s[_PHASE]
    while i < len(words) and n_events < len(events):
        word = words[i]
        if is_hit(word):
            b = np.int64(word >> np.uint64(FPGA_SHIFT)) & 7
            row = boards[b]
            row[_FIRST], row[_SECOND] = row[_SECOND], row[_THIRD]
            row[_THIRD] = np.int64(word >> np.uint64(ORBIT_SHIFT)) & ORBIT_MASK
            channel = np.int64(word >> np.uint64(CHANNEL_SHIFT)) & CHANNEL_MASK
            if row[_SECOND] >= 0:
                s[_UPS] += row[_THIRD] > row[_SECOND]
                s[_DOWNS] += row[_THIRD] < row[_SECOND]
                s[_CHANNEL_UPS] += channel > row[_CHANNEL]
                s[_CHANNEL_DOWNS] += channel < row[_CHANNEL]
            row[_CHANNEL] = channel
            one, two, three = row[_FIRST], row[_SECOND], row[_THIRD]
            level = max(min(one, two), min(max(one, two), three))
            # the same orbit again, far from the others: a marker of another program, not a jump
            same = (one == two) | (two == three) | (one == three)
            stuck = same and (s[_TOP] < 0 or abs(level - s[_TOP]) > JUMP_ORBITS)
            if one >= 0 and not stuck:
                what = -1
                before = s[_TOP]
                if row[_LEVEL] >= 0 and level < row[_LEVEL] - JUMP_ORBITS:
                    row[_FALLS] += 1
                    if row[_FALLS] > s[_RESETS]:
                        s[_RESETS] = row[_FALLS]
                        what, before = _RESET, row[_LEVEL]
                        s[_TOP] = level
                elif row[_LEVEL] < 0:
                    row[_FALLS] = s[_RESETS]
                if row[_FALLS] == s[_RESETS] and level > s[_TOP]:
                    rise = level - s[_TOP]
                    if s[_TOP] >= 0:
                        if rise > JUMP_ORBITS and rise > STEPS * s[_STEP]:
                            what = _GAP
                        else:
                            s[_STEP] += (rise - s[_STEP]) // 8
                    s[_TOP] = level
                row[_LEVEL] = level
                if what >= 0:
                    event = events[n_events]
                    event[0], event[1], event[2], event[3] = what, i, b, before
                    n_events += 1
        s[_LOOKS] += 1
        i += EACH if s[_LOOKS] < DENSE_WORDS // EACH else SPARSE
    s[_PHASE] = max(i - len(words), 0)
    return i, n_events


@dataclass(frozen=True, slots=True)
class _Part:
    """Words of one input: the first one's index among those that are looked at, and its number in the input."""

    at: int
    name: str
    number: int


class Jumps:
    """Follows the words of a run's inputs in the order in which they are read."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._words: Words = np.empty(0, np.uint64)
        self._parts: list[_Part] = []
        self._counts: Counter[str] = Counter()
        self._state = np.zeros(_WHOLE, np.int64)
        self._state[_TOP] = -1
        self._boards = np.full((8, _BOARD), -1, np.int64)
        self._boards[:, _FALLS] = 0

    def see(self, words: Words, name: str) -> None:
        """Look at the next words (uint64[n]), of an input."""
        if not len(words):
            return
        kept = len(self._words)
        self._parts.append(_Part(kept, name, self._counts[name]))
        self._counts[name] += len(words)
        events = np.empty((EVENTS, 4), np.int64)
        at = 0
        while at < len(words):
            at, n = _look(words, at, self._state, self._boards, events)
            for what, index, board, before in events[:n].tolist():
                around = np.concatenate([self._words, words[max(0, index - KEPT) : index + 1]])
                first = kept + max(0, index - KEPT)
                # the index of the first of them among the words kept and those that came
                around, first = (around[kept:], first) if index >= KEPT else (around, 0)
                (self._gap if what == _GAP else self._reset)(around, first, board, before)
        self._keep(words, kept)

    def conclude(self) -> None:
        """Note an order of the words that is not that of time."""
        ups, downs, channel_ups, channel_downs = self._state[[_UPS, _DOWNS, _CHANNEL_UPS, _CHANNEL_DOWNS]].tolist()
        wrong = "so that resets, late words, rates and live time are not those of the run; sort them by ORBIT_CNT"
        if downs >= max(_REVERSED_STEPS, _NEARLY_ALL * (ups + downs)):
            self._notes.add("order", f"words are in reverse order, the newest first, {wrong}")
        elif max(channel_ups, channel_downs) >= max(_SORTED_STEPS, _NEARLY_ALL * (channel_ups + channel_downs)):
            self._notes.add("order", f"words are sorted by channel, not by time, {wrong}")

    def _keep(self, words: Words, kept: int) -> None:
        """Keep the last words."""
        end = kept + len(words)
        first = max(0, end - KEPT)
        self._words = words[-KEPT:].copy() if len(words) >= KEPT else np.concatenate([self._words, words])[-KEPT:]
        inside = [part for part in self._parts if part.at > first]
        here = [part for part in self._parts if part.at <= first][-1:]
        self._parts = [_Part(0, part.name, part.number + first - part.at) for part in here]
        self._parts += [_Part(part.at - first, part.name, part.number) for part in inside]

    def _gap(self, words: Words, first: int, board: int, before: int) -> None:
        """A gap, if it is one, among the last of words; first: the index of the first of them."""
        where, orbits = _hits(words)
        middle = before + JUMP_ORBITS // 2
        # those before a reset may be high, too: the gap is behind the last hit that is not beyond it
        j = int(np.flatnonzero(orbits <= middle)[-1:].sum()) + 1
        if j >= len(orbits):
            return
        beyond, near = orbits[j:], orbits[:j][orbits[:j] <= middle]
        begin, end = max(int(near.max(initial=0)), before), int(beyond[:HELD].min())
        low = int(np.median(near[:HELD])) if len(near) else begin
        mean = (max(begin - low, 0) + int(np.median(beyond[-HELD:])) - end) / len(orbits)
        gap = end - begin
        if gap > JUMP_ORBITS and gap > INTERVALS * mean:
            what = f"a gap of {gap * ORBIT_SECONDS:,.1f} s, from orbit {begin:,} to {end:,}"
            self._note("gaps", first + int(where[j]), what)

    def _reset(self, words: Words, first: int, board: int, before: int) -> None:
        where, orbits = _hits(words, board)
        # within a board orbits hardly step back: the fall is behind the last one that is high
        middle = (before + int(np.median(orbits[-2:]))) // 2
        j = int(np.flatnonzero(orbits >= middle)[-1:].sum()) + 1
        if j < len(orbits):
            high = int(np.median(orbits[max(0, j - HELD) : j]))
            what = f"orbits of board {board} fall from about {high:,} to {int(orbits[j]):,}, as at a counter reset"
            self._note("counter resets", first + int(where[j]), what)

    def _note(self, kind: str, index: int, what: str) -> None:
        part = [part for part in self._parts if part.at <= index][-1]
        name, self._notes.name = self._notes.name, part.name
        self._notes.add(kind, f"word {part.number + index - part.at + 1:,}: {what}")
        self._notes.name = name


def is_jump(note: str) -> bool:
    """Whether a note is of a gap or a reset."""
    return " s, from orbit " in note or note.endswith("as at a counter reset")


def _hits(words: Words, board: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The hits among words (uint64[n]), perhaps of one board alone: indices and orbits."""
    hits = words >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)
    if board is not None:
        hits &= (words >> np.uint64(FPGA_SHIFT)).astype(np.int64) & 7 == board
    where = np.flatnonzero(hits)
    return where, (words[where] >> np.uint64(ORBIT_SHIFT)).astype(np.int64) & ORBIT_MASK
