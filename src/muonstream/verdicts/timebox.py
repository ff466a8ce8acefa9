"""The time box: where a chamber's drift times begin and end, fitted to their histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, sqrt
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

MERGED: Final = 3
"""Fine bins are merged by 3: 2.5 ns."""
SMOOTHED: Final = 7
REACH_NS: Final = 45.0
"""Bins within this distance of an edge are fitted."""
PASSES: Final = ((30.0, 2.0, (5.0,)), (8.0, 0.5, (2.5, 4.5, 8.0)))
"""Positions are tried within this many ns, in steps, with smearings; the second time around the first result."""
PULL: Final = 1.5
"""Edges scatter by this factor more than by their likelihood, since they are not quite Gaussian."""
AGREEMENT: Final = 2.0
"""Edges of overlapping stretches differ by less than this many standard deviations of the shorter one's."""
LEAST_HITS: Final = 500
"""Hits in the box before anything is fitted."""
_Z: Final = np.linspace(-6.0, 6.0, 1201)
_CDF: Final = np.array([0.5 * (1 + erf(z / sqrt(2))) for z in _Z])


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of the box: where it is, and the standard deviation of that."""

    position_ns: float
    error_ns: float


@dataclass(frozen=True, slots=True)
class TimeBox:
    """Both edges of a chamber's drift times; the width is the longest drift time."""

    begin: Edge
    end: Edge
    hits: int

    @property
    def width_ns(self) -> float:
        """From edge to edge."""
        return self.end.position_ns - self.begin.position_ns

    @property
    def width_error_ns(self) -> float:
        """Standard deviation of the width."""
        return sqrt(self.begin.error_ns**2 + self.end.error_ns**2)

    def as_plain(self) -> list[float]:
        """The box as plain numbers, for `of_plain`."""
        return [self.begin.position_ns, self.begin.error_ns, self.end.position_ns, self.end.error_ns, self.hits]

    @classmethod
    def of_plain(cls, plain: Sequence[float]) -> Self:
        """The box that `as_plain` gave. Raises ValueError or TypeError for anything else."""
        begin_ns, begin_error_ns, end_ns, end_error_ns, hits = map(float, plain)
        return cls(Edge(begin_ns, begin_error_ns), Edge(end_ns, end_error_ns), int(hits))


def fit_time_box(
    edges_ns: Floats, counts: NDArray[np.int64], t_max_ns: float, *, merged_bins: int = MERGED
) -> TimeBox | None:
    """The box in a histogram of drift times: edges_ns float64[n + 1], counts int64[n], longest drift time as expected.

    merged_bins: so many bins become one before anything is fitted
    The histogram has to reach well beyond the box on both sides. None when there are too few hits, or no box.
    """
    step = merged_bins
    n = len(counts) // step * step
    merged = counts[:n].reshape(-1, step).sum(axis=1).astype(np.float64)
    centres = (edges_ns[:n:step] + edges_ns[step : n + 1 : step]) / 2
    width = float(edges_ns[step] - edges_ns[0])
    # roughly: the stretch of the box's length that has the most hits
    length = max(round(t_max_ns / width), 1)
    if length >= len(merged):
        return None
    sums = np.convolve(merged, np.ones(length), mode="valid")
    first = int(np.median(np.flatnonzero(sums == sums.max())))
    outside = np.concatenate([merged[: max(first - length // 4, 0)], merged[first + length + length // 4 :]])
    background = float(outside.mean()) if len(outside) else 0.0
    hits = sums[first] - background * length
    if hits < LEAST_HITS or hits < 5 * sqrt(sums[first]):
        return None
    # its sides: where, from its middle outwards, there is first less than half of what its inner part has
    smooth = np.convolve(merged, np.ones(SMOOTHED) / SMOOTHED, mode="same")
    half = background + (float(np.median(merged[first + length // 5 : first + length - length // 5])) - background) / 2
    below = np.flatnonzero(smooth < half)
    middle = first + length // 2
    left, right = below[below < middle - length // 5], below[below > middle + length // 5]
    if not len(left) or not len(right):
        return None
    begin = _fit_edge(centres, merged, background, float(centres[left[-1]] + width / 2), 1)
    end = _fit_edge(centres, merged, background, float(centres[right[0]] - width / 2), -1)
    return TimeBox(begin, end, round(hits)) if begin and end else None


def newest_time_box(
    edges_ns: Floats, histograms: Sequence[NDArray[np.int64]], t_max_ns: float
) -> tuple[TimeBox | None, int | None]:
    """The box of the newest data; histograms: of stretches that end now, the shortest first.

    The longest is taken that agrees with the shortest that has enough hits: where something has changed meanwhile, a
    longer one would be a mixture of what was and what is. Then the second number says which one was taken, else None.
    """
    newest = taken = number = None
    for n, counts in enumerate(histograms):
        box = fit_time_box(edges_ns, counts, t_max_ns)
        if box is None:
            continue
        if newest is None:
            newest, taken, number = box, box, n
        elif all(
            abs(longer.position_ns - shorter.position_ns) < AGREEMENT * shorter.error_ns
            for longer, shorter in ((box.begin, newest.begin), (box.end, newest.end))
        ):
            taken, number = box, n
        else:
            return taken, number
    return taken, None


def _fit_edge(centres: Floats, counts: Floats, background: float, near_ns: float, side: int) -> Edge | None:
    """The edge near a place by likelihood, or None; side 1: the box is to the right of it, -1: to the left."""
    error = 0.0
    for reach_ns, step_ns, smearings_ns in PASSES:
        near = np.abs(centres - near_ns) <= REACH_NS
        t, n = centres[near], counts[near]
        places = near_ns + np.arange(-reach_ns, reach_ns + step_ns, step_ns)
        likelihoods = []
        for smearing_ns in smearings_ns:
            shape = np.interp(side * (t[None, :] - places[:, None]) / smearing_ns, _Z, _CDF)
            height = np.maximum((n.sum() - background * len(n)) / np.maximum(shape.sum(axis=1), 1e-9), 1e-9)
            expected = background + 1e-3 + height[:, None] * shape
            likelihoods.append((n * np.log(expected) - expected).sum(axis=1))
        best = max(likelihoods, key=np.max)
        weights = np.exp(best - best.max())
        weights /= weights.sum()
        if int(np.argmax(best)) in (0, len(best) - 1):
            return None  # the edge is elsewhere, or there is none
        near_ns = float((weights * places).sum())
        error = sqrt(float((weights * (places - near_ns) ** 2).sum()))
    return Edge(near_ns, PULL * max(error, PASSES[-1][1] / 2))
