from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.counting.rates import BIN_WINDOWS, MAX_BINS, MOST_EPOCHS, MOST_RESETS, RateBins, RateSeries
from muonstream.counting.tally import ROW_CHAMBERS, ROW_FIRST_ORBIT, ROW_LAST_ORBIT
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.words import ORBIT_SECONDS, WINDOW_SECONDS

WINDOWS = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True)


def rows_of(windows: list[int]) -> NDArray[np.int64]:
    """Rows of one chamber with one hit, in the first orbit of each window."""
    rows = np.zeros((len(windows), RateBins(1).rows.shape[1]), np.int64)
    rows[:, ROW_FIRST_ORBIT] = rows[:, ROW_LAST_ORBIT] = (np.array(windows, np.int64) & KEY_WINDOW_MASK) << 10
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
    assert dict(zip((bins.begins // BIN_WINDOWS).tolist(), bins.rows[:, ROW_CHAMBERS].tolist(), strict=True)) == oracle
    assert (bins.begins // BIN_WINDOWS).tolist() == sorted(oracle)
    first = {b: min(w for w in windows if w // BIN_WINDOWS == b) << 10 for b in oracle}
    last = {b: max(w for w in windows if w // BIN_WINDOWS == b) << 10 for b in oracle}
    order = sorted(oracle)
    pairs = [(last[a], first[b]) for a, b in pairwise(order)]
    assert set(bins.gaps()) <= {(a, b) for a, b in pairs if b - a > BIN_WINDOWS << 10}
    whole = added([windows])
    assert whole.gaps() == bins.gaps()
    assert whole.live_time_s() == bins.live_time_s()
    assert np.array_equal(whole.covered_s(), bins.covered_s())


def test_merging_past_the_limit_loses_no_hit_and_no_gap() -> None:
    windows = [BIN_WINDOWS * i for i in range(MAX_BINS + 5) if i % 1000 < 950]
    bins = added([windows[:3000], windows[3000:]])
    assert len(bins.begins) <= MAX_BINS
    assert int(bins.rows[:, ROW_CHAMBERS].sum()) == len(windows)
    longer = [BIN_WINDOWS * i for i in range(2 * MAX_BINS) if i % 1000 < 950]
    merged = added([longer[:3000], longer[3000:]])
    assert merged.windows_per_bin == 2 * BIN_WINDOWS
    assert len(merged.begins) <= MAX_BINS
    assert int(merged.rows[:, ROW_CHAMBERS].sum()) == len(longer)
    assert merged.gap_count() == 8
    assert merged.live_time_s() == pytest.approx((len(longer) - 9) * BIN_WINDOWS * WINDOW_SECONDS)


@given(WINDOWS)
def test_live_time_is_data_time_without_gaps(windows: list[int]) -> None:
    bins = added([windows])
    orbits = [window << 10 for window in sorted(windows)]
    begin = min(windows) // BIN_WINDOWS * BIN_WINDOWS << 10
    assert bins.data_time_s() == pytest.approx((orbits[-1] - begin) * ORBIT_SECONDS)
    lost = sum(after - before for before, after in bins.gaps())
    assert bins.live_time_s() == pytest.approx((orbits[-1] - orbits[0] - lost) * ORBIT_SECONDS)


@pytest.mark.parametrize("merged", [False, True])
def test_a_counter_that_turns_over_cuts_the_bin(merged: bool) -> None:
    end = 1 << KEY_WINDOW_BITS
    bins = RateBins(1)
    keys = list(range(end - 30, end + 30))
    if merged:
        bins.windows_per_bin = 8 * BIN_WINDOWS
    bins.add(np.array(keys), rows_of(keys))
    # the turn itself, one window, is between two stretches
    assert bins.live_time_s() == pytest.approx((len(keys) - 2) * WINDOW_SECONDS)
    first = keys[0] // bins.windows_per_bin * bins.windows_per_bin
    assert bins.data_time_s() == pytest.approx((keys[-1] - first) * WINDOW_SECONDS)
    assert bins.covered_s().sum() == pytest.approx((len(keys) - 2) * WINDOW_SECONDS + 2 * ORBIT_SECONDS)
    assert bins.gap_count() == 0


@pytest.mark.parametrize("resets", [MOST_EPOCHS + 1, 4097, 9000, 40_000])
def test_any_number_of_resets_fits_and_loses_no_time(resets: int) -> None:
    keys = np.concatenate([[epoch << KEY_WINDOW_BITS | window for window in (0, 3)] for epoch in range(resets)])
    bins, restored = RateBins(1), RateBins(1)
    for part in np.array_split(keys, 7):
        bins.add(part, rows_of(part.tolist()))
        restored.restore(bins.state())
        bins, restored = restored, RateBins(1)
    whole = added([keys.tolist()])
    assert len(bins.begins) <= MAX_BINS
    assert int(bins.rows[:, ROW_CHAMBERS].sum()) == 2 * resets
    assert bins.live_time_s() == whole.live_time_s() == pytest.approx(3 * resets * WINDOW_SECONDS)
    # an epoch of four windows takes as long in data time, whatever a bin holds
    assert bins.data_time_s() == pytest.approx((4 * resets - 1) * WINDOW_SECONDS, rel=0.01)
    assert bins.newest == (resets - 1, 3 << 10)
    assert bins.gap_count() == 0
    assert np.array_equal(bins.begins, whole.begins)
    assert bins.covered_s().sum() == pytest.approx(bins.live_time_s(), rel=0.01)


@pytest.mark.parametrize("resets", [0, 1, 3, MOST_RESETS + 5])
def test_series_say_where_the_counter_was_reset(resets: int) -> None:
    windows = (0, 40)
    series = added([[epoch << KEY_WINDOW_BITS | window for epoch in range(resets + 1) for window in windows]]).series()
    # an epoch ends with the window of its last hit
    expected = [(epoch + 1) * (windows[-1] + 1) * WINDOW_SECONDS for epoch in range(resets)][-MOST_RESETS:]
    assert series.resets_s.tolist() == pytest.approx(expected)
    assert set(series.resets_s) <= set(series.time_s)
    assert series.thinned(2).resets_s.tolist() == series.resets_s.tolist()


@pytest.mark.parametrize(("rate_hz", "events"), [(0.01, 500), (0.1, 1500), (2, 3000), (50, 20_000), (2, 40_000)])
def test_a_steady_run_of_any_rate_has_its_own_live_time(rate_hz: float, events: int) -> None:
    """The last is long enough for bins to be merged."""
    rng = np.random.default_rng(events)
    windows = np.unique((np.cumsum(rng.exponential(1 / rate_hz, events)) / WINDOW_SECONDS).astype(np.int64))
    windows = windows[windows < 1 << KEY_WINDOW_BITS]
    bins = added([part.tolist() for part in np.array_split(windows, 5)])
    assert bins.gap_count() == 0
    assert bins.live_time_s() == pytest.approx((windows[-1] - windows[0]) * WINDOW_SECONDS)
    assert bins.covered_s().sum() == pytest.approx(bins.live_time_s() + ORBIT_SECONDS)
    series = bins.series()
    assert (series.hits_hz[:, 0] * bins.covered_s()).sum() == pytest.approx(len(windows))


@pytest.mark.parametrize("rate_hz", [0.1, 2.0, 11.0])
@pytest.mark.parametrize("merged", [False, True])
def test_a_gap_is_one_by_the_rate_beside_it(rate_hz: float, merged: bool) -> None:
    step = max(round(1 / rate_hz / WINDOW_SECONDS), 1)
    before = step * np.arange(400)
    after = before[-1] + 40 * step + BIN_WINDOWS + step * np.arange(400)
    # an hour at a tenth of the rate is no gap, however many events the rest has
    slow = after[-1] + 10 * step * (1 + np.arange(100))
    windows = np.concatenate([before, after, slow])
    bins = RateBins(1)
    if merged:
        bins.windows_per_bin = BIN_WINDOWS << 3
    for part in np.array_split(windows, 9):
        bins.add(part, rows_of(part.tolist()))
    assert bins.gap_count() == 1
    inside = windows[-1] - windows[0] - (after[0] - before[-1])
    assert bins.live_time_s() == pytest.approx(inside * WINDOW_SECONDS)


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_a_gap_that_several_partitions_see_one_after_another_is_one(partitions: int) -> None:
    before, after = np.arange(2000), 6000 + np.arange(2000)
    windows = np.concatenate([before, after])
    bins = RateBins(1)
    bins.windows_per_bin = BIN_WINDOWS << 12
    for partition in range(partitions):
        part = windows[partition::partitions]
        bins.add(part, rows_of(part.tolist()))
    assert bins.gap_count() == 1
    assert bins.live_time_s() == pytest.approx(len(windows) * WINDOW_SECONDS, rel=0.01)


def series(time_s: NDArray[np.float64]) -> RateSeries:
    values = np.arange(2.0 * len(time_s)).reshape(-1, 2)
    return RateSeries(time_s, 1.0, values, values[:, 0], values)


@pytest.mark.parametrize("n", [10, 100, 1000])
@pytest.mark.parametrize("gaps", [0, 3, 1500])
def test_a_thinned_series_has_at_most_about_n_bins_with_the_means_of_its_neighbours(n: int, gaps: int) -> None:
    time_s = np.arange(3000.0)
    for at in np.linspace(0, 2999, gaps, dtype=int)[1:]:
        time_s[at:] += 1000
    whole = series(time_s)
    thin = whole.thinned(n)
    assert n / 4 < len(thin.time_s) <= 1.25 * n
    members = np.searchsorted(time_s, [*thin.time_s, np.inf])
    expected = [whole.hits_hz[a:b].mean(axis=0) for a, b in pairwise(members)]
    assert np.allclose(thin.hits_hz, expected)
    assert np.allclose(np.diff(thin.time_s) / thin.width_s % 1, 0)
    assert whole.thinned(3000) is whole


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400)), min_size=1, max_size=80, unique=True),
    st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 8)),
    st.lists(st.integers(0, 80), max_size=3),
)
def test_at_any_bounds_nothing_is_lost_and_a_stored_state_goes_on(
    windows: list[tuple[int, int]], bounds: tuple[int, int, int], cuts: list[int]
) -> None:
    """Windows of many epochs in bins that hold few: they merge, whatever was stored in between."""

    def empty() -> RateBins:
        return RateBins(1, max_epochs=bounds[0], max_bins=bounds[1], newest_epochs=bounds[2])

    keys = np.array(sorted(epoch << KEY_WINDOW_BITS | window for epoch, window in windows), np.int64)
    whole, bins = empty(), empty()
    whole.add(keys, rows_of(keys.tolist()))
    for part in np.split(keys, sorted(min(cut, len(keys)) for cut in cuts)):
        bins.add(part, rows_of(part.tolist()))
        stored = bins.state()
        bins = empty()
        bins.restore(stored)
        assert len(bins.begins) <= bins.max_bins + bins.epochs_per_bin
    assert int(bins.rows[:, ROW_CHAMBERS].sum()) == len(windows)
    assert (bins.begins.tolist(), bins.rows.tolist()) == (whole.begins.tolist(), whole.rows.tolist())
    assert bins.newest == whole.newest
    assert bins.live_time_s() >= 0
    assert len(bins.series().time_s) == len(bins.begins)


@given(st.integers(10, 60), st.integers(1, 6), st.randoms(use_true_random=False), st.booleans())
def test_epochs_that_come_out_of_order_keep_their_time_unless_many_others_came_before(
    epochs: int, late: int, random: Random, much_too_late: bool
) -> None:
    """As frames of several partitions do; one that is later than that adds no time, and takes none away."""
    keys = [[epoch << KEY_WINDOW_BITS | window for window in (0, 3)] for epoch in range(epochs)]
    order = sorted(range(epochs), key=lambda epoch: epoch + random.randrange(epochs if much_too_late else late))
    ordered, bins = (RateBins(1, max_epochs=3, max_bins=3, newest_epochs=late + 1) for _ in range(2))
    for epoch in range(epochs):
        ordered.add(np.array(keys[epoch]), rows_of(keys[epoch]))
        bins.add(np.array(keys[order[epoch]]), rows_of(keys[order[epoch]]))
    assert int(bins.rows[:, ROW_CHAMBERS].sum()) == 2 * epochs
    expected = ordered.live_time_s()
    assert expected == pytest.approx(3 * epochs * WINDOW_SECONDS)
    if much_too_late:
        assert 0 <= bins.live_time_s() <= expected * 1.000001
    else:
        assert bins.live_time_s() == pytest.approx(expected)
