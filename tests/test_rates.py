from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.analysis.accumulate import ROW_CHAMBERS, ROW_FIRST_ORBIT, ROW_LAST_ORBIT
from muonstream.analysis.rates import BIN_WINDOWS, MAX_BINS, RateBins

WINDOWS = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True)


def rows_of(windows: list[int]) -> NDArray[np.int64]:
    """Rows of one chamber with one hit, in the first orbit of each window."""
    rows = np.zeros((len(windows), RateBins(1).rows.shape[1]), np.int64)
    rows[:, ROW_FIRST_ORBIT] = rows[:, ROW_LAST_ORBIT] = np.array(windows) << 10
    rows[:, ROW_CHAMBERS] = 1
    return rows


def added(groups: list[list[int]]) -> RateBins:
    bins = RateBins(1)
    for group in groups:
        bins.add(np.array(sorted(group), np.int64), rows_of(sorted(group)))
    return bins


@given(WINDOWS)
def test_windows_in_any_order_give_the_oracles_bins_and_gaps(windows: list[int]) -> None:
    bins = added([[window] for window in windows])
    oracle = Counter(window // BIN_WINDOWS for window in windows)
    assert dict(zip(bins.bins.tolist(), bins.rows[:, ROW_CHAMBERS].tolist(), strict=True)) == oracle
    assert bins.bins.tolist() == sorted(oracle)
    first = {b: min(w for w in windows if w // BIN_WINDOWS == b) << 10 for b in oracle}
    last = {b: max(w for w in windows if w // BIN_WINDOWS == b) << 10 for b in oracle}
    order = sorted(oracle)
    pairs = [(last[a], first[b]) for a, b in pairwise(order)]
    assert bins.gaps() == [(a, b) for a, b in pairs if b - a > BIN_WINDOWS << 10]


def test_merging_past_the_limit_loses_no_hit_and_no_gap() -> None:
    windows = [BIN_WINDOWS * i for i in range(MAX_BINS + 5) if i % 1000]
    bins = added([windows[:3000], windows[3000:]])
    assert len(bins.bins) <= MAX_BINS
    assert int(bins.rows[:, ROW_CHAMBERS].sum()) == len(windows)
    longer = [BIN_WINDOWS * i for i in range(2 * MAX_BINS) if i % 1000]
    merged = added([longer[:3000], longer[3000:]])
    assert merged.windows_per_bin == 2 * BIN_WINDOWS
    assert len(merged.bins) <= MAX_BINS
    assert int(merged.rows[:, ROW_CHAMBERS].sum()) == len(longer)
    assert merged.gap_count() == 8
