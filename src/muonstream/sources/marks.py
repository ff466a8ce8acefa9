"""What messages of loose words say of themselves, and long rows of them that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from muonstream.messages import DMA_WORDS, VERSION, WORD_BYTES, Kind, Run

FRAME_HEADER: Final = ("kind", b"frame")
VERSION_HEADER: Final = b"%d" % VERSION
_BRACE: Final = 123


class Message(Protocol):
    """A message as the client library has it. Its headers are expensive to ask for."""

    def offset(self) -> int: ...

    def headers(self) -> Any: ...

    def value(self) -> Any: ...


class Mark(NamedTuple):
    """What a message's headers say of loose words: their kind (None: look at it more closely), run, and place."""

    kind: Kind | None
    number: bytes = b""
    name: bytes = b""
    position: int = -1

    @property
    def run(self) -> Run | None:
        """The run, where it is said."""
        return Run(int(self.number), self.name.decode("utf-8", "replace")) if self.number else None


def _mark(message: Message) -> Mark:
    headers = message.headers()
    if headers:
        if headers[0] == FRAME_HEADER:
            return Mark(None)
        found = dict(headers)
        kind = found.get("kind")
        if kind is not None:
            if (kind == b"json" or kind == b"dma") and found.get("version") == VERSION_HEADER:
                number, place = found.get("run-number", b""), found.get("position", b"")
                if number.isdigit():
                    position = int(place) if place.isdigit() and len(place) < 19 else -1
                    return Mark(
                        Kind.JSON if kind == b"json" else Kind.DMA, number, found.get("run-name", b""), position
                    )
            return Mark(None)
    value = message.value()
    if value:
        if value[0] == _BRACE:
            return Mark(Kind.JSON)
        if len(value) == DMA_WORDS * WORD_BYTES:
            return Mark(Kind.DMA)
    return Mark(None)


_BARE: Final = Mark(Kind.JSON)


def _is_bare(message: Message) -> bool:
    """Whether it is a loose hit without headers, for which asking is cheap."""
    return not message.headers() and (message.value() or b" ")[0] == _BRACE


def groups(messages: Sequence[Message]) -> Iterator[tuple[Mark, int, NDArray[np.int64]]]:
    """Messages of one kind and run that follow one another: the first's mark and index, and all positions.

    Loose hits are sent in long rows, each the next word: where the first and the last of a stretch are as far apart in
    the source as they are here, so are those between, and their headers are not asked for.
    """
    group: list[NDArray[np.int64]] = []
    begin, mark = 0, Mark(None)
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


def _stretches(messages: Sequence[Message]) -> Iterator[tuple[int, int, Mark]]:
    """First and last index of stretches of messages that follow one another in their source, with the first's mark."""
    if not messages:
        return
    waiting = [(0, len(messages) - 1, _mark(messages[0]), _mark(messages[-1]))]
    while waiting:
        first, last, begin, end = waiting.pop()
        same = begin.kind is Kind.JSON and begin[:3] == end[:3] and begin.position >= 0
        if first == last or (same and end.position - begin.position == last - first):
            yield first, last, begin
        elif begin.kind is Kind.JSON and begin.position >= 0:
            middle = (first + last) // 2
            left = begin if middle == first else _mark(messages[middle])
            right = end if middle + 1 == last else _mark(messages[middle + 1])
            waiting += [(middle + 1, last, right, end), (first, middle, begin, left)]
        elif begin == _BARE:
            after = first + 1
            while after <= last and _is_bare(messages[after]):
                after += 1
            yield first, after - 1, begin
            if after <= last:
                waiting.append((after, last, end if after == last else _mark(messages[after]), end))
        else:
            yield first, first, begin
            following = end if first + 1 == last else _mark(messages[first + 1])
            waiting.append((first + 1, last, following, end))
