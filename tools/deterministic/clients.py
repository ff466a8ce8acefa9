"""The client library's Producer, Consumer and AdminClient as this code calls them, on the model of the broker.

Every call is a place where time passes, where others go on, and where its process may die: see `World.call`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from tools.deterministic.broker import Batch, Broker, Entry, Headers

_SPEC: Final[Any] = OffsetSpec  # has no types
QUEUED_MESSAGES: Final = 500
"""A producer refuses more until some are written."""
FETCHED_MESSAGES: Final = 64


class Process(Protocol):
    """A process of the simulation: its calls of the outside go through it."""

    @property
    def broker(self) -> Broker: ...

    def call(self, takes_s: float = 0.0) -> None:
        """Time passes and others go on. Raises Crash when the process dies here, or has died."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or what came in its place."""

    entry: Entry
    at: int
    topic_name: str
    found: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.found

    def offset(self) -> int:
        return self.entry.offset

    def partition(self) -> int:
        return self.at

    def topic(self) -> str:
        return self.topic_name

    def headers(self) -> Any:
        return list(self.entry.headers) or None

    def value(self) -> bytes | None:
        return self.entry.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self.entry.unix_ms

    def __len__(self) -> int:
        return len(self.entry.value or b"")


def no_leader() -> KafkaException:
    """What a client raises for a partition that has no leader for the moment."""
    return KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "leader not available"))


class Producer:
    """An idempotent producer: each partition's messages in order, each once, as long as its process lives."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._broker = process.broker
        self._queue: deque[tuple[int, Headers, bytes, Callable[..., None] | None]] = deque()
        self._broker.producers.append(self)

    def __len__(self) -> int:
        return len(self._queue)

    def produce(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int = 0,
        headers: Headers = (),
        on_delivery: Callable[..., None] | None = None,
    ) -> None:
        self._process.call()
        if len(self._queue) >= QUEUED_MESSAGES:
            raise BufferError("queue full")
        self._queue.append((partition, headers, value, on_delivery))

    def deliver(self, most: int | None = None) -> None:
        """Have the broker write some of the queue; those of partitions without a leader wait."""
        left = self._broker.random.randrange(0, 1 + len(self._queue)) if most is None else most
        waiting: deque[Any] = deque()
        while self._queue and left:
            message = self._queue.popleft()
            if self._broker.led(message[0]):
                self._broker.append(message[0], message[1], message[2])
                left -= 1
            else:
                waiting.append(message)
        self._queue = waiting + self._queue

    def poll(self, timeout: float = 0.0) -> int:
        self._process.call(timeout)
        return 0

    def flush(self, timeout: float = 0.0) -> int:
        self._process.call(timeout)
        return len(self._queue)

    def purge(self) -> None:
        self._queue.clear()

    def die(self) -> None:
        """The process has died: what the network has of each partition, the first of its queue, may still arrive."""
        self._broker.producers.remove(self)
        queue = list(self._queue)
        for partition in range(len(self._broker.partitions)):
            mine = [(headers, value) for p, headers, value, _ in queue if p == partition]
            sent = mine[: self._broker.random.randrange(0, len(mine) + 1)]
            if sent:
                self._broker.in_flight.append(Batch(partition, sent))


class Consumer:
    """Reads what is assigned, in any order of partitions, and tells where one has reached its end."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._broker = process.broker
        self._next: dict[int, int] = {}
        self._ended: set[int] = set()
        self._failed: set[int] = set()
        self._paused: set[int] = set()
        self._known: dict[int, tuple[int, int]] = {}

    def assign(self, places: Iterable[TopicPartition]) -> None:
        self._process.call()
        self._next, self._ended, self._failed, self._paused = {}, set(), set(), set()
        self._add(places)

    def incremental_assign(self, places: Iterable[TopicPartition]) -> None:
        self._process.call()
        self._add(places)

    def _add(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            assert place.offset >= 0, "an offset is always given"
            self._next[place.partition] = place.offset

    def unassign(self) -> None:
        self._next.clear()

    def incremental_unassign(self, places: Iterable[TopicPartition]) -> None:
        self._process.call()
        for place in places:
            if place.partition not in self._next:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG, "not assigned"))
            del self._next[place.partition]
            for state in (self._ended, self._failed, self._paused):
                state.discard(place.partition)

    def pause(self, places: Iterable[TopicPartition]) -> None:
        self._paused |= {place.partition for place in places}

    def resume(self, places: Iterable[TopicPartition]) -> None:
        self._paused -= {place.partition for place in places}

    def poll(self, timeout: float = 0.0) -> None:
        self._process.call(timeout)

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        self._process.call()
        found = self._fetch(num_messages)
        if not found and timeout > 0:
            self._process.call(timeout)
            found = self._fetch(num_messages)
        return found

    def _fetch(self, most: int) -> list[Message]:
        rng, out = self._broker.random, []
        partitions = [p for p in self._next if p not in self._paused and p not in self._failed and self._broker.led(p)]
        rng.shuffle(partitions)
        for partition in partitions:
            log, at = self._broker.partitions[partition], self._next[partition]
            self._known[partition] = log.low, log.high
            if not log.low <= at <= log.high:
                self._failed.add(partition)
                error = KafkaError(KafkaError._AUTO_OFFSET_RESET, "offset out of range")
                out.append(Message(Entry(at, (), None, 0), partition, self._broker.topic, error))
                continue
            several = rng.randrange(1, FETCHED_MESSAGES)
            for entry in log.entries[at - log.low : at - log.low + several]:
                if not entry.marker and len(out) >= most:
                    break
                self._next[partition] = entry.offset + 1
                self._ended.discard(partition)
                if not entry.marker:
                    out.append(Message(entry, partition, self._broker.topic))
            if self._next[partition] == log.high and partition not in self._ended and len(out) < most:
                self._ended.add(partition)
                error = KafkaError(KafkaError._PARTITION_EOF, "end")
                out.append(Message(Entry(log.high, (), None, 0), partition, self._broker.topic, error))
            if len(out) >= most or rng.random() < 0.3:
                break
        return out

    def get_watermark_offsets(
        self, place: TopicPartition, timeout: float = 0.0, cached: bool = False
    ) -> tuple[int, int] | None:
        if cached:
            return self._known.get(place.partition, (-1001, -1001))
        self._process.call()
        if not self._broker.led(place.partition):
            self._process.call(timeout)
            raise no_leader()
        log = self._broker.partitions[place.partition]
        self._known[place.partition] = log.low, log.high
        return log.low, log.high

    def commit(self, **_: Any) -> None:
        """Nothing ever begins from what is committed."""

    def close(self) -> None:
        self._next.clear()


@dataclass(frozen=True, slots=True)
class _Answer:
    offset: int

    def result(self, timeout: float = 0.0) -> _Answer:
        return self


@dataclass(frozen=True, slots=True)
class _Topic:
    partitions: Mapping[int, None]
    error: None = None


@dataclass(frozen=True, slots=True)
class _Cluster:
    topics: Mapping[str, _Topic]
    brokers: tuple[int, ...] = (1,)


class Admin:
    """An administrator's client: which partitions there are, and where they begin and end."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._broker = process.broker

    def poll(self, timeout: float = 0.0) -> int:
        self._process.call(timeout)
        return 0

    def list_topics(self, topic: str | None = None, timeout: float = 0.0) -> _Cluster:
        self._process.call()
        return _Cluster({self._broker.topic: _Topic(dict.fromkeys(range(len(self._broker.partitions))))})

    def list_offsets(self, asked: Mapping[TopicPartition, Any], **_: Any) -> dict[TopicPartition, _Answer]:
        self._process.call()
        if not all(self._broker.led(place.partition) for place in asked):
            raise no_leader()
        answers = {}
        for place, spec in asked.items():
            log = self._broker.partitions[place.partition]
            earliest = isinstance(spec, type(_SPEC.earliest()))
            answers[place] = _Answer(log.low if earliest else log.high)
        return answers


class SimulatedConnection(Connection):
    """A connection whose clients are those above."""

    def __init__(self, process: Process) -> None:
        super().__init__(KafkaAddress("simulated:9092", process.broker.topic))
        self._process = process

    def consumer(self, **overrides: Any) -> Any:
        return Consumer(self._process)

    def producer(self, **overrides: Any) -> Any:
        return Producer(self._process)

    def admin(self) -> Any:
        return Admin(self._process)
