"""Tables of hits as text, scanned straight into words.

Two dialects with the columns HEAD, FPGA, TDC_CHANNEL, ORBIT_CNT, BX_COUNTER, TDC_MEAS: `course` holds the words' fields
as they are, with other numbers, also fractions, in ancillary rows; `firmware2019` marks a hit with HEAD 1, counts
channels from 1, and has TDC_MEAS one less, except on the event-number channels 137 and 138.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.sources.block import FAULTS_KEPT, Block
from muonstream.words import (
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_SHIFT,
    HEAD_SHIFT,
    ORBIT_MASK,
    ORBIT_SHIFT,
    TDC_MASK,
)

COLUMNS: Final = ("HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS")
HIGHEST: Final = (7, 7, CHANNEL_MASK, ORBIT_MASK, BX_PER_ORBIT - 1, TDC_MASK)
EVENT_NUMBER_CHANNELS: Final = (137, 138)

_FEW, _MANY, _NO_NUMBER, _NEGATIVE, _FRACTION, _HIGH = 1, 2, 3, 4, 5, 6
_COMMA, _NEWLINE, _RETURN, _SPACE, _TAB, _MINUS, _PLUS, _POINT, _ZERO = 44, 10, 13, 32, 9, 45, 43, 46, 48


@compiled
def _number(data: Any, at: int) -> tuple[int, int, int]:
    """A number from `at` on: its value (the whole part), 0 or what is wrong with it, and where its column ends."""
    n = len(data)
    while at < n and (data[at] == _SPACE or data[at] == _TAB):
        at += 1
    negative = at < n and data[at] == _MINUS
    if at < n and (negative or data[at] == _PLUS):
        at += 1
    value, digits, wrong = 0, 0, 0
    while at < n:
        digit = np.int64(data[at]) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = int(min(value * 10 + int(digit), 1 << 50))
        digits += 1
        at += 1
    if at < n and data[at] == _POINT:
        at += 1
        while at < n and 0 <= np.int64(data[at]) - _ZERO <= 9:
            if data[at] != _ZERO:
                wrong = _FRACTION
            digits += 1
            at += 1
    if digits and at + 1 < n and (data[at] == 101 or data[at] == 69):  # an exponent
        wrong = _FRACTION
        at += 1
        if data[at] == _MINUS or data[at] == _PLUS:
            at += 1
        while at < n and 0 <= np.int64(data[at]) - _ZERO <= 9:
            at += 1
    while at < n and (data[at] == _SPACE or data[at] == _TAB or data[at] == _RETURN):
        at += 1
    if digits == 0 or (at < n and data[at] != _COMMA and data[at] != _NEWLINE):
        wrong = _NO_NUMBER
        while at < n and data[at] != _COMMA and data[at] != _NEWLINE:
            at += 1
    elif negative and value > 0 and wrong == 0:
        wrong = _NEGATIVE
    return value, wrong, at


@compiled
def scan_rows(data: Any, old_firmware: bool, words: Any, faults: Any) -> tuple[int, int, int]:
    """Scan whole lines of a table into words.

    data: uint8[n], ending with a newline; words: uint64, room for a word each 12 bytes; faults: int64[m, 4], filled
    with (line from 0, where it begins, column, what) of the first m faulty rows
    Gives how many words, faulty rows and lines there were.
    """
    n_words, n_faults, line, at = 0, 0, 0, 0
    n = len(data)
    hit_head = 1 if old_firmware else 2
    while at < n:
        begin = at
        if data[at] == _NEWLINE or (data[at] == _RETURN and at + 1 < n and data[at + 1] == _NEWLINE):
            at += 1 if data[at] == _NEWLINE else 2
            line += 1
            continue
        word = np.uint64(0)
        fault, fault_column, hit, column = 0, 0, False, 0
        while True:
            # digits up to a comma are the usual thing
            value: Any = np.int64(0)
            start = at
            while at < n:
                digit = np.int64(data[at]) - _ZERO
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                at += 1
            wrong = 0
            if at == start or at - start > 15 or (data[at] != _COMMA and data[at] != _NEWLINE):
                value, wrong, at = _number(data, start)
            if column == 0:
                hit = value == hit_head
                if wrong or value > 7:
                    fault, fault_column = wrong if wrong else _HIGH, 0
                head = value if not old_firmware else 2 if hit else 7
                word |= np.uint64(head) << np.uint64(HEAD_SHIFT)
            elif column < 6 and fault == 0:
                if wrong and (hit or wrong == _NO_NUMBER or column == 1):
                    fault, fault_column = wrong, column
                elif hit or column == 1:
                    if old_firmware and hit:
                        if column == 2:
                            # text numbers from 1, so 0 is below the range
                            event_number = value == EVENT_NUMBER_CHANNELS[0] or value == EVENT_NUMBER_CHANNELS[1]
                            value -= 1
                            word |= np.uint64(event_number)
                        elif column == 5:
                            value += 1 - np.int64(word & np.uint64(1))
                            word &= ~np.uint64(1)
                    if value < 0 or value > HIGHEST[column]:
                        fault, fault_column = _HIGH, column
                    elif column == 1:
                        word |= np.uint64(value) << np.uint64(FPGA_SHIFT)
                    elif column == 2:
                        word |= np.uint64(value) << np.uint64(CHANNEL_SHIFT)
                    elif column == 3:
                        word |= np.uint64(value) << np.uint64(ORBIT_SHIFT)
                    elif column == 4:
                        word |= np.uint64(value) << np.uint64(BX_SHIFT)
                    else:
                        word |= np.uint64(value)
                elif column == 3:
                    word |= np.uint64(value & ORBIT_MASK) << np.uint64(ORBIT_SHIFT)
                elif column == 2:
                    word |= np.uint64(value & CHANNEL_MASK) << np.uint64(CHANNEL_SHIFT)
            column += 1
            if at >= n or data[at] == _NEWLINE:
                break
            at += 1
        at += 1
        if fault == 0 and column != 6:
            fault, fault_column = (_FEW if column < 6 else _MANY), column
        if fault:
            if n_faults < len(faults):
                row = faults[n_faults]
                row[0], row[1], row[2], row[3] = line, begin, fault_column, fault
            n_faults += 1
        else:
            words[n_words] = word
            n_words += 1
        line += 1
    return n_words, n_faults, line


def _described(data: NDArray[np.uint8], begin: int, column: int, what: int, old_firmware: bool) -> str:
    """What is wrong with a row, in words."""
    text = bytes(data[begin : begin + 200]).split(b"\n")[0].decode("ascii", "backslashreplace").rstrip("\r")
    if what in (_FEW, _MANY):
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
        """Take bytes in order; give the words of the rows that they complete."""
        data = b"".join((self._rest, data))
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if not end:
            return Block()
        if self._line == 1 and data.startswith((b"HEAD", b'"HEAD"', b"\xef\xbb\xbfHEAD")):
            skip = data.index(b"\n") + 1
            self._line += 1
        else:
            skip = 0
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
