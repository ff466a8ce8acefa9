"""A Kafka topic as a source: its partitions read in batches, from offsets that we keep ourselves."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any, Final, Self

from muonstream.formats.block import SourceError
from muonstream.kafka.client import ASK_S, Connection, client_library
from muonstream.kafka.grouping import Message
from muonstream.kafka.latest import last_messages, newest_run
from muonstream.kafka.patience import Patience
from muonstream.sources.identity import MOST_DIGITS, Run

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

BATCH_MESSAGES: Final = 20_000
BATCH_BYTES: Final = 1 << 24
RECONSTRUCTED_BYTES: Final = 1 << 20
"""Of a batch whose words are reconstructed: Ctrl-C is seen between batches."""
POLL_S: Final = 0.1
SHORT_S: Final = 0.005
"""How long to wait for a batch to fill up."""
ASK_TIMEOUT_S: Final = 10.0
TELL_EVERY_S: Final = 5.0
COLLECT_AFTER: Final = (200_000, 50, 1000)
"""Python's thresholds of its cyclic garbage collector while messages are read."""
NEW_PARTITIONS_S: Final = 10.0
"""Time between two looks for new partitions."""
CONFIG: Final[Mapping[str, Any]] = {
    # the end of a partition may be a commit marker, which is not a message: the client alone knows that it was reached
    "enable_partition_eof": True,
    "fetch_wait_max_ms": 50,
    "fetch_queue_backoff_ms": 5,
    "fetch_message_max_bytes": 4 << 20,
    "fetch_max_bytes": 64 << 20,
    "receive_message_max_bytes": 80 << 20,
    "queued_min_messages": 500_000,
    "queued_max_messages_kbytes": 128 << 10,
    "check_crcs": True,
}


@dataclass(frozen=True, slots=True)
class Begin:
    """Where reading begins without a stored offset, and where it continues after deleted messages.

    word: earliest or latest, "" when nothing was asked for; offsets: by partition, for the first start alone
    """

    word: str = ""
    offsets: Mapping[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `--from`: earliest, latest, or offsets such as ``0:1500,1:1498``. Raises SourceError."""
        if text in ("", "earliest", "latest"):
            return cls(text)
        offsets: dict[int, int] = {}
        for pair in text.split(","):
            partition, _, offset = pair.partition(":")
            numbers = all(one.isdecimal() and len(one) <= MOST_DIGITS for one in (partition, offset))
            if not numbers or int(partition) in offsets:
                raise SourceError(
                    f"--from: found {text!r}, expected earliest, latest, or PARTITION:OFFSET,… such as 0:1500,1:1498"
                )
            offsets[int(partition)] = int(offset)
        return cls("offsets", offsets)


class TopicReader:
    """Reads all partitions of a topic in batches. `next` has the first offset not yet given of each.

    A deleted offset is an error, unless `begin` says where to continue; the lost offsets are passed to `on_lost`
    (partition, from, to), which the engine sets. Messages come in order in each partition.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        begin: Begin | None = None,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        """batch_bytes: what a batch has about, once the size of messages is known."""
        self.connection = connection
        self.topic = connection.address.topic
        self.begin = begin or Begin()
        self.next: dict[int, int] = {}
        self.newest_to: dict[int, int] = {}
        self.on_lost: Callable[[int, int, int], None] = lambda partition, first, last: None
        self._library = client_library()
        self._consumer: Consumer | None = None
        self._admin: Any = None
        self._paused: frozenset[int] = frozenset()
        self._stopped: set[int] = set()
        self._errors: list[tuple[Any, Any]] = []
        """the errors in the last batch"""
        self._unanswered: dict[int, Patience] = {}
        """partitions whose next offset is gone, and whose first is not yet known"""
        self._looked = time.monotonic()
        self._most = 256
        self._batch_bytes = batch_bytes
        self._thresholds: tuple[int, int, int] | None = None
        self._told: dict[int, int] = {}
        self._tell_due = 0.0

    def open(self, stop: Event) -> bool:
        """Connect; say whether the topic is there and reading can begin (not when `stop` was set first).

        Raises KafkaAccessError when there is no broker, no access or no topic.
        """
        self._admin = self.connection.wait(stop=stop)
        if self._admin is None:
            return False
        self.partitions = self.connection.partitions(self._admin)
        self._consumer = self.connection.consumer(**CONFIG)
        self._collect_seldom()
        return True

    def _collect_seldom(self) -> None:
        """Have Python's garbage collector run rarely: messages make no cycles, but each counts towards its threshold,
        and collecting would take half of the time of reading loose hits. Present objects are never searched again.
        """
        self._thresholds = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)

    def close(self) -> None:
        """Close; the offsets read are committed if Kafka answers."""
        if self._thresholds is not None:
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()
            self._thresholds = None
        if self._consumer is not None:
            if self._told != self.next and self.connection.reachable():
                self._tell(wait=True)
            self._consumer.close()
            self._consumer = None

    def _tell(self, *, wait: bool = False) -> None:
        """Commit the offsets read, for Kafka's own tools and `topics list`; muonstream never starts from them."""
        self._tell_due = time.monotonic() + TELL_EVERY_S
        if self._told == self.next:
            return
        self._told = dict(self.next)
        with contextlib.suppress(self._library.KafkaException):  # committing may not be allowed
            self.consumer.commit(offsets=[self._at(p, at) for p, at in self._told.items()], asynchronous=not wait)

    @property
    def consumer(self) -> Any:
        """The client, while it is open."""
        assert self._consumer is not None
        return self._consumer

    def _at(self, partition: int, offset: int = -1001) -> TopicPartition:
        at: TopicPartition = self._library.TopicPartition(self.topic, partition, offset)
        return at

    def watermarks(self, partition: int, timeout_s: float = ASK_TIMEOUT_S) -> tuple[int, int]:
        """The oldest offset that is kept and the next that will be written, as the broker says now.

        Raises SourceError when it does not answer.
        """
        try:
            found = self.consumer.get_watermark_offsets(self._at(partition), timeout=timeout_s, cached=False)
        except self._library.KafkaException as error:
            raise SourceError(f"{self.connection.address}: partition {partition}: {error.args[0].str()}") from None
        if found is None:
            raise SourceError(f"{self.connection.address}: partition {partition}: the broker does not answer")
        return int(found[0]), int(found[1])

    def start(self, stored: Mapping[int, int], ended: Iterable[int] = ()) -> None:
        """Begin to read: from stored offsets, elsewhere as `begin` says; its offsets are for the first time alone.

        Partitions that have ended are not read, and keep their stored offset, even one that is gone by now. Raises
        SourceError for another that is gone.
        """
        self._stopped = set(ended)
        self._paused = frozenset()
        self._errors, self._unanswered = [], {}
        ends = self._watermarks_at_first()
        if unknown := sorted(set(self.begin.offsets or ()) - set(self.partitions)):
            raise SourceError(
                f"--from: found partition {unknown[0]}, expected the topic's: {min(self.partitions)} to "
                f"{max(self.partitions)}"
            )
        for partition in self.partitions:
            at = stored.get(partition)
            if at is None or partition not in self._stopped:
                at = self._first(partition, at, ends[partition])
            self.next[partition] = at
        self.begin = replace(self.begin, offsets=None)
        self.consumer.assign([self._at(p, self.next[p]) for p in self.partitions if p not in self._stopped])

    def _watermarks_at_first(self) -> dict[int, tuple[int, int]]:
        """The watermarks; partitions of a new topic, or of a broker just back, have no leader for a moment."""
        patience = Patience(self.connection.timeout_s)
        while True:
            try:
                return self.all_watermarks()
            except SourceError:
                self.connection.check()
                if patience.over():
                    raise
                time.sleep(POLL_S)

    def all_watermarks(self) -> dict[int, tuple[int, int]]:
        """The watermarks of all partitions, asked for together. Raises SourceError."""
        spec = self._library.admin.OffsetSpec
        committed = self._library.IsolationLevel.READ_COMMITTED
        found: dict[int, list[int]] = {p: [] for p in self.partitions}
        try:
            for which in (spec.earliest(), spec.latest()):
                asked = self._admin.list_offsets(
                    {self._at(p): which for p in self.partitions},
                    request_timeout=ASK_TIMEOUT_S,
                    isolation_level=committed,
                )
                for at, future in asked.items():
                    found[at.partition].append(int(future.result(ASK_TIMEOUT_S).offset))
        except self._library.KafkaException as error:
            raise SourceError(f"{self.connection.address}: {error.args[0].str()}") from None
        except TimeoutError:
            raise SourceError(f"{self.connection.address}: the broker does not answer") from None
        return {p: (low, high) for p, (low, high) in found.items()}

    def _first(self, partition: int, stored: int | None, ends: tuple[int, int]) -> int:
        low, high = ends
        begin = self.begin
        if begin.offsets is not None and partition in begin.offsets:
            wanted = begin.offsets[partition]
            if not low <= wanted <= high:
                raise self._gone(partition, wanted, low, high)
            if stored is not None and wanted < stored:
                raise SourceError(
                    f"--from: partition {partition}: found {wanted}, but what is before {stored} is counted in the "
                    "store; go on from there, or begin a new store"
                )
        elif stored is not None and low <= stored <= high:
            return stored
        elif begin.word == "latest":
            wanted = high
        elif stored is None:
            return low
        elif begin.word == "earliest" and stored < low:
            wanted = low
        else:
            raise self._gone(partition, stored, low, high)
        if stored is not None and wanted > stored:
            self.on_lost(partition, stored, wanted)
        return wanted

    def _gone(self, partition: int, wanted: int, low: int, high: int) -> SourceError:
        if wanted > high:
            why = f"the topic ends at {high}; if it was deleted and created again, use a new --store"
        else:
            why = (
                f"no longer retained, the oldest is {low}: {low - wanted} messages are lost; "
                "to go on without them: --from earliest (or latest, or PARTITION:OFFSET,…)"
            )
        return SourceError(f"{self.connection.address}: partition {partition}: offset {wanted}: {why}")

    def read(self, timeout_s: float = POLL_S) -> dict[int, list[Message]]:
        """The next messages of each partition, as many as are there; nothing when none come in the time given.

        What is lost between two batches is told before the second. Raises SourceError when an offset is gone,
        KafkaAccessError when the broker refuses us.
        """
        self.connection.check()
        if time.monotonic() >= self._tell_due:
            self._tell()
        errors, self._errors = self._errors, []
        for message, error in errors:
            self._take_error(message, error)
        with self.connection.faults():
            found: list[Any] = self.consumer.consume(self._most, SHORT_S)
            if not found:
                found = self.consumer.consume(1, timeout_s)
                found += self.consumer.consume(self._most, 0) if found else []
        batch: dict[int, list[Message]] = {}
        size = n = 0
        reached: dict[int, int] = {}
        for message in found:
            error = message.error()
            if error is None:
                size += len(message)
                n += 1
                batch.setdefault(message.partition(), []).append(message)
            elif error.code() == self._library.KafkaError._PARTITION_EOF:
                reached[message.partition()] = message.offset()
            else:
                self._errors.append((message, error))
        for partition, messages in batch.items():
            self.next[partition] = messages[-1].offset() + 1
        for partition, offset in reached.items():
            if partition not in self._stopped:
                self.next[partition] = max(self.next[partition], offset)
        if n:
            self._most = min(max(self._batch_bytes * n // max(size, 1), 2), BATCH_MESSAGES)
        return batch

    def _take_error(self, message: Any, error: Any) -> None:
        codes = self._library.KafkaError
        if error.code() in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE):
            partition = message.partition()
            if partition in self._stopped:
                return
            try:
                ends = self.watermarks(partition, ASK_S)
            except SourceError:
                # it has no leader for a moment: the other partitions are read meanwhile
                if self._unanswered.setdefault(partition, Patience(self.connection.timeout_s)).over():
                    raise
                self._errors.append((message, error))
                return
            self._unanswered.pop(partition, None)
            first = self._first(partition, self.next[partition], ends)
            self.next[partition] = first
            # the client has given the partition up, and would refuse a mere seek
            self.consumer.incremental_unassign([self._at(partition)])
            self.consumer.incremental_assign([self._at(partition, first)])
            self._paused -= {partition}
        elif error.fatal() or error.code() in (codes.UNKNOWN_TOPIC_OR_PART, codes.TOPIC_AUTHORIZATION_FAILED):
            raise SourceError(f"{self.connection.address}: {error.str()}")

    def caught_up(self, partition: int) -> bool:
        """Whether, as far as the last answer of the broker says, nothing waits to be read; `confirm` asks again."""
        _, high = self._cached(partition)
        return 0 <= high <= self.next[partition]

    def confirm(self, partition: int) -> bool:
        """Whether nothing waits to be read at this moment, as the broker says when asked."""
        try:
            return self.watermarks(partition, 0.5)[1] <= self.next[partition]
        except SourceError:
            return False

    def _cached(self, partition: int) -> tuple[int, int]:
        with contextlib.suppress(self._library.KafkaException):
            found = self.consumer.get_watermark_offsets(self._at(partition), cached=True)
            if found is not None:
                return int(found[0]), int(found[1])
        return -1, -1

    @property
    def lag(self) -> int:
        """Messages that wait to be read, as far as the broker's answers have told."""
        return sum(max(self._cached(p)[1] - self.next[p], 0) for p in self.partitions if p not in self._stopped)

    def pause(self, partitions: Iterable[int]) -> None:
        """Pause these partitions, and read all others."""
        wanted = frozenset(partitions) - self._stopped
        if wanted != self._paused:
            self.consumer.pause([self._at(p) for p in wanted - self._paused])
            # a resumed partition continues where reading stopped
            self.consumer.resume([self._at(p) for p in self._paused - wanted])
            self._paused = wanted

    @property
    def paused(self) -> frozenset[int]:
        """The partitions that are not read for now."""
        return self._paused

    def stop_at(self, partition: int, offset: int) -> None:
        """Read no more of a partition, until `start`; its next message is the one at the offset."""
        self.next[partition] = offset
        self._stopped.add(partition)
        self._paused -= {partition}
        self.consumer.incremental_unassign([self._at(partition)])

    def new_partitions(self) -> list[int]:
        """Partitions that the topic has got since, which are read from now on; looked for now and then only."""
        if time.monotonic() < self._looked + NEW_PARTITIONS_S:
            return []
        return self.look()

    def look(self) -> list[int]:
        """The same at once."""
        self._looked = time.monotonic()
        new = sorted(self._there() - set(self.partitions))
        if new:
            self.partitions = sorted({*self.partitions, *new})
            self._begin_new(new)
        return new

    def _there(self) -> set[int]:
        """The topic's partitions as the broker says now, which the client knows from then on; none if it is silent."""
        try:
            topics = self._admin.list_topics(self.topic, timeout=1.0).topics
        except self._library.KafkaException:
            return set()
        return set(topics[self.topic].partitions) if self.topic in topics else set()

    def _begin_new(self, partitions: Iterable[int]) -> None:
        """Read these partitions, too, from their beginning."""
        for partition in partitions:
            self.next[partition] = 0
        self.consumer.incremental_assign([self._at(p, 0) for p in partitions])

    def newest_run(self) -> Run | None:
        """The run of the message written last, None where none says; `newest_to` is how far it was looked for."""
        ends = {(self.topic, partition): found for partition, found in self._watermarks_at_first().items()}
        self.newest_to = {partition: end for (_, partition), (_, end) in ends.items()}
        return newest_run(last_messages(self.consumer, ends).values())
