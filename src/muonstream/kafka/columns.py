"""Messages as columns: a record batch of Kafka messages, read in place, and the words they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.hits_json import KEYS, scan_objects
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.grouping import LooseHeaders, Message
from muonstream.kafka.messages import BRACE, Kind
from muonstream.words import DMA_WORDS, WORD_BYTES, Words

COLUMNS: Final = ("partition", "offset", "value", "headers")
"""The columns of a batch, in their order; headers are a list of structures of key and value."""
_DMA_BYTES: Final = DMA_WORDS * WORD_BYTES


class Binary:
    """A column of texts or bytes: `data` (uint8) and where each begins, `starts` (int64[n + 1])."""

    def __init__(self, array: Any) -> None:
        """array: an Arrow array of strings or binaries."""
        _, starts, data = array.buffers()
        width = np.int64 if str(array.type).startswith("large") else np.int32
        n = len(array)
        self.starts = np.zeros(n + 1, np.int64)
        if n:
            self.starts[:] = np.frombuffer(starts, width)[array.offset : array.offset + n + 1]
        self.data = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
        self._nulls = np.asarray(array.is_null()) if array.null_count else None

    def __getitem__(self, index: int) -> bytes | None:
        if self._nulls is not None and self._nulls[index]:
            return None
        return self.data[self.starts[index] : self.starts[index + 1]].tobytes()

    def view(self, index: int) -> memoryview | None:
        """The same without copying."""
        if self._nulls is not None and self._nulls[index]:
            return None
        return self.data[self.starts[index] : self.starts[index + 1]].data


class Rows:
    """A record batch, its columns as arrays of numpy."""

    def __init__(self, batch: Any) -> None:
        """batch: of pyarrow, with the columns `COLUMNS`."""
        partitions, offsets, values, headers = (batch.column(name) for name in COLUMNS)
        self.partitions: NDArray[np.int64] = np.asarray(partitions).astype(np.int64)
        self.offsets: NDArray[np.int64] = np.asarray(offsets).astype(np.int64)
        self.values = Binary(values)
        n = len(headers)
        starts = np.frombuffer(headers.buffers()[1], np.int32)[headers.offset :] if n else np.zeros(1, np.int32)
        self.header_starts: NDArray[np.int64] = starts[: n + 1].astype(np.int64)
        self.keys = Binary(headers.values.field("key"))
        self.texts = Binary(headers.values.field("value"))
        self._names: dict[bytes, str] = {}

    def headers(self, index: int) -> list[tuple[str, bytes | None]] | None:
        """A message's headers as the client library gives them."""
        names, found = self._names, []
        for at in range(int(self.header_starts[index]), int(self.header_starts[index + 1])):
            key = self.keys[at] or b""
            name = names.get(key)
            if name is None:
                name = names.setdefault(key, key.decode("utf-8", "replace"))
            found.append((name, self.texts[at]))
        return found or None

    def stretches(self) -> Iterator[tuple[int, Stretch]]:
        """Messages of one partition that follow one another, and which it is."""
        edges = np.flatnonzero(np.diff(self.partitions, prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            yield int(self.partitions[first]), Stretch(self, first, last)


class Row:
    """One message of a batch."""

    __slots__ = ("_index", "_rows")

    def __init__(self, rows: Rows, index: int) -> None:
        self._rows = rows
        self._index = index

    def offset(self) -> int:
        return int(self._rows.offsets[self._index])

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._rows.headers(self._index)

    def value(self) -> bytes | None:
        return self._rows.values[self._index]

    def view(self) -> memoryview | None:
        """The value, as a view."""
        return self._rows.values.view(self._index)


class Stretch(Sequence[Message]):
    """Messages first to last - 1 of a batch."""

    def __init__(self, rows: Rows, first: int, last: int) -> None:
        self.rows = rows
        self.first = first
        self.last = last

    def __len__(self) -> int:
        return self.last - self.first

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Stretch: ...

    def __getitem__(self, index: int | slice) -> Row | Stretch:
        if isinstance(index, slice):
            first, last, _ = index.indices(len(self))
            return Stretch(self.rows, self.first + first, self.first + max(first, last))
        at = range(self.first, self.last)[index]
        return Row(self.rows, at)

    def after(self, offset: int) -> Stretch:
        """Those from an offset on."""
        offsets = self.rows.offsets[self.first : self.last]
        return self[int(np.searchsorted(offsets, offset)) :]

    @property
    def bare(self) -> NDArray[np.bool_]:
        """Which of them have no headers and look like JSON objects, bool[n]."""
        rows = self.rows
        headers = np.diff(rows.header_starts[self.first : self.last + 1])
        starts, sizes = (
            rows.values.starts[self.first : self.last],
            np.diff(rows.values.starts[self.first : self.last + 1]),
        )
        there = sizes > 0
        begins = np.zeros(len(self), np.uint8)
        begins[there] = rows.values.data[starts[there]]
        bare: NDArray[np.bool_] = (headers == 0) & (begins == BRACE) & (sizes < _DMA_BYTES)
        return bare

    def words(self, unusual: NDArray[np.int64]) -> Words:
        """Their values scanned as JSON objects: see `scan_objects`."""
        starts = self.rows.values.starts[self.first : self.last + 1]
        words = np.empty(len(self), np.uint64)
        n = scan_objects(self.rows.values.data, starts[:-1], starts[1:], KEYS, words, unusual)
        return words[:n]


class ColumnDeliveries(Deliveries):
    """Deliveries whose messages are stretches of columns: loose JSON is scanned where it lies."""

    def _groups(self, messages: Sequence[Message]) -> Iterator[tuple[LooseHeaders, int, NDArray[np.int64]]]:
        if not isinstance(messages, Stretch) or not len(messages):
            yield from super()._groups(messages)
            return
        bare = messages.bare
        edges = np.flatnonzero(np.diff(bare, prepend=not bare[0], append=not bare[-1])).tolist()
        for first, last in pairwise(edges):
            if bare[first]:
                yield LooseHeaders(Kind.JSON), first, np.full(last - first, -1, np.int64)
                continue
            for mark, begin, positions in super()._groups(messages[first:last]):
                yield mark, first + begin, positions

    def _value_of_frame(self, message: Message) -> bytes | memoryview | None:
        return message.view() if isinstance(message, Row) else super()._value_of_frame(message)

    def _scan(self, messages: Sequence[Message], unusual: NDArray[np.int64]) -> Words:
        return messages.words(unusual) if isinstance(messages, Stretch) else super()._scan(messages, unusual)
