"""The kernel's second part, compiled: from a window's bit sets of active cells to the histograms."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import leading_zeros, popcount, trailing_zeros
from muonstream.compiled import compiled, inlined
from muonstream.counting.catalogue import COURSE_ORBIT_FIRST, COURSE_ORBIT_LAST, COURSE_ORBIT_WIDTH
from muonstream.words import WINDOW_ORBIT_BITS, WINDOW_ORBITS

ROW_FIRST_ORBIT, ROW_LAST_ORBIT, ROW_WORDS, ROW_SCINTILLATOR, ROW_CHAMBERS = 0, 1, 2, 3, 4
"""Columns of window rows; behind them, by chamber: hits, active cells, orbits with active cells."""

LANES: Final = 4
FEW_ORBITS: Final = 32
"""Windows with at most so many touched orbits are looked at orbit by orbit: a run may have a window a word."""

_EVEN_BYTES: Final = np.uint64(0x00FF00FF00FF00FF)
_TOP_OF_PAIRS: Final = np.uint64(0x0001000100010001)
"""A product with this has the sum of the four 16-bit numbers in its highest bits."""


@inlined
def tally(
    touched: Any,
    n_touched: Any,
    active: Any,
    row_of_block: Any,
    occupied: Any,
    lanes: Any,
) -> int:
    """Active cells of every touched (block, orbit), which is emptied; `occupied` gets a 1 an orbit with hits.

    Gives the highest number of active cells.

    lanes: flat, by chamber, number and lane; a counter in memory takes its time to be read again, so successive ones
    go to four lanes.
    """
    most = 0
    for j in range(np.uint64(n_touched)):
        where = touched[j]
        n_active = popcount(active[where])
        most = max(most, n_active)
        active[where] = 0
        occupied[where & np.uint64(WINDOW_ORBITS - 1)] = 1
        number = row_of_block[where >> np.uint64(WINDOW_ORBIT_BITS)] + np.uint64(n_active)
        lanes[number * np.uint64(LANES) + (j & np.uint64(LANES - 1))] += 1
    return most


@inlined
def drain(lanes: Any, first: int, most: int, active_cells: Any) -> tuple[int, int]:
    """Add a chamber's lanes to its active cells, and empty them.

    Gives its cells, and its orbits with active cells.

    first: where the chamber's numbers, from 0, begin; active_cells: flat, by chamber and number
    """
    n_cells, n_orbits = 0, 0
    for n in range(1, most + 1):
        number = np.uint64(first + n)
        times = 0
        for lane in range(np.uint64(LANES)):
            times += lanes[number * np.uint64(LANES) + lane]
        for lane in range(np.uint64(LANES)):
            lanes[number * np.uint64(LANES) + lane] = 0
        active_cells[number] += times
        n_cells += n * times
        n_orbits += times
    return n_cells, n_orbits


@compiled
def tally_wide(
    touched: Any,
    n_touched: Any,
    active: Any,
    chamber_of_block: Any,
    occupied: Any,
    in_chamber: Any,
    lanes: Any,
) -> int:
    """The same as `tally` where a chamber has more than 64 cells, so several blocks, whose sum counts."""
    chambers = in_chamber.shape[0]
    numbers = len(lanes) // (LANES * chambers)
    most = 0
    for j in range(n_touched):
        where = np.int64(touched[j])
        block, orbit = where >> WINDOW_ORBIT_BITS, where & (WINDOW_ORBITS - 1)
        occupied[orbit] = 1
        in_chamber[chamber_of_block[block], orbit] += popcount(active[where])
        active[where] = 0
    # each chamber and orbit once, at the first of its blocks that was touched
    for j in range(n_touched):
        where = np.int64(touched[j])
        chamber, orbit = chamber_of_block[where >> WINDOW_ORBIT_BITS], where & (WINDOW_ORBITS - 1)
        n_active = in_chamber[chamber, orbit]
        if n_active:
            lanes[(chamber * numbers + n_active) * LANES] += 1
            in_chamber[chamber, orbit] = 0
            most = max(most, n_active)
    return most


@compiled
def count_by_orbit(touched: Any, n_touched: Any, active: Any, chamber_of_block: Any, first: int, out: Any) -> None:
    """The course's orbit bins, orbit by orbit: only for windows on an edge of them."""
    for j in range(n_touched):
        where = np.int64(touched[j])
        orbit = first + (where & (WINDOW_ORBITS - 1))
        block = where >> WINDOW_ORBIT_BITS
        if COURSE_ORBIT_FIRST <= orbit <= COURSE_ORBIT_LAST:
            course_bin = (orbit - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            out[chamber_of_block[block], course_bin] += popcount(active[where])


@inlined
def ends(packed: Any, first_orbit: int, row: Any) -> None:
    """First and last orbit with a hit or a passage into the row; eight orbits are packed into a number."""
    low, high = 0, len(packed) - 1
    while low < high and packed[low] == 0:
        low += 1
    while high > low and packed[high] == 0:
        high -= 1
    # a window with only ancillary words gives no time
    row[ROW_FIRST_ORBIT] = row[ROW_LAST_ORBIT] = -1
    if packed[low]:
        row[ROW_FIRST_ORBIT] = first_orbit + 8 * low + (trailing_zeros(packed[low]) >> 3)
        row[ROW_LAST_ORBIT] = first_orbit + 8 * high + 7 - (leading_zeros(packed[high]) >> 3)


@inlined
def ends_of_few(
    touched: Any, n_touched: Any, passed: Any, n_passed: int, occupied: Any, first_orbit: int, row: Any
) -> int:
    """First and last orbit, as `ends` finds them, of few that are listed; gives how many have hits.

    `occupied` is emptied.
    """
    n, low, high = 0, WINDOW_ORBITS, -1
    for j in range(np.uint64(n_touched)):
        orbit = touched[j] & np.uint64(WINDOW_ORBITS - 1)
        n += occupied[orbit]
        occupied[orbit] = 0
        at = int(np.int64(orbit))
        low, high = min(low, at), max(high, at)
    for j in range(n_passed):
        at = int(np.int64(passed[j]))
        low, high = min(low, at), max(high, at)
    row[ROW_FIRST_ORBIT] = first_orbit + low if high >= 0 else -1
    row[ROW_LAST_ORBIT] = first_orbit + high if high >= 0 else -1
    return n


@inlined
def sum_of(counts: Any, first: int, last: int) -> int:
    """Sum of counts[first:last]; numba's own is four times as slow."""
    n = 0
    for i in range(np.uint64(first), np.uint64(last)):
        n += counts[i]
    return n


@inlined
def sum_of_bytes(packed: Any) -> int:
    """Sum of the bytes in at most 255 numbers (uint64[n]), each of which is 0 or 1."""
    by_place = np.uint64(0)
    for i in range(np.uint64(len(packed))):
        by_place += packed[i]
    pairs = (by_place & _EVEN_BYTES) + (by_place >> np.uint64(8) & _EVEN_BYTES)
    return int(pairs * _TOP_OF_PAIRS >> np.uint64(48))
