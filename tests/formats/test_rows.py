from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muonstream.formats.layout import PLAIN
from muonstream.formats.rows import HIGHEST, N_COUNTS, USUAL_BYTES, scan_rows
from muonstream.words import HEAD_SHIFT, Head, encode

PADDING = b"\n" * USUAL_BYTES
"""Empty lines: before them, every row has as many bytes behind its beginning as the look at usual rows wants."""

numbers = st.one_of(st.integers(0, 600), st.integers(0, 2**32), st.sampled_from([511, 512, 3563, 3564, 31, 32, 10**10]))
cells = st.tuples(st.integers(0, 3), st.integers(0, 9), numbers, numbers, numbers, numbers).map(list)
plain_cells = st.tuples(st.sampled_from([1, 2]), *(st.integers(0, high) for high in HIGHEST[1:])).map(list)
rows = st.one_of(cells, plain_cells).map(lambda row: ",".join(map(str, row)).encode())


# control characters, and a NUL beside what is not ASCII, may make a line no text, which those behind it are then too
_ASCII = bytes([9, 10, 12, 13, *range(32, 127)])
changes = st.one_of(
    *(st.lists(st.sampled_from(_ASCII + more), max_size=2).map(bytes) for more in (b"\0", bytes(range(128, 256))))
)


def scanned(data: bytes, old_firmware: bool) -> tuple[list[int], list[list[int]], int]:
    """Words, faults and lines."""
    words = np.empty(len(data) // 12 + 1, np.uint64)
    faults = np.empty((len(data), 4), np.int64)
    form = PLAIN.form("firmware2019" if old_firmware else "course")
    text, counts = np.frombuffer(data, np.uint8), np.zeros(N_COUNTS, np.int64)
    n_words, n_faults, lines, stop = scan_rows(text, form, words, faults, counts)
    assert stop == len(data)
    return words[:n_words].tolist(), faults[:n_faults].tolist(), lines


def word_of(row: bytes, old_firmware: bool) -> int | None:
    """The hit that a row of nothing but digits and commas is, as Python reads numbers; None where it is none."""
    if not re.fullmatch(rb"\d+(,\d+){5}", row):
        return None
    head, board, channel, orbit, bx, tdc = map(int, row.split(b","))
    if head != (1 if old_firmware else 2):
        return None
    if old_firmware:
        tdc += channel not in (137, 138)
        channel -= 1
    values = (2, board, channel, orbit, bx, tdc)
    if any(not 0 <= value <= high for value, high in zip(values, HIGHEST, strict=True)):
        return None
    return int(encode(fpga=board, channel=channel, orbit=orbit, bx=bx, tdc=tdc))


def alone(data: Sequence[bytes], old_firmware: bool) -> tuple[list[int], list[list[int]], int]:
    """The same rows scanned one at a time, too short for the look at usual rows."""
    words: list[int] = []
    faults: list[list[int]] = []
    line, begin = 0, 0
    for row in data:
        found, wrong, lines = scanned(row, old_firmware)
        words += found
        faults += [[line + of, begin + at, column, what] for of, at, column, what in wrong]
        line, begin = line + lines, begin + len(row)
    return words, faults, line


@given(st.lists(st.tuples(rows, st.sampled_from([b"\n", b"\r\n"])), max_size=8), st.booleans())
def test_hits_of_digits_are_what_python_reads(table: list[tuple[bytes, bytes]], old_firmware: bool) -> None:
    words, faults, lines = scanned(b"".join(row + end for row, end in table) + PADDING, old_firmware)
    hits = [word for word in words if word >> HEAD_SHIFT == Head.HIT]
    assert hits == [word for row, _ in table if (word := word_of(row, old_firmware)) is not None]
    assert len(words) + len(faults) == len(table)
    assert lines == len(table) + USUAL_BYTES


@given(
    st.lists(st.tuples(rows, st.integers(0, 40), changes), max_size=6),
    st.booleans(),
)
@example([(b"2,0,1,5,6,7", 11, b"\r")], False)
@example([(b"2,0,1,5,6,7", 0, b"\r")], False)
@example([(b"2,0,1,5,6,7", 2, b"")], True)
@example([(b"2,1,2,4294967295,3563,31", 40, b"")], False)
@example([(b"2,1,2,04294967295,3563,31", 40, b"")], False)
@example([(b"2,1,0000000002,5,6,7", 40, b"")], False)
def test_a_row_among_others_is_what_it_is_alone(table: list[tuple[bytes, int, bytes]], old_firmware: bool) -> None:
    data = [row[:at] + change + row[at + 1 :] for row, at, change in table]
    lines = [line + b"\n" for line in b"\n".join(data).split(b"\n")]
    words, faults, n_lines = scanned(b"".join(lines) + PADDING, old_firmware)
    assert (words, faults, n_lines - USUAL_BYTES) == alone(lines, old_firmware)


@pytest.mark.parametrize("n", range(60))
def test_no_row_at_the_end_is_lost(n: int) -> None:
    row = b"2,1,128,3000000000,3563,30\n"
    words, faults, lines = scanned(row * n, False)
    assert words == [int(encode(fpga=1, channel=128, orbit=3_000_000_000, bx=3563, tdc=30))] * n
    assert (faults, lines) == ([], n)
