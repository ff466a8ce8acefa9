"""The frame builder's state machine, word by word, compiled.

What is here is done for the few words that change something; `scan.py` passes the others.

Keys are ``epoch << 22 | window``, so that a counter reset is but a step to larger keys. An input is one board of one
source; `newest` is the highest key that two of its words have reached, so that one wild word never moves time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.control import (
    AGREE,
    ALL_PROGRESS,
    ALL_TOP,
    AT_FALL,
    BOARD,
    BOUNDARY,
    CLOSED,
    CONTRADICTED,
    DROPPED,
    ENDED,
    EPOCH,
    HELD,
    IDLE,
    IN_CHUNK,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    JUMP,
    LATE,
    LATENESS,
    LINK,
    LOG,
    MARK_ALL,
    MARK_SOURCE,
    NEWEST,
    NO_KEY,
    OWN,
    PENDING,
    PENDING_AT,
    PENDING_WORDS,
    RESETS,
    RUNS,
    S_CAUGHT_UP,
    S_CURRENT,
    S_PROGRESS,
    S_TOP,
    SAVED,
    SOURCE,
    SOURCE_COLUMNS,
    SOURCES_AT,
    SOURCES_END,
    STRAY,
    T_COUNT,
    TOP,
    WATCH,
)
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.windows import add_run, set_closed, slot_of
from muonstream.words import FPGA_SHIFT, WINDOW_SHIFT


@inlined
def window_of(word: Any) -> int:
    return int(np.int64(word >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK)


@inlined
def _idle(c: Any, i: int) -> bool:
    """Whether an input no longer holds the others back: they passed it by the idle time, or it has nothing to read."""
    source = c[i + SOURCE]
    if c[source + S_PROGRESS] - c[i + MARK_SOURCE] > c[IDLE]:
        return True
    return bool(c[source + S_CAUGHT_UP] == 1 and c[ALL_PROGRESS] - c[i + MARK_ALL] > c[IDLE])


@inlined
def update_closed(c: Any, table: Any) -> None:
    """Close what every holding input is confirmed past by the lateness."""
    hold = NO_KEY
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + ENDED] == 0 and not _idle(c, i):
            hold = min(hold, c[i + NEWEST])
    if hold < NO_KEY:
        set_closed(c, table, hold - c[LATENESS] - 1)


@inlined
def _moved(c: Any, i: int, newest: int, jumped: bool) -> None:
    """An input's confirmed time has risen."""
    source = c[i + SOURCE]
    limit = 1 if jumped else c[JUMP]
    c[i + OWN] += min(newest - c[i + NEWEST], limit)
    c[i + NEWEST] = newest
    if newest > c[source + S_TOP]:
        c[source + S_PROGRESS] += min(newest - c[source + S_TOP], limit)
        c[source + S_TOP] = newest
    if newest > c[ALL_TOP]:
        if newest >> KEY_WINDOW_BITS > c[ALL_TOP] >> KEY_WINDOW_BITS:
            for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
                c[j + AT_FALL] = c[j + OWN]
        c[ALL_PROGRESS] += min(newest - c[ALL_TOP], limit)
        c[ALL_TOP] = newest
    c[i + MARK_SOURCE] = c[source + S_PROGRESS]
    c[i + MARK_ALL] = c[ALL_PROGRESS]


@inlined
def reached(c: Any, i: int, key: int) -> None:
    """A word of an input has reached a key past its confirmed time: the second highest is what is confirmed."""
    if key <= c[i + TOP]:
        _moved(c, i, key, False)
    else:
        if c[i + TOP] > c[i + NEWEST]:
            _moved(c, i, c[i + TOP], False)
        c[i + TOP] = key


@compiled
def _take_back(c: Any, table: Any, runs: Any, log: Any, words: Any) -> None:
    """Undo a fall-back that not all inputs shared: what followed it is late, no new epoch."""
    epoch = c[ALL_TOP] >> KEY_WINDOW_BITS
    if epoch == 0 or c[CLOSED] >> KEY_WINDOW_BITS >= epoch:
        return
    unmoved = False
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + NEWEST] >= 0 and c[i + EPOCH] < epoch and c[i + OWN] - c[i + AT_FALL] > c[IDLE]:
            unmoved = True
    if not unmoved:
        return
    c[ALL_TOP] = 0
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        c[source + S_TOP] = -1
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + EPOCH] == epoch:
            c[i + EPOCH] = epoch - 1
            c[i + NEWEST] = c[i + TOP] = c[i + SAVED]
        source = c[i + SOURCE]
        c[source + S_TOP] = max(c[source + S_TOP], c[i + NEWEST])
        c[ALL_TOP] = max(c[ALL_TOP], c[i + NEWEST])
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        if c[source + S_CURRENT] >> KEY_WINDOW_BITS == epoch:
            c[source + S_CURRENT] = c[ALL_TOP]
    c[RESETS] -= 1
    for r in range(c[RUNS]):
        offset, length, key = runs[r]
        if 0 <= key < NO_KEY and key >> KEY_WINDOW_BITS == epoch:
            held = (
                words[offset - IN_CHUNK : offset - IN_CHUNK + length]
                if offset >= IN_CHUNK
                else log[offset : offset + length]
            )
            for word in held:
                board = np.int64(word >> np.uint64(FPGA_SHIFT)) & 7
                for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
                    if c[i + BOARD] == board and c[i + SAVED] >= 0:
                        c[i + LATE] += 1
                        break
                else:
                    c[STRAY] += 1
            table[T_COUNT, slot_of(table, key)] -= length
            c[HELD] -= length
            runs[r, 2] = DROPPED


@compiled
def _release(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, limit: int, drop_late: bool) -> None:
    """Put words that were set aside into their open windows, up to the key `limit`."""
    kept = 0
    for p in range(c[i + PENDING]):
        word = pending[c[i + PENDING_AT], p]
        key = c[i + EPOCH] << KEY_WINDOW_BITS | window_of(word)
        if c[CLOSED] < key <= limit:
            log[c[LOG]] = word
            c[HELD] -= 1
            add_run(c, table, runs, c[LOG], 1, key)
            c[LOG] += 1
        elif drop_late and key <= c[CLOSED]:
            c[i + LATE] += 1
            c[HELD] -= 1
        else:
            pending[c[i + PENDING_AT], kept] = word
            kept += 1
    c[i + PENDING] = kept


@compiled
def _accept_pending(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, centre: int) -> None:
    """Words set aside agree about the window `centre`: the input's time goes there, and what fits is released."""
    top: int = -1
    second: int = -1
    for p in range(c[i + PENDING]):
        window = window_of(pending[c[i + PENDING_AT], p])
        if abs(window - centre) <= c[LINK]:
            if window > top:
                top, second = window, top
            elif window > second:
                second = window
    second = max(second, 0) if second >= 0 else top
    if c[i + NEWEST] < 0:
        c[i + EPOCH] = max(c[ALL_TOP], 0) >> KEY_WINDOW_BITS
        if c[ALL_TOP] >= 0 and c[i + EPOCH] > 0 and second > (c[ALL_TOP] & KEY_WINDOW_MASK) + c[LINK]:
            # others have been reset already, this input's first words are from before it
            c[i + EPOCH] -= 1
    else:
        behind = (c[i + EPOCH] << KEY_WINDOW_BITS | second) < c[i + NEWEST]
        if behind:
            c[i + SAVED] = c[i + NEWEST]
            if c[ALL_TOP] >> KEY_WINDOW_BITS == c[i + EPOCH]:
                c[RESETS] += 1
            c[i + EPOCH] += 1
    c[i + BOUNDARY] = 0
    c[i + TOP] = c[i + EPOCH] << KEY_WINDOW_BITS | top
    _moved(c, i, max(c[i + EPOCH] << KEY_WINDOW_BITS | second, c[i + NEWEST]), True)
    _release(c, table, runs, pending, log, i, c[i + TOP] + c[JUMP], True)
    c[i + CONTRADICTED] = 0
    update_closed(c, table)


@compiled
def _forget(c: Any, pending: Any, i: int, p: int) -> None:
    """A word set aside that nothing confirmed: behind closed windows it is late, ahead it is stray."""
    key = c[i + EPOCH] << KEY_WINDOW_BITS | (window_of(pending[c[i + PENDING_AT], p]))
    if key <= c[i + NEWEST]:
        c[i + LATE] += 1
    else:
        c[STRAY] += 1
    c[HELD] -= 1


@compiled
def _set_aside(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, word: Any) -> None:
    if c[i + PENDING] == PENDING_WORDS:
        _forget(c, pending, i, 0)
        pending[c[i + PENDING_AT], :-1] = pending[c[i + PENDING_AT], 1:].copy()
        c[i + PENDING] -= 1
    pending[c[i + PENDING_AT], c[i + PENDING]] = word
    c[i + PENDING] += 1
    c[i + WATCH] = 1
    c[HELD] += 1
    window = window_of(word)
    agree = 0
    for p in range(c[i + PENDING]):
        other = window_of(pending[c[i + PENDING_AT], p])
        agree += abs(other - window) <= c[LINK]
    if agree >= c[AGREE]:
        _accept_pending(c, table, runs, pending, log, i, window)


@inlined
def reach(c: Any, i: int) -> int:
    """The furthest key that is believed of an input at once: a jump past its own time or that of all."""
    furthest = c[i + NEWEST]
    if c[ALL_TOP] >> KEY_WINDOW_BITS == c[i + EPOCH]:
        furthest = max(furthest, c[ALL_TOP])
    return int(furthest + c[JUMP])


@compiled
def place(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int, word: Any, words: Any) -> int:
    """Where a hit word goes: the key of its window, or -1 when it is late or set aside."""
    window = window_of(word)
    newest = c[i + NEWEST]
    if newest < 0 and c[ALL_TOP] >= 0:
        # an input without a time takes that of the others
        c[i + EPOCH] = c[ALL_TOP] >> KEY_WINDOW_BITS
    key = c[i + EPOCH] << KEY_WINDOW_BITS | window
    unsettled = newest < 0 and not c[CLOSED] < key <= c[ALL_TOP] + c[JUMP]
    if unsettled or (c[i + BOUNDARY] == 1 and key < newest - c[LATENESS]):
        _set_aside(c, table, runs, pending, log, i, word)
        return -1
    c[i + BOUNDARY] = 0
    furthest = reach(c, i)
    if key > furthest or key < c[CLOSED] - c[JUMP]:
        _set_aside(c, table, runs, pending, log, i, word)
        return -1
    if c[i + WATCH]:
        c[i + WATCH] = 0
        _release(c, table, runs, pending, log, i, furthest, False)
        c[i + CONTRADICTED] = c[i + PENDING]
    if key <= c[CLOSED]:
        c[i + LATE] += 1
        return -1
    if key > newest:
        reached(c, i, key)
        if c[CLOSED] >> KEY_WINDOW_BITS < c[ALL_TOP] >> KEY_WINDOW_BITS:
            _take_back(c, table, runs, log, words)
        update_closed(c, table)
        if key <= c[CLOSED]:
            c[i + LATE] += 1
            return -1
    return int(key)


@compiled
def resolve_pending(c: Any, table: Any, runs: Any, pending: Any, log: Any, i: int) -> None:
    """At the end of an input: what is set aside and not contradicted is believed, the rest is late or stray."""
    if c[i + NEWEST] >= 0 and c[i + BOUNDARY] == 0:
        _release(c, table, runs, pending, log, i, reach(c, i), False)
    while c[i + PENDING]:
        best, centre = 0, -1
        unsettled = c[i + NEWEST] < 0 or c[i + BOUNDARY] == 1
        first = 0 if unsettled else c[i + CONTRADICTED]
        for p in range(first, c[i + PENDING]):
            window = window_of(pending[c[i + PENDING_AT], p])
            agree = 0
            for q in range(first, c[i + PENDING]):
                other = window_of(pending[c[i + PENDING_AT], q])
                agree += abs(other - window) <= c[LINK]
            if agree > best:
                best, centre = agree, window
        if best < (1 if unsettled else 2):
            break
        before = c[i + PENDING]
        _accept_pending(c, table, runs, pending, log, i, centre)
        if c[i + PENDING] == before:
            break
    for p in range(c[i + PENDING]):
        _forget(c, pending, i, p)
    c[i + PENDING] = 0
