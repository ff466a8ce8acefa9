"""Tables of hits as text, scanned straight into words.

Two dialects with the columns HEAD, FPGA, TDC_CHANNEL, ORBIT_CNT, BX_COUNTER, TDC_MEAS: `course` holds the words' fields
as they are, with other numbers, also fractions, in ancillary rows; `firmware2019` marks a hit with HEAD 1, counts
channels from 1, and has TDC_MEAS one less, except on the event-number channels 137 and 138.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import FAULTS_KEPT, Block, SourceError
from muonstream.formats.rows import COLUMNS, FEW, HIGHEST, MANY, scan_rows

_LONGEST_HEADER: Final = 1 << 12


class HeaderError(SourceError):
    """A table of other columns than ours, or in another order."""


def has_header(data: bytes, name: str) -> bool:
    """Whether a table's first line, once it is whole, is our header. Raises HeaderError for one of other columns."""
    line, newline, _ = data[:_LONGEST_HEADER].removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    columns = [column.strip(' \t\r"').upper() for column in line.decode("ascii", "replace").split(",")]
    if not newline or set(columns).isdisjoint(COLUMNS):
        return False
    if columns != list(COLUMNS):
        raise HeaderError(
            f"{name}: found a table with the columns {', '.join(columns)[:200]}; allowed are {', '.join(COLUMNS)}, "
            "in this order"
        )
    return True


def _described(data: NDArray[np.uint8], begin: int, column: int, what: int, old_firmware: bool) -> str:
    """What is wrong with a row, in words."""
    text = bytes(data[begin : begin + 200]).split(b"\n")[0].decode("ascii", "backslashreplace").rstrip("\r")
    if what in (FEW, MANY):
        return f"found {column} columns, allowed are 6: {text[:60]!r}"
    cells = text.split(",")
    found = cells[column].strip()[:40] if column < len(cells) else ""
    low, high = 0, HIGHEST[column]
    if old_firmware and column == 2:
        low, high = 1, high + 1
    if old_firmware and column == 5:
        high -= 1
    return f"{COLUMNS[column]}: found {found!r}, allowed are whole numbers from {low} to {high}"


class TableDecoder:
    """Decodes a table as its bytes come; a row cut by the end of a piece waits for the next."""

    def __init__(self, name: str, *, old_firmware: bool = False) -> None:
        self._name = name
        self._old_firmware = old_firmware
        self._rest = b""
        self._line = 1

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words of the rows that they complete. Raises HeaderError."""
        data = b"".join((self._rest, data))
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if not end:
            return Block()
        skip = 0
        if self._line == 1 and has_header(data, self._name):
            skip = data.index(b"\n") + 1
            self._line += 1
        rows = np.frombuffer(data, np.uint8, end - skip, skip)
        words = np.empty(len(rows) // 12 + 1, np.uint64)
        faults = np.empty((FAULTS_KEPT, 4), np.int64)
        n_words, n_faults, lines = scan_rows(rows, self._old_firmware, words, faults)
        described = [
            f"{self._name}:{self._line + line}: {_described(rows, begin, column, what, self._old_firmware)}"
            for line, begin, column, what in faults[:n_faults].tolist()
        ]
        self._line += lines
        return Block(words[:n_words], n_faults, described)
