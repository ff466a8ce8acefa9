"""Counter resets in the frame builder: an input that falls, others that join it, and a fall that they refute, compiled.

The first input to fall opens an epoch. Words of the epoch before still go into its windows, which stay open until every
live input has fallen too; one that goes on where it was, for longer than it is waited for, refutes the fall.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.framing.inputs import count_late, low_key, moved, own_jump, patience
from muonstream.framing.state import (
    ALL_TOP,
    ALONE,
    AT_FALL,
    BOARD,
    CLOSED,
    DROPPED,
    DROPPED_RUNS,
    EARLY,
    EARLY_TOP,
    EPOCH,
    FALL_HIGH,
    FALL_LOW,
    HELD,
    IN_CHUNK,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    JUMP,
    LAST,
    LINK,
    NEWEST,
    NO_KEY,
    OWN,
    RESETS,
    RUNS,
    S_CURRENT,
    S_TOP,
    SAVED,
    SOURCE,
    SOURCE_COLUMNS,
    SOURCES_AT,
    SOURCES_END,
    T_COUNT,
    TOP,
)
from muonstream.framing.windows import count_words, slot_of
from muonstream.words import FPGA_SHIFT, WINDOW_SECONDS

HOUR_WINDOWS: Final = round(3600 / WINDOW_SECONDS)
HALF_RANGE_WINDOWS: Final = 1 << KEY_WINDOW_BITS - 1
ONE_EPOCH: Final = 1 << KEY_WINDOW_BITS


@compiled
def is_reset(c: Any, i: int, key: int) -> bool:
    """Whether the input's move to a key of its present epoch is a reset, which need not be a fall.

    A jump of more than half the counter's range is rather a fall. One of more than an hour that follows on less than a
    second of data leaves behind what the run before had not yet sent.
    """
    ahead = key - c[i + NEWEST]
    return bool(ahead < 0 or ahead > HALF_RANGE_WINDOWS or (ahead > HOUR_WINDOWS and c[i + OWN] <= c[JUMP]))


@compiled
def fall(c: Any, table: Any, runs: Any, i: int, window: int) -> None:
    """The input's time falls to a window: into the next epoch, which it may be the first to open."""
    before = c[i + NEWEST]
    c[i + SAVED] = before
    if max(c[ALL_TOP], 0) >> KEY_WINDOW_BITS == c[i + EPOCH]:
        c[RESETS] += 1
        if before >= 0:
            high = c[i + TOP] & KEY_WINDOW_MASK
            c[FALL_HIGH] = max(c[FALL_HIGH], high)
            c[FALL_LOW] = min(c[FALL_LOW], high) if c[FALL_LOW] >= 0 else high
            _adopt(c, table, runs, i, window)
    c[i + EPOCH] += 1
    c[i + EARLY] = c[i + EARLY_TOP] = c[i + LAST] = 0


@compiled
def _adopt(c: Any, table: Any, runs: Any, i: int, window: int) -> None:
    """Move inputs that began after the reset into the new epoch: they are near the time the input falls to, and far
    from its old one. So leftovers of one board do not keep the others, which had none, in the epoch before, nor in an
    older one, where they are if the leftovers themselves were taken for a reset.
    """
    epoch = c[i + EPOCH]
    key = epoch << KEY_WINDOW_BITS | window
    before = c[i + NEWEST] & KEY_WINDOW_MASK
    if c[CLOSED] >= max(key - c[JUMP], epoch << KEY_WINDOW_BITS) or abs(before - window) <= c[JUMP]:
        return
    for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        top = c[j + TOP] & KEY_WINDOW_MASK
        began = j != i and c[j + TOP] >= 0 and c[j + EPOCH] <= epoch and c[j + OWN] <= 2 * c[JUMP]
        near = abs(top - window)
        if not (began and near <= c[JUMP] and near < abs(top - before)):
            continue
        ahead = (epoch + 1 - c[j + EPOCH]) << KEY_WINDOW_BITS
        last = c[j + TOP]
        first = max(c[CLOSED] + 1, c[j + EPOCH] << KEY_WINDOW_BITS, last - top + window - c[JUMP])
        for r in range(c[RUNS]):
            if first <= runs[r, 2] <= last:
                _move_run(c, table, runs, r, runs[r, 2] + ahead)
        c[j + EPOCH] = epoch + 1
        c[j + TOP] += ahead
        if c[j + NEWEST] >= 0:
            c[j + NEWEST] += ahead
        c[c[j + SOURCE] + S_TOP] = max(c[c[j + SOURCE] + S_TOP], c[j + NEWEST])


@compiled
def _move_run(c: Any, table: Any, runs: Any, r: int, key: int) -> None:
    """Put a run into another window, which is open."""
    length = runs[r, 1]
    table[T_COUNT, slot_of(table, runs[r, 2])] -= length
    c[HELD] -= length
    count_words(c, table, key, length)
    runs[r, 2] = key


@compiled
def _fits(c: Any, i: int, window: int) -> bool:
    """Whether a word is where the newest epoch is, and not where the input still may be in an older one."""
    old = c[i + EPOCH] << KEY_WINDOW_BITS | window
    if max(low_key(c, i), c[CLOSED] + 1) <= old <= c[i + NEWEST] + own_jump(c, i):
        return False
    new = c[ALL_TOP] >> KEY_WINDOW_BITS << KEY_WINDOW_BITS | window
    ahead = c[LINK] if c[i + ALONE] else own_jump(c, i)
    return bool(max(c[CLOSED], c[ALL_TOP] - c[LINK] - 1) < new <= c[ALL_TOP] + ahead)


@compiled
def joined(c: Any, i: int, window: int) -> bool:
    """Let an input follow others into the newest epoch at the first word that shows it there; say whether it has."""
    newest_epoch = c[ALL_TOP] >> KEY_WINDOW_BITS
    if c[i + NEWEST] < 0 or newest_epoch <= c[i + EPOCH] or not _fits(c, i, window):
        return False
    key = newest_epoch << KEY_WINDOW_BITS | window
    c[i + SAVED] = c[i + NEWEST]
    c[i + EPOCH] = newest_epoch
    c[i + EARLY] = c[i + EARLY_TOP] = c[i + LAST] = 0
    c[i + ALONE] = 0
    c[i + TOP] = key
    moved(c, i, min(key, c[ALL_TOP]), True)
    return True


@compiled
def take_back(c: Any, table: Any, runs: Any, log: Any, words: Any) -> None:
    """Undo a fall that not all inputs shared: its words go into the windows of the epoch before, or are late."""
    epoch = c[ALL_TOP] >> KEY_WINDOW_BITS
    if epoch == 0 or c[CLOSED] >> KEY_WINDOW_BITS >= epoch:
        return
    refuted = False
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + NEWEST] >= 0 and c[i + EPOCH] < epoch and c[i + OWN] - c[i + AT_FALL] > patience(c, i):
            refuted = True
    if not refuted:
        return
    c[ALL_TOP] = 0
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        c[source + S_TOP] = -1
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + EPOCH] == epoch and c[i + NEWEST] >= 0:
            c[i + EPOCH] = epoch - 1
            c[i + ALONE] = int(c[i + SAVED] > c[i + NEWEST] - ONE_EPOCH)
            c[i + NEWEST] = max(c[i + SAVED], c[i + NEWEST] - ONE_EPOCH)
            c[i + TOP] = max(c[i + SAVED], c[i + TOP] - ONE_EPOCH)
        source = c[i + SOURCE]
        c[source + S_TOP] = max(c[source + S_TOP], c[i + NEWEST])
        c[ALL_TOP] = max(c[ALL_TOP], c[i + NEWEST])
    for source in range(c[SOURCES_AT], c[SOURCES_END], SOURCE_COLUMNS):
        if epoch <= c[source + S_CURRENT] >> KEY_WINDOW_BITS and c[source + S_CURRENT] < NO_KEY:
            c[source + S_CURRENT] = c[ALL_TOP]
    c[RESETS] -= 1
    for r in range(c[RUNS]):
        key = runs[r, 2]
        if not (0 <= key < NO_KEY and key >> KEY_WINDOW_BITS == epoch):
            continue
        if key - ONE_EPOCH > c[CLOSED]:
            _move_run(c, table, runs, r, key - ONE_EPOCH)
        else:
            _drop(c, table, runs, log, words, r)


@compiled
def _drop(c: Any, table: Any, runs: Any, log: Any, words: Any, r: int) -> None:
    """Count the words of a run as late, by input where the word shows its board."""
    offset, length, key = runs[r]
    held = (
        words[offset - IN_CHUNK : offset - IN_CHUNK + length] if offset >= IN_CHUNK else log[offset : offset + length]
    )
    for word in held:
        board = np.int64(word >> np.uint64(FPGA_SHIFT)) & 7
        late: int = c[INPUTS_AT]
        for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
            if c[i + BOARD] == board and c[i + ALONE]:
                late = i
                break
        count_late(c, late, key - ONE_EPOCH)
    table[T_COUNT, slot_of(table, key)] -= length
    c[HELD] -= length
    runs[r, 2] = DROPPED
    c[DROPPED_RUNS] += 1
