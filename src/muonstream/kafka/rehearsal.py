"""A rehearsal: whether a run's source has the words that a topic has of the run, found out before more is sent.

A name and a number do not make a run: two runs may both be called data_000000. So the last message of each partition is
made from the source, as the gateway would make it, and compared; nothing is sent. That needs no mark in the topic,
holds for a gateway that was killed at any moment, and compares the very words that come before those to be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from muonstream.formats.block import Block
from muonstream.kafka.gateway import Form, Framing, Scattering
from muonstream.kafka.messages import Kind
from muonstream.kafka.progress import SentSoFar
from muonstream.sources.identity import Run
from muonstream.words import Words


class _Comparison:
    """Takes messages as an outbox does, and compares the first of each partition with what the topic has."""

    def __init__(self, tails: Sequence[SentSoFar]) -> None:
        self.waiting = {p: tail.value for p, tail in enumerate(tails) if tail.kind is not None}
        self.different: int | None = None

    def send(self, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        known = self.waiting.pop(partition, None)
        if known is not None and known != value and self.different is None:
            self.different = partition


class Rehearsal:
    """Takes a source's words from their beginning, as a gateway does."""

    def __init__(self, run: Run, kind: Kind, tails: Sequence[SentSoFar], *, boards: Sequence[int]) -> None:
        """tails: as `check_tails` has accepted them."""
        self._comparison = _Comparison(tails)
        before = [_before(tail) for tail in tails]
        self._form: Form
        if kind is Kind.FRAME:
            self._form = Framing(self._comparison, run, before, boards)
        else:
            self._form = Scattering(self._comparison, run, before, kind)
        self._beyond = max((tail.position for tail in tails), default=0)
        self._whole = max((tail.words for tail in tails if tail.words is not None), default=None)
        self.words = 0
        self._malformed = 0

    def push(self, words: Words, source: int = 0) -> None:
        """Take words (uint64[n]) in order of arrival; the run has one source."""
        self.words += len(words)
        self._form.push(words)

    def boundary(self, source: int = 0) -> None:
        """A new file of the same run begins."""
        self._form.boundary()

    def account_for(self, block: Block) -> None:
        """Count the rows of a block that could not be made words."""
        self._malformed += block.malformed

    @property
    def settled(self) -> bool:
        """Whether more words would not change the answer."""
        return self._comparison.different is not None or not (self._comparison.waiting or self._whole is not None)

    def finish(self) -> str:
        """At the source's end: how the topic's run differs from the source, or "" if it is the same."""
        self._form.finish()
        if self._comparison.different is not None:
            return f"its words differ from those of the source (partition {self._comparison.different})"
        if self._comparison.waiting and self._beyond > self.words:
            return f"it goes up to word {self._beyond:,}, its source has only {self.words:,}"
        if self._comparison.waiting:
            return f"the source does not have the words of partition {min(self._comparison.waiting)}"
        if self._whole is not None and self._whole != self.words + self._malformed:
            return f"it has {self._whole:,} words and has ended, its source has {self.words + self._malformed:,}"
        return ""


def _before(tail: SentSoFar) -> SentSoFar:
    """The tail of a partition that lacks its last message only; a partition that has none takes no part."""
    if tail.kind is None:
        return replace(tail, ended=True)
    first, second = tail.order
    order = (first, second - 1) if tail.kind is Kind.FRAME else (first - 1, second)
    return replace(tail, order=order, ended=False)
