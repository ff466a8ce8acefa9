"""A survey's counts by stretches of words, and the stretches that depart strongly from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import ORBIT_SECONDS

FIRST_STRETCH_WORDS: Final = 256
MOST_STRETCHES: Final = 2048
"""Beyond this many stretches, neighbours are merged into stretches twice as long, so that memory stays bounded."""

HEADS: Final = 0
"""Columns of a stretch: words by HEAD (8), then good hits by board (8), then the rest, all of which may be added."""
BOARDS: Final = 8
UNKNOWN, BAD_BX, BAD_TDC, REPEATED, BACK, FAR, TIME, LIVE = range(16, 24)
COLUMNS: Final = 24

SIGMA: Final = 6.0
"""Standard deviations by which a share or a rate must depart, however large the departure is."""
SHARE: Final = 0.05
"""The smallest departure of a share that is reported."""
RATE_FACTOR: Final = 3.0
"""The smallest factor between a rate and the usual one that is reported."""

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Departure:
    """Words in a row that are unlike the rest of the input.

    first_word: where they begin, counted from 0; words: how many; what: the quantity, such as "hits"
    found, usual: its share from 0 to 1 (or its rate in Hz, for "rate") there, and in the median stretch
    """

    first_word: int
    words: int
    what: str
    found: float
    usual: float


class Stretches:
    """Counts by stretch of equally many words, in order of arrival; memory is bounded.

    table: int64[MOST_STRETCHES, COLUMNS], to be added to: word n belongs to row n // length
    """

    def __init__(self) -> None:
        self.length = FIRST_STRETCH_WORDS
        self.table: Array = np.zeros((MOST_STRETCHES, COLUMNS), np.int64)
        self.words = 0

    def room(self) -> int:
        """How many more words there is room for, at least 1: when there is none, neighbours are merged."""
        if self.words == self.length * MOST_STRETCHES:
            half = MOST_STRETCHES // 2
            self.table[:half] = self.table.reshape(half, 2, COLUMNS).sum(axis=1)
            self.table[half:] = 0
            self.length *= 2
        return self.length * MOST_STRETCHES - self.words

    @property
    def rows(self) -> Array:
        """The counts of all stretches so far, int64[n, COLUMNS]."""
        rows: Array = self.table[: -(-self.words // self.length)]
        return rows

    def sizes(self) -> Array:
        """Words in each stretch, int64[n]."""
        sizes: Array = self.rows[:, HEADS : HEADS + 8].sum(axis=1)
        return sizes

    def rates_hz(self, bars: int, column: int = LIVE) -> tuple[list[float], float]:
        """Hit words a second in equal pieces of TIME or LIVE time, float[at most bars], and a piece's length, seconds.

        Repeated hits are left out, since they do not move the clocks either.
        """
        rows = self.rows
        live_s = np.concatenate([[0], np.cumsum(rows[:, column])]) * ORBIT_SECONDS
        hits = np.concatenate([[0], np.cumsum(rows[:, HEADS + 2] - rows[:, REPEATED])])
        total = float(live_s[-1]) if len(live_s) else 0.0
        if total <= 0:
            return [], 0.0
        n = max(1, min(bars, len(rows)))
        # a stretch's hits are spread evenly over its time
        at = np.interp(np.linspace(0, total, n + 1), live_s, hits)
        return (np.diff(at) / (total / n)).tolist(), total / n

    def head_shares(self, bars: int) -> tuple[tuple[int, tuple[float, ...]], ...]:
        """The share of each HEAD that occurs, in equal pieces of the input: (head, float[at most bars])."""
        rows = self.rows[:, HEADS : HEADS + 8]
        if not len(rows):
            return ()
        together = -(-len(rows) // bars)
        summed = np.add.reduceat(rows, np.arange(0, len(rows), together), axis=0)
        shares = summed / summed.sum(axis=1, keepdims=True)
        return tuple((head, tuple(shares[:, head].tolist())) for head in range(8) if rows[:, head].any())


def departures(stretches: Stretches) -> list[Departure]:
    """The stretches whose shares or rate depart strongly from the median stretch's, neighbours joined, in order.

    An input with fewer than eight stretches is not judged: it has no usual behaviour to depart from.
    """
    rows, sizes = stretches.rows, stretches.sizes()
    if len(rows) < 8:
        return []
    found: list[Departure] = []
    hits = rows[:, HEADS + 2]
    quantities: list[tuple[str, Array, Array]] = [
        ("hits", hits, sizes),
        ("channels not in the detector file", rows[:, UNKNOWN], hits),
        ("BX of 3564 or more", rows[:, BAD_BX], hits),
        ("TDC outside 1 to 30", rows[:, BAD_TDC], hits),
        ("repeated words", rows[:, REPEATED], hits),
        ("steps back inside a board", rows[:, BACK], hits),
        ("wild orbits", rows[:, FAR], hits),
    ]
    quantities += [
        (f"board {board}", rows[:, BOARDS + board], hits) for board in range(8) if rows[:, BOARDS + board].any()
    ]
    for what, part, whole in quantities:
        found += _shares(stretches, what, part, whole)
    found += _rates(stretches, hits - rows[:, REPEATED], rows[:, LIVE])
    return sorted(found, key=lambda one: (one.first_word, one.what))


def _shares(stretches: Stretches, what: str, part: Array, whole: Array) -> list[Departure]:
    with np.errstate(invalid="ignore", divide="ignore"):
        share = part / whole
        usual = float(np.median(share[whole > 0])) if (whole > 0).any() else 0.0
        # a board's packets arrive whole, so their words are not independent: each packet counts as one
        spread = np.sqrt(np.maximum(usual * (1 - usual), 0.25 / np.maximum(whole, 1)) * 4 / np.maximum(whole, 1))
        odd = (whole >= 64) & (np.abs(share - usual) > np.maximum(SIGMA * spread, SHARE))
    side = np.where(odd, np.where(share > usual, 1, -1), 0)
    return [
        Departure(first, n, what, float(part[a:b].sum() / whole[a:b].sum()), usual)
        for a, b, first, n in _runs(stretches, side)
    ]


def _rates(stretches: Stretches, hits: Array, live: Array) -> list[Departure]:
    # the last stretch is incomplete, so it says little
    timed = (live > 0) & (hits >= 64)
    if timed.sum() < 8:
        return []
    rate = np.where(timed, hits / np.maximum(live * ORBIT_SECONDS, ORBIT_SECONDS), 0.0)
    usual = float(np.median(rate[timed]))
    expected = usual * live * ORBIT_SECONDS
    far = np.abs(hits - expected) > SIGMA * 2 * np.sqrt(np.maximum(expected, 1))
    odd = timed & far & ((rate > RATE_FACTOR * usual) | (rate < usual / RATE_FACTOR))
    side = np.where(odd, np.where(rate > usual, 1, -1), 0)
    return [
        Departure(first, n, "rate", float(hits[a:b].sum() / (live[a:b].sum() * ORBIT_SECONDS)), usual)
        for a, b, first, n in _runs(stretches, side)
    ]


def _runs(stretches: Stretches, side: NDArray[np.int64]) -> list[tuple[int, int, int, int]]:
    """Runs of stretches on one side, as (first stretch, behind the last, first word, words)."""
    edges = np.flatnonzero(np.diff(side, prepend=0, append=0))
    begins = [int(a) for a in edges if a < len(side) and side[a] != 0]
    runs = []
    for a in begins:
        b = a + 1
        while b < len(side) and side[b] == side[a]:
            b += 1
        first = a * stretches.length
        runs.append((a, b, first, min(b * stretches.length, stretches.words) - first))
    return runs
