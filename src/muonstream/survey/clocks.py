"""The boards' orbit counters through an input: order, packets, how far boards lag, gaps, falls, wild orbits.

Each board has a clock, the highest orbit it has reached. A word at most BACK_ORBITS behind it or GAP_ORBITS ahead of it
is usual. Any other word only opens a candidate; when AGREEING words in a row of that board agree with the candidate,
the clock moves there and that is an event, a gap or a fall. When they do not agree, the words were wild. Boards whose
clocks are on the same stretch of orbits share a stretch number; only within one stretch is a lag of boards defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.bits import leading_zeros
from muonstream.compiled import compiled, inlined
from muonstream.survey.repeats import GOOD, REPEAT
from muonstream.survey.stretches import BACK, FAR, LIVE, TIME
from muonstream.words import FPGA_MASK, FPGA_SHIFT, ORBIT_MASK, ORBIT_SHIFT, Words

BACK_ORBITS: Final = 512
"""A board's own words step back by less than that (46 ms); more is a fall of its counter."""
GAP_ORBITS: Final = 11 << 10
"""More orbits than this (1.0 s) without a word of a board are a gap of that board."""
AGREEING: Final = 8
"""Words of a board in a row that must agree before its clock falls or jumps."""
LONGEST_PACKET: Final = 1024
"""Packets of at least this many words are counted together."""
EVENTS_KEPT: Final = 256
GAP, FALL = 0, 1

# columns of a board's clock
(
    WORDS, NOW, ELAPSED, GAPS, GAP_SUM, FALLS, WILD, STRETCH, STRETCH_WORDS, LAST_TIME, BACK_STEPS, BACK_ORBIT,
    DEEPEST_BACK, DEEPEST_LAG, LAG_PLACE, ONES, ZEROS, CHAIN, CHAIN_FIRST, CHAIN_LAST, CHAIN_PLACE, CHAIN_GAPS,
    CHAIN_GAP_SUM, FIRST_ORBIT, LONGEST_GAP, WILD_PLACE, WILD_ORBIT,
) = range(27)  # fmt: skip
# scalars of all boards
(
    RUN_BOARD, RUN, LONGEST_RUN, STRETCHES, LEAD_STRETCH, LEAD_FIRST, LEAD, PREVIOUS_BOARD, PREVIOUS_TIME, CHANGES,
    CHANGES_BACK, TIME_SUM, LIVE_SUM, EVENTS, CHANGES_DEEPEST,
) = range(15)  # fmt: skip

_TIME_MASK: Final = np.uint64((1 << 49) - 1)


@dataclass(frozen=True, slots=True)
class ClockEvent:
    """A board's counter that jumps ahead (a gap) or falls.

    kind: "gap" or "fall"; word: place of the first word behind it; before, after: orbits;
    words_before: the board's usual words since its last event
    """

    kind: str
    word: int
    board: int
    before: int
    after: int
    words_before: int


class Clocks:
    """Follows the boards' counters; memory is bounded.

    boards: int64[8, 27], a row a board; scalars: int64[15]
    lags: int64[8, 34], by board and the bits of the number of orbits that a word is behind the lead
    """

    def __init__(self) -> None:
        self.boards = np.zeros((FPGA_MASK + 1, 27), np.int64)
        self.boards[:, ZEROS] = ORBIT_MASK
        self.boards[:, WILD_PLACE] = -1
        self.scalars = np.zeros(15, np.int64)
        self.scalars[[RUN_BOARD, LEAD_STRETCH, PREVIOUS_BOARD]] = -1
        self._packets = np.zeros((FPGA_MASK + 1, LONGEST_PACKET + 1), np.int64)
        self.lags = np.zeros((FPGA_MASK + 1, 34), np.int64)
        self._events = np.zeros((EVENTS_KEPT, 6), np.int64)

    def state(self) -> tuple[Any, ...]:
        """The arrays that `follow_clocks` works on."""
        return self.boards, self.scalars, self._packets, self.lags, self._events

    def packets(self) -> NDArray[np.int64]:
        """Packets by board and length, the last one included, int64[8, LONGEST_PACKET + 1]."""
        out = self._packets.copy()
        if self.scalars[RUN]:
            out[self.scalars[RUN_BOARD], min(self.scalars[RUN], LONGEST_PACKET)] += 1
        return out

    def longest_packet(self) -> int:
        """The longest row of hit words of one board."""
        return int(max(self.scalars[LONGEST_RUN], self.scalars[RUN]))

    def wild(self, board: int) -> tuple[int, int, int]:
        """A board's words with orbits that no neighbouring word agreed with: how many, place and orbit of the first.

        Place and orbit are -1 where there are none. Words at the very end count too, unless they are only as far ahead
        as words of this board were before.
        """
        c = self.boards[board]
        pending = c[CHAIN] > 0 and not 0 < c[CHAIN_FIRST] - c[NOW] <= 4 * c[LONGEST_GAP]
        if c[WILD]:
            return int(c[WILD] + c[CHAIN] * pending), int(c[WILD_PLACE]), int(c[WILD_ORBIT])
        return (int(c[CHAIN]), int(c[CHAIN_PLACE]), int(c[CHAIN_FIRST])) if pending else (0, -1, -1)

    def events(self) -> tuple[ClockEvent, ...]:
        """The first events in order of arrival, EVENTS_KEPT at most; all of them are counted."""
        kept = self._events[: min(self.scalars[EVENTS], EVENTS_KEPT)]
        rows = kept[np.argsort(kept[:, 0], kind="stable")].tolist()
        return tuple(ClockEvent("fall" if kind else "gap", word, *rest) for word, kind, *rest in rows)


@compiled
def follow_clocks(words: Words, kinds: NDArray[np.uint8], first: int, state: Any, row: NDArray[np.int64]) -> None:
    """Take words[n] of kinds (uint8[n]); first: the place of the first word; row: the stretch's counts, added to."""
    boards, s, packets, lags, events = state
    for i in range(len(words)):
        kind = kinds[i]
        if kind != GOOD and kind != REPEAT:
            continue
        w = words[i]
        b = np.int64((w >> np.uint64(FPGA_SHIFT)) & np.uint64(FPGA_MASK))
        if b == s[RUN_BOARD]:
            s[RUN] += 1
        else:
            if s[RUN]:
                packets[s[RUN_BOARD], min(s[RUN], LONGEST_PACKET)] += 1
                s[LONGEST_RUN] = max(s[LONGEST_RUN], s[RUN])
            s[RUN_BOARD], s[RUN] = b, 1
        # repeated words would look like falls of the counter
        if kind == REPEAT:
            continue
        time = np.int64(w & _TIME_MASK)
        orbit = time >> ORBIT_SHIFT
        c = boards[b]
        c[ONES] |= orbit
        c[ZEROS] &= orbit
        if c[WORDS] == 0:
            c[FIRST_ORBIT] = c[NOW] = orbit
            c[LAST_TIME] = time
            _join(c, s, orbit, True)
        c[WORDS] += 1
        ahead = orbit - c[NOW]
        if ahead < -BACK_ORBITS or ahead > GAP_ORBITS:
            _candidate(c, s, events, row, b, orbit, first + i)
            if c[CHAIN]:
                continue
            time = max(time, c[NOW] << ORBIT_SHIFT)
            c[LAST_TIME] = time
        else:
            if c[CHAIN]:
                _give_up(c, row)
            # no branches here: which board leads and which words step back cannot be predicted
            step = max(ahead, 0)
            c[NOW] += step
            c[ELAPSED] += step
            _pass_time(c, s, row)
            c[DEEPEST_BACK] = max(c[DEEPEST_BACK], -ahead)
            back = np.int64(time < c[LAST_TIME])
            c[BACK_STEPS] += back
            c[BACK_ORBIT] += np.int64(orbit < c[LAST_TIME] >> ORBIT_SHIFT)
            row[BACK] += back
            c[LAST_TIME] = time
            c[STRETCH_WORDS] += 1
        if c[STRETCH] == s[LEAD_STRETCH]:
            s[LEAD] = max(s[LEAD], c[NOW])
            behind = s[LEAD] - orbit
            lags[b, 64 - leading_zeros(np.uint64(behind))] += 1
            if behind > c[DEEPEST_LAG]:
                c[DEEPEST_LAG], c[LAG_PLACE] = behind, first + i
        if s[PREVIOUS_BOARD] >= 0 and s[PREVIOUS_BOARD] != b and boards[s[PREVIOUS_BOARD], STRETCH] == c[STRETCH]:
            s[CHANGES] += 1
            if time < s[PREVIOUS_TIME]:
                s[CHANGES_BACK] += 1
                s[CHANGES_DEEPEST] = max(s[CHANGES_DEEPEST], (s[PREVIOUS_TIME] >> ORBIT_SHIFT) - orbit)
        s[PREVIOUS_BOARD], s[PREVIOUS_TIME] = b, time


@compiled
def _candidate(c: Any, s: Any, events: Any, row: Any, b: Any, orbit: Any, place: Any) -> None:
    """Take a word far from its board's clock: it agrees with the candidate, or begins a new one."""
    if c[CHAIN] and orbit >= c[CHAIN_LAST] - BACK_ORBITS:
        step = orbit - c[CHAIN_LAST]
        if step > GAP_ORBITS:
            c[CHAIN_GAPS] += 1
            c[CHAIN_GAP_SUM] += step
            c[LONGEST_GAP] = max(c[LONGEST_GAP], step)
        c[CHAIN_LAST] = max(c[CHAIN_LAST], orbit)
        c[CHAIN] += 1
    else:
        _give_up(c, row)
        c[CHAIN], c[CHAIN_FIRST], c[CHAIN_LAST], c[CHAIN_PLACE] = 1, orbit, orbit, place
        c[CHAIN_GAPS], c[CHAIN_GAP_SUM] = 0, 0
    if c[CHAIN] < AGREEING:
        return
    jump = c[CHAIN_FIRST] - c[NOW]
    fall = jump < 0
    if s[EVENTS] < EVENTS_KEPT:
        event = events[s[EVENTS]]
        event[0], event[1], event[2], event[3] = c[CHAIN_PLACE], fall, b, c[NOW]
        event[4], event[5] = c[CHAIN_FIRST], c[STRETCH_WORDS]
    s[EVENTS] += 1
    if fall:
        c[FALLS] += 1
    else:
        c[GAPS] += 1
        c[GAP_SUM] += jump
        c[ELAPSED] += jump
        c[LONGEST_GAP] = max(c[LONGEST_GAP], jump)
    c[GAPS] += c[CHAIN_GAPS]
    c[GAP_SUM] += c[CHAIN_GAP_SUM]
    c[ELAPSED] += c[CHAIN_LAST] - c[CHAIN_FIRST]
    c[NOW] = c[CHAIN_LAST]
    c[STRETCH_WORDS] = c[CHAIN]
    c[CHAIN] = 0
    _pass_time(c, s, row)
    _join(c, s, c[CHAIN_FIRST], c[STRETCH] != s[LEAD_STRETCH] or not fall)


@inlined
def _give_up(c: Any, row: Any) -> None:
    """The candidate's words were wild."""
    if c[CHAIN]:
        if c[WILD_PLACE] < 0:
            c[WILD_PLACE], c[WILD_ORBIT] = c[CHAIN_PLACE], c[CHAIN_FIRST]
        c[WILD] += c[CHAIN]
        row[FAR] += c[CHAIN]
        c[CHAIN] = 0


@inlined
def _pass_time(c: Any, s: Any, row: Any) -> None:
    """Time passes when the board furthest ahead moves; live time leaves the gaps out."""
    time = max(c[ELAPSED] - s[TIME_SUM], 0)
    row[TIME] += time
    s[TIME_SUM] += time
    live = max(c[ELAPSED] - c[GAP_SUM] - s[LIVE_SUM], 0)
    row[LIVE] += live
    s[LIVE_SUM] += live


@compiled
def _join(c: Any, s: Any, orbit: Any, may_join: Any) -> None:
    """Put a board on the leading stretch of orbits when it stands on it, else let it begin a stretch that leads."""
    near = s[LEAD_STRETCH] >= 0 and s[LEAD_FIRST] - GAP_ORBITS <= orbit and orbit <= s[LEAD] + GAP_ORBITS
    if may_join and near:
        c[STRETCH] = s[LEAD_STRETCH]
        return
    c[STRETCH] = s[LEAD_STRETCH] = s[STRETCHES]
    s[STRETCHES] += 1
    s[LEAD_FIRST], s[LEAD] = orbit, c[NOW]
