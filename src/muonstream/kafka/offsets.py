"""Where a topic's partitions begin and end, for an engine whose messages Spark reads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from muonstream.formats.block import SourceError
from muonstream.kafka.messages import Kind, MessageError, kind_of
from muonstream.kafka.reader import ASK_TIMEOUT_S, TopicReader
from muonstream.words import DMA_WORDS, WORD_BYTES

ASK_EVERY_S: Final = 0.25
SAMPLED: Final = 4
"""Partitions whose messages are looked at for their sizes."""


class TopicOffsets(TopicReader):
    """Knows a topic's partitions, finds where to begin, and asks how much waits; reads nothing.

    `next` is set by the engine that takes the messages.
    """

    def start(self, stored: Mapping[int, int], ended: Iterable[int] = ()) -> None:
        """Find where to begin, as a reader does. Raises SourceError for an offset that is gone."""
        super().start(stored, ended)
        self.consumer.unassign()
        found = self._watermarks_at_first()
        for partition in self._stopped:  # Spark reads these too, and can begin only at messages that still exist
            self.next[partition] = max(self.next[partition], found[partition][0])
        self._ends = {p: high for p, (_, high) in found.items()}
        self._asked = time.monotonic()

    def _collect_seldom(self) -> None:
        """No messages are read here."""

    def ask(self) -> None:
        """Ask the broker where the topic ends, now and then only; one that does not answer is asked again.

        Partitions of which somebody has taken messages meanwhile are asked for, too.
        """
        if time.monotonic() < self._asked + ASK_EVERY_S:
            return
        self.connection.check()
        if time.monotonic() >= self._tell_due:
            self._tell()
        if not self.next.keys() <= set(self.partitions):
            # a client that does not know a partition waits for it in vain
            self.partitions = sorted({*self.partitions, *(self.next.keys() & self._there())})
        try:
            self._ends = {p: high for p, (_, high) in self.all_watermarks().items()}
        except SourceError:
            return
        finally:
            self._asked = time.monotonic()

    def words_per_message(self) -> float:
        """How many words a message holds, as far as the first and the last of some partitions say; 0 where none are."""
        filled = [(p, low, high) for p, (low, high) in self.all_watermarks().items() if high > low]
        places = [(p, at) for p, low, high in filled[:SAMPLED] for at in {low, max(high - 2, low)}]
        sizes = [n for p, at in places if (n := self._words_at(p, at))]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def _words_at(self, partition: int, offset: int) -> int:
        """How many words the message at an offset holds; 0 where it tells none."""
        self.consumer.assign([self._at(partition, offset)])
        try:
            for message in self.consumer.consume(1, ASK_TIMEOUT_S):
                value = message.value()
                if message.error() is None and value is not None:
                    try:
                        kind = kind_of(message.headers(), value)
                    except MessageError:
                        continue
                    return {Kind.FRAME: len(value) // WORD_BYTES, Kind.DMA: DMA_WORDS - 1, Kind.JSON: 1}.get(kind, 0)
        finally:
            self.consumer.unassign()
        return 0

    def caught_up(self, partition: int) -> bool:
        """Whether, as far as the last answer says, nothing waits to be taken; not where none has told."""
        return partition in self._ends and self._ends[partition] <= self.next[partition]

    def passed(self, offsets: Mapping[int, int]) -> None:
        """Somebody has read up to these offsets: between the last message taken and them is nothing to be taken."""
        for partition in offsets.keys() & self.next.keys() - self._stopped:
            self.next[partition] = max(self.next[partition], offsets[partition])

    @property
    def lag(self) -> int:
        """Messages that wait to be taken."""
        return sum(max(self._ends.get(p, 0) - self.next[p], 0) for p in self.partitions if p not in self._stopped)

    def pause(self, partitions: Iterable[int]) -> None:
        """There is no consumer to pause."""

    def stop_at(self, partition: int, offset: int) -> None:
        """No more of a partition is taken."""
        self.next[partition] = offset
        self._stopped.add(partition)

    def _begin_new(self, partitions: Iterable[int]) -> None:
        """Spark finds them by itself; messages of some may have been taken already."""
        for partition in partitions:
            self.next.setdefault(partition, 0)
