"""Hits as JSON objects: a message each, or a stream of them in any arrangement.

The compiled scanner takes most objects; every other one goes to the standard library's parser, which says what it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import FAULTS_KEPT, Block, ByteAccount, counted
from muonstream.formats.encoded_text import EncodedText
from muonstream.formats.encoding import Encoding
from muonstream.formats.json_objects import FIRST_EXTRA, FIRST_NUL, HEADERS, N_COUNTS, PADDING, PASSED_OVER, scan_stream
from muonstream.formats.json_objects import KEYS as KEYS
from muonstream.formats.json_objects import scan_objects as scan_objects
from muonstream.formats.layout import field_named
from muonstream.formats.no_text import is_no_text
from muonstream.formats.rows import COLUMNS, HIGHEST, LONGEST_ROW, SHIFTS
from muonstream.words import Head, Words, decode

_NUMBER: Final = re.compile(r"\s*[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,4})?\s*")
_LINE_END: Final = re.compile(rb"[\r\n]")
_UNUSUAL_AT_ONCE: Final = 1 << 14
_LOOKED_AT: Final = 256
_SHORTEST: Final = 60


def _word_of_fields(found: dict[str, Any]) -> int:
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise ValueError(f"{missing[0]}: found nothing, expected a number")
    word = 0
    for name, shift, high in zip(COLUMNS, SHIFTS, HIGHEST, strict=True):
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
    return ValueError(f"{name}: found {repr(value)[:60]}, expected whole numbers from 0 to {high}")


class Constant:
    """NaN, Infinity or -Infinity, which JSON does not have."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def word_of_loose_object(text: bytes) -> tuple[int, list[str]]:
    """The word of an object as other programs write it, and those of its keys that hits do not have.

    Keys may be in any case and in other ways that leave no doubt (`tdcChannel`, `bx`), numbers may be text, quotes may
    be single ones. Raises ValueError with what is wrong.
    """
    if b"'" in text and b'"' not in text:
        text = text.replace(b"'", b'"')
    try:
        found = json.loads(text.decode("utf-8", "replace"), parse_constant=Constant)
    except (ValueError, RecursionError) as error:
        start = text.strip()[:60].decode("utf-8", "replace")
        raise ValueError(f"found {start!r}, expected a JSON object: {error}"[:250]) from None
    if not isinstance(found, dict):
        raise ValueError(f"found a {type(found).__name__}, expected an object")
    return word_of_mapping(found)


def word_of_mapping(found: dict[str, Any]) -> tuple[int, list[str]]:
    """The word of an object, and its keys that hits do not have: see `word_of_loose_object`. Raises ValueError."""
    fields: dict[str, Any] = {}
    extra = []
    names = {key: str(key).strip().upper() for key in found}
    exact = set(names.values())
    for key, value in found.items():
        name = names[key]
        if name not in COLUMNS:
            # another way to write the name of a field, unless that is there as well
            field = field_named(str(key))
            if field < 0 or COLUMNS[field] in exact:
                extra.append(str(key))
                continue
            name = COLUMNS[field]
        if name in fields:
            raise ValueError(f"{name}: found twice, expected once")
        fields[name] = value
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            fields[name] = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        elif isinstance(value, Constant):
            raise _wrong(name, value, HIGHEST[COLUMNS.index(name)])
    return _word_of_fields(fields), extra


@dataclass(frozen=True, slots=True)
class Objects:
    """What a sample of JSON objects holds: the fields of those that are words (int64[n, 6]), how many others there are,
    and what is wrong with the first of them."""

    fields: NDArray[np.int64]
    n_bad: int
    why: str


def sample_objects(text: bytes, last: bool) -> Objects:
    """Read the objects of a sample, one byte a character; last: whether nothing follows it."""
    data = np.frombuffer(text, np.uint8)
    words = np.empty(len(data) // 60 + 1, np.uint64)
    unusual = np.empty((_LOOKED_AT, 3), np.int64)
    n, n_unusual, _ = scan_stream(data, last, KEYS, words, unusual, np.zeros(N_COUNTS, np.int64))
    n_bad, why = 0, ""
    extra = []
    for start, stop, _ in unusual[:n_unusual].tolist():
        try:
            extra.append(word_of_loose_object(text[start:stop])[0])
        except ValueError as error:
            n_bad += 1
            why = why or str(error)
    found = decode(np.concatenate([words[:n], np.array(extra, np.uint64)]))
    columns = (found.head, found.fpga, found.channel, found.orbit, found.bx, found.tdc)
    return Objects(np.stack([np.asarray(column, np.int64) for column in columns], axis=1), n_bad, why)


class JsonDecoder(EncodedText):
    """Decodes a stream of JSON objects as its bytes come; an object cut by the end of a piece waits for the next.

    The objects may follow one another in any way: a line each, several a line, over several lines, in lists.
    """

    def __init__(self, name: str, *, encoding: Encoding = "utf-8") -> None:
        super().__init__(name, encoding)
        self._between = np.zeros(2, np.int64)  # separators and NUL bytes since the last piece passed over

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words of the objects that they complete."""
        block = Block()
        data = b"".join((self._rest, self._transcoder.feed(data)))
        end = self._skip_overlong(data) if self._overlong else 0
        text = np.frombuffer(data, np.uint8)
        counts = np.zeros(N_COUNTS, np.int64)
        parts: list[Words] = []
        while end < len(text):
            piece = text[end:]
            words = np.empty(len(piece) // 60 + 1, np.uint64)
            unusual = np.empty((_UNUSUAL_AT_ONCE, 3), np.int64)
            counts[FIRST_NUL] = counts[FIRST_EXTRA] = -1
            padding = int(counts[PADDING])
            n, n_unusual, stop = scan_stream(piece, last, KEYS, words, unusual, counts)
            if counts[FIRST_EXTRA] >= 0:
                self._note_extra(block, piece, int(counts[FIRST_EXTRA]))
            parts.append(self._with_unusual(piece, stop, words[:n], unusual[:n_unusual], block, counts))
            if counts[PADDING] > padding:
                place = self._begin + (self._byte + int(counts[FIRST_NUL])) * self._transcoder.width
                self._note(block, "nul", f"byte {place}: found NUL bytes, which count as padding; expected text")
            self._line += int(np.count_nonzero(piece[:stop] == 10))
            self._byte += stop
            end += stop
            if n_unusual < _UNUSUAL_AT_ONCE:
                break
        self._rest = data[end:]
        if len(self._rest) > LONGEST_ROW:
            self._fault(block, self._line, f"found more than {LONGEST_ROW:,} bytes, expected a JSON object")
            self._overlong = True
            self._line += self._rest.count(b"\n")
            self._byte += len(self._rest)
            end, self._rest = len(data), b""
        width, cut = self._transcoder.width, self._transcoder.cut if last else 0
        if cut:
            self._note(block, "cut", f"the last {counted(cut, 'byte')} are not a whole character")
        block.words = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint64), *parts])
        headers, padding, over = int(counts[HEADERS]), int(counts[PADDING]), int(counts[PASSED_OVER])
        block.bytes = ByteAccount(
            words=width * (end - headers - padding - over),
            headers=width * headers,
            padding=width * padding,
            passed_over=width * over + cut,
        )
        block.notes += self._no_text.take(last=last)
        return block

    def _skip_overlong(self, data: bytes) -> int:
        """How many bytes belong to an object that is too long: those up to the line's end."""
        ending = _LINE_END.search(data)
        self._overlong = ending is None
        end = ending.start() if ending is not None else len(data)
        self._byte += end
        return end

    def _with_unusual(
        self,
        text: NDArray[np.uint8],
        end: int,
        words: Words,
        unusual: NDArray[np.int64],
        block: Block,
        counts: NDArray[np.int64],
    ) -> Words:
        """The words with those of unusual pieces among them; end, unusual: as in `json_objects.scan_stream`."""
        line, counted_to = self._line, 0
        where, extra_words = [], []
        end_before, words_before = 0, 0
        for start, stop, before in [*unusual.tolist(), [end, end, len(words)]]:
            if before != words_before:
                self._no_text.end()
            if self._no_text:
                n_nul = int(np.count_nonzero(text[end_before:start] == 0))
                self._between += np.array([start - end_before - n_nul, n_nul])
            end_before, words_before = stop, before
            piece = text[start:stop].tobytes()
            if not piece:
                break
            no_text = bool(self._no_text) or is_no_text(text, start, stop)
            if no_text and not piece.startswith(b"{"):
                self._pass_over(start, stop, counts)
                continue
            if piece.startswith((b"#", b"//")):
                counts[HEADERS] += len(piece)
                continue
            if len(piece) < _SHORTEST and len(block.faults) >= FAULTS_KEPT:
                # cannot be an object of six keys, and will not be described
                block.malformed += 1
                continue
            try:
                if len(piece) > LONGEST_ROW:
                    raise ValueError(f"found more than {LONGEST_ROW:,} bytes, expected a JSON object")
                word, extra = word_of_loose_object(piece)
            except ValueError as error:
                if no_text:
                    self._pass_over(start, stop, counts)
                    continue
                if len(block.faults) < FAULTS_KEPT:
                    line += int(np.count_nonzero(text[counted_to:start] == 10))
                    counted_to = start
                self._fault(block, line, str(error))
                continue
            self._no_text.end()
            where.append(before)
            extra_words.append(word)
            if extra:
                self._note(block, "extra", f"ignored keys that hits do not have: {', '.join(extra)[:200]}")
        return np.insert(words, where, np.array(extra_words, dtype=np.uint64)) if where else words

    def _pass_over(self, start: int, stop: int, counts: NDArray[np.int64]) -> None:
        """Pass over characters of the present piece that are not text, and what stands between them and those before.

        That was taken for separators and padding, perhaps of an earlier block.
        """
        if not self._no_text:
            self._between[:] = 0
        n = stop - start + int(self._between.sum())
        counts[[HEADERS, PADDING]] -= self._between
        counts[PASSED_OVER] += n
        self._no_text.pass_over(n, self._byte + start)
        self._between[:] = 0

    def _note(self, block: Block, kind: str, text: str) -> None:
        """Report something of the content, each kind once."""
        if kind not in self._noted:
            self._noted.add(kind)
            block.notes.append(f"{self._name}: {text}")

    def _note_extra(self, block: Block, text: NDArray[np.uint8], at: int) -> None:
        """Report the keys of an object that hits do not have."""
        if "extra" in self._noted:
            return
        try:
            piece = text[at : at + LONGEST_ROW].tobytes()
            if b"'" in piece and b'"' not in piece:
                piece = piece.replace(b"'", b'"')
            found, _ = json.JSONDecoder().raw_decode(piece.decode("utf-8", "replace"))
            names = ", ".join(key for key in found if key.strip().upper() not in COLUMNS)[:200]
        except (ValueError, RecursionError):
            names = "(unreadable)"
        self._note(block, "extra", f"ignored keys that hits do not have: {names}")

    def _fault(self, block: Block, line: int, reason: str) -> None:
        block.malformed += 1
        if len(block.faults) < FAULTS_KEPT:
            block.faults.append(f"{self._name}:{line}: {reason}")
