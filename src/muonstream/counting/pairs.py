"""Pairs of hits close in time, in one cell or in neighbouring ones, which reveal afterpulses and crosstalk.

All pairs of hits of an orbit count, so that the order of words does not matter, and no pair reaches into another orbit.
Where there are many words a part of the orbits is enough, chosen by their numbers and by the words of their window.
A cell with very many hits in an orbit is left out there, and its hits are counted: so a hit is compared with at most
5 `MOST_IN_CELL` others, those of its cell and of its four neighbours.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, inlined
from muonstream.counting.catalogue import PAIR_BINS, PAIR_STEP_TDC, Catalogue, Counts
from muonstream.detector.channels import ChannelMap
from muonstream.detector.model import Detector
from muonstream.frames import ScatteredFrames, uniform
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    NS_PER_TDC,
    ORBIT_SECONDS,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    WINDOW_ORBITS,
)

ALL_BELOW_WORDS: Final = 1024
"""Windows of at most this many words are used whole; of others one orbit in 2, 4, 8, ..."""
WINDOW_STEP: Final = 16
"""Up to this step whole windows are left out: their words need not even be read. Above, orbits of the window too."""
AFTERPULSE_TDC: Final = 720
"""A hit at most this long after another of its cell, 600 ns, counts as an afterpulse."""
CROSSTALK_TDC: Final = 12
"""Hits of neighbours at most this far apart, 10 ns, count as one signal."""
MOST_IN_CELL: Final = 64
"""Hits of a cell in one orbit that are compared, a rate of 720 kHz: with more, all of them are given up, whichever came
first, so that the order of words does not matter."""
NEIGHBOURS: Final = 2
"""Kinds of neighbours: the next channel, and the next cell of the layer."""


@compiled
def _step(n_words: int) -> int:
    """One orbit in this many is used, a power of two."""
    step = 1
    while step * ALL_BELOW_WORDS < n_words and step < WINDOW_STEP * WINDOW_ORBITS:
        step *= 2
    return step


@compiled
def _give_up_crowded(
    first: Any, before: Any, code_of: Any, in_cell: Any, hits: Any, chamber_of_block: Any, given_up: Any
) -> Any:
    """Take the hits of cells with more than `MOST_IN_CELL` out of an orbit's list, and out of the hits looked at.

    Gives where the list begins now.

    first: the place of the list's first hit; before: of each hit the next one's place, 0 for none
    in_cell: uint32[K + 1], all 0, and left so; given_up: int64[C], to which the hits of each chamber are added
    """
    zero, one = np.uint64(0), np.uint64(1)
    at = np.uint64(first)
    while at != zero:
        in_cell[code_of[at - one]] += 1
        at = np.uint64(before[at - one])
    at, kept, begin = np.uint64(first), zero, np.uint64(first)
    while at != zero:
        following = np.uint64(before[at - one])
        code = code_of[at - one]
        if in_cell[code] <= MOST_IN_CELL:
            kept = at
        else:
            given_up[np.uint64(chamber_of_block[code >> np.uint32(6)])] += 1
            hits[code] -= 1
            if kept == zero:
                begin = following
            else:
                before[kept - one] = following
        at = following
    in_cell[:] = 0
    return begin


@inlined
def _has_more(first: Any, before: Any, n: int) -> bool:
    """Whether a list has more than n hits."""
    at = np.uint64(first)
    for _ in range(n):
        if at == np.uint64(0):
            break
        at = np.uint64(before[at - np.uint64(1)])
    return bool(at != np.uint64(0))


@compiled
def _pairs(
    words: Any,
    held: Any,
    stretches: Any,
    firsts: Any,
    keys: Any,
    lump: Any,
    codes: Any,
    neighbours: Any,
    chamber_of_block: Any,
    first: int,
    out: Any,
) -> None:
    """Add to out[:, first:], int64[lumps, size], what `PairCounter` tells of."""
    cell_codes = np.uint64(len(neighbours))
    chambers = chamber_of_block[-1] + 1
    at_hits = chambers * PAIR_BINS
    at_after = at_hits + len(neighbours)
    at_next = at_after + len(neighbours)
    at_orbits = at_next + NEIGHBOURS * len(neighbours)
    most = 0
    for k in range(len(keys)):
        n_words = 0
        for s in range(firsts[k], firsts[k + 1]):
            n_words += stretches[s, 1]
        if keys[k] % min(_step(n_words), WINDOW_STEP) == 0:
            most = max(most, n_words)
    if most == 0:
        return
    # places in these lists are counted from 1; 0 ends a list
    of_orbit = np.zeros(WINDOW_ORBITS, np.uint32)
    orbits = np.empty(max(most, WINDOW_ORBITS) + 1, np.uint32)
    before = np.empty(most, np.uint32)
    code_of = np.empty(most, np.uint32)
    time_of = np.empty(most, np.int32)
    before_in_cell = np.empty(most, np.uint32)
    newest = np.zeros(len(neighbours) + 1, np.uint32)
    in_cell = np.zeros(len(neighbours) + 1, np.uint32)
    zero, one, orbit_shift = np.uint64(0), np.uint64(1), np.uint64(ORBIT_SHIFT)
    for k in range(len(keys)):
        n_words = 0
        for s in range(firsts[k], firsts[k + 1]):
            n_words += stretches[s, 1]
        step = _step(n_words)
        if keys[k] % min(step, WINDOW_STEP) != 0:
            continue
        orbit_step = max(step // WINDOW_STEP, 1)
        data = out[lump[k], first:]
        times = data[:at_hits].reshape(chambers, PAIR_BINS)
        hits = data[at_hits:at_after]
        after = data[at_after:at_next]
        beside = data[at_next:at_orbits].reshape(NEIGHBOURS, len(neighbours))
        given_up = data[at_orbits + 1 : at_orbits + 1 + chambers]
        data[at_orbits] += WINDOW_ORBITS // orbit_step
        # hits of the chosen orbits, as a list for each orbit; without unpredictable branches
        other = np.uint64(orbit_step - 1) << orbit_shift
        n, n_orbits = np.uint64(0), np.uint64(0)
        for s in range(firsts[k], firsts[k + 1]):
            offset, length = stretches[s]
            these = words if offset >= 0 else held
            begin = np.uint64(offset if offset >= 0 else ~offset)
            for i in range(begin, begin + np.uint64(length)):
                word = these[i]
                if word & other:
                    continue
                code = np.uint64(codes[word >> np.uint64(CHANNEL_SHIFT)])
                bx = (word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK)
                if code >= cell_codes or bx >= np.uint64(BX_PER_ORBIT):
                    continue
                orbit = (word >> orbit_shift) & np.uint64(WINDOW_ORBITS - 1)
                code_of[n] = code
                time_of[n] = np.int32(bx) * np.int32(TDC_PER_BX) + np.int32(word & np.uint64(TDC_MASK))
                hits[code] += 1
                last = of_orbit[orbit]
                before[n] = last
                of_orbit[orbit] = n + one
                orbits[n_orbits] = orbit
                n_orbits += np.uint64(last == zero)
                n += one
        # orbits with one hit have no pairs
        n_several = np.uint64(0)
        for j in range(n_orbits):
            orbit = orbits[j]
            last = np.uint64(of_orbit[orbit])
            of_orbit[orbit] = 0
            orbits[n_several] = last
            n_several += np.uint64(before[last - one] != 0)
        for j in range(n_several):
            if _has_more(orbits[j], before, MOST_IN_CELL):
                orbits[j] = _give_up_crowded(orbits[j], before, code_of, in_cell, hits, chamber_of_block, given_up)
            # each hit with those of its cell, and of its neighbours, that were taken before it
            at = np.uint64(orbits[j])
            while at != zero:
                mine = at - one
                code, time = np.uint64(code_of[mine]), time_of[mine]
                m = np.uint64(newest[code])
                before_in_cell[mine] = m
                newest[code] = at
                while m != zero:
                    apart = np.uint64(abs(time - time_of[m - one]))
                    if apart < np.uint64(PAIR_BINS * PAIR_STEP_TDC):
                        chamber = np.uint64(chamber_of_block[code >> np.uint64(6)])
                        times[chamber, apart // np.uint64(PAIR_STEP_TDC)] += 1
                        after[code] += apart <= np.uint64(AFTERPULSE_TDC)
                    m = np.uint64(before_in_cell[m - one])
                for kind in range(NEIGHBOURS):
                    m = np.uint64(newest[neighbours[code, kind, 1]])
                    while m != zero:
                        beside[kind, code] += abs(time - time_of[m - one]) <= CROSSTALK_TDC
                        m = np.uint64(before_in_cell[m - one])
                    previous = np.uint64(neighbours[code, kind, 0])
                    m = np.uint64(newest[previous])
                    while m != zero:
                        beside[kind, previous] += abs(time - time_of[m - one]) <= CROSSTALK_TDC
                        m = np.uint64(before_in_cell[m - one])
                at = np.uint64(before[mine])
            at = np.uint64(orbits[j])
            while at != zero:
                newest[code_of[at - one]] = 0
                at = np.uint64(before[at - one])


def neighbours_of(detector: Detector, channel_map: ChannelMap) -> NDArray[np.uint32]:
    """The codes before and after each cell's, uint32[K, kind, 2]; K where there is none."""
    n = channel_map.n_cell_codes
    out = np.full((n, NEIGHBOURS, 2), n, np.uint32)
    for chamber, base in zip(detector.chambers, channel_map.cell_base.tolist(), strict=True):
        for kind, distance in enumerate((1, chamber.layers)):
            first = np.arange(base, base + chamber.cells - distance)
            out[first, kind, 1] = first + distance
            out[first + distance, kind, 0] = first
    return out


class PairCounter:
    """Counts pairs for one detector, by the entries of the catalogue that begin with `pair`; for several threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        channel_map = catalogue.channel_map
        self._codes = channel_map.codes.astype(np.uint16)
        self._neighbours = neighbours_of(catalogue.detector, channel_map)
        self._chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._first = catalogue.kernel_size

    def __call__(self, frames: ScatteredFrames, lump: NDArray[np.int64], out: Counts) -> None:
        """Add what whole windows have to `out`, int64[lumps, size]; lump: int64[k], the row of each window."""
        _pairs(
            uniform(frames.words),
            frames.held,
            frames.stretches,
            frames.firsts,
            frames.keys,
            lump,
            self._codes,
            self._neighbours,
            self._chamber_of_block,
            self._first,
            out,
        )


def accidental_pairs(a: NDArray[np.int64], b: NDArray[np.int64], within_tdc: int, orbits: int) -> NDArray[np.float64]:
    """Pairs of one hit of a and one of b, at most so far apart, that chance brings when each come evenly.

    a, b: hits in so many orbits; for pairs within one cell, of which each would be counted twice, halve it.
    """
    seconds = max(orbits, 1) * ORBIT_SECONDS
    return np.asarray(a * b * (2 * within_tdc * NS_PER_TDC * 1e-9 / seconds), np.float64)
