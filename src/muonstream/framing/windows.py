"""Open windows of the frame builder: runs of words in them, closing them, and moving words out of closed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, inlined
from muonstream.framing.state import (
    CLOSED,
    CLOSING,
    DROPPED,
    DROPPED_RUNS,
    FORCED,
    HELD,
    IN_CHUNK,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    LATE,
    LOG,
    MAX_HELD,
    MOST_OPEN,
    NO_KEY,
    OPEN,
    RUNS,
    S_CURRENT,
    SOURCE_COLUMNS,
    SOURCES_AT,
    SOURCES_END,
    STRAY,
    T_CLOSING,
    T_COUNT,
    T_KEY,
    T_LATE,
    T_NEXT,
    T_OPEN,
    T_STRAY,
    TABLE_ROWS,
    State,
    table_size,
)


@inlined
def slot_of(table: Any, key: int) -> int:
    """The place of a key in the table of open windows, or where it would be inserted."""
    last: int = table.shape[1] - 1
    slot = key & last
    while table[T_KEY, slot] != -1 and table[T_KEY, slot] != key:
        slot = (slot + 1) & last
    return slot


def open_windows(state: State) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of the open windows, rising, and the words in each."""
    opened = np.sort(state.table[T_OPEN, : state.control[OPEN]])
    return opened, np.array([state.table[T_COUNT, slot_of(state.table, int(key))] for key in opened], np.int64)


def table_of(most_open: int, inputs: int, opened: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int64]:
    """A table with these windows open, with so many words each, and none closing."""
    table = np.full((TABLE_ROWS, table_size(most_open, inputs)), -1, np.int64)
    # keys that rise are a heap
    table[T_OPEN, : len(opened)] = np.sort(opened)
    for key, n in zip(opened.tolist(), words.tolist(), strict=True):
        table[[T_KEY, T_COUNT], slot_of(table, key)] = key, n
    return table


@inlined
def _open(c: Any, table: Any, key: int) -> None:
    """Put a key into the heap of open windows: each is as old as the one at half its place, or newer."""
    i = c[OPEN]
    c[OPEN] += 1
    while i > 0 and table[T_OPEN, (i - 1) >> 1] > key:
        table[T_OPEN, i] = table[T_OPEN, (i - 1) >> 1]
        i = (i - 1) >> 1
    table[T_OPEN, i] = key


@inlined
def _oldest(c: Any, table: Any) -> int:
    """Take the oldest key out of the heap."""
    key = table[T_OPEN, 0]
    c[OPEN] -= 1
    n = c[OPEN]
    last = table[T_OPEN, n]
    i = 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and table[T_OPEN, child + 1] < table[T_OPEN, child]:
            child += 1
        if last <= table[T_OPEN, child]:
            break
        table[T_OPEN, i] = table[T_OPEN, child]
        i = child
    table[T_OPEN, i] = last
    return int(key)


@compiled
def set_closed(c: Any, table: Any, closed: int) -> None:
    """Close all windows up to a key: they take no more words."""
    if closed <= c[CLOSED]:
        return
    c[CLOSED] = closed
    late = 0
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        late += c[i + LATE]
    while c[OPEN] > 0 and table[T_OPEN, 0] <= closed:
        key = _oldest(c, table)
        table[T_CLOSING, c[CLOSING]] = key
        table[T_LATE, c[CLOSING]] = late
        table[T_STRAY, c[CLOSING]] = c[STRAY]
        c[CLOSING] += 1
        c[HELD] -= table[T_COUNT, slot_of(table, key)]


@inlined
def count_words(c: Any, table: Any, key: int, n: int) -> None:
    """Count n more words in a window, opening it if needed."""
    slot = slot_of(table, key)
    if table[T_KEY, slot] == -1:
        table[T_KEY, slot] = key
        table[T_COUNT, slot] = 0
        _open(c, table, key)
    table[T_COUNT, slot] += n
    c[HELD] += n


@inlined
def too_much(c: Any) -> bool:
    """Whether more is held than the limits allow."""
    return bool(c[HELD] > c[MAX_HELD] or c[OPEN] >= c[MOST_OPEN])


@compiled
def make_room(c: Any, table: Any, runs: Any) -> None:
    """Bound what is held: past the limits the oldest windows close, and words of the inputs that held them back are
    late.

    It is called at the very word that passes a limit, and when called again does nothing, so that what closes depends
    on the words alone.
    """
    while too_much(c):
        if c[OPEN] == 0:
            # words without a time must not pile up; words set aside are bounded elsewhere
            for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
                give_time(c, table, runs, NO_KEY + source, c[CLOSED] + 1)
            if c[OPEN] == 0:
                break
            set_closed(c, table, c[CLOSED] + 1)
            continue
        set_closed(c, table, table[T_OPEN, 0])
        c[FORCED] += 1


@inlined
def add_run(c: Any, table: Any, runs: Any, offset: int, length: int, key: int) -> None:
    if length <= 0:
        return
    run = runs[c[RUNS]]
    run[0], run[1], run[2] = offset, length, key
    c[RUNS] += 1
    if key < NO_KEY:
        count_words(c, table, key, length)
    else:
        c[HELD] += length


@compiled
def give_time(c: Any, table: Any, runs: Any, unset: int, key: int) -> None:
    """Put words that came before their source's first window into the window `key`."""
    for r in range(c[RUNS]):
        if runs[r, 2] == unset:
            runs[r, 2] = key
            c[HELD] -= runs[r, 1]
            count_words(c, table, key, runs[r, 1])


@compiled
def close_all(c: Any, table: Any, runs: Any) -> None:
    """Close every open window; words that never had a time go to the first of them."""
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        give_time(c, table, runs, NO_KEY + source, c[CLOSED] + 1)
    last = c[CLOSED]
    for i in range(c[OPEN]):
        last = max(last, table[T_OPEN, i])
    set_closed(c, table, last)
    # any word after the end belongs to another epoch
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        c[source + S_CURRENT] = NO_KEY + source


@compiled
def closing_in_log(c: Any, runs: Any) -> int:
    """How many words of closed windows are in the log."""
    n = 0
    for r in range(c[RUNS]):
        offset, length, key = runs[r]
        if key != DROPPED and key <= c[CLOSED] and offset < IN_CHUNK:
            n += length
    return n


@compiled
def collect(
    c: Any, table: Any, runs: Any, log: Any, held: Any, filled: int, stretches: Any, ends: Any, keys: Any
) -> tuple[int, int, int]:
    """Take the runs of closed windows out: stretches[:n] (offset, length), by window, in each in order of arrival.

    Offsets are of the words being pushed; those of words from the log, which are moved to held[filled:], are ~offset.
    The caller has sorted the closing windows. Gives how many windows there are (keys[:k], the end of each one's
    stretches in ends[:k]), how many stretches, and the new `filled`.
    """
    closing = table[T_CLOSING, : c[CLOSING]]
    for key in closing:
        table[T_NEXT, slot_of(table, key)] = 0
    for r in range(c[RUNS]):
        key = runs[r, 2]
        if key != DROPPED and key <= c[CLOSED]:
            table[T_NEXT, slot_of(table, key)] += 1
    k, n = 0, 0
    for key in closing:
        slot = slot_of(table, key)
        first = n
        n += table[T_NEXT, slot]
        table[T_NEXT, slot] = first
        if n > first:
            keys[k], ends[k] = key, n
            k += 1
    kept = 0
    for r in range(c[RUNS]):
        offset, length, key = runs[r]
        if key == DROPPED:
            continue
        if key > c[CLOSED]:
            run = runs[kept]
            run[0], run[1], run[2] = offset, length, key
            kept += 1
            continue
        slot = slot_of(table, key)
        stretch = stretches[table[T_NEXT, slot]]
        table[T_NEXT, slot] += 1
        stretch[1] = length
        if offset >= IN_CHUNK:
            stretch[0] = offset - IN_CHUNK
            continue
        stretch[0] = ~filled
        for j in range(length):
            held[filled + j] = log[offset + j]
        filled += length
    c[RUNS] = kept
    c[DROPPED_RUNS] = 0
    _rebuild_table(c, table, closing)
    return k, n, filled


@compiled
def keep(c: Any, runs: Any, log: Any, words: Any, first: int) -> None:
    """Copy the words of windows still open, out of those that were pushed, into the log.

    first: the run from which on such words are
    """
    for r in range(first, c[RUNS]):
        run = runs[r]
        if run[0] >= IN_CHUNK:
            offset, length = run[0] - IN_CHUNK, run[1]
            to = c[LOG]
            for j in range(length):
                log[to + j] = words[offset + j]
            c[LOG] += length
            run[0] = to


@compiled
def _rebuild_table(c: Any, table: Any, closing: Any) -> None:
    """Take closed windows out of the table (with linear probing, the others must be inserted again)."""
    counts = np.empty(c[OPEN], np.int64)
    for i in range(c[OPEN]):
        counts[i] = table[T_COUNT, slot_of(table, table[T_OPEN, i])]
    # find all slots before any is emptied: probing stops at an empty one
    slots = np.empty(c[OPEN] + len(closing), np.int64)
    for i in range(c[OPEN]):
        slots[i] = slot_of(table, table[T_OPEN, i])
    for i in range(len(closing)):
        slots[c[OPEN] + i] = slot_of(table, closing[i])
    for slot in slots:
        table[T_KEY, slot] = -1
    for i in range(c[OPEN]):
        slot = slot_of(table, table[T_OPEN, i])
        table[T_KEY, slot] = table[T_OPEN, i]
        table[T_COUNT, slot] = counts[i]
    c[CLOSING] = 0


@compiled
def compact(c: Any, runs: Any, log: Any, order: Any) -> None:
    """Move the held words to the front of the log; `order` is that of the runs by offset."""
    to = 0
    for r in order:
        offset, length, _ = runs[r]
        for j in range(length):
            log[to + j] = log[offset + j]
        runs[r, 0] = to
        to += length
    c[LOG] = to


def in_log(state: State) -> NDArray[np.int64]:
    """The runs whose words are in the log, by where they are in it."""
    offsets = state.runs[: int(state.control[RUNS]), 0]
    order = np.argsort(offsets)
    return order[: np.count_nonzero(offsets < IN_CHUNK)]
