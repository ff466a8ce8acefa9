from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.counting.catalogue import Counts
from muonstream.detector.level import Level
from muonstream.verdicts.findings import (
    Finding,
    change,
    chi_squared,
    graded,
    kolmogorov,
    significant,
    spread_between,
    worst,
)


def test_kolmogorov_and_chi_squared_tell_shapes_apart() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.poisson(1000, 64), rng.poisson(3000, 64)
    distance, scaled = kolmogorov(a, b)
    assert distance < 0.01
    assert scaled < 1.6
    chi2, free = chi_squared(a, b)
    assert free == 63
    assert 30 < chi2 < 110
    b[:32] *= 2
    assert kolmogorov(a, b)[0] == pytest.approx(1 / 6, abs=0.01)
    assert chi_squared(a, b)[0] > 1000


histograms: st.SearchStrategy[tuple[Counts, Counts]] = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 50), min_size=n, max_size=n).map(np.array)] * 2)
)


def test_the_worst_level_counts_and_none_is_null() -> None:
    assert worst([]) is Level.NULL
    assert worst([Level.GOOD, Level.BAD, Level.MEDIUM]) is Level.BAD
    assert worst([Level.GOOD, Level.NULL]) is Level.GOOD
    assert [level.title for level in Level] == ["Null", "Good", "Medium", "Bad"]


def test_a_finding_is_about_its_check_and_subject() -> None:
    one, other = (Finding("t0", "Chamber 1", level, "why") for level in (Level.GOOD, Level.BAD))
    assert one.key == other.key == ("t0", "Chamber 1")


@pytest.mark.parametrize(
    ("value", "level", "limit"),
    [
        (-5.0, Level.GOOD, 1.0),
        (1.0, Level.GOOD, 1.0),
        (1.001, Level.MEDIUM, 1.0),
        (2.0, Level.MEDIUM, 1.0),
        (2.001, Level.BAD, 2.0),
        (float("nan"), Level.GOOD, 1.0),
    ],
)
def test_a_limit_has_to_be_passed(value: float, level: Level, limit: float) -> None:
    assert graded(value, (1.0, 2.0)) == (level, limit)
    assert graded(value, (1.0, 2.0), chance=False) == (level, limit)


@pytest.mark.parametrize("value", [0.0, 1.5, 1e9, float("inf")])
def test_what_chance_may_bring_is_good_whatever_it_is(value: float) -> None:
    assert graded(value, (1.0, 2.0), chance=True) == (Level.GOOD, 1.0)


@given(st.integers(0, 10**6), st.floats(0, 1e6), st.floats(1, 20))
def test_significant_is_symmetric_and_never_for_less_than_sigmas(n: int, expected: float, sigmas: float) -> None:
    found = significant(n, expected, sigmas)
    assert found == significant(expected, n, sigmas)
    assert not found or abs(n - expected) > sigmas
    assert not significant(n, n, sigmas)


@pytest.mark.parametrize(
    ("n", "expected", "level", "relative"),
    [
        (1299, 1000.0, Level.GOOD, 0.299),
        (1301, 1000.0, Level.MEDIUM, 0.301),
        (699, 1000.0, Level.MEDIUM, -0.301),
        (1601, 1000.0, Level.BAD, 0.601),
        (0, 1000.0, Level.BAD, -1.0),
        (20, 10.0, Level.GOOD, 1.0),
        (500, 0.0, Level.GOOD, 0.0),
        (0, 0.0, Level.GOOD, 0.0),
    ],
)
def test_a_change_must_be_large_and_beyond_chance(n: float, expected: float, level: Level, relative: float) -> None:
    found, change_found, limit = change(n, expected, (0.3, 0.6), 5.0)
    assert found is level
    assert change_found == pytest.approx(relative)
    assert limit == (0.6 if level is Level.BAD else 0.3)


@given(histograms)
def test_kolmogorov_is_the_largest_step_between_the_sums(pair: tuple[Counts, Counts]) -> None:
    a, b = (one.tolist() for one in pair)
    distance, scaled = kolmogorov(*pair)
    if not sum(a) or not sum(b):
        assert (distance, scaled) == (0.0, 0.0)
        return
    steps = [abs(sum(a[:i]) / sum(a) - sum(b[:i]) / sum(b)) for i in range(len(a) + 1)]
    assert distance == pytest.approx(max(steps))
    assert scaled == pytest.approx(distance * sqrt(sum(a) * sum(b) / sum(a + b)))
    assert kolmogorov(*pair[::-1]) == pytest.approx((distance, scaled))


@given(histograms, st.integers(2, 5))
def test_chi_squared_is_of_the_shapes(pair: tuple[Counts, Counts], times: int) -> None:
    a, b = pair
    chi2, free = chi_squared(a, b)
    if not a.sum() or not b.sum():
        assert (chi2, free) == (0.0, 0)
        return
    expected = sum(
        (x * sqrt(b.sum() / a.sum()) - y * sqrt(a.sum() / b.sum())) ** 2 / (x + y)
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
        if x + y
    )
    assert chi2 == pytest.approx(expected, abs=1e-9)
    assert free == np.count_nonzero(a + b) - 1
    assert chi_squared(a, a * times)[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("usual", [50, 100, 200])
def test_chance_in_what_is_compared_with_raises_nothing(usual: int) -> None:
    random = np.random.default_rng(usual)
    pairs = zip(random.poisson(usual, 20_000).tolist(), random.poisson(4 * usual, 20_000).tolist(), strict=True)
    levels = [change(n, 4.0 * before, (0.3, 0.6), 5.0, 4.0)[0] for before, n in pairs]
    assert levels == [Level.GOOD] * len(levels)
    # and what is more than chance is found all the same
    assert change(10.0 * usual, 4.0 * usual, (0.3, 0.6), 5.0, 4.0)[0] is Level.BAD


def test_the_spread_between_runs_is_what_chance_does_not_explain() -> None:
    generator = np.random.default_rng(1)
    seconds = generator.uniform(50.0, 150.0, 200)
    same = generator.poisson(200.0 * seconds)
    assert spread_between(same.tolist(), seconds.tolist()) < 0.002
    wandering = generator.poisson(200.0 * seconds * generator.normal(1.0, 0.05, 200))
    assert spread_between(wandering.tolist(), seconds.tolist()) == pytest.approx(0.05, abs=0.006)
    assert spread_between([500.0], [1.0]) == spread_between([], []) == 0.0


def test_a_rate_that_wanders_as_good_runs_do_is_no_finding() -> None:
    limits = (0.1, 0.3)
    assert change(115_000, 100_000, limits, 5.0)[0] is Level.MEDIUM
    level, relative, limit = change(115_000, 100_000, limits, 5.0, spread=0.05)
    assert level is Level.GOOD
    assert [relative, limit] == pytest.approx([0.15, 0.25])
    assert change(140_000, 100_000, limits, 5.0, spread=0.05)[0] is Level.BAD
