"""JSON objects of hits, compiled: strict ones, loose ones, and streams of them.

A strict object has the six keys in any order with whole numbers. A loose one may have keys in any case and more keys,
quotes of either kind, numbers in any notation and as text. In a stream, objects follow one another in any way: a line
each, several a line, over several lines, in lists.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.formats.cells import mark_width, read_number
from muonstream.formats.rows import COLUMNS, HIGHEST, LONGEST_ROW, SHIFTS

_QUOTE, _SINGLE, _COLON, _COMMA, _OPEN, _CLOSE, _ZERO = 34, 39, 58, 44, 123, 125, 48
_OPEN_LIST, _CLOSE_LIST, _BACKSLASH, _POINT = 91, 93, 92, 46
_ALL_KEYS: Final = 0b111111
KEYS: Final = np.array([[len(name), *name.encode().ljust(15)] for name in COLUMNS], dtype=np.int64)
"""A row a column: how long its name is, then the name."""


@inlined
def _space(data: Any, at: int, stop: int) -> int:
    while at < stop and (data[at] == 32 or data[at] == 9 or data[at] == 13 or data[at] == 10):
        at += 1
    return at


@inlined
def _is_key(data: Any, at: int, stop: int, keys: Any, column: int) -> bool:
    """Whether the name of a column and a quote are at this place."""
    length = keys[column, 0]
    if at + length >= stop or data[at + length] != _QUOTE:
        return False
    same = True
    for i in range(length):
        same &= data[at + i] == keys[column, i + 1]
    return same


@inlined
def _is_loose_key(data: Any, at: Any, stop: Any, keys: Any, column: Any) -> Any:
    """Whether data[at:stop] is the name of a column in letters of any case."""
    length = keys[column, 0]
    if stop - at != length:
        return False
    same = True
    for i in range(length):
        byte = data[at + i]
        if byte >= 97 and byte <= 122:
            byte -= 32
        same &= byte == keys[column, i + 1]
    return same


@inlined
def _in_any_case(data: Any, at: Any, stop: Any, keys: Any, quote: Any) -> Any:
    """The column whose name, in letters of any case, and a quote are at this place; 6 for none."""
    end = at
    while end < stop and data[end] != quote and end - at < 16:
        end += 1
    if end >= stop or data[end] != quote:
        return 6
    column = 0
    while column < 6 and not _is_loose_key(data, at, end, keys, column):
        column += 1
    return column


@inlined
def _digits(data: Any, at: Any, stop: Any) -> tuple[Any, Any]:
    """The number whose digits begin at a place, and the place behind them, which is the same where there are none."""
    value = np.int64(0)
    while at < stop:
        digit = np.int64(data[at]) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = value * 10 + digit
        at += 1
    return value, at


@inlined
def _strict_object(data: Any, at: Any, stop: Any, keys: Any, order: Any) -> tuple[Any, Any]:
    """The word of a strict object at a place, and the place behind it; -1 if there is none."""
    # Apart from `_plain_object`, with digits read here: one path for both, or `_digits`, makes either a tenth slower.
    word, seen, k = np.uint64(0), 0, 0
    if at >= stop or data[at] != _OPEN:
        return word, -1
    at += 1
    while True:
        at = _space(data, at, stop)
        if at >= stop or data[at] != _QUOTE:
            return word, -1
        at += 1
        column = order[k] if k < 6 else 0
        if not _is_key(data, at, stop, keys, column):
            column = 0
            while column < 6 and not _is_key(data, at, stop, keys, column):
                column += 1
        if column == 6 or seen >> column & 1:
            return word, -1
        order[k] = column
        k += 1
        at = _space(data, at + keys[column, 0] + 1, stop)
        if at >= stop or data[at] != _COLON:
            return word, -1
        at = _space(data, at + 1, stop)
        value, start = np.int64(0), at
        while at < stop:
            digit = np.int64(data[at]) - _ZERO
            if digit < 0 or digit > 9:
                break
            value = value * 10 + digit
            at += 1
        # JSON has no leading zeros
        leading = at - start > 1 and data[start] == _ZERO
        if at == start or at - start > 15 or leading or value > HIGHEST[column]:
            return word, -1
        seen |= 1 << column
        word |= np.uint64(value) << np.uint64(SHIFTS[column])
        at = _space(data, at, stop)
        if at >= stop:
            return word, -1
        if data[at] == _CLOSE:
            return word, at + 1 if seen == _ALL_KEYS else -1
        if data[at] != _COMMA:
            return word, -1
        at += 1


@compiled
def _plain_object(data: Any, at: Any, stop: Any, keys: Any) -> tuple[Any, Any]:
    """The word of an object without extras at a place, and the place behind it; -1 if there is none.

    Each of six keys once, whole numbers in range as JSON or Python write them: 24, 24.0 or "24", in quotes of one kind.
    """
    word, seen = np.uint64(0), 0
    if at >= stop or data[at] != _OPEN:
        return word, -1
    at += 1
    while True:
        at = _space(data, at, stop)
        if at >= stop or (data[at] != _QUOTE and data[at] != _SINGLE):
            return word, -1
        quote = data[at]
        at += 1
        column = _in_any_case(data, at, stop, keys, quote)
        if column == 6 or seen >> column & 1:
            return word, -1
        at = _space(data, at + keys[column, 0] + 1, stop)
        if at >= stop or data[at] != _COLON:
            return word, -1
        at = _space(data, at + 1, stop)
        start = at
        value, at = _digits(data, at, stop)
        quoted = at == start and at < stop and (data[at] == _QUOTE or data[at] == _SINGLE)
        if quoted:
            start = at + 1
            value, at = _digits(data, start, stop)
        # JSON has no leading zeros
        leading = at - start > 1 and data[start] == _ZERO
        if at == start or at - start > 15 or leading or value > HIGHEST[column]:
            return word, -1
        if at + 1 < stop and data[at] == _POINT and data[at + 1] == _ZERO:
            at += 2
            while at < stop and data[at] == _ZERO:
                at += 1
        if quoted:
            if at >= stop or data[at] != data[start - 1]:
                return word, -1
            at += 1
        seen |= 1 << column
        word |= np.uint64(value) << np.uint64(SHIFTS[column])
        at = _space(data, at, stop)
        if at >= stop:
            return word, -1
        if data[at] == _CLOSE:
            return word, at + 1 if seen == _ALL_KEYS else -1
        if data[at] != _COMMA:
            return word, -1
        at += 1


@compiled
def scan_objects(data: Any, starts: Any, stops: Any, keys: Any, words: Any, unusual: Any) -> int:
    """Scan objects data[starts[i]:stops[i]] (uint8) into words (uint64[n]); gives how many.

    Objects that are not six whole numbers in range, see `_plain_object`, are listed in `unusual` by index, with how
    many words came before; unusual: int64[n, 2], a row for each that is not counted. keys: see `KEYS`; they are
    expected in the order of the object before.
    """
    n_words, n_unusual = 0, 0
    order = np.arange(6)
    for i in range(len(starts)):
        stop = stops[i]
        begin = _space(data, starts[i], stop)
        word, end = _strict_object(data, begin, stop, keys, order)
        if end < 0:
            word, end = _plain_object(data, begin, stop, keys)
        if end >= 0 and _space(data, end, stop) == stop:
            words[n_words] = word
            n_words += 1
        else:
            unusual[n_unusual, 0] = i
            unusual[n_unusual, 1] = n_words
            n_unusual += 1
    return n_words


OK, BROKEN, INCOMPLETE = 0, 1, 2
HEADERS, PADDING, FIRST_NUL, FIRST_EXTRA, PASSED_OVER, N_COUNTS = range(6)
"""Places in counts (int64): bytes between objects; NUL bytes; the first NUL and the first unknown key, or -1; bytes
passed over, which the scan leaves alone."""


@inlined
def _string_end(data: Any, at: Any, stop: Any) -> tuple[Any, Any]:
    """The place behind the string that begins at a place, and whether it is whole; strings have no line ends."""
    quote = data[at]
    at += 1
    while at < stop and data[at] != quote:
        if data[at] == 10 or data[at] == 13:
            return at, BROKEN
        at += 2 if data[at] == _BACKSLASH else 1
    return (at + 1, OK) if at < stop else (stop, INCOMPLETE)


@inlined
def _value_end(data: Any, at: Any, stop: Any) -> tuple[Any, Any]:
    """The place behind any value, up to a comma or the object's end, and whether it is whole.

    A bracket opens only in front of a value, and a colon stands in an object: otherwise the object was cut, and what
    follows is the next one.
    """
    depth, before = 0, np.uint8(_COLON)
    while at < stop:
        byte = data[at]
        if byte in (_QUOTE, _SINGLE):
            at, status = _string_end(data, at, stop)
            if status != OK:
                return at, status
            before = byte
            continue
        if byte in (_OPEN, _OPEN_LIST):
            if before not in (_COLON, _COMMA, _OPEN_LIST):
                return at, BROKEN
            depth += 1
        elif byte == _COLON and depth == 0:
            return at, BROKEN
        elif byte in (_CLOSE, _CLOSE_LIST):
            if depth == 0:
                return at, OK if byte == _CLOSE else BROKEN
            depth -= 1
        elif byte == _COMMA and depth == 0:
            return at, OK
        if not (byte == 32 or byte == 9 or byte == 10 or byte == 13):
            before = byte
        at += 1
    return stop, INCOMPLETE


@compiled
def _loose_object(data: Any, at: Any, stop: Any, keys: Any) -> tuple[Any, Any, Any, Any]:
    """The word of a loose object at a place, the place behind it, its status, and whether it has more than six keys.

    Values must be whole numbers in range; of others the standard parser says what they are.
    """
    word, seen, extra = np.uint64(0), 0, False
    at += 1
    while True:
        at = _space(data, at, stop)
        if at >= stop:
            return word, at, INCOMPLETE, extra
        if data[at] != _QUOTE and data[at] != _SINGLE:
            return word, at, BROKEN, extra
        name_at = at + 1
        at, status = _string_end(data, at, stop)
        if status != OK:
            return word, at, status, extra
        column = 0
        while column < 6 and not _is_loose_key(data, name_at, at - 1, keys, column):
            column += 1
        at = _space(data, at, stop)
        if at >= stop:
            return word, at, INCOMPLETE, extra
        if data[at] != _COLON or (column < 6 and seen >> column & 1):
            return word, at, BROKEN, extra
        at = _space(data, at + 1, stop)
        if column == 6:
            extra = True
            at, status = _value_end(data, at, stop)
            if status != OK:
                return word, at, status, extra
        else:
            quote = np.uint8(0)
            if at < stop and (data[at] == _QUOTE or data[at] == _SINGLE):
                quote = data[at]
                at = _space(data, at + 1, stop)
            value, wrong, at = read_number(data, at, stop, 46)
            if at >= stop:
                return word, at, INCOMPLETE, extra
            if wrong or value > HIGHEST[column]:
                return word, at, BROKEN, extra
            if quote:
                at = _space(data, at, stop)
                if at >= stop:
                    return word, at, INCOMPLETE, extra
                if data[at] != quote:
                    return word, at, BROKEN, extra
                at += 1
            seen |= 1 << column
            word |= np.uint64(value) << np.uint64(SHIFTS[column])
            at = _space(data, at, stop)
        if at >= stop:
            return word, at, INCOMPLETE, extra
        if data[at] == _CLOSE:
            return word, at + 1, OK if seen == _ALL_KEYS else BROKEN, extra
        if data[at] != _COMMA:
            return word, at, BROKEN, extra
        at += 1


@compiled
def _extent(data: Any, at: Any, stop: Any) -> tuple[Any, Any]:
    """The place behind an object that is wrong somewhere, and whether that place was found.

    A writer may have stopped in its middle: where another object begins, this one ends. That is at a line end or a
    brace in a string, and at a bracket that cannot follow what is before it.
    """
    depth, lists, before, begin = 0, np.uint64(0), np.uint8(0), at
    while at < stop:
        byte = data[at]
        if byte in (_QUOTE, _SINGLE):
            at += 1
            while at < stop and data[at] != byte:
                if data[at] == 10 or data[at] == 13 or data[at] == _OPEN or data[at] == 0:
                    return at, OK
                at += 2 if data[at] == _BACKSLASH and at + 1 < stop and data[at + 1] != 10 else 1
            if at >= stop:
                return stop, INCOMPLETE
        elif byte == 0:
            return at, OK
        elif byte in (_OPEN, _OPEN_LIST):
            inner = lists & np.uint64(1)
            new_line = data[at - 1] == 10 or data[at - 1] == 13 if at > begin else False
            follows = before == _COLON or (inner and (before in (_COMMA, _OPEN_LIST)))
            if depth and (not follows or depth > 60 or (new_line and not inner)):
                return at, OK
            depth += 1
            lists = lists << np.uint64(1) | np.uint64(byte == _OPEN_LIST)
        elif byte in (_CLOSE, _CLOSE_LIST):
            if (lists & np.uint64(1)) != np.uint64(byte == _CLOSE_LIST):
                return at + (byte == _CLOSE), OK
            depth -= 1
            lists >>= np.uint64(1)
            if depth == 0:
                return at + 1, OK
        if not (byte == 32 or byte == 9 or byte == 10 or byte == 13):
            before = byte
        at += 1
    return stop, INCOMPLETE


@inlined
def _line_end(data: Any, at: Any, stop: Any) -> Any:
    """The first line end from a place on, or the end."""
    while at < stop and data[at] != 10 and data[at] != 13:
        at += 1
    return at


@compiled
def scan_stream(data: Any, last: bool, keys: Any, words: Any, unusual: Any, counts: Any) -> tuple[int, int, int]:
    """Scan a stream of objects into words, as far as it is whole or `unusual` has room.

    data: uint8[n], one byte a character; last: nothing follows; keys: see `KEYS`
    words: uint64, room for a word each 60 bytes; unusual: int64[m, 3], filled with (start, stop, words before) of what
    the standard parser must look at; counts: int64[N_COUNTS], added to, see `HEADERS`
    Gives how many words and unusual pieces there are, and where the first piece begins that is not whole. Anything but
    objects, up to a line end or the next object, is a piece too; so is what has more than `LONGEST_ROW` bytes, up to a
    line end behind them.
    """
    n_words, n_unusual = 0, 0
    at: Any = np.int64(0)
    n: Any = np.int64(len(data))
    order = np.arange(6)
    while at < n and n_unusual < len(unusual):
        byte = data[at]
        if byte != _OPEN:
            if byte == 32 or byte == 10 or byte == 13 or byte == 9 or byte in (_COMMA, _CLOSE_LIST) or byte == 30:
                counts[HEADERS] += 1
                at += 1
                continue
            if byte == 0:
                if counts[FIRST_NUL] < 0:
                    counts[FIRST_NUL] = at
                counts[PADDING] += 1
                at += 1
                continue
            width = mark_width(data, at, n)
            if width:
                counts[HEADERS] += width
                at += width
                continue
            if byte == 0xEF and at + 3 > n and not last:
                break
            if byte == _OPEN_LIST:
                behind = _space(data, at + 1, n)
                if behind < n and behind - at <= LONGEST_ROW and (data[behind] == _OPEN or data[behind] == _CLOSE_LIST):
                    counts[HEADERS] += 1
                    at += 1
                    continue
                if behind >= n and not last and n - at <= LONGEST_ROW:
                    break
        end, status = at, INCOMPLETE
        if byte == _OPEN:
            word, end = _strict_object(data, at, n, keys, order)
            if end < 0:
                word, end, status, extra = _loose_object(data, at, n, keys)
                if status == OK and extra and counts[FIRST_EXTRA] < 0:
                    counts[FIRST_EXTRA] = at
            else:
                status = OK
            if status == OK and end - at <= LONGEST_ROW:
                words[n_words] = word
                n_words += 1
                at = end
                continue
            if status == BROKEN:
                end, status = _extent(data, at, n)
        else:
            end = at
            while end < n and data[end] != 10 and data[end] != 13 and data[end] != 0 and (data[end] != _OPEN):
                end += 1
            status = OK if end < n else INCOMPLETE
        if end - at > LONGEST_ROW:
            end = _line_end(data, at + LONGEST_ROW, n)
            status = OK if end < n else INCOMPLETE
        if status == INCOMPLETE and not last:
            break
        unusual[n_unusual, 0] = at
        unusual[n_unusual, 1] = n if status == INCOMPLETE else end
        unusual[n_unusual, 2] = n_words
        n_unusual += 1
        at = unusual[n_unusual - 1, 1]
    return n_words, n_unusual, at
