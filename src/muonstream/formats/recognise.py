"""Formats of files of words, and how they are recognised by their content."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from muonstream.formats.binary import DMA_WORDS, DmaDecoder, WordDecoder
from muonstream.formats.block import Block, SourceError
from muonstream.formats.hits_json import JsonDecoder
from muonstream.formats.rows import COLUMNS
from muonstream.formats.table import TableDecoder, has_header
from muonstream.words import BX_PER_ORBIT, Head, decode

SAMPLE_BYTES: Final = 1 << 16
ENOUGH_BYTES: Final = 4096
"""With so many bytes something that grows must be recognised; with fewer one waits for more."""


class Format(StrEnum):
    """What a file holds."""

    WORDS = "words"
    """binary: 64-bit little-endian words"""
    DMA = "dma"
    """binary: a run word, then 128 words, again and again"""
    COURSE = "course"
    """a table with the words' fields"""
    FIRMWARE2019 = "firmware2019"
    """the table of the 2019 firmware"""
    JSON = "json"
    """a JSON object a line"""


BINARY: Final = (Format.WORDS, Format.DMA)


class Decoder(Protocol):
    """Makes words of bytes, fed in order; `last` says that no more come."""

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block: ...


def decoder(found: Format, name: str) -> Decoder:
    """A decoder of a format; `name` is the file's in messages."""
    match found:
        case Format.WORDS:
            return WordDecoder(name)
        case Format.DMA:
            return DmaDecoder(name)
        case Format.JSON:
            return JsonDecoder(name)
        case _:
            return TableDecoder(name, old_firmware=found is Format.FIRMWARE2019)


def recognise(sample: bytes, name: str) -> Format:
    """The format of a file by its first bytes (64 KiB do). Raises SourceError when they do not tell it."""
    if _is_text(sample):
        return _recognise_text(sample, name)
    found = _recognise_binary(sample)
    if found is None:
        raise SourceError(
            f"{name}: found neither text nor words of the boards (few have HEAD 2 and a bunch crossing under "
            f"{BX_PER_ORBIT}); a format can be named: {', '.join(Format)}"
        )
    return found


def check(sample: bytes, named: Format, name: str) -> None:
    """Raise SourceError when a file clearly is not of the format that was named."""
    if _is_text(sample) == (named in BINARY):
        kind = "text" if named in BINARY else "binary data"
        raise SourceError(f"{name}: found {kind}, which is not the format {named} that was named")
    words = np.frombuffer(sample, "<u8", len(sample) // 8)
    if named is Format.DMA and len(words) > DMA_WORDS and _plausible(words[::DMA_WORDS]):
        raise SourceError(f"{name}: found words of the boards one after another, which is not the format dma")
    objects = sample.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    if (named is Format.JSON) != objects and named not in BINARY:
        found = "JSON objects" if objects else "no JSON objects"
        raise SourceError(f"{name}: found {found}, which is not the format {named} that was named")
    if named in (Format.COURSE, Format.FIRMWARE2019):
        has_header(sample, name)
        heads = _heads(sample)
        other = "2" if named is Format.FIRMWARE2019 else "1"
        hit = "1" if named is Format.FIRMWARE2019 else "2"
        if heads.count(other) > 10 * (heads.count(hit) + 1):
            raise SourceError(
                f"{name}: found {heads.count(other)} rows of HEAD {other} and {heads.count(hit)} of HEAD {hit} at its "
                f"beginning, which is not the format {named} that was named"
            )


def _is_text(sample: bytes) -> bool:
    return bool(sample) and not sample.translate(None, bytes(range(32, 127)) + b"\t\r\n").strip(b"\xef\xbb\xbf")


def _heads(sample: bytes) -> list[str]:
    """The first column of the rows that have six."""
    lines = sample.decode("utf-8-sig", "replace").splitlines()
    if len(sample) >= SAMPLE_BYTES:
        lines = lines[:-1]  # perhaps cut
    rows = [line.split(",") for line in lines]
    return [row[0].strip() for row in rows if len(row) == len(COLUMNS) and row[0].strip(' \t"').upper() != COLUMNS[0]]


def _recognise_text(sample: bytes, name: str) -> Format:
    if sample.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return Format.JSON
    header = has_header(sample, name)
    heads = _heads(sample)
    hits, ones = heads.count("2"), heads.count("1")
    if hits > ones:
        return Format.COURSE
    if ones > 0.9 * len(heads) and not hits:
        return Format.FIRMWARE2019
    if header and not heads:
        raise SourceError(f"{name}: found the header of a table, and no rows yet that would tell its format")
    if not heads:
        first = sample.split(b"\n")[0][:60].decode("ascii", "backslashreplace")
        raise SourceError(
            f"{name}: found text that is no table of {len(COLUMNS)} columns and no JSON, as {first!r}; "
            f"allowed are {', '.join(Format)}"
        )
    raise SourceError(
        f"{name}: found {hits} rows of HEAD 2 and {ones} of HEAD 1 among the first {len(heads)}, which does not tell "
        "course from firmware2019; name the format"
    )


def _recognise_binary(sample: bytes) -> Format | None:
    words = np.frombuffer(sample, "<u8", len(sample) // 8)
    if len(words) >= DMA_WORDS:
        runs = words[::DMA_WORDS]
        rest = np.delete(words, np.arange(0, len(words), DMA_WORDS))
        constant = len(np.unique(runs)) == 1
        if constant and _plausible(rest) and (len(runs) > 1 or not _plausible(runs)):
            return Format.DMA
    return Format.WORDS if not len(words) or _plausible(words) else None


def _plausible(words: np.ndarray) -> bool:
    """Whether these look like words: at least half hits with a possible time, or all of known ancillary kinds."""
    fields = decode(words)
    hit = (fields.head == Head.HIT) & (fields.bx < BX_PER_ORBIT)
    return bool(hit.mean() >= 0.5 or (fields.head <= Head.LOCAL_X).all())
