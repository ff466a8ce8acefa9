"""Whether the TDC and BX values of a board are plausible: all codes occur, evenly, and no bit is stuck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import BX_PER_ORBIT, TDC_PER_BX

BX_BITS: Final = 12
BX_BIN: Final = 99
"""Evenness of the BX is judged in 36 bins of 99."""
ENOUGH: Final = 20.0
"""Number of expected hits of a code from which its absence counts."""
MUON_HITS: Final = 16
"""Hits that come at nearly the same time."""
SIGMA: Final = 6.0
DEPARTURE: Final = 0.25
"""Least relative departure from evenness that is reported."""

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BoardFields:
    """A board's TDC_MEAS and BX_COUNTER. Channels with a single TDC code, such as triggers, are left out of the TDC.

    tdc_outside: hits with TDC 0 or 31; tdc_zero: those with 0; tdc_missing: codes of 1 to 30 that never come though
    they should; tdc_uneven: (code, its count over the mean) of those far from 1
    tdc_counts: hits by code, 32 numbers
    bx_outside: hits with BX 3564 or more; bx_stuck: (bit, value) of BX bits that never change
    bx_uneven: (first BX of 99, count over the mean) far from 1; bx_hottest: (BX, count over the mean) or None
    """

    tdc_outside: int
    tdc_zero: int
    tdc_missing: tuple[int, ...]
    tdc_uneven: tuple[tuple[int, float], ...]
    tdc_counts: tuple[int, ...]
    bx_outside: int
    bx_stuck: tuple[tuple[int, int], ...]
    bx_uneven: tuple[tuple[int, float], ...]
    bx_hottest: tuple[int, float] | None


def board_fields(tdc: Array, bx: Array) -> BoardFields:
    """Judge one board's counts: tdc int64[512, 32] by channel and code, bx int64[4096] by BX."""
    several = (tdc > 0).sum(axis=1) > 1
    codes = tdc[several].sum(axis=0)
    inside = codes[1 : TDC_PER_BX + 1]
    mean = inside.sum() / TDC_PER_BX
    missing = tuple((np.flatnonzero(inside == 0) + 1).tolist()) if mean >= ENOUGH else ()
    uneven = tuple((code + 1, ratio) for code, ratio in _uneven(inside) if code + 1 not in missing)
    good = bx[:BX_PER_ORBIT]
    binned = good.reshape(-1, BX_BIN).sum(axis=1)
    return BoardFields(
        tdc_outside=int(tdc[:, 0].sum() + tdc[:, TDC_PER_BX + 1 :].sum()),
        tdc_zero=int(tdc[:, 0].sum()),
        tdc_missing=missing,
        tdc_uneven=uneven,
        tdc_counts=tuple(codes.tolist()),
        bx_outside=int(bx[BX_PER_ORBIT:].sum()),
        bx_stuck=_stuck(bx),
        bx_uneven=tuple((index * BX_BIN, ratio) for index, ratio in _uneven(binned, MUON_HITS)),
        bx_hottest=_hottest(good),
    )


def _uneven(counts: Array, together: int = 1) -> list[tuple[int, float]]:
    """The entries far from the mean, as (index, count over the mean), the furthest first.

    together: entries that come together at most, as a muon's hits do, and so are not independent
    """
    mean = float(counts.mean())
    if mean < ENOUGH * together:
        return []
    far = np.abs(counts - mean) > max(SIGMA * (together * mean) ** 0.5, DEPARTURE * mean)
    found = [(int(index), float(counts[index]) / mean) for index in np.flatnonzero(far)]
    return sorted(found, key=lambda one: -abs(one[1] - 1))


def _stuck(bx: Array) -> tuple[tuple[int, int], ...]:
    total = int(bx.sum())
    if total < 256:
        return ()
    value = np.arange(len(bx))
    found = []
    for bit in range(BX_BITS):
        ones = int(bx[value >> bit & 1 == 1].sum())
        if ones in (0, total):
            found.append((bit, int(ones > 0)))
    return tuple(found)


def _hottest(good: Array) -> tuple[int, float] | None:
    mean = float(good.mean())
    top = int(good.argmax())
    if good[top] <= 3 * MUON_HITS + mean + 10 * mean**0.5 or good[top] < 2 * mean:
        return None
    return top, float(good[top]) / mean
