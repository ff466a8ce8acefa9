"""The place of a word in an input, in bytes of its content; words are numbered from 0, in texts for people from 1."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from muonstream.formats.block import ByteAccount
from muonstream.survey.remarks import word_place
from muonstream.words import WORD_BYTES


@dataclass(slots=True)
class _Stretch:
    word: int
    byte: int
    words: int
    bytes: int

    @property
    def exact(self) -> bool:
        """Whether it holds nothing but words of 8 bytes."""
        return self.bytes == WORD_BYTES * self.words


class Places:
    """Bytes of words: exact where a block is nothing but binary words, elsewhere by even shares of the block."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []
        self._begins: list[int] = []
        self._word = self._byte = 0

    def add(self, words: int, account: ByteAccount) -> None:
        """Add the next block: its number of words and its account of bytes."""
        n = account.total
        last = self._stretches[-1] if self._stretches else None
        joined = last is not None and last.byte + last.bytes == self._byte
        if last is not None and joined and last.exact and n == WORD_BYTES * words:
            last.words += words
            last.bytes += n
        elif words:
            self._stretches.append(_Stretch(self._word, self._byte, words, n))
            self._begins.append(self._word)
        self._word += words
        self._byte += n

    def byte(self, word: int) -> tuple[int, bool] | None:
        """The byte at which a word begins, and whether that is exact; None where bytes were not counted."""
        index = bisect_right(self._begins, word) - 1
        if index < 0 or not self._byte:
            return None
        it = self._stretches[index]
        return it.byte + (word - it.word) * it.bytes // it.words, it.exact

    def text(self, word: int) -> str:
        """A place for people, who count words from 1, such as "word 13 (byte 96)"."""
        found = self.byte(word)
        if found is None:
            return word_place(word)
        return f"{word_place(word)} ({'' if found[1] else 'about '}byte {found[0]:,})"
