"""Muons side by side and showers: how many segments a chamber has at one time, and how far parallel ones are apart."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.counting.muon_entries import APART_BINS, APART_MM, AT_ONCE
from muonstream.muons.agreement import CONFIRMED_NS, MOST_SEGMENTS
from muonstream.muons.filler import Filler
from muonstream.muons.segments import Segments

PARALLEL_TAN: Final = 0.1
"""Segments at one time whose slopes differ by less are parallel: muons of one air shower."""


@compiled
def _bundles(frame: Any, orbit: Any, chamber: Any, x_mm: Any, tan: Any, t0_ns: Any, lump: Any, out: Any) -> None:
    """Add to `at_once` and `apart`, int64[lumps, C, bins]; segments of an orbit and chamber are side by side."""
    at_once, apart = out
    order = np.empty(MOST_SEGMENTS, np.int64)
    begin = 0
    while begin < len(frame):
        end = begin + 1
        while (
            end < len(frame)
            and frame[end] == frame[begin]
            and orbit[end] == orbit[begin]
            and chamber[end] == chamber[begin]
        ):
            end += 1
        row, c, n = lump[frame[begin]], chamber[begin], end - begin
        if n > MOST_SEGMENTS:
            at_once[row, c, AT_ONCE - 1] += 1
            begin = end
            continue
        for i in range(n):
            j = i
            while j > 0 and t0_ns[order[j - 1]] > t0_ns[begin + i]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = begin + i
        first = 0
        while first < n:
            last = first
            while last < n and t0_ns[order[last]] < t0_ns[order[first]] + CONFIRMED_NS:
                for k in range(first, last):
                    a, b = order[k], order[last]
                    if abs(tan[a] - tan[b]) < PARALLEL_TAN:
                        apart[row, c, min(np.int64(abs(x_mm[a] - x_mm[b]) / APART_MM), APART_BINS - 1)] += 1
                last += 1
            at_once[row, c, min(last - first, AT_ONCE - 1)] += 1
            first = last
        begin = end


def fill_bundles(filler: Filler, s: Segments, lump: NDArray[np.int64]) -> None:
    """Add what segments have; lump: int64[k], the row of each window."""
    out = filler.part("at_once"), filler.part("parallel_apart")
    _bundles(s.frame, s.orbit, s.chamber, s.x_mm, s.tan, s.t0_ns, lump, out)
