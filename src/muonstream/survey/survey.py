"""A survey of an input: everything about its words that helps to see what is wrong with it, in one pass.

Results depend on the sequence of words only, never on how it was cut; memory is bounded, about 4 MB.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, read_only
from muonstream.survey.clocks import Clocks, follow_clocks
from muonstream.survey.company import Company, meet
from muonstream.survey.repeats import GOOD, MALFORMED, OTHER, Repeats, find_repeats
from muonstream.survey.stretches import BAD_BX, BAD_TDC, BOARDS, HEADS, UNKNOWN, Stretches
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_MASK,
    HEAD_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    Head,
    Words,
)

PIECE_WORDS: Final = 1 << 13
"""Number of words that all kernels process before the next ones, so that they stay in the cache."""
ADDRESSES: Final = (FPGA_MASK + 1) * (CHANNEL_MASK + 1)
"""Board and channel as one number: board * 512 + channel."""
EXAMPLES: Final = 3

WORDS, EQUAL, EQUAL_PLACE, LONGEST_EQUAL, LONGEST_PLACE, ZEROS, ONES = range(7)
"""Scalars: words so far; how many of the last are one value, since which place; the longest such run, its first word;
words that are 0; words with all bits set."""


class Survey:
    """Looks at words in order of arrival.

    known: bool[8, 512], by board and channel whether the detector file names the channel
    tdc: int64[4096, 32], hits by address (board * 512 + channel) and TDC_MEAS, those of any BX
    bx: int64[8, 4096], hits by board and BX_COUNTER
    seen: int64[4096, 2], places of each address's first and last hit, -1 without any
    heads: int64[8], words by HEAD; same: int64[8], words equal to the last word of that HEAD (ancillary words only)
    examples: uint64[8, 3], the first words of each HEAD, and example_places: int64[8, 3]
    """

    def __init__(self, known: NDArray[np.bool_]) -> None:
        self.known = np.ascontiguousarray(known, np.bool_).reshape(ADDRESSES)
        self.tdc = np.zeros((ADDRESSES, TDC_MASK + 1), np.int64)
        self.bx = np.zeros((FPGA_MASK + 1, BX_MASK + 1), np.int64)
        self.seen = np.full((ADDRESSES, 2), -1, np.int64)
        self.heads = np.zeros(8, np.int64)
        self.same = np.zeros(8, np.int64)
        self.examples: Words = np.zeros((8, EXAMPLES), np.uint64)
        self.example_places = np.full((8, EXAMPLES), -1, np.int64)
        self._last: Words = np.zeros(9, np.uint64)
        self._longest: Words = np.zeros(1, np.uint64)
        self._scalars = np.zeros(7, np.int64)
        self._kinds = np.zeros(PIECE_WORDS, np.uint8)
        self.stretches = Stretches()
        self.repeats = Repeats()
        self.clocks = Clocks()
        self.company = Company()

    def feed(self, words: Words) -> None:
        """Take words (uint64[n]) in order of arrival."""
        done = 0
        while done < len(words):
            part = read_only(words[done : done + self.stretches.room()])
            _look(
                part,
                self._kinds,
                (self.stretches.words, self.stretches.length, self.stretches.table),
                self._state(),
                self.repeats.state(),
                self.clocks.state(),
                self.company.state(),
            )
            self.stretches.words += len(part)
            done += len(part)

    def _state(self) -> tuple[Any, ...]:
        """The arrays that `_count` works on."""
        heads = (self.heads, self.same, self.examples, self.example_places)
        return self.known, (self.tdc, self.bx, self.seen), heads, (self._scalars, self._last, self._longest)

    @property
    def words(self) -> int:
        """Words so far."""
        return int(self._scalars[WORDS])

    @property
    def zeros(self) -> int:
        """Words that are 0."""
        return int(self._scalars[ZEROS])

    @property
    def ones(self) -> int:
        """Words with all 64 bits set."""
        return int(self._scalars[ONES])

    def longest_equal(self) -> tuple[int, int, int]:
        """The longest run of one and the same word: its first place, its length, the word; the first of several."""
        s = self._scalars
        if s[EQUAL] > s[LONGEST_EQUAL]:
            return int(s[EQUAL_PLACE]), int(s[EQUAL]), int(self._last[8])
        return int(s[LONGEST_PLACE]), int(s[LONGEST_EQUAL]), int(self._longest[0])

    def hits(self) -> NDArray[np.int64]:
        """Hit words by board and channel, int64[8, 512]."""
        counts: NDArray[np.int64] = self.tdc.sum(axis=1).reshape(FPGA_MASK + 1, CHANNEL_MASK + 1)
        return counts


@compiled
def _look(
    words: Words, kinds: NDArray[np.uint8], rows: Any, counts: Any, repeats: Any, clocks: Any, company: Any
) -> None:
    """All kernels over pieces that the cache holds, each within one stretch."""
    first, length, table = rows
    done = 0
    while done < len(words):
        place = first + done
        row = table[place // length]
        n = min(len(words) - done, length - place % length, PIECE_WORDS)
        piece, of = words[done : done + n], kinds[:n]
        _count(piece, of, counts, row)
        find_repeats(piece, of, place, repeats, row)
        follow_clocks(piece, of, place, clocks, row)
        meet(piece, of, company)
        done += n


@compiled
def _count(words: Words, kinds: NDArray[np.uint8], state: Any, row: NDArray[np.int64]) -> None:
    known, hits, heads, equal = state
    tdc, bx, seen = hits
    count, same, examples, places = heads
    s, last, longest = equal
    first = s[WORDS]
    for i in range(len(words)):
        w = words[i]
        if w == last[8] and first + i > 0:
            s[EQUAL] += 1
        else:
            if s[EQUAL] > s[LONGEST_EQUAL]:
                s[LONGEST_EQUAL], s[LONGEST_PLACE], longest[0] = s[EQUAL], s[EQUAL_PLACE], last[8]
            s[EQUAL], s[EQUAL_PLACE] = 1, first + i
            last[8] = w
        head = np.int64(w >> np.uint64(HEAD_SHIFT))
        n = count[head]
        if n < EXAMPLES:
            examples[head, n], places[head, n] = w, first + i
        count[head] = n + 1
        row[HEADS + head] += 1
        if head != Head.HIT:
            kinds[i] = OTHER
            same[head] += n > 0 and w == last[head]
            last[head] = w
            s[ZEROS] += w == 0
            s[ONES] += w == np.uint64(0xFFFFFFFFFFFFFFFF)
            continue
        address = np.int64((w >> np.uint64(CHANNEL_SHIFT)) & np.uint64(ADDRESSES - 1))
        board = address >> 9
        code = np.int64(w & np.uint64(TDC_MASK))
        crossing = np.int64((w >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK))
        tdc[address, code] += 1
        bx[board, crossing] += 1
        if seen[address, 0] < 0:
            seen[address, 0] = first + i
        seen[address, 1] = first + i
        row[UNKNOWN] += not known[address]
        row[BAD_TDC] += code == 0 or code > TDC_PER_BX
        if crossing >= BX_PER_ORBIT:
            row[BAD_BX] += 1
            kinds[i] = MALFORMED
        else:
            row[BOARDS + board] += 1
            kinds[i] = GOOD
    s[WORDS] = first + len(words)
