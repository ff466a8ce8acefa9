"""Blocks for whatever takes a run's words: what a block brings beside its words is handed over before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from muonstream.formats.block import Block
from muonstream.words import Words


class BlockSink(Protocol):
    """Takes what blocks bring beside their words."""

    def boundary(self, source: int = 0) -> None:
        """A new file begins on this source."""
        ...

    def account_for(self, block: Block) -> None:
        """Take what a block says beside its words: malformed rows, notes, and the report of its input."""
        ...


class WordSink(BlockSink, Protocol):
    """Takes a run's words in order of arrival: a pipeline, a gateway, or a gateway's rehearsal."""

    def push(self, words: Words, source: int = 0) -> None:
        """Take words, uint64[n], of a source."""
        ...


def announced(blocks: Iterable[Block], sink: BlockSink) -> Iterator[Block]:
    """Each block, once the sink has its boundary and what it says beside its words; the caller pushes these."""
    begun = False
    for block in blocks:
        if block.begins:
            if begun:
                sink.boundary(block.source)
            begun = True
        sink.account_for(block)
        yield block
