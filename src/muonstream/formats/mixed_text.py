"""Text whose encoding changes in the middle, as where UTF-16 was appended to UTF-8: each stretch is read in its own.

A change is seen by a run of characters that only another encoding has: a NUL byte beside each of them in text of one
byte a character, none in text of more. Where it is depends on the bytes alone, never on how they were cut: the last few
wait for those behind them where they may be the beginning of a run.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import Block, counted
from muonstream.formats.encoding import UNITS, Encoding, encoding_of, width_of
from muonstream.formats.notes import Notes

RUN: Final = 8
"""So many characters of another encoding make a change."""
SHOWN: Final = 64
"""Bytes behind a change that show its encoding, and wait for one another."""
_CHARACTER: Final = rb"[\t\n\r -~]"
_WIDE: Final[dict[Encoding, re.Pattern[bytes]]] = {
    "utf-16-le": re.compile(rb"(?:\xff\xfe)?(?:%b\0){%d}" % (_CHARACTER, RUN)),
    "utf-16-be": re.compile(rb"(?:\xfe\xff)?(?:\0%b){%d}" % (_CHARACTER, RUN)),
    "utf-32-le": re.compile(rb"(?:\xff\xfe\0\0)?(?:%b\0\0\0){%d}" % (_CHARACTER, RUN)),
    "utf-32-be": re.compile(rb"(?:\0\0\xfe\xff)?(?:\0\0\0%b){%d}" % (_CHARACTER, RUN)),
}
MARK: Final = 0xFEFF
_ENDS: Final = b"\r\n}]"
"""With these a row or an object ends, and no text begins."""
_ASCII: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\r -~]+")


class ResumableDecoder(Protocol):
    """A decoder of text that can be resumed in another encoding."""

    @property
    def rest(self) -> bytes: ...

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block: ...

    def resumed(self, encoding: Encoding, byte: int) -> Self:
        """A decoder of the text from a byte of the input on, in another encoding; it knows what this one has read."""
        ...


class MixedText:
    """Decodes text by a decoder for each stretch of one encoding, and notes where the encoding changes."""

    def __init__(self, name: str, decoder: ResumableDecoder, encoding: Encoding) -> None:
        self._decoder = decoder
        self._encoding = encoding
        self._notes = Notes(name)
        self._held = b""
        self._odd_before = False  # whether the last character does not belong to this encoding
        self._byte = 0  # of what is held or comes next
        self._change: tuple[int, Encoding] | None = None  # where the present stretch began, and the encoding before it

    @property
    def rest(self) -> bytes:
        """What waits for the text behind it, one byte a character, and bytes that may be of another encoding."""
        return self._decoder.rest + self._held

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words that they complete."""
        if not last and not len(data):
            return Block()
        if not last and not self._suspicious(data):
            held, self._held = self._held, b""
            end = len(data) - self._may_begin(data)
            blocks = [self._take(piece, last=False) for piece in (held, data[:end]) if len(piece)]
            self._held = bytes(data[end:])
            return _together(blocks or [Block()])
        data = b"".join((self._held, data))
        blocks, begin = [], 0
        while (found := self._next_change(data, begin, last)) is not None:
            at, encoding = found
            blocks.append(self._take(data[begin:at], last=True))
            self._note_stretch()
            self._change = self._byte, self._encoding
            self._decoder, self._encoding = self._decoder.resumed(encoding, self._byte), encoding
            begin, self._odd_before = at, False
        end = len(data) if last else self._decided(data, begin)
        self._held = data[end:]
        blocks.append(self._take(data[begin:end], last=last))
        if last:
            self._note_stretch()
        block = _together(blocks)
        block.notes += self._notes.finish() if last else self._notes.take()
        return block

    def _take(self, data: bytes | memoryview, *, last: bool) -> Block:
        self._byte += len(data)
        width = width_of(self._encoding)
        if width > 1 and len(data) >= width:
            self._odd_before = bool(_odd(np.frombuffer(data[-width:], UNITS[self._encoding]))[0])
        return self._decoder.feed(data, last=last)

    def _note_stretch(self) -> None:
        if self._change is not None:
            first, before = self._change
            names = f"from {before.upper()} to {self._encoding.upper()}"
            size = counted(self._byte - first, "byte")
            self._notes.add("changes of encoding", f"byte {first:,}: the encoding changes {names}: {size} read as such")

    def _suspicious(self, data: bytes | memoryview) -> bool:
        """Whether some of the bytes, or of those held, may be of another encoding."""
        if self._encoding != "utf-8" or len(self._held) > 1 or self._held == b"\0":
            return True
        marked = any(byte >= 0xFE for byte in self._held + bytes(data[-4:]))
        return marked or bool(np.frombuffer(data, np.uint8).min(initial=1) == 0)

    def _may_begin(self, data: bytes | memoryview) -> int:
        """How many bytes at the end may begin a character of more bytes: one, unless it ends a row or an object."""
        return int(len(data) > 0 and data[-1] not in _ENDS)

    def _next_change(self, data: bytes, begin: int, last: bool) -> tuple[int, Encoding] | None:
        """The first change of encoding in data[begin:] for which all bytes that decide it are there."""
        if self._encoding == "utf-8":
            return self._change_to_wide(data, begin, last)
        first = self._change[0] if self._change is not None else 0
        for at in self._odd_runs(data, begin):
            if not last and len(data) - at < SHOWN:
                return None
            if self._encoding == "utf-16-le" and at > begin and encoding_of(data[at - 2 : at + SHOWN]) == "utf-32-le":
                at -= 2  # the first half of the first character
            sample = data[at : at + SHOWN]
            found = encoding_of(sample)
            if found == "utf-8" and not ((ascii_run := _ASCII.match(sample)) and ascii_run.end() == len(sample)):
                continue
            if found != self._encoding and self._byte + at - begin > first:
                return at, found
        return None

    def _odd_runs(self, data: bytes, begin: int) -> list[int]:
        """Where characters begin, from `begin` on, most of which do not belong to this encoding."""
        width = width_of(self._encoding)
        odd = _odd(np.frombuffer(data, UNITS[self._encoding], (len(data) - begin) // width, begin))
        places = np.flatnonzero(odd)
        # the RUN-th odd one from each on must follow within twice as many
        behind = places[RUN - 1 :]
        places = places[: len(behind)][behind - places[: len(behind)] < 2 * RUN]
        starts = places[(places == 0) & (not self._odd_before) | (places > 0) & ~odd[places - 1]]
        return [begin + width * int(start) for start in starts]

    def _change_to_wide(self, data: bytes, begin: int, last: bool) -> tuple[int, Encoding] | None:
        found: list[tuple[int, Encoding]] = []
        first = data.find(b"\0", begin)
        if first < 0:
            return None
        for encoding, pattern in _WIDE.items():
            match = pattern.search(data, max(begin, first - 4))
            if match is not None:
                found.append((match.start(), encoding))
        # the last character of a row and the NUL behind it look like another character, but text does not begin with it
        nearest = min((at for at, _ in found), default=len(data))
        if not found or (not last and len(data) - nearest < SHOWN):
            return None
        beside = sorted(one for one in found if one[0] - nearest < 4)
        begins = [(at, encoding) for at, encoding in beside if data[at : at + 4].strip(b"\0")[0] not in _ENDS]
        return (begins or beside)[0]

    def _decided(self, data: bytes, begin: int) -> int:
        """Up to where bytes are surely of this encoding."""
        width = width_of(self._encoding)
        end = len(data) - (len(data) - begin) % width
        tail = max(begin, end - 2 * SHOWN)
        if self._encoding == "utf-8":
            odd = [at for at in (data.find(mark, tail) for mark in (b"\0", b"\xff", b"\xfe")) if at >= 0]
            return max(begin, min(odd) - 4) if odd else len(data) - self._may_begin(data[begin:])
        units = np.frombuffer(data, UNITS[self._encoding], (end - tail) // width, tail)
        odd_units = np.flatnonzero(_odd(units))
        # the unit before the first odd one may be the first half of a character of UTF-32
        end = tail + width * int(odd_units[0]) if len(odd_units) else end
        return max(begin, end - width)


def _odd(units: NDArray[Any]) -> NDArray[np.bool_]:
    """Which characters (unsigned numbers [n]) no table has, save in comments: those beyond Latin-1, and NUL."""
    odd: NDArray[np.bool_] = (units == 0) | ((units > 0xFF) & (units != MARK))
    return odd


def _together(blocks: list[Block]) -> Block:
    """Blocks that follow one another as one."""
    whole, *others = blocks
    for block in others:
        whole.words = np.concatenate([whole.words, block.words])
        whole.bytes += block.bytes
        whole.malformed += block.malformed
        whole.faults += block.faults
        whole.notes += block.notes
    return whole
