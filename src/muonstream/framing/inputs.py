"""The clocks of the frame builder's inputs, compiled: what is confirmed, what closes, how far a jump is believed.

Keys are ``epoch << 22 | window``, so that a counter reset is but a step to larger keys. An input is one board of one
source; `newest` is the highest key that two of its words have reached, so that one wild word never moves time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.framing.state import (
    ALL_PROGRESS,
    ALL_TOP,
    AT_FALL,
    EARLY,
    EARLY_TOP,
    ENDED,
    EPOCH,
    IDLE,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    JUMP,
    LAG,
    LAST,
    LATE,
    LATE_BY,
    LATENESS,
    LEAD_JUMP,
    LINK,
    MARK_ALL,
    MARK_SCANNED,
    MARK_SOURCE,
    NEWEST,
    NO_KEY,
    OWN,
    S_CAUGHT_UP,
    S_PROGRESS,
    S_TOP,
    SCANNED,
    SOURCE,
    STEP,
    STEP_UNIT,
    TOP,
    TURNS,
)
from muonstream.framing.windows import set_closed
from muonstream.words import ORBIT_MASK, ORBIT_SHIFT, WINDOW_SECONDS, WINDOW_SHIFT

PATIENCE_WINDOWS: Final = round(120 / WINDOW_SECONDS)
"""No input holds the watermark longer than this, 2 minutes of data, unless the idle time itself is longer."""
UNHEARD_WORDS: Final = 1 << 14
"""An input without words yet holds the watermark at least until this many words came, which costs little after the idle
time."""
LAGGING_WORDS: Final = 1 << 20
"""An input known to come in long packets is waited for while fewer words than this came since."""
STEPS_BELIEVED: Final = 8
"""A jump of at most this many mean steps of an input's own time is believed at once."""
STEPS_AVERAGED: Final = 16
FEWEST_TURNED_ORBITS: Final = 64
EARLY_FALL_ORBITS: Final = 512
"""In the first windows of an epoch a fall by more orbits than this is noticed, else one by more than the lateness."""


@inlined
def window_of(word: Any) -> int:
    return int(np.int64(word >> np.uint64(WINDOW_SHIFT)) & KEY_WINDOW_MASK)


@inlined
def counter_of(word: Any) -> int:
    return int(np.int64(word >> np.uint64(ORBIT_SHIFT)) & ORBIT_MASK)


@inlined
def own_jump(c: Any, i: int) -> int:
    """The jump ahead that is believed of an input at once, in windows, by its own pace."""
    return int(max(c[JUMP], STEPS_BELIEVED * c[i + STEP] // STEP_UNIT))


@compiled
def patience(c: Any, i: int) -> int:
    """Number of windows for which an input holds the watermark. By its own pattern: twice the longest lag with which it
    came back so far, and as long as a pause is usual for it or for the one that leads.
    """
    longest = 2 * c[i + LAG] if c[i + NEWEST] >= 0 else PATIENCE_WINDOWS
    return int(max(c[IDLE], min(longest, PATIENCE_WINDOWS), own_jump(c, i), c[LEAD_JUMP]))


@inlined
def _passed(c: Any, i: int, windows: int) -> bool:
    """Whether an input that the others have passed by this many windows no longer holds the watermark."""
    if windows <= c[IDLE]:
        return False
    most = LAGGING_WORDS if c[i + NEWEST] >= 0 else UNHEARD_WORDS
    return bool(windows > patience(c, i) or c[SCANNED] - c[i + MARK_SCANNED] > most)


@inlined
def _idle(c: Any, i: int) -> bool:
    """Whether an input no longer holds the others back: they passed it by its idle time, or it has nothing to read."""
    source = c[i + SOURCE]
    if _passed(c, i, c[source + S_PROGRESS] - c[i + MARK_SOURCE]):
        return True
    return bool(c[source + S_CAUGHT_UP] == 1 and _passed(c, i, c[ALL_PROGRESS] - c[i + MARK_ALL]))


@compiled
def update_closed(c: Any, table: Any) -> None:
    """Close the windows that every holding input is confirmed past by the lateness."""
    hold = NO_KEY
    for i in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
        if c[i + ENDED] == 0 and not _idle(c, i):
            hold = min(hold, c[i + NEWEST])
    if hold < NO_KEY:
        set_closed(c, table, hold - c[LATENESS] - 1)


@compiled
def moved(c: Any, i: int, newest: int, jumped: bool) -> None:
    """An input's confirmed time has risen."""
    source = c[i + SOURCE]
    jump = own_jump(c, i)
    limit = 1 if jumped else jump
    if c[i + NEWEST] >= 0 and not jumped:
        # a pause that is longer than what is believed of it says nothing about its usual pace
        step = min(newest - c[i + NEWEST], max(jump, c[LEAD_JUMP])) * STEP_UNIT
        c[i + STEP] += (step - c[i + STEP]) // STEPS_AVERAGED if c[i + STEP] else step
    c[i + LAG] = max(c[i + LAG], min(c[source + S_PROGRESS] - c[i + MARK_SOURCE], PATIENCE_WINDOWS))
    c[i + OWN] += min(newest - c[i + NEWEST], limit)
    c[i + NEWEST] = newest
    if newest > c[source + S_TOP]:
        c[source + S_PROGRESS] += min(newest - c[source + S_TOP], limit)
        c[source + S_TOP] = newest
    if newest > c[ALL_TOP]:
        if newest >> KEY_WINDOW_BITS > c[ALL_TOP] >> KEY_WINDOW_BITS:
            for j in range(c[INPUTS_AT], c[INPUTS_END], INPUT_COLUMNS):
                # a lagging input must first reach the place where the first one fell
                behind = c[ALL_TOP] - c[j + NEWEST]
                c[j + AT_FALL] = c[j + OWN] + max(0, min(behind, c[LINK]))
        c[ALL_PROGRESS] += min(newest - c[ALL_TOP], limit)
        c[ALL_TOP] = newest
        c[LEAD_JUMP] = jump
    c[i + MARK_SOURCE] = c[source + S_PROGRESS]
    c[i + MARK_ALL] = c[ALL_PROGRESS]
    c[i + MARK_SCANNED] = c[SCANNED]


@inlined
def reached(c: Any, i: int, key: int) -> None:
    """A word of an input has reached a key past its confirmed time: the second highest is what is confirmed."""
    confirmed = min(key, c[i + TOP])
    c[i + TOP] = max(key, c[i + TOP])
    if confirmed > c[i + NEWEST]:
        moved(c, i, confirmed, False)


@inlined
def reach(c: Any, i: int) -> int:
    """The furthest key that is believed of an input at once: a jump past its own time or that of all."""
    jump = own_jump(c, i)
    furthest = c[i + NEWEST] + jump
    if c[ALL_TOP] >> KEY_WINDOW_BITS == c[i + EPOCH]:
        furthest = max(furthest, c[ALL_TOP] + max(jump, c[LEAD_JUMP]))
    return int(furthest)


@inlined
def early(c: Any, i: int) -> bool:
    """Whether an input is in the first windows of an epoch, where a fall of less than a window must be noticed."""
    return bool(c[i + NEWEST] >= 0 and c[i + NEWEST] & KEY_WINDOW_MASK <= 1)


@inlined
def early_orbit(c: Any, i: int, orbit: int) -> None:
    """Keep the two highest orbits of an input's first windows, and count how often they fall."""
    if c[i + LAST] - orbit > max(c[i + EARLY_TOP] // 2, FEWEST_TURNED_ORBITS):
        c[i + TURNS] += 1
    c[i + LAST] = orbit
    if orbit > c[i + EARLY_TOP]:
        c[i + EARLY] = c[i + EARLY_TOP]
        c[i + EARLY_TOP] = orbit
    elif orbit > c[i + EARLY]:
        c[i + EARLY] = orbit


@inlined
def low_key(c: Any, i: int) -> int:
    """Below this key a word of an input is not merely out of order: its time has fallen."""
    return int(c[i + NEWEST] - c[LATENESS])


@compiled
def count_late(c: Any, i: int, key: int) -> None:
    """Count a word of a closed window as late, and how far behind the time of all it was."""
    c[i + LATE] += 1
    behind = c[ALL_TOP] - key
    if behind <= KEY_WINDOW_MASK:
        c[i + LATE_BY] = max(c[i + LATE_BY], behind)
