"""Cells of a row of text, compiled: blanks and numbers in any notation."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import bytes_between, trailing_zeros
from muonstream.compiled import compiled, inlined

FEW, MANY, NO_NUMBER, NEGATIVE, FRACTION, HIGH, LONG, CUT = 1, 2, 3, 4, 5, 6, 7, 8
"""What may be wrong with a row: too few or too many cells, a cell's value, its length, NUL bytes behind it."""

DELIMITER, HIT_HEAD, SHIFTED, DECIMAL, PLAIN_ORDER, BRACKETS, N_CELLS, CELLS = 0, 1, 2, 3, 4, 5, 6, 7
"""Places in a form (int64): the delimiter's byte; HEAD of a hit; whether channels count from 1 and TDC_MEAS is one
less; the decimal mark's byte; whether the six fields come in order and alone; whether brackets count as blanks; the
number of cells in a row; then for each cell the field that it is, or -1."""

LF, CR, SPACE, TAB, MINUS, PLUS, SLASH, ZERO, DOUBLE, SINGLE = 10, 13, 32, 9, 45, 43, 47, 48, 34, 39
_MOST: Final = 1 << 50
"""Larger numbers are this one: all are out of range."""


@inlined
def segment_end(data: Any, at: Any) -> Any:
    """The first LF, CR or NUL from `at` on, or the end of data."""
    n = np.uint64(len(data))
    at = np.uint64(at)
    while at + np.uint64(32) <= n:
        found = bytes_between(data, at, np.uint64(LF), np.uint64(LF))
        found |= bytes_between(data, at, np.uint64(CR), np.uint64(CR)) | bytes_between(
            data, at, np.uint64(0), np.uint64(0)
        )
        if found:
            return np.int64(at + np.uint64(trailing_zeros(found)))
        at += np.uint64(32)
    while at < n and data[at] != LF and data[at] != CR and data[at] != 0:
        at += np.uint64(1)
    return np.int64(at)


@inlined
def mark_width(data: Any, at: Any, end: Any) -> Any:
    """How many bytes a byte order mark at this place has, or 0; 0xFF is what transcoding makes of one."""
    if at + 2 < end and data[at] == 0xEF and data[at + 1] == 0xBB and data[at + 2] == 0xBF:
        return 3
    return 1 if at < end and data[at] == 0xFF else 0


@inlined
def may_be_blank(byte: Any) -> Any:
    """Whether a blank, mark or bracket may begin with a byte.

    To be asked before functions that take arrays: each array of a call costs some 10 ns.
    """
    return byte <= SPACE or byte >= 0xA0 or byte == 40 or byte == 41 or byte == 91 or byte == 93


@inlined
def _blank(data: Any, at: Any, end: Any, form: Any) -> Any:
    """How many bytes a blank at this place (before `end`) has, or 0: in Latin-1, or one of Unicode's in UTF-8."""
    c = data[at]
    if c >= ZERO and c <= ZERO + 9:
        return 0
    if c == SPACE or (c == TAB and form[DELIMITER] != TAB) or c == 11 or c == 12 or c == 26 or c == 0xA0:
        return 1
    if c < 0xC2:
        return 1 if form[BRACKETS] and (c == 40 or c == 41 or c == 91 or c == 93) else 0
    if c == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
        return 2
    if (c == 0xE2 or c == 0xE3) and at + 2 < end:
        second, third = data[at + 1], data[at + 2]
        if c == 0xE3:
            return 3 if second == 0x80 and third == 0x80 else 0
        if second == 0x80 and ((third >= 0x80 and third <= 0x8B) or third == 0xAF):
            return 3
        return 3 if second == 0x81 and third == 0x9F else 0
    return mark_width(data, at, end)


@compiled
def after_blanks(data: Any, at: Any, end: Any, form: Any) -> Any:
    """The first place from `at` on that is not a blank."""
    while at < end:
        width = _blank(data, at, end, form)
        if width == 0:
            break
        at += width
    return at


@compiled
def read_number(data: Any, at: Any, end: Any, decimal: Any) -> tuple[Any, Any, Any]:
    """The number at a place: its whole part (at most 2**50), 0 or what is wrong with it, and the place behind it.

    Zeros at the end of the fraction wait until another digit follows, so that 2.000000000000000000e+00 is 2.
    """
    negative = at < end and data[at] == MINUS
    if at < end and (negative or data[at] == PLUS):
        at += 1
    value, digits, scale, zeros = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    most = np.int64(_MOST)
    while at < end and data[at] >= ZERO and data[at] <= ZERO + 9:
        value = min(value * 10 + np.int64(data[at]) - ZERO, most)
        digits += 1
        at += 1
    if at < end and data[at] == decimal:
        at += 1
        while at < end and data[at] >= ZERO and data[at] <= ZERO + 9:
            digits += 1
            zeros += 1
            if data[at] != ZERO:
                while zeros > 1 and value < most:
                    value *= 10
                    scale -= 1
                    zeros -= 1
                value = min(value * 10 + np.int64(data[at]) - ZERO, most)
                scale -= 1
                zeros = np.int64(0)
            at += 1
    if digits == 0:
        return value, NO_NUMBER, at
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        down = at < end and data[at] == MINUS
        if at < end and (down or data[at] == PLUS):
            at += 1
        power, start = np.int64(0), at
        while at < end and data[at] >= ZERO and data[at] <= ZERO + 9:
            power = min(power * 10 + np.int64(data[at]) - ZERO, np.int64(10_000))
            at += 1
        if at == start:
            return value, NO_NUMBER, at
        scale += -power if down else power
    wrong = 0
    while scale > 0 and value > 0 and value < most:
        value = min(value * 10, most)
        scale -= 1
    while scale < 0 and value > 0:
        if value % 10:
            wrong = FRACTION
        value //= 10
        scale += 1
    if negative and wrong == 0 and value > 0:
        wrong = NEGATIVE
    return value, wrong, at


@inlined
def read_cells(data: Any, at: Any, end: Any, form: Any, values: Any, wrongs: Any) -> Any:
    """Read the cells of the row data[at:end] into values (int64[6]) and wrongs (int64[6]) by field; gives how many."""
    delimiter, expected = form[DELIMITER], form[N_CELLS]
    n_cells: Any = np.int64(0)
    for field in range(6):
        values[field], wrongs[field] = 0, -1
    while True:
        if at < end and may_be_blank(data[at]):
            at = after_blanks(data, at, end, form)
        if at >= end and n_cells > 0 and (delimiter == SPACE or n_cells == expected):
            # blanks at the end, or one more delimiter there
            break
        quote = np.uint8(0)
        start = at
        if at < end and (data[at] == DOUBLE or data[at] == SINGLE):
            quote = data[at]
            at += 1
            if at < end and may_be_blank(data[at]):
                at = after_blanks(data, at, end, form)
        value: Any = np.int64(0)
        wrong, digits_at = 0, at
        while at < end and data[at] >= ZERO and data[at] <= ZERO + 9:
            value = value * 10 + np.int64(data[at]) - ZERO
            at += 1
        usual = at > digits_at and at - digits_at < 16
        if at < end and data[at] == form[DECIMAL] and form[DECIMAL] != delimiter:
            at += 1
            while at < end and data[at] == ZERO:
                at += 1
        if not (usual and (at >= end or data[at] == delimiter or data[at] == quote or may_be_blank(data[at]))):
            value, wrong, at = read_number(data, digits_at, end, form[DECIMAL])
        behind = at
        if at < end and may_be_blank(data[at]):
            at = after_blanks(data, at, end, form)
        if quote:
            if at < end and data[at] == quote:
                at += 1
                behind = at
                if at < end and may_be_blank(data[at]):
                    at = after_blanks(data, at, end, form)
            else:
                wrong = NO_NUMBER
        apart = at > behind if delimiter == SPACE else at < end and data[at] == delimiter
        if wrong == NO_NUMBER or not (at >= end or apart):
            wrong = NO_NUMBER
            at = start
            if quote:
                at += 1
                while at < end and data[at] != quote:
                    at += 1
                if at >= end:
                    at = start
            if delimiter == SPACE:
                while at < end and _blank(data, at, end, form) == 0:
                    at += 1
            else:
                while at < end and data[at] != delimiter:
                    at += 1
        of: Any = form[CELLS + n_cells] if n_cells < expected else np.int64(-1)
        if of >= 0:
            values[of], wrongs[of] = value, wrong
        n_cells += 1
        if at >= end:
            break
        if delimiter != SPACE:
            at += 1
    return n_cells
