"""Hits as JSON objects, one a line or a message, scanned straight into words.

The scanner takes the six keys in any order with whole numbers; every other line goes to the standard library's parser,
which says what it is.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, inlined
from muonstream.formats.block import FAULTS_KEPT, Block
from muonstream.formats.rows import COLUMNS, HIGHEST
from muonstream.words import (
    BX_SHIFT,
    CHANNEL_SHIFT,
    FPGA_SHIFT,
    HEAD_SHIFT,
    ORBIT_SHIFT,
    Head,
    Words,
)

_SHIFTS: Final = (HEAD_SHIFT, FPGA_SHIFT, CHANNEL_SHIFT, ORBIT_SHIFT, BX_SHIFT, 0)
_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _ZERO = 34, 58, 44, 123, 125, 48
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


@compiled
def scan_objects(data: Any, starts: Any, stops: Any, keys: Any, words: Any, unusual: Any) -> int:
    """Scan objects data[starts[i]:stops[i]] (uint8) into words (uint64[n]); gives how many.

    Objects that are not six whole numbers in range are listed in `unusual` by index, with how many words came before;
    unusual: int64[n, 2], a row for each that is not counted. keys: see `KEYS`; they are expected in the order of the
    object before.
    """
    n_words, n_unusual = 0, 0
    order = np.arange(6)
    for i in range(len(starts)):
        at, stop = _space(data, starts[i], stops[i]), stops[i]
        word, seen, k = np.uint64(0), 0, 0
        good = at < stop and data[at] == _OPEN
        at += 1
        while good:
            at = _space(data, at, stop)
            if at >= stop or data[at] != _QUOTE:
                good = False
                break
            at += 1
            column = order[k] if k < 6 else 0
            if not _is_key(data, at, stop, keys, column):
                column = 0
                while column < 6 and not _is_key(data, at, stop, keys, column):
                    column += 1
            if column == 6 or seen >> column & 1:
                good = False
                break
            order[k] = column
            k += 1
            at = _space(data, at + keys[column, 0] + 1, stop)
            if at >= stop or data[at] != _COLON:
                good = False
                break
            at = _space(data, at + 1, stop)
            value, start = np.int64(0), at
            while at < stop:
                digit = np.int64(data[at]) - _ZERO
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                at += 1
            # a leading zero is no JSON
            leading = at - start > 1 and data[start] == _ZERO
            if at == start or at - start > 15 or leading or value > HIGHEST[column]:
                good = False
                break
            seen |= 1 << column
            word |= np.uint64(value) << np.uint64(_SHIFTS[column])
            at = _space(data, at, stop)
            if at >= stop:
                good = False
            elif data[at] == _CLOSE:
                break
            elif data[at] != _COMMA:
                good = False
            at += 1
        if good and seen == _ALL_KEYS and _space(data, at + 1, stop) == stop:
            words[n_words] = word
            n_words += 1
        else:
            unusual[n_unusual, 0] = i
            unusual[n_unusual, 1] = n_words
            n_unusual += 1
    return n_words


@compiled
def _lines(data: Any, starts: Any, stops: Any) -> int:
    """Where lines begin and end."""
    n, begin = 0, 0
    for at in range(len(data)):
        if data[at] == 10:
            starts[n], stops[n] = begin, at
            n += 1
            begin = at + 1
    return n


def word_of_object(text: bytes) -> int:
    """The word of one JSON object, by the standard parser. Raises ValueError with the reason it is none."""
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}"[:200]) from None
    if not isinstance(found, dict):
        raise ValueError(f"found a {type(found).__name__}, allowed is an object")
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise ValueError(f"{missing[0]}: found nothing, it must be given")
    word = 0
    for name, shift, high in zip(COLUMNS, _SHIFTS, HIGHEST, strict=True):
        value = found[name]
        ancillary = name not in ("HEAD", "FPGA") and found["HEAD"] != Head.HIT
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(name, value, high)
        # a number too large for a float is infinite, and has no whole part
        fits = 0 <= value <= high and value == int(value)
        if ancillary and not fits:
            # what ancillary fields carry besides whole numbers in range is not kept
            value = int(value) & high if name in ("TDC_CHANNEL", "ORBIT_CNT") and abs(value) < 1e15 else 0
        elif not fits:
            raise _wrong(name, value, high)
        word |= int(value) << shift
    return word


def _wrong(name: str, value: object, high: int) -> ValueError:
    return ValueError(f"{name}: found {repr(value)[:60]}, allowed are whole numbers from 0 to {high}")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def words_of_objects(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[Words, list[tuple[int, str]], int]:
    """Words (uint64) of the objects data[starts[i]:stops[i]]; (index, reason) of the first bad ones; how many."""
    words = np.empty(len(starts), np.uint64)
    unusual = np.empty((len(starts), 2), np.int64)
    n = scan_objects(data, starts, stops, KEYS, words, unusual)
    faults: list[tuple[int, str]] = []
    n_faults, where, extra = 0, [], []
    for index, before in unusual[: len(starts) - n].tolist():
        text = data[starts[index] : stops[index]].tobytes()
        if not text.strip():
            continue
        try:
            extra.append(word_of_object(text))
            where.append(before)
        except ValueError as error:
            n_faults += 1
            if len(faults) < FAULTS_KEPT:
                faults.append((index, str(error)))
    words = words[:n]
    if extra:
        words = np.insert(words, where, np.array(extra, dtype=np.uint64))
    return words, faults, n_faults


class JsonDecoder:
    """Decodes JSON lines as their bytes come; a line cut by the end of a piece waits for the next."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._line = 1

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words of the lines that they complete."""
        data = b"".join((self._rest, data))
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if not end:
            return Block()
        text = np.frombuffer(data, np.uint8, end)
        n_lines = int(np.count_nonzero(text == 10))
        starts, stops = np.empty((2, n_lines), np.int64)
        _lines(text, starts, stops)
        words, faults, n_faults = words_of_objects(text, starts, stops)
        block = Block(words, n_faults, [f"{self._name}:{self._line + index}: {reason}" for index, reason in faults])
        self._line += n_lines
        return block
