"""Binary files: plain words, and raw DMA transfers of a run word and 128 words each."""

from __future__ import annotations

from typing import Final

import numpy as np

from muonstream.formats.block import Block, counted

WORD_BYTES: Final = 8
DMA_WORDS: Final = 129
"""Words of a raw DMA transfer: a run word, then 128 words of the boards."""


class WordDecoder:
    """Decodes 64-bit little-endian words as their bytes come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._position = 0

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words that they complete. Bytes left at the end are one malformed word."""
        data = b"".join((self._rest, data)) if self._rest else data
        n = len(data) // WORD_BYTES
        self._rest = bytes(data[n * WORD_BYTES :])
        self._position += n * WORD_BYTES
        block = Block(np.frombuffer(data, "<u8", n))
        if last and self._rest:
            block.malformed = 1
            block.faults = [
                f"{self._name}: byte {self._position}: found {counted(len(self._rest), 'byte')} at the end, "
                f"allowed are whole words of {WORD_BYTES}"
            ]
            self._rest = b""
        return block


class DmaDecoder:
    """Decodes raw DMA transfers; their run words are left out, they are no words of the boards."""

    def __init__(self, name: str) -> None:
        self._words = WordDecoder(name)
        self._before = 0
        self.run_word: int | None = None

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the boards' words among them."""
        block = self._words.feed(data, last=last)
        first = -self._before % DMA_WORDS
        self._before += len(block.words)
        if first < len(block.words) and self.run_word is None:
            self.run_word = int(block.words[first])
        block.words = np.delete(block.words, np.arange(first, len(block.words), DMA_WORDS))
        return block
