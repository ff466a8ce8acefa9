"""The frame builder's scan: one source's words into runs of one window each, compiled.

A word is looked at in full only when something changes; the others pass one comparison: `want[head, board]` holds the
window bits that continue the present run, so a run of words of one window costs about a nanosecond a word.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.framing.aside import place
from muonstream.framing.inputs import (
    EARLY_FALL_ORBITS,
    count_late,
    counter_of,
    early,
    early_orbit,
    low_key,
    reach,
    reached,
    update_closed,
    window_of,
)
from muonstream.framing.state import (
    ALL_TOP,
    BOUNDARY,
    CLOSED,
    CLOSING,
    EARLY,
    EPOCH,
    HELD,
    IN_CHUNK,
    MAX_HELD,
    MOST_OPEN,
    NEWEST,
    NO_KEY,
    OPEN,
    RESETS,
    S_CURRENT,
    S_INPUT,
    SCANNED,
    T_KEY,
    WATCH,
)
from muonstream.framing.windows import add_run, give_time, make_room, slot_of, too_much
from muonstream.words import FPGA_SHIFT, HEAD_MASK, HEAD_SHIFT, WINDOW_SHIFT, Head

AT_ONCE: Final = 16
"""Number of words compared together, without branching."""
EARLY_MARK: Final = -2
_HIT: Final = np.uint64(Head.HIT) << np.uint64(HEAD_SHIFT)
_HEAD_AND_WINDOW: Final = np.uint64(HEAD_MASK) << np.uint64(HEAD_SHIFT) | np.uint64(KEY_WINDOW_MASK) << np.uint64(
    WINDOW_SHIFT
)


@inlined
def _all_usual(words: Any, n: int, usual: Any) -> bool:
    """Whether all of the words from n on are hit words that continue the run.

    Indices are unsigned: numba's wrap-around check for negative indices would prevent vectorisation.
    """
    other = np.uint64(0)
    first = np.uint64(n)
    for j in range(np.uint64(AT_ONCE)):
        other |= (words[first + j] & _HEAD_AND_WINDOW) ^ usual
    return bool(other == np.uint64(0))


@inlined
def _steady(c: Any, i: int, code: int, mask: Any, epoch: Any, lowest: Any, newest: Any) -> None:
    """Set the range of keys in which words of an input change nothing, and their epoch's key.

    In the first windows of an epoch every word's orbit counts: they are marked by a lowest key below 0.
    """
    mask[code] = np.uint64(KEY_WINDOW_MASK) << np.uint64(WINDOW_SHIFT)
    epoch[code] = c[i + EPOCH] << KEY_WINDOW_BITS
    usual = c[i + BOUNDARY] == 0 and c[i + WATCH] == 0
    newest[code] = c[i + NEWEST] if usual and not early(c, i) else -1
    lowest[code] = EARLY_MARK if usual and early(c, i) else max(low_key(c, i), 0)


@inlined
def _continue(current: int, boards: int, want: Any, epoch: Any, lowest: Any, newest: Any) -> Any:
    """Set which window bits continue the run of the key `current`, for the first boards.

    Gives what the head and window bits of hit words are that continue it, whichever board they are of: all ones, which
    none has, where boards differ.
    """
    bits = np.uint64(current & KEY_WINDOW_MASK) << np.uint64(WINDOW_SHIFT)
    together = True
    for code in range(np.uint64(16), np.uint64(16 + boards)):
        same = lowest[code] <= current <= newest[code] and epoch[code] == current >> KEY_WINDOW_BITS << KEY_WINDOW_BITS
        # a mask of 0 and a want of 0: words of boards that no chamber has tell no time, like ancillary ones
        want[code] = bits if same else np.uint64(epoch[code] >= 0)
        together = together and (same or epoch[code] < 0)
    return _HIT | bits if together else ~np.uint64(0)


@inlined
def _stop(c: Any, table: Any, current: int, begin: int, end: int) -> int:
    """How far a run that begins at `begin` may go before the limit of held words or of open windows is reached.

    A run that opens the last window there may be ends with its first word: what closes then must not depend on where
    the run ends, as that is where a push may be cut.
    """
    if c[OPEN] + 1 >= c[MOST_OPEN] and current < NO_KEY and table[T_KEY, slot_of(table, current)] != current:
        return int(min(end, begin + 1))
    return int(min(end, begin + max(c[MAX_HELD] - c[HELD], 0) + 1))


@inlined
def _crowded(c: Any, table: Any) -> bool:
    """Whether the table of open windows has become so full, of those that wait to be collected, that it must stop."""
    return bool(4 * (c[OPEN] + c[CLOSING]) >= 3 * table.shape[1])


@compiled
def scan(c: Any, table: Any, runs: Any, pending: Any, log: Any, source: int, words: Any, begin: int, end: int) -> int:
    """Take words[begin:end] of one source: runs of them, by window, are added to the state's.

    Gives how far it came: before the end where closed windows have to be collected first, for want of room.
    """
    mask = np.zeros(64, np.uint64)
    want = np.zeros(64, np.uint64)
    epoch = np.full(64, -1, np.int64)
    newest = np.full(64, -1, np.int64)
    lowest = np.zeros(64, np.int64)
    scanned = c[SCANNED] - begin
    current = c[source + S_CURRENT]
    resets = -1
    boards = 0
    for board in range(8):
        if c[source + S_INPUT + board] >= 0:
            boards = board + 1
    n = begin
    while True:
        closed = c[CLOSED]
        if current < NO_KEY:
            # the run moves to another window if its own has been closed
            current = max(current, closed + 1)
        if c[RESETS] != resets:
            # only a reset, or one taken back, changes other inputs' epochs
            resets = c[RESETS]
            for board in range(8):
                if c[source + S_INPUT + board] >= 0:
                    _steady(c, c[source + S_INPUT + board], 2 << 3 | board, mask, epoch, lowest, newest)
        usual = _continue(current, boards, want, epoch, lowest, newest)
        word, code, key = np.uint64(0), 0, 0
        tried = n
        stop = _stop(c, table, current, begin, end)
        while n < stop:
            if n >= tried:
                if n + AT_ONCE <= stop and _all_usual(words, n, usual):
                    n += AT_ONCE
                    tried = n
                    continue
                tried = n + AT_ONCE
            word = words[n]
            code = int(np.int64(word >> np.uint64(FPGA_SHIFT)))
            if word & mask[code] == want[code]:
                n += 1
                continue
            if lowest[code] == EARLY_MARK:
                i = c[source + S_INPUT + (code & 7)]
                orbit = counter_of(word)
                near = low_key(c, i) <= current <= c[i + NEWEST] and orbit >= c[i + EARLY] - EARLY_FALL_ORBITS
                if near and epoch[code] | window_of(word) == current and current > closed:
                    early_orbit(c, i, orbit)
                    n += 1
                    continue
            if n > begin:
                add_run(c, table, runs, IN_CHUNK + begin, n - begin, current)
                begin = n
                if _crowded(c, table):
                    end = n
                    break
                stop = end
            key = epoch[code] | window_of(word)
            if not max(closed, lowest[code] - 1) < key <= newest[code] or current >= NO_KEY:
                break
            current = key
            usual = _continue(current, boards, want, epoch, lowest, newest)
            stop = _stop(c, table, current, begin, end)
            n += 1
        if n == end:
            break
        if n == stop:
            add_run(c, table, runs, IN_CHUNK + begin, n - begin, current)
            begin = n
            make_room(c, table, runs)
            if _crowded(c, table):
                end = n
                break
            continue
        i = c[source + S_INPUT + (code & 7)]
        c[SCANNED] = scanned + n + 1
        one_epoch = closed >> KEY_WINDOW_BITS == c[ALL_TOP] >> KEY_WINDOW_BITS
        if 0 <= newest[code] < key <= reach(c, i) and closed < key and one_epoch:
            # time advances, the most frequent case: like the general one, with fewer arrays to pass
            reached(c, i, key)
            update_closed(c, table)
            if key <= c[CLOSED]:
                count_late(c, i, key)
                key = -1
        else:
            key = place(c, table, runs, pending, log, i, word, words)
        n += 1
        if key < 0:
            begin = n
            if current < NO_KEY and current >> KEY_WINDOW_BITS > max(c[ALL_TOP], 0) >> KEY_WINDOW_BITS:
                # the epoch has been undone
                current = c[ALL_TOP]
        else:
            if current >= NO_KEY:
                give_time(c, table, runs, current, key)
            current = key
        if too_much(c):
            # of words set aside that have been released, or of those that had no time
            make_room(c, table, runs)
            if 0 <= key <= c[CLOSED]:
                count_late(c, i, key)
                begin = n
        _steady(c, i, code, mask, epoch, lowest, newest)
        if _crowded(c, table):
            end = n
            break
    add_run(c, table, runs, IN_CHUNK + begin, end - begin, current)
    if too_much(c):
        make_room(c, table, runs)
    c[source + S_CURRENT] = current
    c[SCANNED] = scanned + end
    return end
