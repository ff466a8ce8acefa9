"""A model of a Kafka broker, in memory: partitions with offsets, leaders that go away, retention, markers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.deterministic.clock import Clock

Headers = Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class Entry:
    """What has one offset of a partition: a message, or a marker of a transaction, which no reader sees."""

    offset: int
    headers: Headers
    value: bytes | None
    unix_ms: int
    marker: bool = False


@dataclass(slots=True)
class Partition:
    """The log of one partition: `entries` are those from offset `low` on; no leader before the time `leader_at`."""

    entries: list[Entry] = field(default_factory=list)
    low: int = 0
    leader_at: float = 0.0

    @property
    def high(self) -> int:
        """The offset of the next message."""
        return self.low + len(self.entries)


@dataclass(slots=True)
class Batch:
    """Messages of one producer for one partition which the network has, in order."""

    partition: int
    messages: list[tuple[Headers, bytes]]


class Broker:
    """One topic of one cluster, and what the network still has for it."""

    def __init__(self, topic: str, partitions: int, clock: Clock, rng: random.Random) -> None:
        self.topic = topic
        self.clock = clock
        self.random = rng
        self.partitions = [Partition() for _ in range(partitions)]
        self.producers: list[Any] = []
        self.in_flight: list[Batch] = []
        """Sent by producers that are dead by now."""
        self.markers = 0.0
        """How probable a marker of somebody's transaction is behind a message."""

    def led(self, partition: int) -> bool:
        """Whether a partition has a leader now."""
        return self.clock.now >= self.partitions[partition].leader_at

    def append(self, partition: int, headers: Headers, value: bytes | None) -> None:
        """Write a message, and now and then a marker behind it."""
        log = self.partitions[partition]
        now = int(self.clock.time() * 1000)
        log.entries.append(Entry(log.high, headers, value, now))
        if self.markers and self.random.random() < self.markers:
            log.entries.append(Entry(log.high, (), None, now, marker=True))

    def background(self) -> None:
        """What goes on without anybody asking: producers' queues are written, and what the dead have sent arrives."""
        for producer in self.producers:
            producer.deliver()
        if self.in_flight and self.random.random() < 0.2:
            batch = self.random.choice(self.in_flight)
            if self.led(batch.partition):
                self.in_flight.remove(batch)
                for headers, value in batch.messages:
                    self.append(batch.partition, headers, value)

    def settle(self) -> None:
        """Let all arrive that is still in flight."""
        while self.in_flight:
            batch = self.in_flight.pop(0)
            for headers, value in batch.messages:
                self.append(batch.partition, headers, value)

    def delete_before(self, partition: int, offset: int) -> None:
        """Retention: forget what is before an offset."""
        log = self.partitions[partition]
        n = max(min(offset, log.high) - log.low, 0)
        del log.entries[:n]
        log.low += n
