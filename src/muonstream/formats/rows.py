"""Rows of a table of hits into words, compiled.

A row that is six plain numbers in range, what most are, is looked at all at once; any other one number by number, which
says what is wrong with it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import bytes_between, eight_bytes, popcount, trailing_zeros
from muonstream.compiled import compiled, inlined
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

FEW, MANY, _NO_NUMBER, _NEGATIVE, _FRACTION, _HIGH = 1, 2, 3, 4, 5, 6
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


USUAL_BYTES: Final = 40
"""So many bytes from where a row begins are looked at, or at least looked into, to see whether it is a usual one."""
_OLD_HEAD, _HEAD = 1, 2


@inlined
def _plain(digits: Any, length: Any) -> Any:
    """The number that the first `length` of eight bytes (1 to 8, all digits) are, uint64; the first is the lowest byte.

    Three multiplications add up neighbours: digits to pairs, pairs to fours, fours to all (the method is known from
    D. Lemire, "Quickly parsing eight digits", 2018).
    """
    digits = digits << np.uint64(8) * (np.uint64(8) - length) & np.uint64(0x0F0F0F0F0F0F0F0F)
    digits = digits * np.uint64(10 << 8 | 1) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(100 << 16 | 1) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    return digits * np.uint64(10_000 << 32 | 1) >> np.uint64(32)


@inlined
def _usual_row(data: Any, at: Any, old_firmware: bool) -> tuple[Any, Any]:
    """The hit in the row from `at` on, and where the next row begins: `at` if this is no usual row.

    Usual is a hit of six numbers that are nothing but digits, one for the board, up to ten for the orbit. All is
    unsigned: numba need not ask whether an index is negative.
    """
    one = np.uint64(1)
    line = bytes_between(data, at, np.uint64(_NEWLINE), np.uint64(_NEWLINE))
    if line == np.uint64(0) or line & one:
        return np.uint64(0), at
    end = np.uint64(trailing_zeros(line))
    next_at = at + end + one
    end -= np.uint64(data[at + end - one] == np.uint64(_RETURN))
    here = (one << end) - one
    commas = bytes_between(data, at, np.uint64(_COMMA), np.uint64(_COMMA)) & here
    others = ~bytes_between(data, at, np.uint64(_ZERO), np.uint64(_ZERO + 9)) & here
    begins = eight_bytes(data, at)
    hit = np.uint64(_ZERO + _OLD_HEAD if old_firmware else _ZERO + _HEAD)
    if (
        commas != others
        or popcount(commas) != 5
        or begins & np.uint64(0xFF00FFFF) != hit | np.uint64(_COMMA << 8 | _COMMA << 24)
    ):
        return np.uint64(0), at
    commas &= ~np.uint64(0b1010)
    second = np.uint64(trailing_zeros(commas))
    commas &= commas - one
    third = np.uint64(trailing_zeros(commas))
    commas &= commas - one
    fourth = np.uint64(trailing_zeros(commas))
    n_channel, n_orbit = second - np.uint64(4), third - second - one
    n_bx, n_tdc = fourth - third - one, end - fourth - one
    # one less each, so that none at all is far too many
    if (n_channel - one | n_bx - one | n_tdc - one) > np.uint64(7) or n_orbit - one > np.uint64(9):
        return np.uint64(0), at
    board = begins >> np.uint64(16) & np.uint64(0xF)
    channel = _plain(eight_bytes(data, at + np.uint64(4)), n_channel)
    orbit_at = at + second + one
    digits = eight_bytes(data, orbit_at)
    if n_orbit <= np.uint64(8):
        orbit = _plain(digits, n_orbit)
    else:
        more = n_orbit - np.uint64(8)
        lower = _plain(eight_bytes(data, orbit_at + more), np.uint64(8))
        orbit = _plain(digits, more) * np.uint64(10**8) + lower
    bx = _plain(eight_bytes(data, at + third + one), n_bx)
    tdc = _plain(eight_bytes(data, at + fourth + one), n_tdc)
    if old_firmware:
        tdc += one - np.uint64(
            channel == np.uint64(EVENT_NUMBER_CHANNELS[0]) or channel == np.uint64(EVENT_NUMBER_CHANNELS[1])
        )
        channel -= one
    if (
        board > np.uint64(HIGHEST[1])
        or channel > np.uint64(HIGHEST[2])
        or orbit > np.uint64(HIGHEST[3])
        or bx > np.uint64(HIGHEST[4])
        or tdc > np.uint64(HIGHEST[5])
    ):
        return np.uint64(0), at
    word = np.uint64(_HEAD << HEAD_SHIFT) | board << np.uint64(FPGA_SHIFT) | channel << np.uint64(CHANNEL_SHIFT)
    return word | orbit << np.uint64(ORBIT_SHIFT) | bx << np.uint64(BX_SHIFT) | tdc, next_at


@compiled
def scan_rows(data: Any, old_firmware: bool, words: Any, faults: Any) -> tuple[int, int, int]:
    """Scan whole lines of a table into words.

    data: uint8[n], ending with a newline; words: uint64, room for a word each 12 bytes; faults: int64[m, 4], filled
    with (line from 0, where it begins, column, what) of the first m faulty rows
    Gives how many words, faulty rows and lines there were.
    """
    n_words, n_faults, line = 0, 0, 0
    at: Any = 0
    n = len(data)
    hit_head = 1 if old_firmware else 2
    while at < n:
        if at + USUAL_BYTES <= n:
            word, next_at = _usual_row(data, np.uint64(at), old_firmware)
            if next_at != np.uint64(at):
                words[n_words] = word
                n_words += 1
                line += 1
                at = np.int64(next_at)
                continue
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
            fault, fault_column = (FEW if column < 6 else MANY), column
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
