"""Values between hits that look like hits, but are equal each time and out of line: markers of another program.

A program that writes eight bytes of its own in front of each event or packet, such as EVNTMARK, may choose some that
are a hit by HEAD and bunch crossing. Then only two things show what they are: they are the same, bit for bit, and their
orbit is elsewhere than those of the hits around them. Boards send a hit once, and a single wild orbit differs from the
next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import inlined
from muonstream.words import ORBIT_MASK, ORBIT_SECONDS, ORBIT_SHIFT

FAR: Final = 1 << 14
"""Orbits (1.5 s) from the last hit in line to one that is not."""
MOST_IN_A_ROW: Final = 3
"""With more hits out of line in a row, or two different ones in line with each other, time itself has moved."""
FEWEST: Final = 8
"""Equal values out of line that make a marker."""
KEPT: Final = 8
"""Values out of line that are followed; the least frequent gives way to a new one."""

_LINE, _HELD, _WHOLE = range(3)
"""Fields of the whole: orbit of the last hit in line, or -1; hits out of line behind it, which are kept next."""
_VALUE, _COUNT, _FIRST, _PLACE = range(4)
"""Fields of a value: itself, how often it was out of line, and the number of the first such word."""
_VALUES: Final = _WHOLE + 2 * MOST_IN_A_ROW
FIELDS: Final = _VALUES + KEPT * _PLACE


@inlined
def in_line(orbit: int, m: Any) -> None:
    """Take an orbit that is known to be in line; m: int64[FIELDS]."""
    m[_LINE], m[_HELD] = orbit, 0


@inlined
def follow_hit(word: Any, number: int, orbit: int, m: Any) -> None:
    """Take a hit; number: its own among all words; m: int64[FIELDS]."""
    held = m[_HELD]
    far = m[_LINE] >= 0 and not -FAR <= orbit - m[_LINE] <= FAR
    if far and held:
        before = m[_WHOLE + 2 * held - 2]
        moved = before != np.int64(word) and -FAR <= orbit - (before >> ORBIT_SHIFT & ORBIT_MASK) <= FAR
        far = not moved and held < MOST_IN_A_ROW
    if far:
        m[_WHOLE + 2 * held], m[_WHOLE + 2 * held + 1] = np.int64(word), number
        m[_HELD] = held + 1
        return
    if held and -FAR <= orbit - m[_LINE] <= FAR:
        for j in range(held):
            value, least, found = m[_WHOLE + 2 * j], _VALUES, False
            for k in range(KEPT):
                at = _VALUES + _PLACE * k
                if m[at + _COUNT] and m[at + _VALUE] == value:
                    m[at + _COUNT] += 1
                    found = True
                if m[at + _COUNT] < m[least + _COUNT]:
                    least = at
            if not found:
                m[least + _VALUE], m[least + _COUNT], m[least + _FIRST] = value, 1, m[_WHOLE + 2 * j + 1]
    m[_LINE], m[_HELD] = orbit, 0


def marker_lines(m: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Markers that were found (int64[FIELDS]), in the order of their first places: the word's number, and a line."""
    values = m[_VALUES:].reshape(KEPT, _PLACE).tolist()
    for value, n, first in sorted((one for one in values if one[_COUNT] >= FEWEST), key=lambda one: one[_FIRST]):
        bits = value & (1 << 64) - 1
        orbit = bits >> ORBIT_SHIFT & ORBIT_MASK
        yield (
            first,
            f"the first of {n:,} hits that are all {bits:#018x}{_as_text(bits)}, with orbit "
            f"{orbit:,}, which is more than {FAR * ORBIT_SECONDS:.1f} s from those around them: rather a marker of "
            "another program than hits; they count as stray or unmapped, or as hits where that orbit is in time",
        )


def _as_text(bits: int) -> str:
    text = bits.to_bytes(8, "little")
    return f" ({text.decode()!r})" if all(0x20 <= byte < 0x7F for byte in text) else ""
