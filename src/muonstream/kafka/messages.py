"""Kafka messages as bytes: frames, the end of a run, raw DMA transfers, loose hits.

A frame message is one window's words, or a part of them; its value is the words alone, little endian, and all that is
said about them is in headers. Nothing here knows Kafka: headers are pairs of text and bytes, as its clients have them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.errors import MuonstreamError
from muonstream.formats.hit_messages import is_binary_schema, is_text
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK, Frames
from muonstream.sources.identity import MOST_DIGITS, Run
from muonstream.words import DMA_WORDS, WORD_BYTES, Words

VERSION: Final = 1
_DMA_BYTES: Final = DMA_WORDS * WORD_BYTES
BRACE: Final = 123
"""The byte with which a JSON object begins."""
PART_WORDS: Final = 1 << 16
"""The most words of one message: a larger window is sent in parts."""
BLOCK_WORDS: Final = 1024
"""Loose hits and DMA transfers go to one partition in blocks of so many words."""
_COUNTS: Final = ("run-number", "epoch", "window", "part", "parts", "words")

_FRAME_NAMES: Final = ["kind", "version", "run-name", *_COUNTS, "position"]
"""Frames of older gateways have these; `partitions` comes behind them."""
_NAMES: Final = [*_FRAME_NAMES, "partitions"]
_VERSION_TEXT: Final = b"%d" % VERSION
MOST_EPOCHS: Final = 1 << 20
"""The most resets of the orbit counter in a run: it wraps every four days."""

Headers = Sequence[tuple[str, bytes | None]]
"""Kafka allows headers without a value; muonstream's all have one."""


class MessageError(MuonstreamError, ValueError):
    """A malformed message: `fault` names the kind of fault, the text says what was found."""

    def __init__(self, fault: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class Kind(StrEnum):
    """The kinds of messages that are read."""

    FRAME = "frame"
    END = "end"
    DMA = "dma"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """One window's words, or part k (from 0) of n of them.

    words: uint64[n]; key: ``epoch << 22 | window``; position: words of its source that were read when it was sent
    partitions: to how many its run is sent, 0 where an older gateway does not say
    """

    run: Run
    key: int
    part: int
    parts: int
    words: Words
    position: int = 0
    partitions: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """(key, part): within a partition and run it only rises; what is not above the last is a repeat."""
        return self.key, self.part

    def partition(self, partitions: int) -> int:
        """Its partition: the window modulo the number of partitions."""
        return (self.key & KEY_WINDOW_MASK) % partitions

    def headers(self) -> list[tuple[str, bytes]]:
        """The description of the words."""
        counts = (
            self.run.number,
            self.key >> KEY_WINDOW_BITS,
            self.key & KEY_WINDOW_MASK,
            self.part,
            self.parts,
            len(self.words),
        )
        return [
            ("kind", Kind.FRAME.encode()),
            ("version", b"%d" % VERSION),
            ("run-name", self.run.name.encode()),
            *((name, b"%d" % count) for name, count in zip(_COUNTS, counts, strict=True)),
            ("position", b"%d" % self.position),
            *partitions_header(self.partitions),
        ]

    def value(self) -> bytes:
        """The words, little endian."""
        return np.ascontiguousarray(self.words, dtype="<u8").tobytes()

    @classmethod
    def decode(cls, headers: Headers, value: bytes | memoryview | None) -> Self:
        """Decode a message. Raises MessageError for one that is incomplete or of another version."""
        numbers = _usual(headers)
        if numbers is not None:
            _, epoch, window, part, parts, n, position, partitions = numbers
            run = _run_of(headers[3][1] or b"", headers[2][1])
        else:
            found = dict(headers)
            _check_version(found)
            number, epoch, window, part, parts, n = (_count(found, name) for name in _COUNTS)
            position = _count(found, "position")
            partitions = partitions_of(headers)
            run = Run(number, (found.get("run-name") or b"").decode("utf-8", "replace"))
        if window > KEY_WINDOW_MASK or epoch >= MOST_EPOCHS or not part < parts:
            raise MessageError("wrong header", f"found epoch {epoch}, window {window}, part {part} of {parts}")
        if value is None or len(value) % WORD_BYTES or len(value) != n * WORD_BYTES:
            size = "no value" if value is None else f"{len(value)} bytes"
            raise MessageError("truncated value", f"found {size}, its header says {n} words of {WORD_BYTES} bytes")
        key = epoch << KEY_WINDOW_BITS | window
        return cls(run, key, part, parts, np.frombuffer(value, "<u8"), position, partitions)


def frame_messages(
    frames: Frames, run: Run, position: int = 0, part_words: int = PART_WORDS, partitions: int = 0
) -> Iterator[FrameMessage]:
    """The messages of frames, in their order; a window of more than part_words words goes in parts."""
    for index, key in enumerate(frames.keys.tolist()):
        words = frames.window(index)
        yield from window_messages(run, key, words, position, part_words=part_words, partitions=partitions)


def window_messages(
    run: Run,
    key: int,
    words: Words,
    position: int,
    *,
    first: int = 0,
    part_words: int = PART_WORDS,
    partitions: int = 0,
) -> Iterator[FrameMessage]:
    """The messages of one window, from its part `first` on."""
    parts = int(part_counts(np.array(len(words)), part_words))
    for part in range(first, parts):
        mine = words[part * part_words : (part + 1) * part_words]
        yield FrameMessage(run, key, part, parts, mine, position, partitions)


def part_counts(sizes: NDArray[np.int64], part_words: int = PART_WORDS) -> NDArray[np.int64]:
    """In how many parts windows of so many words (int64[n]) go, at least one, int64[n]."""
    counts: NDArray[np.int64] = np.maximum(1, -(-sizes // part_words))
    return counts


@dataclass(frozen=True, slots=True)
class EndMessage:
    """A run's end as its gateway tells it, to every partition, with the gateway's account.

    words: all that the gateway read; late, stray, malformed: those of them that are in no frame
    faults: what was malformed, the first of it; forced: windows that were closed early
    partitions: how many the run was sent to, each of which gets its end; 0 where an older gateway does not say
    offsets: the end of each partition before the run's ends were sent: all words of the run lie below; empty where an
        older gateway does not say
    """

    run: Run
    words: int = 0
    late: int = 0
    stray: int = 0
    malformed: int = 0
    resets: int = 0
    faults: tuple[str, ...] = field(default=())
    forced: int = 0
    partitions: int = 0
    offsets: tuple[int, ...] = ()

    def headers(self) -> list[tuple[str, bytes]]:
        """Its kind, version and run."""
        return [
            ("kind", Kind.END.encode()),
            ("version", b"%d" % VERSION),
            ("run-name", self.run.name.encode()),
            ("run-number", b"%d" % self.run.number),
        ]

    def value(self) -> bytes:
        """The account, JSON."""
        return json.dumps({key: value for key, value in asdict(self).items() if key != "run"}).encode()

    @classmethod
    def decode(cls, headers: Headers, value: bytes | None) -> Self:
        """Decode it. Raises MessageError for one that is incomplete or of another version."""
        found = dict(headers)
        _check_version(found)
        run = Run(_count(found, "run-number"), (found.get("run-name") or b"").decode("utf-8", "replace"))
        try:
            account = json.loads(value or b"")
            counts = {name: int(account[name]) for name in ("words", "late", "stray", "malformed", "resets")}
            # older gateways do not say these
            counts |= {name: int(account.get(name, 0)) for name in ("forced", "partitions")}
            offsets = tuple(int(offset) for offset in account.get("offsets", ()))
            if not all(0 <= n < 10**MOST_DIGITS for n in (*counts.values(), *offsets)):
                raise ValueError(f"found {counts}, offsets {offsets}")
            faults = tuple(str(fault) for fault in account["faults"])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise MessageError("truncated value", f"found no account of a run: {error}"[:200]) from None
        return cls(run, **counts, faults=faults, offsets=offsets)


def _usual(headers: Headers) -> list[int] | None:
    """The numbers of a frame's headers, if exactly as `Frame` writes them: in a third of the usual time."""
    if (names := [name for name, _ in headers]) != _NAMES and names != _FRAME_NAMES:
        return None
    texts = [text or b"" for _, text in headers]
    numbers = texts[3:]
    if texts[1] != _VERSION_TEXT or not b"".join(numbers).isdigit() or max(map(len, numbers)) > MOST_DIGITS:
        return None
    if not all(numbers):
        return None
    return [*map(int, numbers)] if len(names) == len(_NAMES) else [*map(int, numbers), 0]


@lru_cache(maxsize=64)
def _run_of(number: bytes, name: bytes | None) -> Run:
    return Run(int(number), (name or b"").decode("utf-8", "replace"))


def _check_version(found: dict[str, bytes | None]) -> None:
    version = found.get("version")
    if version != b"%d" % VERSION:
        said = "none" if version is None else repr(version.decode("utf-8", "replace"))
        raise MessageError("wrong version", f"version: found {said[:40]}, expected {VERSION}")


def _count(found: dict[str, bytes | None], name: str) -> int:
    text = found.get(name)
    if text is None:
        raise MessageError("missing header", f"{name}: found nothing, it must be given")
    if not text.isdigit() or len(text) > MOST_DIGITS:
        raise MessageError("wrong header", f"{name}: found {text[:40]!r}, expected digits")
    return int(text)


def kind_of(headers: Headers | None, value: bytes | None) -> Kind:
    """What a message is, by its header or, without one, by its first bytes. Raises MessageError for none of ours."""
    named = dict(headers or ()).get("kind")
    if named is not None:
        try:
            return Kind(named.decode("utf-8", "replace"))
        except ValueError:
            raise MessageError("unknown kind", f"kind: found {named[:40]!r}, allowed: {', '.join(Kind)}") from None
    if value is None:
        raise MessageError("tombstone", "found no value")
    if not value:
        raise MessageError("empty value", "found 0 bytes")
    kind = kind_of_value(value)
    if kind is not None:
        return kind
    schema = is_binary_schema(value)
    if schema:
        name = schema.partition(" (")[0].partition(" of ")[0]
        raise MessageError(name, f"found {schema}, expected JSON: have the producer or Kafka Connect convert to JSON")
    raise MessageError(
        "unknown kind", f"found {len(value)} bytes beginning {value[:16]!r}, expected frames, DMA transfers and JSON"
    )


def kind_of_value(value: bytes) -> Kind | None:
    """What a message without headers is by its bytes alone: a DMA transfer by its length, text of hits, else None.

    A transfer's run word may begin with any byte: of its 1032 bytes some are no ASCII, as every hit's highest is.
    """
    if len(value) == _DMA_BYTES and not value.isascii():
        return Kind.DMA
    if value[0] == BRACE or is_text(value):
        return Kind.JSON
    return Kind.DMA if len(value) == _DMA_BYTES else None


def dma_words(value: bytes) -> Words:
    """The boards' words of a raw DMA transfer: a run word, then 128 words, or what was left of them at a run's end.

    Raises MessageError for another length.
    """
    n, rest = divmod(len(value), WORD_BYTES)
    if rest or not 1 < n <= DMA_WORDS:
        raise MessageError(
            "truncated value",
            f"found {len(value)} bytes, expected a run word and up to {DMA_WORDS - 1} words of {WORD_BYTES} bytes",
        )
    return np.frombuffer(value, "<u8")[1:]


def dma_value(words: Words, run: Run) -> bytes:
    """A transfer of words (uint64[1..128]), headed by the run's number."""
    return struct.pack("<Q", run.number) + np.ascontiguousarray(words, dtype="<u8").tobytes()


def loose_headers(kind: Kind, run: Run, partitions: int = 0) -> list[tuple[str, bytes]]:
    """What loose hits and DMA transfers of a run have in common; `position_header` comes after."""
    return [
        ("kind", kind.encode()),
        ("version", b"%d" % VERSION),
        ("run-name", run.name.encode()),
        ("run-number", b"%d" % run.number),
        *partitions_header(partitions),
    ]


def partitions_header(partitions: int) -> list[tuple[str, bytes]]:
    """To how many partitions a run is sent, in each of its messages: a gateway that goes on must send it to as many."""
    return [("partitions", b"%d" % partitions)] if partitions else []


def partitions_of(headers: Headers) -> int:
    """To how many partitions a message's run is sent; 0 where it does not say."""
    text = dict(headers).get("partitions") or b""
    return int(text) if text.isdigit() and len(text) <= MOST_DIGITS else 0


def position_header(position: int) -> tuple[str, bytes]:
    """The place in its source of a message's first word, counted in words from 0.

    Within a partition and run it only rises; what is not above the last is a repeat.
    """
    return "position", b"%d" % position


def loose_partition(position: int, partitions: int) -> int:
    """Where loose hits and DMA transfers go: blocks of words scattered, as a producer without keys does it.

    It depends on the position alone, so that a partition's last message tells all that it must have.
    """
    return ((position // BLOCK_WORDS * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 32) % partitions


def loose_place(headers: Headers) -> tuple[Run, int]:
    """Run and position of loose hits or a DMA transfer. Raises MessageError where they are not given."""
    found = dict(headers)
    run = Run(_count(found, "run-number"), (found.get("run-name") or b"").decode("utf-8", "replace"))
    return run, _count(found, "position")
