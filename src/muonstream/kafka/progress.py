"""The tails of a topic's partitions: how much of a run its restarted gateway has already sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from muonstream.kafka.client import Connection
from muonstream.kafka.messages import (
    EndMessage,
    FrameMessage,
    Headers,
    Kind,
    MessageError,
    kind_of,
    loose_place,
    partitions_of,
)
from muonstream.kafka.patience import Patience
from muonstream.sources.identity import Run

if TYPE_CHECKING:
    from confluent_kafka import Consumer

LOOK_BACK_MESSAGES: Final = 1 << 14
LOOK_BACK_BYTES: Final = 4 << 20
"""How far back in a partition a run is looked for, whichever comes first; it can be further only if others wrote."""
GROWTH: Final = 16
SLICE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class SentSoFar:
    """The last that a partition has of a run.

    order: (key, part) of a frame, (position, 0) of loose hits or a DMA transfer, (-1, 0) of nothing
    position: words of the source that were read when it was sent
    kind: of what was sent, None if nothing was; ended: the run's end has been told there
    value: of the last message; words: all that the gateway had read at the run's end, None before
    partitions: to how many the run was sent, 0 where that is not known
    """

    order: tuple[int, int] = (-1, 0)
    position: int = 0
    kind: Kind | None = None
    ended: bool = False
    value: bytes = field(default=b"", repr=False)
    words: int | None = None
    partitions: int = 0

    def after(self, headers: Headers, value: bytes | None, run: Run) -> SentSoFar:
        """The tail after this message; messages of other runs, and broken ones, change nothing."""
        try:
            kind = kind_of(headers, value)
            if kind is Kind.END:
                end = EndMessage.decode(headers, value)
                if end.run != run:
                    return self
                return replace(self, ended=True, words=end.words, partitions=end.partitions or self.partitions)
            if kind is Kind.FRAME:
                frame = FrameMessage.decode(headers, value)
                found, order, position = frame.run, frame.order, frame.position
            else:
                found, position = loose_place(headers)
                order = (position, 0)
        except MessageError:
            return self
        if found != run or order <= self.order:
            return self
        position = max(position, self.position)
        sent_to = partitions_of(headers) or self.partitions
        return replace(self, order=order, position=position, kind=kind, value=bytes(value or b""), partitions=sent_to)


@dataclass(slots=True)
class _Search:
    """One partition while it is looked through backwards: offsets low to high - 1 are there, read from begin on."""

    low: int
    high: int
    begin: int = 0
    size: int = 0
    done: bool = False
    tail: SentSoFar = SentSoFar()


def read_tails(connection: Connection, partitions: Sequence[int], run: Run) -> list[SentSoFar]:
    """The tail of each partition of the address' topic for a run. Raises KafkaAccessError."""
    consumer = connection.consumer(enable_partition_eof=True, fetch_message_max_bytes=4 << 20)
    try:
        searches = _searches(connection, consumer, partitions)
        pending = {p: search for p, search in searches.items() if search.high > search.low}
        span = 1
        while pending:
            for search in pending.values():
                search.begin, search.size, search.done, search.tail = (
                    max(search.low, search.high - span),
                    0,
                    False,
                    SentSoFar(),
                )
            _read(connection, consumer, pending, run)
            pending = {
                p: search
                for p, search in pending.items()
                # an end alone does not say in which form the run was sent
                if search.tail.kind is None
                and search.begin > search.low
                and span < LOOK_BACK_MESSAGES
                and search.size < LOOK_BACK_BYTES
            }
            span *= GROWTH
        return [searches[p].tail for p in partitions]
    finally:
        consumer.close()


def end_offsets(connection: Connection, partitions: Sequence[int]) -> tuple[int, ...]:
    """The offset of the next message of each partition. Raises KafkaAccessError."""
    consumer = connection.consumer()
    try:
        searches = _searches(connection, consumer, partitions)
        return tuple(searches[p].high for p in partitions)
    finally:
        consumer.close()


def _searches(connection: Connection, consumer: Consumer, partitions: Sequence[int]) -> dict[int, _Search]:
    from confluent_kafka import KafkaException, TopicPartition

    found: dict[int, _Search] = {}
    patience = Patience(connection.timeout_s)
    for partition in partitions:
        while partition not in found:
            try:
                at = TopicPartition(connection.address.topic, partition)
                found[partition] = _Search(*consumer.get_watermark_offsets(at, timeout=5.0))
            except KafkaException as error:
                # partitions of a broker that has just come back have no leader for a moment
                connection.check()
                if patience.over():
                    raise connection.fault(f"{connection.address}: {error.args[0].str()}") from None
                consumer.poll(0.1)
    return found


def _read(connection: Connection, consumer: Consumer, pending: dict[int, _Search], run: Run) -> None:
    """Read each partition from where its search begins to its end."""
    from confluent_kafka import TopicPartition

    topic = connection.address.topic
    consumer.assign([TopicPartition(topic, p, search.begin) for p, search in pending.items()])
    for message in _messages(connection, consumer, pending):
        search = pending[message.partition()]
        value = message.value()
        search.tail = search.tail.after(message.headers() or (), value, run)
        search.size += len(value or b"")
        search.done |= message.offset() >= search.high - 1


def _messages(connection: Connection, consumer: Consumer, pending: dict[Any, _Search]) -> Iterator[Any]:
    from confluent_kafka import KafkaError

    patience = Patience(connection.timeout_s)
    latest = "nothing could be read"
    while not all(search.done for search in pending.values()):
        with connection.faults():
            # asked for more than there are, the client would wait for the whole slice
            found = consumer.consume(1, timeout=SLICE_S)
            found += consumer.consume(1000, timeout=0) if found else []
        for message in found:
            error = message.error()
            if error is None:
                patience = Patience(connection.timeout_s)
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                pending[message.partition()].done = True
            else:
                latest = error.str()
        connection.check()
        if patience.over():
            raise connection.fault(f"{connection.address}: {latest} in {connection.timeout_s:g} s")
