"""What faults do to words: each change takes pieces of a stream in their order, and gives them changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.simulation.drift import AFTERPULSE_DECAY_NS, DEAD_TIME_NS
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    FPGA_MASK,
    FPGA_SHIFT,
    NS_PER_TDC,
    ORBIT_MASK,
    ORBIT_SECONDS,
    ORBIT_SHIFT,
    TDC_PER_ORBIT,
    Words,
)
from tools.faults.stream import (
    SECOND_TDC,
    Floats,
    Mask,
    Piece,
    Times,
    hashed,
    inserted,
    moved,
    uniform,
    with_channel,
    with_time,
)

BLOCK_WORDS: Final = 128
"""Words that are lost together, as many as a transfer has."""
LATE_S: Final = 1.0
"""By how much of data time late words come late: several windows, so that theirs have been closed."""
STRAY_ORBITS: Final = (round(3600 / ORBIT_SECONDS), 1 << 31)
"""By how much the orbits of stray words are ahead: an hour and more."""
BURST_HITS: Final = 150
BURST_TDC: Final = 600
"""A burst has so many hits, 500 ns apart, which is less than an orbit."""
SLAB_HITS: Final = 1 << 14
SLAB_TDC: Final = (round(0.1 * SECOND_TDC), round(100 * SECOND_TDC))
"""Random hits are drawn by slabs of about so many hits, at least and at most so long."""


class Change:
    """A change as it goes on; it is called with the pieces of a stream, one after another."""

    def __call__(self, piece: Piece) -> Words:
        """The piece's words, changed."""
        raise NotImplementedError

    def end(self) -> Words:
        """The words held back that come after the last piece."""
        return np.empty(0, np.uint64)


@dataclass(frozen=True)
class Lost(Change):
    """Words of some kinds are lost, a share of them; what decides is drawn for each word.

    share: the share that is lost, or a function of the seconds since the fault began, float64[n], that gives it
    """

    kinds: Mask
    share: float | Callable[[Floats], Floats]
    seed: int

    def __call__(self, piece: Piece) -> Words:
        which = piece.where(self.kinds)
        seconds = (piece.time_tdc[which] - piece.at_tdc) / SECOND_TDC
        share = self.share(seconds) if callable(self.share) else self.share
        return _without(piece.words, which[self._chance(piece, which) < share])

    def _chance(self, piece: Piece, which: NDArray[np.intp]) -> Floats:
        return uniform(piece.words[which], self.seed)


@dataclass(frozen=True)
class LostOrbits(Lost):
    """The same, decided for each orbit: all words of these kinds of an orbit are lost together."""

    def _chance(self, piece: Piece, which: NDArray[np.intp]) -> Floats:
        return uniform((piece.words[which] >> np.uint64(ORBIT_SHIFT)) & np.uint64(ORBIT_MASK), self.seed)


@dataclass(frozen=True)
class LostBlocks(Lost):
    """The same, decided for each block of words that come one after another."""

    def _chance(self, piece: Piece, which: NDArray[np.intp]) -> Floats:
        return uniform(((piece.first + which) // BLOCK_WORDS).astype(np.uint64), self.seed)


@dataclass(frozen=True)
class Outage(Change):
    """Words of some kinds are missing for so many seconds."""

    kinds: Mask
    seconds: float

    def __call__(self, piece: Piece) -> Words:
        which = piece.where(self.kinds)
        return _without(piece.words, which[piece.time_tdc[which] - piece.at_tdc < self.seconds * SECOND_TDC])


@dataclass(frozen=True)
class Moved(Change):
    """Hits of some kinds come later by so many ns; of coarse kinds only the bunch crossing is known."""

    kinds: Mask
    coarse: Mask
    ns: float
    seed: int

    def __call__(self, piece: Piece) -> Words:
        words = piece.words.copy()
        for kinds, coarse in ((self.kinds & ~self.coarse, False), (self.kinds & self.coarse, True)):
            which = piece.where(kinds)
            words[which] = moved(words[which], self.ns / NS_PER_TDC, self.seed, coarse=coarse)
        return words


@dataclass(frozen=True)
class RandomHits(Change):
    """More hits, so many a second at random, spread evenly over some cells; cells: uint64[n], words without a time."""

    cells: Words
    hz: float
    seed: int

    def __call__(self, piece: Piece) -> Words:
        begin, end = max(piece.before_tdc, piece.at_tdc), int(piece.newest_tdc[-1])
        length = int(np.clip(SLAB_HITS / self.hz * SECOND_TDC, *SLAB_TDC))
        # a piece may begin and end within slabs: each is drawn whole, and what is of other pieces left out
        parts = [self._slab(index, length) for index in range(begin // length, -(-end // length))]
        if not parts:
            return piece.words
        time, cell = (np.concatenate(both) for both in zip(*parts, strict=True))
        inside = (time >= begin) & (time < end)
        return inserted(piece, with_time(self.cells[cell[inside]], time[inside]), time[inside])

    def _slab(self, index: int, length: int) -> tuple[Times, Times]:
        rng = np.random.default_rng([self.seed, index])
        n = int(rng.poisson(self.hz * length / SECOND_TDC))
        time = np.sort(rng.integers(0, length, n)) + index * length
        return time, rng.integers(0, len(self.cells), n)


@dataclass(frozen=True)
class PeriodicHits(Change):
    """More hits of one cell, strictly periodic; cell: uint64[1], a word without a time."""

    cell: Words
    hz: float
    seed: int

    def __call__(self, piece: Piece) -> Words:
        period = SECOND_TDC / self.hz
        phase = piece.at_tdc + period * float(uniform(np.zeros(1, np.uint64), self.seed)[0])
        begin, end = max(piece.before_tdc, piece.at_tdc), int(piece.newest_tdc[-1])
        time = self._times(begin, end, phase, period)
        time = time[(time >= begin) & (time < end)]
        return inserted(piece, with_time(np.repeat(self.cell, len(time)), time), time)

    def _times(self, begin: int, end: int, phase: float, period: float) -> Times:
        """The times of hits from begin to end, and perhaps some before and after."""
        number = np.arange(max(int((begin - phase) / period) - 1, 0), int((end - phase) / period) + 2)
        return np.asarray(np.floor(phase + number * period), dtype=np.int64)


@dataclass(frozen=True)
class Bursts(PeriodicHits):
    """A cell sends BURST_HITS hits within an orbit, so many times a second."""

    def _times(self, begin: int, end: int, phase: float, period: float) -> Times:
        # a burst of an orbit may have begun before the piece
        number = np.arange(max(int((begin - TDC_PER_ORBIT - phase) / period), 0), int((end - phase) / period) + 2)
        orbit = np.ceil((phase + number * period) / TDC_PER_ORBIT).astype(np.int64)
        return (orbit[:, None] * TDC_PER_ORBIT + np.arange(BURST_HITS) * BURST_TDC).reshape(-1)


@dataclass(frozen=True)
class Echoed(Change):
    """A share of the hits of some kinds is followed by another, behind it in the stream.

    to_channel: int64[KINDS], the channel of the echo by the hit's head, board and channel
    delay_ns: of all, or None: as afterpulses come in the simulation
    """

    kinds: Mask
    share: float
    to_channel: Times
    delay_ns: float | None
    seed: int

    def __call__(self, piece: Piece) -> Words:
        which = piece.where(self.kinds)
        which = which[uniform(piece.words[which], self.seed) < self.share]
        hits = piece.words[which]
        delay: Floats | float
        if self.delay_ns is None:
            # a gamma distribution of shape 2 is the sum of two exponential ones
            chance = (1 - uniform(hits, self.seed, 1)) * (1 - uniform(hits, self.seed, 2))
            delay = DEAD_TIME_NS - AFTERPULSE_DECAY_NS / 2 * np.log(chance)
        else:
            delay = self.delay_ns
        echo = with_channel(hits, self.to_channel[hits >> np.uint64(CHANNEL_SHIFT)])
        out: Words = np.insert(piece.words, which + 1, moved(echo, delay / NS_PER_TDC, self.seed))
        return out


@dataclass(frozen=True)
class Rewritten(Change):
    """A share of the words of some kinds is written otherwise: rewrite(words, seed) gives what they become."""

    kinds: Mask
    share: float
    rewrite: Callable[[Words, int], Words]
    seed: int

    def __call__(self, piece: Piece) -> Words:
        which = piece.where(self.kinds)
        which = which[uniform(piece.words[which], self.seed) < self.share]
        words = piece.words.copy()
        words[which] = self.rewrite(words[which], self.seed)
        return words


def stray(words: Words, seed: int) -> Words:
    """The words with orbits of nonsense, an hour ahead and more."""
    low, high = STRAY_ORBITS
    orbit = words >> np.uint64(ORBIT_SHIFT) & np.uint64(ORBIT_MASK)
    orbit = (orbit + low + hashed(words, seed, 1) % np.uint64(high - low)) & np.uint64(ORBIT_MASK)
    out: Words = words & ~np.uint64(ORBIT_MASK << ORBIT_SHIFT) | orbit << np.uint64(ORBIT_SHIFT)
    return out


def malformed(words: Words, seed: int) -> Words:
    """The words with bunch crossings that an orbit has not."""
    bx = np.uint64(BX_PER_ORBIT) + hashed(words, seed, 1) % np.uint64(BX_MASK + 1 - BX_PER_ORBIT)
    out: Words = words & ~np.uint64(BX_MASK << BX_SHIFT) | bx << np.uint64(BX_SHIFT)
    return out


@dataclass(frozen=True)
class OnChannels:
    """The words on other channels of their boards; channels: int64[board, n], as many of each board."""

    channels: Times

    def __call__(self, words: Words, seed: int) -> Words:
        board = (words >> np.uint64(FPGA_SHIFT) & np.uint64(FPGA_MASK)).astype(np.intp)
        number = (hashed(words, seed, 1) % np.uint64(self.channels.shape[1])).astype(np.intp)
        return with_channel(words, self.channels[board, number])


@dataclass
class Delayed(Change):
    """A share of the words of some kinds comes later in the stream, when it is LATE_S further; times stay as they are.

    The words that are due after the last piece come at its end, some of them before their windows have closed.
    """

    kinds: Mask
    share: float
    seed: int
    _held: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    _due: Times = field(default_factory=lambda: np.empty(0, np.int64))

    def __call__(self, piece: Piece) -> Words:
        which = piece.where(self.kinds)
        which = which[uniform(piece.words[which], self.seed) < self.share]
        held = np.concatenate([self._held, piece.words[which]])
        due = np.concatenate([self._due, piece.time_tdc[which] + round(LATE_S * SECOND_TDC)])
        order = np.argsort(due, kind="stable")
        held, due = held[order], due[order]
        released = int(np.searchsorted(due, piece.newest_tdc[-1]))
        self._held, self._due = held[released:], due[released:]
        stays = np.ones(len(piece.words), np.bool_)
        stays[which] = False
        # places among all of the piece's words, then among those that stay
        place = np.searchsorted(piece.newest_tdc, due[:released], side="right")
        place = np.append(0, np.cumsum(stays))[place]
        out: Words = np.insert(piece.words[stays], place, held[:released])
        return out

    def end(self) -> Words:
        return self._held


def _without(words: Words, which: NDArray[np.intp]) -> Words:
    out: Words = np.delete(words, which)
    return out
