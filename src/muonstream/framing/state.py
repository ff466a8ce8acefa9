"""The layout of the frame builder's state, which its compiled parts share."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

PENDING_WORDS: Final = 256
"""Words set aside an input at most; the oldest goes when one more comes."""
OPEN_WINDOWS: Final = 1 << 15
"""Windows open at most; past that the oldest close."""
NO_KEY: Final = 1 << 60
"""Words without a time, before the source's first window: the key is NO_KEY + source until one opens."""
IN_CHUNK: Final = 1 << 40
"""Run offsets from here on point into the words being pushed, below into the log of held words."""
DROPPED: Final = -2

# `control` is one int64 array (numba counts references of every array it touches, so there are few): fields of the
# whole, then a row a source, then a row an input; a row is named by its offset
CLOSED, ALL_TOP, ALL_PROGRESS, HELD, RUNS, LOG, OPEN, CLOSING, STRAY, FORCED, RESETS, LATENESS, IDLE, JUMP = range(14)
AGREE, LINK, MAX_HELD, SOURCES_AT, SOURCES_END, INPUTS_AT, INPUTS_END = range(14, 21)
# words scanned so far, of all sources; the jump believed past ALL_TOP; the highest and lowest window a fall began at;
# windows open at most; runs whose words are held no more
SCANNED, LEAD_JUMP, FALL_HIGH, FALL_LOW, MOST_OPEN, DROPPED_RUNS, WHOLE_FIELDS = range(21, 28)
# columns of a source's row; from S_INPUT on, the row of each board's input or -1
S_TOP, S_PROGRESS, S_CAUGHT_UP, S_ENDED, S_CURRENT, S_INPUT, SOURCE_COLUMNS = 0, 1, 2, 3, 4, 5, 13
# columns of an input's row
NEWEST, TOP, EPOCH, MARK_SOURCE, MARK_ALL, OWN, AT_FALL, SAVED, SOURCE, BOARD, ENDED, BOUNDARY, PENDING, WATCH = range(
    14
)
LATE, CONTRADICTED, PENDING_AT = 14, 15, 16
# MARK_SCANNED: words scanned when it last moved; LAG: the longest time it came back after, in windows;
# STEP: the mean step of its time, in 1/STEP_UNIT windows; ALONE: it fell back alone, which the others refuted;
# LATE_BY: how far behind the time of all its latest word was, in windows;
# EARLY, EARLY_TOP: second highest and highest orbit while it is in the first windows of an epoch;
# LAST, TURNS: the orbit of its last word there, and how often it fell by half of all it had
MARK_SCANNED, LAG, STEP, ALONE, LATE_BY, EARLY, EARLY_TOP, LAST, TURNS, INPUT_COLUMNS = range(17, 27)
STEP_UNIT: Final = 256
LAYOUT: Final = (3, WHOLE_FIELDS, SOURCE_COLUMNS, INPUT_COLUMNS, PENDING_WORDS)
"""Version of the layout, to be raised when a field's meaning changes, and the sizes; states with others are refused."""
# rows of `table`: key and count of open windows, by hash; open keys as a heap, the oldest first, and a list of closing
# keys, which rise; by hash again, while
# windows are taken out: runs in them, then where the next run goes; beside closing keys: late words, and stray ones,
# of all inputs when they closed
T_KEY, T_COUNT, T_OPEN, T_CLOSING, T_NEXT, T_LATE, T_STRAY, TABLE_ROWS = 0, 1, 2, 3, 4, 5, 6, 7


def table_size(most_open: int, inputs: int) -> int:
    """Columns of a table for so many open windows and inputs, a power of two.

    Three quarters may be taken before the next word, which may release all words set aside, each of its own window.
    """
    size = 1 << 10
    while size < max(2 * most_open, 4 * (PENDING_WORDS * inputs + 2)):
        size *= 2
    return size


class State(NamedTuple):
    """The builder's whole state."""

    control: NDArray[np.int64]
    table: NDArray[np.int64]
    runs: NDArray[np.int64]
    """[run, (offset, length, key)]"""
    pending: NDArray[np.uint64]
    """[input, n], words set aside"""
    log: NDArray[np.uint64]
    """words of open windows, and room for more"""
