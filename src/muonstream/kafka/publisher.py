"""Publishes a run to Kafka: the course's results, one object an interval, and its newest snapshot.

Nothing here waits for the broker while the run goes on: what is sent is delivered in the background, in order and once,
however long the broker is away, and what could not be delivered is named.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from muonstream.counting.catalogue import Catalogue
from muonstream.kafka.client import Connection, client_library
from muonstream.run.intervals import Interval
from muonstream.run.monitor import Snapshot
from muonstream.run.results import course_results
from muonstream.run.snapshot_codec import SnapshotError, encode

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

LOGGER: Final = logging.getLogger(__name__)
FINISH_TIMEOUT_S: Final = 30.0
MOMENT_S: Final = 1.0
LATE_S: Final = 10.0
"""Messages are reported as undelivered after this many seconds."""


class Outlet:
    """A topic that is written to in the background."""

    def __init__(self, connection: Connection) -> None:
        """Raises KafkaAccessError for properties that are wrong."""
        self._connection = connection
        self._producer = connection.producer(compression_type="lz4")
        self._topic = connection.address.topic
        library = client_library()
        self._refused: type[Exception] = library.KafkaException
        self._purged = (library.KafkaError._PURGE_QUEUE, library.KafkaError._PURGE_INFLIGHT)
        self._failed = 0
        self._reason = ""
        self._broken = ""
        self._waiting_since: float | None = None

    @property
    def waiting(self) -> int:
        """Messages sent and not yet acknowledged."""
        return len(self._producer)

    def send(self, key: str, value: bytes, *, done: Callable[[], None] | None = None) -> bool:
        """Send a message; False when it must be sent again later, since too many wait for the broker.

        done: called by `poll` or `finish` when the message has been delivered, or refused for good
        """

        def delivered(error: KafkaError | None, _: Message) -> None:
            # a purged message was neither delivered nor refused; a later process may resend it
            if error is not None and error.code() in self._purged:
                return
            if error is not None:
                self._failed += 1
                self._reason = str(self._connection.fault(error.str()))
            if done is not None:
                done()

        try:
            self._producer.produce(self._topic, value, key=key.encode(), on_delivery=delivered)
        except BufferError:
            return False
        except self._refused as error:  # the message is too large, or the producer has failed for good
            self._failed += 1
            self._reason = str(self._connection.fault(error.args[0].str()))
            if done is not None:
                done()
        return True

    def poll(self) -> None:
        """Serve the client's callbacks; to be called from time to time."""
        self._served(self._producer.poll, 0)
        if not self.waiting:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = time.monotonic()

    def _served(self, serve: Callable[[float], int], timeout_s: float) -> int:
        """How many messages are left when the client has served its callbacks; what it raises is kept as the reason.

        A client that has met a fatal error, as a right that its user lacks, raises in whatever is called next.
        """
        try:
            return serve(timeout_s)
        except self._refused as error:
            self._broken = str(self._connection.fault(error.args[0].str()))
            return len(self._producer)

    def problem(self) -> str | None:
        """What is wrong now, in one line, or None."""
        if self._broken:
            return f"{self._connection.address}: cannot be written to: {self._broken}"
        if self._failed:
            return f"{self._connection.address}: {self._failed} messages were refused: {self._reason}"
        since = self._waiting_since
        waiting = self.waiting
        if waiting and since is not None and time.monotonic() - since > LATE_S:
            return f"{self._connection.address}: {waiting} messages wait for the broker"
        return None

    def finish(self, *, unsent: int = 0, timeout_s: float = FINISH_TIMEOUT_S) -> None:
        """Wait until all is delivered. Raises KafkaAccessError when some could not be.

        unsent: messages that could not even be sent. Logs a line when delivery takes longer than a moment.
        """
        left = self._served(self._producer.flush, min(timeout_s, MOMENT_S))
        if left and not self._broken:
            LOGGER.info("Waiting for %s to take %d messages, up to %g s", self._connection.address, left, timeout_s)
        if not self._broken:
            left = self._served(self._producer.flush, max(timeout_s - MOMENT_S, 0))
        left += unsent
        if left:
            self._producer.purge()
            if self._broken:
                raise self._connection.fault(f"{self.problem()}; {left} messages are lost")
            raise self._connection.fault(
                f"{self._connection.address}: {left} messages could not be delivered in {timeout_s:g} s and are lost"
            )
        problem = self.problem()
        if problem is not None:
            raise self._connection.fault(problem)


class ResultsSink:
    """The course's results: JSON, one message an interval, keyed by the run.

    on_delivered gets the sequence number of each interval once the broker has its results.
    """

    def __init__(
        self,
        connection: Connection,
        catalogue: Catalogue,
        *,
        on_delivered: Callable[[int], None] = lambda sequence: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.outlet = Outlet(connection)
        self._catalogue = catalogue
        self._on_delivered = on_delivered
        self._clock = clock
        self._unsent: deque[tuple[str, bytes, int]] = deque()

    def publish(self, run: str, intervals: Iterable[Interval]) -> None:
        """Send the results of intervals that are closed."""
        for interval in intervals:
            results = course_results(interval, self._catalogue, run=run, unix_time=self._clock())
            text = json.dumps(results, allow_nan=False, separators=(",", ":"))
            self._unsent.append((run, text.encode(), interval.sequence))
        while self._unsent:
            key, value, sequence = self._unsent[0]
            if not self.outlet.send(key, value, done=partial(self._on_delivered, sequence)):
                break
            self._unsent.popleft()
        self.outlet.poll()

    def finish(self, *, timeout_s: float = FINISH_TIMEOUT_S) -> None:
        """Wait until all is delivered, see `Outlet.finish`. Raises KafkaAccessError when some could not be."""
        self.publish("", ())
        self.outlet.finish(unsent=len(self._unsent), timeout_s=timeout_s)


class SnapshotsSink:
    """The run's newest snapshot, keyed by the run: one each interval_s, the last always."""

    def __init__(
        self, connection: Connection, *, interval_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.outlet = Outlet(connection)
        self._interval_s = interval_s
        self._clock = clock
        self._due = clock()
        self._problem: str | None = None

    def publish(self, snapshot: Snapshot) -> None:
        """Send the snapshot, unless another was sent a moment ago or still waits: a newer one replaces it anyway."""
        self.outlet.poll()
        now = self._clock()
        if snapshot.state != "ended" and (now < self._due or self.outlet.waiting):
            return
        self._due = now + self._interval_s
        try:
            self.outlet.send(snapshot.run, encode(snapshot))
            self._problem = None
        except SnapshotError as error:
            self._problem = str(error)

    def problem(self) -> str | None:
        """What is wrong now, in one line, or None."""
        return self._problem or self.outlet.problem()

    def finish(self, *, timeout_s: float = FINISH_TIMEOUT_S) -> None:
        """Wait until all is delivered, see `Outlet.finish`. Raises KafkaAccessError when some could not be."""
        self.outlet.finish(timeout_s=timeout_s)
