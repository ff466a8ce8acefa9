"""Which pauses in the data are gaps, and for how long the read-out was open, by the data's own rate.

A pause counts as open, as part of the live time, unless it is improbable: longer than a second and than ln(1000 n)
mean intervals between events, n being the events of the run. In a steady run of any rate that leaves one pause in a
thousand runs that is wrongly taken out. The mean interval is that of the bins on each side of the pause, the longer of
both, so that a quiet hour beside a busy one is judged by itself. Gaps are left out of what the rate is taken from, and
the decision is repeated until nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIDE_BINS: Final = 16
"""The rate beside a pause is that of so many bins with data."""
FEWEST_INTERVALS: Final = 4
"""Fewer intervals between events than this on a side tell no rate."""
RUNS_PER_MISTAKE: Final = 1000

Array = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Bins in order of time, and the pauses between and inside them, in orbits.

    inside: int64[n], from a bin's first event to its last, resets left out; events: int64[n]
    steps: int64[n-1], from a bin's last event to the next one's first; linked: bool[n-1], where no reset is between
    counts, sums: int64[n, k], pauses inside bins, by class of length, how many and how long in all
    shortest: pauses up to this are never gaps
    """

    inside: Array
    events: Array
    steps: Array
    linked: Mask
    counts: Array
    sums: Array
    shortest: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """Which pauses are gaps: bool[n-1] between bins; bool[n, k] by class inside them."""

    between: Mask
    inside: Mask


def _rate(events: Floats, orbits: Floats) -> Floats:
    """Events an orbit, from intervals between events; infinite where they tell no rate."""
    known = (events > FEWEST_INTERVALS) & (orbits > 0)
    return np.where(known, (events - 1) / np.maximum(orbits, 1), np.inf)


def find_gaps(pauses: Pauses) -> Gaps:
    """Decide which pauses are gaps."""
    n = len(pauses.inside)
    candidates = np.flatnonzero(pauses.linked & (pauses.steps > pauses.shortest))
    inner = np.argwhere(pauses.counts > 0)
    gaps = Gaps(np.zeros(max(n - 1, 0), np.bool_), np.zeros(pauses.counts.shape, np.bool_))
    if not len(candidates) and not len(inner):
        return gaps
    mean_inner = pauses.sums[tuple(inner.T)] / pauses.counts[tuple(inner.T)]
    intervals = np.log(RUNS_PER_MISTAKE * max(int(pauses.events.sum()), 1))
    events = np.concatenate([[0], np.cumsum(pauses.events)]).astype(np.float64)
    while True:
        orbits = open_inside(pauses, gaps)
        steps = np.where(pauses.linked & ~gaps.between, pauses.steps, 0)
        # `before[i]` is the open time up to the first event of bin i, `after[i]` that up to its last
        before = np.concatenate([[0], np.cumsum(orbits[:-1] + steps)]) if n else np.empty(0)
        after = before + orbits

        def rate(first: Array, last: Array, before: Floats = before, after: Floats = after) -> Floats:
            return _rate(events[last + 1] - events[first], after[last] - before[first])

        left = rate(np.maximum(candidates - SIDE_BINS + 1, 0), candidates)
        right = rate(candidates + 1, np.minimum(candidates + SIDE_BINS, n - 1))
        beside = np.minimum(left, right)
        lone = ~np.isfinite(beside)
        if lone.any():
            first, last = np.maximum(candidates - SIDE_BINS + 1, 0), np.minimum(candidates + SIDE_BINS, n - 1)
            counted = events[last + 1] - events[first] - 2
            open_orbits = after[last] - before[first] - steps[candidates]
            beside = np.where(lone, counted / np.maximum(open_orbits, 1), beside)
        found = pauses.steps[candidates] * beside > intervals
        where = inner[:, 0]
        around = rate(np.maximum(where - SIDE_BINS, 0), np.minimum(where + SIDE_BINS, n - 1))
        found_inside = (mean_inner * around > intervals) & np.isfinite(around) & (mean_inner > pauses.shortest)
        between, inside = gaps.between.copy(), gaps.inside.copy()
        between[candidates] |= found
        inside[tuple(inner.T)] |= found_inside
        if np.array_equal(between, gaps.between) and np.array_equal(inside, gaps.inside):
            return gaps
        gaps = Gaps(between, inside)


def open_inside(pauses: Pauses, gaps: Gaps) -> Floats:
    """Orbits inside each bin, from its first event to its last, that the read-out was open: float64[n]."""
    # of rows that came out of order, a pause may have been seen twice
    return np.asarray(np.maximum(pauses.inside - (pauses.sums * gaps.inside).sum(axis=1), 0), dtype=np.float64)
