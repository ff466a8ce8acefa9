from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.counting.catalogue import COURSE_ORBIT_BINS
from muonstream.counting.tally import (
    LANES,
    ROW_FIRST_ORBIT,
    ROW_LAST_ORBIT,
    count_by_orbit,
    drain,
    ends,
    sum_of,
    sum_of_bytes,
    tally,
    tally_wide,
)
from muonstream.words import WINDOW_ORBITS

CHAMBER_OF_BLOCK = np.array([0, 1, 1, 2])
BLOCKS = len(CHAMBER_OF_BLOCK)
"""Three chambers, the second of more than 64 cells."""
MOST_CELLS = 128
FULL = 2**64 - 1

bits = st.one_of(st.integers(0, FULL), st.sampled_from([0, 1, 1 << 63, FULL]))
orbits = st.one_of(st.integers(0, WINDOW_ORBITS - 1), st.sampled_from([0, 1, WINDOW_ORBITS - 1]))
active_cells = st.dictionaries(st.tuples(st.integers(0, BLOCKS - 1), orbits), bits, max_size=40)


def laid_out(cells: dict[tuple[int, int], int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Bit sets by (block, orbit) as the kernel has them: where they are, and all of them."""
    active = np.zeros(BLOCKS * WINDOW_ORBITS, np.uint64)
    touched = np.zeros(len(cells) + 1, np.uint64)
    for i, ((block, orbit), value) in enumerate(cells.items()):
        touched[i] = block * WINDOW_ORBITS + orbit
        active[block * WINDOW_ORBITS + orbit] = value
    return touched, active


def occupied_of(cells: dict[tuple[int, int], int]) -> list[int]:
    return sorted({orbit for _, orbit in cells})


@given(active_cells)
def test_each_orbits_active_cells_are_counted_once_and_emptied(cells: dict[tuple[int, int], int]) -> None:
    touched, active = laid_out(cells)
    occupied = np.zeros(WINDOW_ORBITS, np.uint8)
    lanes = np.zeros((BLOCKS, 65, LANES), np.int64)
    rows = np.arange(BLOCKS, dtype=np.uint64) * np.uint64(65)
    most = tally(touched, len(cells), active, rows, occupied, lanes.reshape(-1))
    expected = Counter((block, value.bit_count()) for (block, _), value in cells.items())
    assert {(int(b), int(n)): int(lanes[b, n].sum()) for b, n in np.argwhere(lanes.sum(axis=2))} == expected
    assert most == max((value.bit_count() for value in cells.values()), default=0)
    assert np.flatnonzero(occupied).tolist() == occupied_of(cells)
    assert set(occupied.tolist()) <= {0, 1}
    assert not active.any()


@given(active_cells)
def test_the_blocks_of_a_wide_chamber_count_together(cells: dict[tuple[int, int], int]) -> None:
    touched, active = laid_out(cells)
    occupied = np.zeros(WINDOW_ORBITS, np.uint8)
    in_chamber = np.zeros((3, WINDOW_ORBITS), np.int64)
    lanes = np.zeros((3, MOST_CELLS + 1, LANES), np.int64)
    most = tally_wide(touched, len(cells), active, CHAMBER_OF_BLOCK, occupied, in_chamber, lanes.reshape(-1))
    sums: Counter[tuple[int, int]] = Counter()
    for (block, orbit), value in cells.items():
        sums[int(CHAMBER_OF_BLOCK[block]), orbit] += value.bit_count()
    expected = Counter((chamber, n) for (chamber, _), n in sums.items() if n)
    assert {(int(c), int(n)): int(lanes[c, n].sum()) for c, n in np.argwhere(lanes.sum(axis=2))} == expected
    assert most == max(sums.values(), default=0)
    assert np.flatnonzero(occupied).tolist() == occupied_of(cells)
    assert not active.any()
    assert not in_chamber.any()


@given(st.data())
def test_lanes_are_added_up_and_emptied(data: st.DataObject) -> None:
    chambers, numbers, most = 3, 12, data.draw(st.integers(0, 11))
    lanes = np.zeros((chambers, numbers, LANES), np.int64)
    chamber = data.draw(st.integers(0, chambers - 1))
    for c, n, lane in data.draw(
        st.lists(st.tuples(st.just(chamber), st.integers(0, most), st.integers(0, LANES - 1)), max_size=50)
    ):
        lanes[c, n, lane] += n > 0
    before = np.arange(chambers * numbers)
    counted, times = before.copy(), lanes.sum(axis=2)
    found = drain(lanes.reshape(-1), chamber * numbers, most, counted)
    assert np.array_equal(counted - before, times.ravel())
    assert found == (int((times * np.arange(numbers)).sum()), int(times.sum()))
    assert not lanes.any()


@given(st.sets(orbits), st.booleans())
def test_bytes_of_one_are_counted(occupied: set[int], all_of_them: bool) -> None:
    flags = np.full(WINDOW_ORBITS, int(all_of_them), np.uint8)
    flags[list(occupied)] = 1
    assert sum_of_bytes(flags.view(np.uint64)) == np.count_nonzero(flags)


@given(
    active_cells,
    st.sampled_from([0, 599_040, 600_064, 1_099_776, 9_999_360, 10_000_384, (2**22 - 1) * 1024]),
)
def test_the_courses_orbit_bins_are_those_of_every_orbit(cells: dict[tuple[int, int], int], first: int) -> None:
    touched, active = laid_out(cells)
    before = active.copy()
    out = np.zeros((3, COURSE_ORBIT_BINS), np.int64)
    count_by_orbit(touched, len(cells), active, CHAMBER_OF_BLOCK, first, out)
    expected = np.zeros_like(out)
    for (block, orbit), value in cells.items():
        if 600_000 <= first + orbit <= 10_000_000:
            expected[CHAMBER_OF_BLOCK[block], (first + orbit - 600_000) // 500_000] += value.bit_count()
    assert np.array_equal(out, expected)
    assert np.array_equal(active, before)


@given(st.sets(orbits), st.sampled_from([0, 1024, 2**32 - 1024]))
def test_the_ends_are_the_first_and_last_orbit(occupied: set[int], first: int) -> None:
    flags = np.zeros(WINDOW_ORBITS, np.uint8)
    flags[list(occupied)] = 1
    row: NDArray[Any] = np.zeros(8, np.int64)
    ends(flags.view(np.uint64), first, row)
    expected = (first + min(occupied), first + max(occupied)) if occupied else (-1, -1)
    assert (row[ROW_FIRST_ORBIT], row[ROW_LAST_ORBIT]) == expected
    assert not row[2:].any()


@given(st.lists(st.integers(0, 2**40), max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_sum_is_a_sum(counts: list[int], a: int, b: int) -> None:
    first, last = sorted(min(one, len(counts)) for one in (a, b))
    assert sum_of(np.array(counts, np.int64), first, last) == sum(counts[first:last])
