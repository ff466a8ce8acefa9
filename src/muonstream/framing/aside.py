"""Words that the frame builder sets aside, compiled: jumps ahead and falls, until others agree or contradict.

This module handles the few words that change something; `scan.py` passes the others.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.framing.epochs import HOUR_WINDOWS, fall, is_reset, joined, take_back
from muonstream.framing.inputs import (
    EARLY_FALL_ORBITS,
    count_late,
    counter_of,
    early,
    early_orbit,
    low_key,
    moved,
    own_jump,
    reach,
    reached,
    update_closed,
    window_of,
)
from muonstream.framing.state import (
    AGREE,
    ALL_TOP,
    ALONE,
    BOUNDARY,
    CLOSED,
    CONTRADICTED,
    EARLY,
    EARLY_TOP,
    ENDED,
    EPOCH,
    HELD,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    JUMP,
    LATENESS,
    LINK,
    LOG,
    NEWEST,
    PENDING,
    PENDING_AT,
    PENDING_WORDS,
    S_PROGRESS,
    S_TOP,
    SOURCE,
    STEP,
    STEP_UNIT,
    STRAY,
    TOP,
    WATCH,
)
from muonstream.framing.windows import add_run
from muonstream.words import WINDOW_ORBIT_BITS, WINDOW_SHIFT

IN_A_ROW: Final = 8
"""Number of rising words in a row, none of them where the input was before, that are believed."""
IN_A_ROW_ORBITS: Final = 3
"""They must be of this many orbits, since a single wild orbit may have many words."""
ALL_TOGETHER: Final = 16
"""Number of words below their inputs' times that are believed when every input has some."""
ROW_LINK: Final = 1 << 15
"""Words in a row have windows no further apart than this, 50 minutes."""


@compiled
def _release(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, limit: int) -> None:
    """Put words that were set aside into their windows, up to the key `limit`; those of closed windows are late."""
    kept = 0
    for p in range(c[i + PENDING]):
        word = pending[c[i + PENDING_AT], p]
        key = c[i + EPOCH] << KEY_WINDOW_BITS | window_of(word)
        if key > limit:
            pending[c[i + PENDING_AT], kept] = word
            kept += 1
            continue
        c[HELD] -= 1
        if key > c[CLOSED]:
            log[c[LOG]] = word
            add_run(c, table, runs, c[LOG], 1, key)
            c[LOG] += 1
        else:
            count_late(c, i, key)
    c[i + PENDING] = kept


@compiled
def _place_pending(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, low: int, high: int) -> None:
    """Put words that were set aside into open windows, those of the keys from `low` up to `high`."""
    kept = 0
    for p in range(c[i + PENDING]):
        word = pending[c[i + PENDING_AT], p]
        key = c[i + EPOCH] << KEY_WINDOW_BITS | window_of(word)
        if max(low, c[CLOSED] + 1) <= key <= high:
            log[c[LOG]] = word
            c[HELD] -= 1
            add_run(c, table, runs, c[LOG], 1, key)
            c[LOG] += 1
        else:
            pending[c[i + PENDING_AT], kept] = word
            kept += 1
    c[i + PENDING] = kept
    c[i + CONTRADICTED] = min(c[i + CONTRADICTED], kept)


@compiled
def _pace(c: Any, pending: Any, i: int, first: int) -> None:
    """Take the mean step of the words set aside, from `first` on, as the input's own, if all of them rise in a row.

    With wild words among them it would come out far too long, and let more of them in.
    """
    steps, span = 0, 0
    for p in range(first + 1, c[i + PENDING]):
        step = window_of(pending[c[i + PENDING_AT], p]) - window_of(pending[c[i + PENDING_AT], p - 1])
        if not -c[LATENESS] <= step <= ROW_LINK:
            return
        if step > 0:
            steps += 1
            span += step
    if steps >= IN_A_ROW_ORBITS - 1:
        c[i + STEP] = span * STEP_UNIT // steps


@compiled
def _accept(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, centre: int, link: int, first: int) -> None:
    """Words set aside agree about the window `centre`: the input's time goes there, and what fits is released."""
    top: int = -1
    second: int = -1
    orbit, below = 0, 0
    for p in range(first, c[i + PENDING]):
        word = pending[c[i + PENDING_AT], p]
        window = window_of(word)
        if abs(window - centre) <= link:
            if counter_of(word) > orbit:
                orbit, below = counter_of(word), orbit
            elif counter_of(word) > below:
                below = counter_of(word)
            if window > top:
                top, second = window, top
            elif window > second:
                second = window
    second = second if second >= 0 else top
    _pace(c, pending, i, first)
    if c[i + NEWEST] < 0:
        _begin(c, table, runs, i, second)
    elif is_reset(c, i, c[i + EPOCH] << KEY_WINDOW_BITS | second) or (
        early(c, i) and orbit < c[i + EARLY] - EARLY_FALL_ORBITS
    ):
        fall(c, table, runs, i, second)
    c[i + BOUNDARY] = 0
    c[i + ALONE] = 0
    c[i + EARLY_TOP], c[i + EARLY] = max(c[i + EARLY_TOP], orbit), max(c[i + EARLY], below)
    c[i + TOP] = max(c[i + TOP], c[i + EPOCH] << KEY_WINDOW_BITS | top)
    moved(c, i, max(c[i + EPOCH] << KEY_WINDOW_BITS | second, c[i + NEWEST]), True)
    _release(c, table, runs, pending, log, i, c[i + TOP] + c[JUMP])
    c[i + CONTRADICTED] = 0
    _follow(c, table, runs, pending, log, i)
    update_closed(c, table)


@compiled
def _begin(c: Any, table: Any, runs: Any, i: int, window: int) -> None:
    """Give an input without a time its epoch: that of all, unless its first words are before or after a reset."""
    c[i + EPOCH] = max(c[ALL_TOP], 0) >> KEY_WINDOW_BITS
    key = c[i + EPOCH] << KEY_WINDOW_BITS | window
    beside: int = -1
    for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[j + SOURCE] == c[i + SOURCE] and c[j + EPOCH] == c[i + EPOCH]:
            beside = max(beside, c[j + TOP])
    if c[i + EPOCH] > 0 and key > c[ALL_TOP] + c[LINK]:
        # others have been reset already; this input's first words are from before the reset
        c[i + EPOCH] -= 1
    elif beside >= 0 and (
        c[CLOSED] < key < beside - ROW_LINK
        or (key > beside + HOUR_WINDOWS and c[c[i + SOURCE] + S_PROGRESS] <= c[JUMP])
    ):
        # the source's words so far are leftovers of the run before
        fall(c, table, runs, i, window)


@compiled
def _follow(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int) -> None:
    """Believe words that other inputs have set aside and that are where time now is, before their windows close."""
    for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if j == i or c[j + PENDING] == c[j + CONTRADICTED] or c[j + BOUNDARY]:
            continue
        _pace(c, pending, j, c[j + CONTRADICTED])
        joined(c, j, window_of(pending[c[j + PENDING_AT], c[j + CONTRADICTED]]))
        if c[j + NEWEST] < 0:
            c[j + EPOCH] = c[ALL_TOP] >> KEY_WINDOW_BITS
        limit = reach(c, j)
        low = max(c[CLOSED], c[j + NEWEST], c[ALL_TOP] - ROW_LINK)
        for p in range(c[j + PENDING]):
            key = c[j + EPOCH] << KEY_WINDOW_BITS | window_of(pending[c[j + PENDING_AT], p])
            if low < key <= limit and key > c[j + NEWEST]:
                reached(c, j, key)
        _place_pending(c, table, runs, pending, log, j, low + 1, limit)


@compiled
def _forget(c: Any, pending: Any, i: int, p: int) -> None:
    """Count a word set aside that nothing confirmed: behind closed windows as late, ahead of them as stray."""
    key = c[i + EPOCH] << KEY_WINDOW_BITS | window_of(pending[c[i + PENDING_AT], p])
    if key <= c[i + NEWEST]:
        count_late(c, i, key)
    else:
        c[STRAY] += 1
    c[HELD] -= 1


@compiled
def _row(c: Any, pending: Any, i: int) -> int:
    """Where the last words in a row among those set aside begin, if they are enough to be believed, else -1."""
    last = c[i + PENDING] - 1
    window = window_of(pending[c[i + PENDING_AT], last])
    lowest = counter_of(pending[c[i + PENDING_AT], last])
    orbits = 1
    for p in range(last - 1, c[i + CONTRADICTED] - 1, -1):
        word = pending[c[i + PENDING_AT], p]
        step = window - window_of(word)
        if not -c[LATENESS] <= step <= ROW_LINK:
            return -1
        window = window_of(word)
        if counter_of(word) < lowest:
            lowest = counter_of(word)
            orbits += 1
        if last - p + 1 >= IN_A_ROW and orbits >= IN_A_ROW_ORBITS:
            return int(p)
    return -1


@compiled
def _all_fall(c: Any, pending: Any, i: int) -> bool:
    """Whether every input that has a time has words below it set aside, enough in all: few words of many boards."""
    words = 0
    window = window_of(pending[c[i + PENDING_AT], c[i + PENDING] - 1])
    for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[j + NEWEST] < 0 or c[j + ENDED]:
            continue
        if c[j + EPOCH] != c[i + EPOCH] or c[j + PENDING] <= c[j + CONTRADICTED]:
            return False
        other = window_of(pending[c[j + PENDING_AT], c[j + PENDING] - 1])
        if other > low_key(c, j) & KEY_WINDOW_MASK or abs(other - window) > c[JUMP]:
            return False
        words += c[j + PENDING] - c[j + CONTRADICTED]
    return bool(words >= ALL_TOGETHER)


@compiled
def _set_aside(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, word: Any, in_a_row: bool) -> None:
    """Set a word aside, and believe it with those that agree: 64 of them, or, if they may be, so many in a row."""
    if c[i + PENDING] == PENDING_WORDS:
        _forget(c, pending, i, 0)
        mine = pending[c[i + PENDING_AT]]
        for p in range(np.uint64(PENDING_WORDS - 1)):
            mine[p] = mine[p + np.uint64(1)]
        c[i + PENDING] -= 1
        c[i + CONTRADICTED] = max(c[i + CONTRADICTED] - 1, 0)
    pending[c[i + PENDING_AT], c[i + PENDING]] = word
    c[i + PENDING] += 1
    c[i + WATCH] = 1
    c[HELD] += 1
    window = window_of(word)
    if in_a_row and 0 <= c[i + EPOCH] << KEY_WINDOW_BITS | window < low_key(c, i) and _all_fall(c, pending, i):
        _accept(c, table, runs, pending, log, i, window, c[LINK], c[i + CONTRADICTED])
        return
    if c[i + PENDING] < min(c[AGREE], IN_A_ROW):
        return
    first = _row(c, pending, i) if in_a_row else -1
    if first >= 0:
        _accept(c, table, runs, pending, log, i, window, ROW_LINK, first)
        return
    # unsigned, so that the comparison is vectorised
    agree, mine = 0, pending[c[i + PENDING_AT]]
    lowest, reach_of = np.uint64(max(window - c[LINK], 0)), np.uint64(min(window, c[LINK]) + c[LINK])
    shift, mask = np.uint64(WINDOW_SHIFT), np.uint64(KEY_WINDOW_MASK)
    for p in range(np.uint64(c[i + CONTRADICTED]), np.uint64(c[i + PENDING])):
        agree += ((mine[p] >> shift) & mask) - lowest <= reach_of
    if agree >= c[AGREE]:
        _accept(c, table, runs, pending, log, i, window, c[LINK], c[i + CONTRADICTED])


@compiled
def _follows_a_fall(c: Any, pending: Any, i: int, word: Any) -> bool:
    """Whether a word within the allowed lateness is nearer to a fall set aside than to the input's time."""
    if c[i + PENDING] <= c[i + CONTRADICTED]:
        return False
    last = pending[c[i + PENDING_AT], c[i + PENDING] - 1]
    newest = c[i + NEWEST] & KEY_WINDOW_MASK
    if window_of(last) >= newest - c[LATENESS]:
        return False
    orbit = counter_of(word)
    return bool(orbit >= counter_of(last) and 2 * orbit < counter_of(last) + (newest << WINDOW_ORBIT_BITS))


@compiled
def place(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, word: Any, words: Any) -> int:
    """The key of the window that a hit word goes to, or -1 when it is late or set aside."""
    window = window_of(word)
    if c[i + NEWEST] < 0 and c[ALL_TOP] >= 0:
        # an input without a time takes that of the others
        c[i + EPOCH] = c[ALL_TOP] >> KEY_WINDOW_BITS
    if joined(c, i, window):
        _release(c, table, runs, pending, log, i, reach(c, i))
        c[i + CONTRADICTED] = c[i + PENDING]
    newest = c[i + NEWEST]
    key = c[i + EPOCH] << KEY_WINDOW_BITS | window
    if newest < 0:
        beside = c[c[i + SOURCE] + S_TOP]
        lowest = max(c[CLOSED], beside - ROW_LINK if beside >= 0 else -1)
        if not lowest < key <= reach(c, i):
            _set_aside(c, table, runs, pending, log, i, word, True)
            return -1
    elif key < low_key(c, i):
        if c[i + ALONE] == 0:
            _set_aside(c, table, runs, pending, log, i, word, True)
            return -1
    elif early(c, i) and counter_of(word) < c[i + EARLY] - EARLY_FALL_ORBITS:
        # disorder within the lateness may look like this for some words in a row
        _set_aside(c, table, runs, pending, log, i, word, c[i + BOUNDARY] == 1)
        return -1
    elif c[i + WATCH] and key <= newest and _follows_a_fall(c, pending, i, word):
        _set_aside(c, table, runs, pending, log, i, word, True)
        return -1
    furthest = reach(c, i)
    if key > furthest:
        _set_aside(c, table, runs, pending, log, i, word, True)
        return -1
    c[i + BOUNDARY] = 0
    if c[i + WATCH]:
        c[i + WATCH] = 0
        _release(c, table, runs, pending, log, i, furthest)
        c[i + CONTRADICTED] = c[i + PENDING]
    if key <= c[CLOSED]:
        count_late(c, i, key)
        return -1
    if newest < 0 or early(c, i):
        early_orbit(c, i, counter_of(word))
    if key > newest:
        c[i + ALONE] = 0
        reached(c, i, key)
        if c[CLOSED] >> KEY_WINDOW_BITS < c[ALL_TOP] >> KEY_WINDOW_BITS:
            take_back(c, table, runs, log, words)
        update_closed(c, table)
        if key <= c[CLOSED]:
            count_late(c, i, key)
            return -1
    return int(key)


@compiled
def _agreeing(c: Any, pending: Any, i: int, first: int, link: int) -> tuple[int, int]:
    """The most words set aside, from `first` on, that agree with one of them, and that one's window."""
    best, centre = 0, -1
    for p in range(first, c[i + PENDING]):
        window = window_of(pending[c[i + PENDING_AT], p])
        agree = 0
        for q in range(first, c[i + PENDING]):
            agree += abs(window_of(pending[c[i + PENDING_AT], q]) - window) <= link
        if agree > best:
            best, centre = agree, window
    return best, centre


@compiled
def resolve_pending(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int) -> None:
    """At the end of an input: what is set aside and not contradicted is believed, the rest is late or stray."""
    if c[i + PENDING] > c[i + CONTRADICTED] and joined(
        c, i, window_of(pending[c[i + PENDING_AT], c[i + CONTRADICTED]])
    ):
        _release(c, table, runs, pending, log, i, reach(c, i))
    while c[i + PENDING]:
        if c[i + NEWEST] >= 0 and c[i + BOUNDARY] == 0:
            # some words out of order at the end are not yet a reset, unless they are far behind
            _place_pending(c, table, runs, pending, log, i, c[i + NEWEST] - c[JUMP], reach(c, i))
        unsettled = c[i + NEWEST] < 0 or c[i + BOUNDARY] == 1
        first = 0 if unsettled else c[i + CONTRADICTED]
        link = ROW_LINK if unsettled else max(c[LINK], own_jump(c, i))
        best, centre = _agreeing(c, pending, i, first, link)
        near = c[i + EPOCH] << KEY_WINDOW_BITS | max(centre, 0)
        if best < (1 if unsettled else 2) or (not unsettled and 0 <= c[i + NEWEST] - near <= c[JUMP]):
            break
        before = c[i + PENDING]
        _accept(c, table, runs, pending, log, i, centre, link, first)
        if c[i + PENDING] == before:
            break
    _place_pending(c, table, runs, pending, log, i, 0, c[i + NEWEST])
    for p in range(c[i + PENDING]):
        _forget(c, pending, i, p)
    c[i + PENDING] = 0
    c[i + CONTRADICTED] = 0
