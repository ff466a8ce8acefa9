"""A stream of words as faults see it: pieces with the time of each word, chance by hash, words moved and inserted.

All that a fault draws depends on its seed and on absolute times or the words themselves, never on how the stream was
cut, so that any cut gives the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import (
    BX_MASK,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    HEAD_SHIFT,
    NS_PER_TDC,
    ORBIT_MASK,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    TDC_PER_ORBIT,
    Head,
    Words,
)

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

SECOND_TDC: Final = 1e9 / NS_PER_TDC
KINDS: Final = 1 << (HEAD_SHIFT + 3 - CHANNEL_SHIFT)
"""How many values the bits for head, board and channel have."""
_TIME_BITS: Final = np.uint64((1 << CHANNEL_SHIFT) - 1)
_ALL: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stream.

    words: uint64[n]; time_tdc: int64[n], the time of each hit since orbit 0, and for words that are not hits, whose
        orbits may be of another time, that of the newest hit so far
    newest_tdc: int64[n], the time of the newest hit so far; before_tdc: the same before the piece
    first: how many words came before the piece; at_tdc: when the fault begins
    """

    words: Words
    time_tdc: Times
    newest_tdc: Times
    before_tdc: int
    first: int
    at_tdc: int

    def where(self, kinds: Mask) -> Indices:
        """The words from the fault's beginning on whose head, board and channel are in a set, bool[KINDS]."""
        return np.flatnonzero(kinds[self.words >> np.uint64(CHANNEL_SHIFT)] & (self.time_tdc >= self.at_tdc))


def hit_times(words: Words) -> Times:
    """The time of each hit since orbit 0 in TDC counts, int64; a fine time of 1 is the beginning of its crossing."""
    orbit = ((words >> np.uint64(ORBIT_SHIFT)) & np.uint64(ORBIT_MASK)).astype(np.int64)
    inside = ((words >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK)).astype(np.int64) * TDC_PER_BX
    time: Times = orbit * TDC_PER_ORBIT + inside + (words & np.uint64(TDC_MASK)).astype(np.int64) - 1
    return time


def piece_of(words: Words, before_tdc: int | None, first: int, at_tdc: int) -> Piece:
    """The next part of a stream; before_tdc: the newest hit's time before it, None at the stream's beginning."""
    time = hit_times(words)
    hits = words >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)
    if before_tdc is None:
        # a stream begins with its first hit, whatever the orbit counter starts from
        before_tdc = int(time[np.argmax(hits)]) if hits.any() else 0
    newest = np.where(hits, time, before_tdc)
    np.maximum.accumulate(newest, out=newest)
    np.maximum(newest, before_tdc, out=newest)
    return Piece(words, np.where(hits, time, newest), newest, before_tdc, first, at_tdc)


def with_time(words: Words, time_tdc: Times) -> Words:
    """The words with other times since orbit 0, int64[n]; what is before orbit 0 is put there."""
    orbit, inside = np.divmod(np.maximum(time_tdc, 0), TDC_PER_ORBIT)
    bits = (orbit & ORBIT_MASK) << ORBIT_SHIFT | inside // TDC_PER_BX << BX_SHIFT | inside % TDC_PER_BX + 1
    moved: Words = words & ~_TIME_BITS | bits.astype(np.uint64)
    return moved


def with_channel(words: Words, channel: NDArray[np.int64]) -> Words:
    """The words with other channels, int64[n]."""
    bits = np.uint64(CHANNEL_MASK << CHANNEL_SHIFT)
    other: Words = words & ~bits | channel.astype(np.uint64) << np.uint64(CHANNEL_SHIFT)
    return other


def mixed(seed: int, salt: int) -> int:
    """A number of 64 bits for each seed and each use of it."""
    z = (seed * 0x9E3779B97F4A7C15 + salt * 0xD1342543DE82EF95 + 0x632BE59BD9B4E019) & _ALL
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _ALL
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _ALL
    return z ^ z >> 31


def hashed(values: Words, seed: int, salt: int = 0) -> Words:
    """A random number of 64 bits for each value, uint64[n]: always the same one for the same value, seed and salt."""
    z = values ^ np.uint64(mixed(seed, salt))
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def uniform(values: Words, seed: int, salt: int = 0) -> Floats:
    """The same as a number from 0 up to 1, float64[n]."""
    share: Floats = (hashed(values, seed, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return share


def moved(words: Words, tdc: Floats | float, seed: int, *, coarse: bool = False) -> Words:
    """The words later by so many TDC counts, or earlier; parts of a count, as in continuous time, by chance.

    coarse: the words know their bunch crossing only, and keep to its beginning
    """
    step = TDC_PER_BX if coarse else 1
    counts = np.floor(np.asarray(tdc) / step + uniform(words, seed, 101)).astype(np.int64)
    return with_time(words, hit_times(words) + counts * step)


def inserted(piece: Piece, words: Words, time_tdc: Times) -> Words:
    """The piece with words of their own times, in order, each where the stream first comes past its time.

    Their times must be from piece.before_tdc up to what is the newest at its end, that itself left out.
    """
    out: Words = np.insert(piece.words, np.searchsorted(piece.newest_tdc, time_tdc, side="right"), words)
    return out
