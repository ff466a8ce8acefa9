"""Headers of messages of loose words, and long rows of messages with like headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from muonstream.kafka.messages import BLOCK_WORDS, BRACE, VERSION, Kind, kind_of_value
from muonstream.sources.identity import MOST_DIGITS, Run
from muonstream.words import DMA_WORDS, WORD_BYTES

FRAME_HEADER: Final = ("kind", b"frame")
_SHORTER: Final = DMA_WORDS * WORD_BYTES
"""Shorter messages are no DMA transfers."""
VERSION_HEADER: Final = b"%d" % VERSION


class Message(Protocol):
    """A message as the client library gives it. Reading its headers is expensive."""

    def offset(self) -> int: ...

    def headers(self) -> Any: ...

    def value(self) -> Any: ...


class LooseHeaders(NamedTuple):
    """The headers of loose words: kind (None: to be examined more closely), run, and place."""

    kind: Kind | None
    number: bytes = b""
    name: bytes = b""
    position: int = -1

    @property
    def run(self) -> Run | None:
        """The run, if it is given."""
        return Run(int(self.number), self.name.decode("utf-8", "replace")) if self.number else None


def _mark(message: Message) -> LooseHeaders:
    headers = message.headers()
    if headers:
        if headers[0] == FRAME_HEADER:
            return LooseHeaders(None)
        found = dict(headers)
        kind = found.get("kind")
        if kind is not None:
            if (kind == b"json" or kind == b"dma") and found.get("version") == VERSION_HEADER:
                # Kafka allows headers without a value
                number, name = found.get("run-number") or b"", found.get("run-name", b"")
                if number.isdigit() and len(number) <= MOST_DIGITS and name is not None:
                    place = found.get("position") or b""
                    position = int(place) if place.isdigit() and len(place) <= MOST_DIGITS else -1
                    return LooseHeaders(Kind.JSON if kind == b"json" else Kind.DMA, number, name, position)
            return LooseHeaders(None)
    value = message.value()
    return LooseHeaders(kind_of_value(value)) if value else LooseHeaders(None)


_BARE: Final = LooseHeaders(Kind.JSON)


def _is_bare(message: Message) -> bool:
    """Whether it is text of hits without headers, which is cheap to find out."""
    if message.headers():
        return False
    value = message.value()
    if not value:
        return False
    return (value[0] == BRACE and len(value) < _SHORTER) or kind_of_value(value) is Kind.JSON


def groups(messages: Sequence[Message]) -> Iterator[tuple[LooseHeaders, int, NDArray[np.int64]]]:
    """Messages of one kind and run that follow one another: the first's mark and index, and all positions.

    Loose hits are sent in blocks, each the next word: where two of a block are as far apart in the source as they are
    here, so are those between, and their headers are not asked for. Blocks go to any partition: nothing is taken for
    granted from one to the next.
    """
    group: list[NDArray[np.int64]] = []
    begin, mark = 0, LooseHeaders(None)
    for first, last, found in _stretches(messages):
        if group and found[:3] != mark[:3]:
            yield mark, begin, np.concatenate(group)
            group = []
        if not group:
            begin, mark = first, found
        n = last - first + 1
        group.append(np.arange(found.position, found.position + n) if found.position >= 0 else np.full(n, -1))
    if group:
        yield mark, begin, np.concatenate(group)


def _stretches(messages: Sequence[Message]) -> Iterator[tuple[int, int, LooseHeaders]]:
    """First and last index of stretches of messages that follow one another in their source, with the first's mark."""
    first, reach = 0, BLOCK_WORDS
    while first < len(messages):
        begin, last = _mark(messages[first]), first
        if begin.kind is Kind.JSON and begin.position >= 0:
            left = BLOCK_WORDS - begin.position % BLOCK_WORDS
            n = tried = min(reach, left, len(messages) - first)
            while n > 1 and not _follows(begin, n - 1, _mark(messages[first + n - 1])):
                n //= 2
            # where the rows are short, longer ones are not tried each time
            reach = n if n < tried else min(2 * n, BLOCK_WORDS)
            last = first + n - 1
        elif begin == _BARE:
            while last + 1 < len(messages) and _is_bare(messages[last + 1]):
                last += 1
        yield first, last, begin
        first = last + 1


def _follows(begin: LooseHeaders, after: int, mark: LooseHeaders) -> bool:
    """Whether a mark is that of the word so many after another's."""
    return mark[:3] == begin[:3] and mark.position - begin.position == after
