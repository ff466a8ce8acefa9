"""Snapshots that an engine elsewhere publishes to Kafka, the newest first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Final

from muonstream.kafka.client import Connection
from muonstream.kafka.latest import last_messages
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import SnapshotError, decode

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

LOGGER: Final = logging.getLogger(__name__)
POLL_S: Final = 0.25
SAID_AT_ONCE: Final = 5
SAID_AGAIN_S: Final = 60.0
SILENT_S: Final = 10.0
"""A run without messages for this long gives way to another one."""


class SnapshotFilter:
    """Which of a topic's runs to show: the one named, or the newest, which is kept while it goes on."""

    def __init__(self, run: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._named = run
        self._clock = clock
        self._shown: str | None = None
        self._gives_way = False
        self._heard = 0.0

    def wants(self, run: str) -> bool:
        """Whether snapshots of this run are to be shown now."""
        if self._named:
            return run == self._named
        silent = self._clock() - self._heard > SILENT_S
        return self._shown is None or run == self._shown or self._gives_way or silent

    def shown(self, snapshot: Snapshot) -> None:
        """Note which is shown; one that has ended, or has no words yet and so no name, gives way to any other."""
        self._gives_way = snapshot.state == "ended" or not snapshot.account.words
        self._shown, self._heard = snapshot.run, self._clock()


class _Passed:
    """Logs a few lines a minute on messages that are not snapshots, then only their number: the log stays readable."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = -SAID_AGAIN_S
        self._said = self._more = 0

    def __call__(self, line: str) -> None:
        if self._clock() - self._begun >= SAID_AGAIN_S:
            if self._more:
                LOGGER.info("and %s more that are not snapshots: is this a topic of snapshots?", f"{self._more:,}")
            self._begun, self._said, self._more = self._clock(), 0, 0
        if self._said < SAID_AT_ONCE:
            self._said += 1
            LOGGER.info("%s", line)
        else:
            self._more += 1


def follow_snapshots(
    connection: Connection,
    stop: Event,
    *,
    run: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Snapshot | None]:
    """The newest snapshot that the topic holds, at once, then each new one as it comes, until `stop` is set.

    Yields None when there was nothing new for a moment. `run` names the run to show; without it, the newest. A
    message that is not a snapshot is logged and passed over. Raises KafkaAccessError when Kafka refuses us or the topic
    is not there.
    """
    admin = connection.wait(stop=stop)
    if admin is None:
        return
    partitions = connection.partitions(admin)
    consumer = connection.consumer(auto_offset_reset="latest", enable_partition_eof=True)
    tell = _Passed(clock)
    choice = SnapshotFilter(run, clock=clock)
    try:
        _go_to_tail(connection, consumer, partitions, whole=bool(run))
        while not stop.is_set():
            with connection.faults():
                messages = consumer.consume(500, timeout=POLL_S)
            newest = _newest(connection, messages, choice, tell)
            connection.check()
            yield newest
    finally:
        consumer.close()


def _go_to_tail(connection: Connection, consumer: Consumer, partitions: list[int], *, whole: bool) -> None:
    """Begin with each partition's last message, which compaction always keeps, or with the first (`whole`)."""
    from confluent_kafka import KafkaException, TopicPartition

    topic = connection.address.topic
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for partition in partitions:
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=connection.timeout_s)
        except KafkaException as error:
            raise connection.fault(f"{connection.address}: {error.args[0].str()}") from None
        ends[topic, partition] = low, high
    begin = {place: low if whole else high for place, (low, high) in ends.items()}
    if not whole:
        begin |= {place: message.offset() for place, message in last_messages(consumer, ends).items()}
    consumer.assign([TopicPartition(*place, at) for place, at in begin.items()])


def _newest(
    connection: Connection, messages: list[Message], choice: SnapshotFilter, tell: Callable[[str], None]
) -> Snapshot | None:
    """The last snapshot among the messages that the filter wants."""
    found: Snapshot | None = None
    for message in messages:
        value = message.value()
        # errors of the client are raised by `check` or harmless, such as a partition's end; a tombstone is a removed
        # run
        if message.error() is not None or value is None:
            continue
        key = message.key()
        run = key if isinstance(key, str) else (key or b"").decode("utf-8", "replace")
        if not choice.wants(run):
            continue
        try:
            found = decode(value if isinstance(value, bytes) else value.encode())
        except SnapshotError as error:
            tell(f"{connection.address}: partition {message.partition()}, offset {message.offset()}: {error}")
        else:
            choice.shown(found)
    return found
