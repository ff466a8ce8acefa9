"""A gateway: one run's words into a topic, in order and once, whatever happens in between.

Words that a partition already has are not sent again: a restarted gateway reads its source from the beginning and sends
what is missing. To make that possible, its messages depend on the source's words alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from muonstream.formats.block import FAULTS_KEPT, Block
from muonstream.formats.loose_hits import hits_json
from muonstream.frames import KEY_WINDOW_MASK, Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.address import KafkaAccessError
from muonstream.kafka.client import Connection, client_library
from muonstream.kafka.messages import (
    BLOCK_WORDS,
    EndMessage,
    Kind,
    dma_value,
    loose_headers,
    loose_partition,
    part_counts,
    position_header,
    window_messages,
)
from muonstream.kafka.progress import SentSoFar, end_offsets
from muonstream.sources.identity import Run
from muonstream.words import DMA_WORDS, Words

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

QUEUE_KIB: Final = 1 << 17
"""The most that waits for the broker; beyond that the source waits (back-pressure)."""
WAIT_S: Final = 0.1
POLL_MESSAGES: Final = 256


class Outbox:
    """The producer of a gateway: each partition's messages in order and without a gap, or no more messages at all."""

    def __init__(self, connection: Connection) -> None:
        """Raises KafkaAccessError for properties that are wrong."""
        self._connection = connection
        # without the guarantee, a message that is refused would be a hole that the next gateway cannot see
        self._producer = connection.producer(
            enable_gapless_guarantee=True,
            delivery_report_only_error=True,
            queue_buffering_max_kbytes=QUEUE_KIB,
        )
        self._exception: type[BaseException] = client_library().KafkaException
        self._produce: Any = self._producer.produce  # its types know no list of (str, bytes)
        self._topic = connection.address.topic
        self._refused: str | None = None
        self.messages = 0

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._refused is None:
            self._refused = error.str()

    def check(self) -> None:
        """Raise KafkaAccessError when something was refused: nothing more is sent then."""
        self._connection.check()
        if self._refused is not None:
            raise self._fault(self._refused)

    def _fault(self, reason: str) -> KafkaAccessError:
        return self._connection.fault(f"{self._connection.address}: refused: {reason}")

    def send(self, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Send; wait while too much waits for the broker. Raises KafkaAccessError."""
        while True:
            try:
                self._produce(self._topic, value, partition=partition, headers=headers, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(WAIT_S)
                self.check()
            except self._exception as error:
                raise self._told(error) from None
        self.messages += 1
        if self.messages % POLL_MESSAGES == 0:
            self.poll()

    def poll(self) -> None:
        """Serve the client's callbacks; to be called from time to time. Raises KafkaAccessError."""
        with self._faults():
            self._producer.poll(0)
        self.check()

    def flush(self) -> None:
        """Wait until the broker has everything. Raises KafkaAccessError."""
        with self._faults():
            while self._producer.flush(WAIT_S):
                self.check()
        self.check()

    def abandon(self) -> None:
        """Give up what still waits."""
        with suppress(KafkaAccessError), self._faults():
            self._producer.purge()
            self._producer.flush(WAIT_S)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn the client library's errors into KafkaAccessError."""
        try:
            yield
        except self._exception as error:
            raise self._told(error) from None

    def _told(self, error: BaseException) -> KafkaAccessError:
        """The cause of an error of the client library: the first refused message tells more."""
        self.check()
        return self._fault(error.args[0].str())


class Sending(Protocol):
    """The interface through which a form sends its messages."""

    def send(self, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None: ...


class Losses(NamedTuple):
    """Words in no frame, counter resets, and windows that were closed early."""

    late: int = 0
    stray: int = 0
    resets: int = 0
    forced: int = 0


class Form(Protocol):
    """A form in which words are sent."""

    kind: Kind

    def push(self, words: Words) -> None: ...

    def boundary(self) -> None: ...

    def finish(self) -> Losses:
        """Send what is held."""
        ...


class Framing:
    """Words as frames: each window to its partition."""

    kind = Kind.FRAME

    def __init__(self, outbox: Sending, run: Run, tails: Sequence[SentSoFar], boards: Sequence[int]) -> None:
        self._outbox = outbox
        self._run = run
        self._builder = FrameBuilder(boards)
        self._position = 0
        self._partitions = len(tails)
        self._keys = np.array([_NEVER if tail.ended else tail.order[0] for tail in tails], np.int64)
        self._parts = np.array([tail.order[1] for tail in tails], np.int64)

    def push(self, words: Words) -> None:
        self._position += len(words)
        self._send(self._builder.push(words))

    def boundary(self) -> None:
        self._send(self._builder.boundary())

    def finish(self) -> Losses:
        self._send(self._builder.finish())
        counts = self._builder.counts
        return Losses(counts.late, counts.stray, counts.resets, counts.forced)

    def _send(self, frames: Frames) -> None:
        partitions = (frames.keys & KEY_WINDOW_MASK) % self._partitions
        sent = self._keys[partitions]
        parts = part_counts(np.diff(frames.starts))
        # some parts of the last window sent may be missing
        first = np.where(frames.keys == sent, self._parts[partitions] + 1, 0)
        missing = (frames.keys >= sent) & (first < parts)
        for index in np.flatnonzero(missing).tolist():
            words, key, begin = frames.window(index), int(frames.keys[index]), int(first[index])
            of_window = window_messages(self._run, key, words, self._position, first=begin, partitions=self._partitions)
            for message in of_window:
                self._outbox.send(int(partitions[index]), message.value(), message.headers())


_NEVER: Final = 1 << 62


class Scattering:
    """Words as loose JSON hits or as raw DMA transfers, in blocks scattered over the partitions."""

    def __init__(self, outbox: Sending, run: Run, tails: Sequence[SentSoFar], kind: Kind) -> None:
        self.kind = kind
        self._outbox = outbox
        self._run = run
        self._sent = [_NEVER if tail.ended else tail.order[0] for tail in tails]
        self._headers = loose_headers(kind, run, len(tails))
        self._held: list[Words] = []
        self._held_words = 0
        self._position = 0

    def push(self, words: Words) -> None:
        if self.kind is Kind.JSON:
            self._send(words)
            return
        self._held.append(words)
        self._held_words += len(words)
        whole = self._held_words - self._held_words % (DMA_WORDS - 1)
        if whole:
            held = np.concatenate(self._held)
            self._held, self._held_words = [held[whole:]], self._held_words - whole
            self._send(held[:whole])

    def boundary(self) -> None:
        """Loose words have no boundaries."""

    def finish(self) -> Losses:
        if self._held_words:
            self._send(np.concatenate(self._held))
            self._held, self._held_words = [], 0
        return Losses()

    def _send(self, words: Words) -> None:
        """Send words that follow those sent before, a block at a time."""
        at = 0
        while at < len(words):
            end = min(len(words), at + BLOCK_WORDS - (self._position + at) % BLOCK_WORDS)
            first = self._position + at
            partition = loose_partition(first, len(self._sent))
            if self._sent[partition] < self._position + end - 1:
                write = self._send_hits if self.kind is Kind.JSON else self._send_transfers
                write(words[at:end], first, partition)
            at = end
        self._position += len(words)

    def _send_hits(self, words: Words, first: int, partition: int) -> None:
        begin = max(0, self._sent[partition] + 1 - first)
        text, offsets = hits_json(words[begin:])
        ends: list[int] = offsets.tolist()
        for index, position in enumerate(range(first + begin, first + len(words))):
            value = text[ends[index] : ends[index + 1]]
            self._outbox.send(partition, value, [*self._headers, position_header(position)])

    def _send_transfers(self, words: Words, first: int, partition: int) -> None:
        for at in range(0, len(words), DMA_WORDS - 1):
            if first + at > self._sent[partition]:
                value = dma_value(words[at : at + DMA_WORDS - 1], self._run)
                self._outbox.send(partition, value, [*self._headers, position_header(first + at)])


def warm_up(kind: Kind, boards: Sequence[int]) -> None:
    """Compile, or load from disk, the kernels of a form before any data wait for them."""
    words = np.zeros(1, np.uint64)
    if kind is Kind.FRAME:
        builder = FrameBuilder(boards)
        builder.push(words)
        builder.finish()
    elif kind is Kind.JSON:
        hits_json(words)


class Gateway:
    """Sends one run into a topic. Not thread-safe."""

    def __init__(
        self, connection: Connection, run: Run, kind: Kind, tails: Sequence[SentSoFar], *, boards: Sequence[int]
    ) -> None:
        """Raise KafkaAccessError when the topic's messages of the run were sent in another form."""
        self._connection = connection
        self._run = run
        self._tails = tails
        self.outbox = Outbox(connection)
        check_tails(connection, run, kind, tails)
        self._form: Form
        if kind is Kind.FRAME:
            self._form = Framing(self.outbox, run, tails, boards)
        else:
            self._form = Scattering(self.outbox, run, tails, kind)
        self.words = 0
        self._malformed = 0
        self._faults: list[str] = []

    def push(self, words: Words, source: int = 0) -> None:
        """Take words (uint64[n]) in order of arrival; a gateway has one source. Raises KafkaAccessError."""
        self.words += len(words)
        self._form.push(words)
        self.outbox.poll()

    def boundary(self, source: int = 0) -> None:
        """A new file of the same run begins."""
        self._form.boundary()

    def account_for(self, block: Block) -> None:
        """Count the rows of a block that could not be made words, and keep the first faults."""
        self._malformed += block.malformed
        if block.malformed:
            self._faults += block.faults[: FAULTS_KEPT - len(self._faults)]

    def leave(self) -> None:
        """Deliver what was sent and leave the run open, so that it can be resumed."""
        self.outbox.flush()

    def finish(self) -> EndMessage:
        """Send what is held, tell the run's end to every partition, and wait until all is delivered.

        Raises KafkaAccessError, also when the topic has more of the run than the source has.
        """
        lost = self._form.finish()
        beyond = max((tail.position for tail in self._tails), default=0)
        if beyond > self.words:
            raise self._connection.fault(
                f"{self._connection.address}: has the run up to word {beyond:,}, its source has only {self.words:,}: "
                "another source needs another --run-name or --run-number"
            )
        # an engine that finds an end deleted needs to know how far its partition had words of the run
        self.outbox.flush()
        offsets: tuple[int, ...] = ()
        with suppress(KafkaAccessError):
            offsets = end_offsets(self._connection, range(len(self._tails)))
        end = EndMessage(
            self._run,
            words=self.words + self._malformed,
            late=lost.late,
            stray=lost.stray,
            malformed=self._malformed,
            resets=lost.resets,
            faults=tuple(self._faults),
            forced=lost.forced,
            partitions=len(self._tails),
            offsets=offsets,
        )
        for partition, tail in enumerate(self._tails):
            if not tail.ended:
                self.outbox.send(partition, end.value(), end.headers())
        self.outbox.flush()
        return end


def check_tails(connection: Connection, run: Run, kind: Kind, tails: Sequence[SentSoFar]) -> None:
    """Raise KafkaAccessError when a topic has a run in another form or on another number of partitions."""
    named = f"{connection.address}: has run {run.number} {run.name!r}"
    other = f"{named}, sent to another number of partitions than {len(tails)}: name another run (--run-name)"
    for partition, tail in enumerate(tails):
        if tail.partitions and tail.partitions != len(tails):
            raise connection.fault(other)
        if tail.kind is None:
            continue
        if tail.kind is not kind:
            raise connection.fault(f"{named} as {tail.kind}: it cannot go on as {kind}")
        place = tail.order[0]
        home: Any = (place & KEY_WINDOW_MASK) % len(tails)
        if kind is not Kind.FRAME:
            home = loose_partition(place, len(tails))
        if home != partition:
            raise connection.fault(other)  # of an older gateway, which does not say how many
