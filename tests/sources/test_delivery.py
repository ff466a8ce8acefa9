from __future__ import annotations

import numpy as np

from muonstream.formats.block import Block
from muonstream.sources.delivery import announced
from muonstream.words import Words


class Recorder:
    """Notes what it takes, in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def push(self, words: Words, source: int = 0) -> None:
        self.calls.append((len(words), source))

    def boundary(self, source: int = 0) -> None:
        self.calls.append(("boundary", source))

    def account_for(self, block: Block) -> None:
        self.calls.append(("malformed", block.malformed))


def test_boundaries_and_what_is_malformed_come_before_the_words() -> None:
    sink, words = Recorder(), np.zeros(3, np.uint64)
    blocks = [
        Block(malformed=1),
        Block(words, begins=True),
        Block(words[:1]),
        Block(words[:2], begins=True, malformed=4, source=1),
    ]
    for block in announced(blocks, sink):
        sink.push(block.words, block.source)
    accounts = [("malformed", n) for n in (1, 0, 0, 4)]
    expected = [accounts[0], (0, 0), accounts[1], (3, 0), accounts[2], (1, 0), ("boundary", 1), accounts[3], (2, 1)]
    assert sink.calls == expected
