"""A normal distribution plus a constant: what went in comes out, within the errors that are given."""

from __future__ import annotations

import numpy as np
import pytest

from muonstream.statistics.core import fit_core, weighted_shifts

EDGES = np.linspace(-2.0, 2.0, 81)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


@pytest.mark.parametrize("sigma", [0.15, 0.38, 0.6])
@pytest.mark.parametrize("tail", [0.05, 0.17, 0.4])
@pytest.mark.parametrize("n", [1000, 5000])
def test_the_fit_finds_core_and_tail_within_its_errors(sigma: float, tail: float, n: int) -> None:
    rng, pulls = np.random.default_rng(11), []
    for _ in range(40):
        flat = rng.binomial(n, tail)
        x = np.concatenate([rng.normal(0.03, sigma, n - flat), rng.uniform(-2, 2, flat)])
        fit = fit_core(CENTRES, np.histogram(x, EDGES)[0])
        assert fit is not None
        pulls.append(
            [
                (fit.mean - 0.03) / fit.mean_error,
                (fit.sigma - sigma) / fit.sigma_error,
                (fit.tail - tail) / fit.tail_error,
            ]
        )
    centre, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert (np.abs(centre) < 0.8).all()
    assert ((spread > 0.6) & (spread < 1.5)).all()


def test_nothing_is_fitted_to_few_entries() -> None:
    assert fit_core(CENTRES, np.zeros(80, np.int64)) is None


@pytest.mark.parametrize("bin_of_all", [0, 40, 79])
def test_any_histogram_can_be_fitted(bin_of_all: int) -> None:
    counts = np.zeros(80, np.int64)
    counts[bin_of_all] = 1000
    for one in (counts, np.full(80, 100), counts + 1):
        fit = fit_core(CENTRES, one)
        assert fit is not None
        assert np.isfinite([fit.sigma, fit.tail, fit.sigma_error, fit.tail_error]).all()


def test_shifts_that_cannot_be_told_apart_are_the_shortest() -> None:
    design = np.array([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    shifts, errors = weighted_shifts(design, np.array([0.2, 0.2, 0.5]), np.array([0.1, 0.1, 0.1]))
    assert shifts == pytest.approx([0.1, -0.1, 0.5])
    assert errors[2] == pytest.approx(0.1)
    assert errors[0] == pytest.approx(0.1 / np.sqrt(2) / 2)
