"""What a 64-bit value in a stream of words looks like: a hit in step with those before it, or something else, compiled.

Layout and limits
- A hit is *good* when its HEAD is 2, its bunch crossing exists, and its orbit is near that of the hit before it: at
  most `BACK` below (boards' packets interleave) or `AHEAD` above it (quiet beams). A random value passes with
  probability 2**-3 * 0.87 * 2**-9, about 2e-4, so a few good hits in a row are not an accident.
- A hit whose orbit is elsewhere is *far*, and a candidate: when the next hit is near it, time has moved there (a
  counter reset, a long gap); when the next one is near the old reference, it was a single wild orbit.
- Good words are the rule, so chunks of 256 words are first checked together, vectorised; only a chunk with a flag is
  classified word by word.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import eight_bytes
from muonstream.compiled import compiled, inlined
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    FPGA_SHIFT,
    HEAD_MASK,
    HEAD_SHIFT,
    ORBIT_MASK,
    ORBIT_SHIFT,
    Head,
)

CHUNK: Final = 256
"""Words checked together."""
BACK: Final = 1 << 18
"""Orbits (23 s) by which a good hit may lie below the hit before it."""
AHEAD: Final = 1 << 23
"""Orbits (12 min) by which a good hit may lie above the hit before it."""

GOOD, FAR, ANCILLARY, IDLE, PADDING, BAD, RUN_WORD = range(7)
"""Kinds of words: a hit in step; a hit out of step; an ancillary word of a known board; a value that is the same as the
one before it and not a hit; all zeros or all ones; a value that no known firmware sends; a DMA transfer's run word."""

ODD, REPEATED, FELL = 1, 2, 4
"""Flags of a chunk: some word is not a good hit; two neighbours are equal; an orbit fell by more than `FALL`."""
FALL: Final = 128
"""Orbits by which interleaved boards never step back in a healthy stream (up to 48 were seen)."""

_ONES: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_ORBIT_BITS: Final = np.uint64(ORBIT_MASK << ORBIT_SHIFT)
_BX_BITS: Final = np.uint64(BX_MASK << BX_SHIFT)
_LAST_BX: Final = np.uint64(((BX_PER_ORBIT - 1) << BX_SHIFT) | 0x1F)
_HIT: Final = np.uint64(Head.HIT << HEAD_SHIFT)
_BACK_BITS: Final = np.uint64(BACK << ORBIT_SHIFT)
_AHEAD_BITS: Final = np.uint64(AHEAD << ORBIT_SHIFT)
_FALL_BITS: Final = np.uint64(FALL << ORBIT_SHIFT)
_STEP_BITS: Final = np.uint64(HEAD_MASK << HEAD_SHIFT | ORBIT_MASK << ORBIT_SHIFT)
_REACH_BITS: Final = np.uint64(AHEAD << ORBIT_SHIFT)
"""HEAD and orbit of a word; a step up from `FALL` below is clean where it is less than this. Two different HEADs differ
by far more, whatever the orbits."""


@compiled
def flag_chunks(words: Any, before: Any, flags: Any) -> int:
    """Flag the whole chunks of words (uint64[n]); before: the word in front of the first (uint64).

    flags: uint8, one for each whole chunk. Gives how many whole chunks there are. Nearly every chunk passes the loop,
    which LLVM vectorises and which has as few operations as can be: HEAD and orbit are compared together, where they
    stand in the word, and each condition is arranged so that its violation sets high bits of a sum or difference, which
    are ORed. Only a chunk that does not pass is looked at again, for which of the conditions it was.
    """
    one = np.uint64(1)
    n = np.uint64(len(words)) // np.uint64(CHUNK)
    for chunk in range(n):
        base = chunk * np.uint64(CHUNK)
        before_first = before if chunk == np.uint64(0) else words[base - one]
        first = words[base]
        step = (first & _STEP_BITS) - (before_first & _STEP_BITS) + _FALL_BITS
        # a difference below 2**63, less one, has bit 63 only where there is none
        odd = (_LAST_BX - (first & _BX_BITS)) | ((first ^ before_first) - one)
        for j in range(one, np.uint64(CHUNK)):
            word, previous = words[base + j], words[base + j - one]
            step |= (word & _STEP_BITS) - (previous & _STEP_BITS) + _FALL_BITS
            odd |= (_LAST_BX - (word & _BX_BITS)) | ((word ^ previous) - one)
        clean = step < _REACH_BITS and odd >> np.uint64(63) == np.uint64(0)
        clean = clean and first >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)
        flags[chunk] = 0 if clean else _flags_of(words, base, before_first)
    return int(n)


@compiled
def _flags_of(words: Any, base: Any, before: Any) -> int:
    """The flags of the chunk that begins at `base`."""
    flag = 0
    previous = before
    for j in range(base, base + np.uint64(CHUNK)):
        word = words[j]
        step = (word & _ORBIT_BITS) - (previous & _ORBIT_BITS)
        odd = (_LAST_BX - (word & _BX_BITS)) | (step + _BACK_BITS) | (_AHEAD_BITS - step)
        if odd >> np.uint64(63) != np.uint64(0) or word >> np.uint64(HEAD_SHIFT) != np.uint64(Head.HIT):
            flag |= ODD
        if word == previous:
            flag |= REPEATED
        if (step + _FALL_BITS) >> np.uint64(63) != np.uint64(0):
            flag |= FELL
        previous = word
    return flag


@compiled
def all_good(words: Any, begin: Any, end: Any) -> bool:
    """Whether words[begin:end] are hits, each near the one before; words[begin] itself is near whatever comes."""
    one = np.uint64(1)
    head, odd = words[begin] ^ _HIT, _LAST_BX - (words[begin] & _BX_BITS)
    for j in range(np.uint64(begin) + one, np.uint64(end)):
        word = words[j]
        head |= word ^ _HIT
        step = (word & _ORBIT_BITS) - (words[j - one] & _ORBIT_BITS)
        odd |= (_LAST_BX - (word & _BX_BITS)) | (step + _BACK_BITS) | (_AHEAD_BITS - step)
    return bool(head >> np.uint64(HEAD_SHIFT) == np.uint64(0) and odd >> np.uint64(63) == np.uint64(0))


@inlined
def orbit_of(word: Any) -> int:
    """The orbit of a word."""
    return int(np.int64(word >> np.uint64(ORBIT_SHIFT)) & ORBIT_MASK)


@inlined
def is_hit(word: Any) -> bool:
    """Whether a word has HEAD 2 and a bunch crossing that exists."""
    return bool(
        word >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)
        and (word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK) < np.uint64(BX_PER_ORBIT)
    )


@inlined
def is_known(word: Any, boards: int) -> bool:
    """Whether a word is of a known board; boards: bit b is set for each known board b."""
    return bool(boards >> (int(np.int64(word >> np.uint64(FPGA_SHIFT)) & 7)) & 1)


@inlined
def near(orbit: int, reference: int) -> bool:
    """Whether an orbit is in step with a reference orbit (-1: none yet)."""
    return reference >= 0 and -BACK <= orbit - reference <= AHEAD


@inlined
def is_text(word: Any) -> bool:
    """Whether all eight bytes of a value are printable ASCII characters or white space."""
    for _ in range(8):
        byte = word & np.uint64(0xFF)
        if (byte < np.uint64(0x20) and byte != np.uint64(9) and byte != np.uint64(10) and byte != np.uint64(13)) or (
            byte > np.uint64(0x7E)
        ):
            return False
        word = word >> np.uint64(8)
    return True


@inlined
def kind_of(word: Any, previous: Any, reference: int, candidate: int, boards: int) -> int:
    """The kind of one word; previous: the word before it; boards: bit b is set for each known board b.

    reference: the orbit that hits are held against, -1 for none yet; candidate: the orbit of a far hit before, or -1
    """
    if word == np.uint64(0) or word == _ONES:
        return PADDING
    if is_hit(word):
        orbit = orbit_of(word)
        return GOOD if near(orbit, reference) or near(orbit, candidate) else FAR
    if word == previous:
        return IDLE
    head = int(np.int64(word >> np.uint64(HEAD_SHIFT)))
    board = int(np.int64(word >> np.uint64(FPGA_SHIFT)) & 7)
    if head == Head.HIT or head > Head.LOCAL_X or not boards >> board & 1:
        return BAD
    return BAD if is_text(word) else ANCILLARY


STEP_WORDS: Final = 16
STEP_GOOD: Final = 12
"""A stream is in step where 12 of 16 words in a row, the first among them, are good hits."""


STEP_FEWEST: Final = 4
"""At the end of a stream fewer words must do, but at least so many, three quarters of them good hits."""


@compiled
def find_step(data: Any, begin: int, end: int, boards: int, last: bool) -> int:
    """The first byte from `begin` on at which words are in step, of data (uint8[n]); -1 where none is before `end`.

    Hits of known boards are compared with one another, not with earlier ones. boards: bit b is set for each known
    board b. Without `last` only bytes before 16 whole words are looked at; with it, nothing comes behind `end`.
    """
    fewest = STEP_FEWEST if last else STEP_WORDS
    for at in range(begin, end - 8 * fewest + 1):
        word = eight_bytes(data, np.uint64(at))
        if not (is_hit(word) and is_known(word, boards)):
            continue
        n = min(STEP_WORDS, (end - at) // 8)
        alike = STEP_GOOD if n == STEP_WORDS else max(STEP_FEWEST - 1, (3 * n + 3) // 4)
        reference, good, previous = orbit_of(word), 1, word
        for j in range(1, n):
            word = eight_bytes(data, np.uint64(at + 8 * j))
            known = is_hit(word) and is_known(word, boards)
            if known and word != previous and near(orbit_of(word), reference):
                good += 1
                reference = orbit_of(word)
            elif good + n - 1 - j < alike:
                break
            previous = word
        if good >= alike:
            return at
    return -1


@compiled
def good_hits(words: Any) -> int:
    """How many of words (uint64[n]) are hits near the hit before them."""
    reference, n = -1, 0
    for i in range(len(words)):
        if is_hit(words[i]):
            orbit = orbit_of(words[i])
            n += near(orbit, reference)
            reference = orbit
    return n
