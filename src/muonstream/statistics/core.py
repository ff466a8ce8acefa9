"""The core of a distribution and the share of its tail: a normal distribution plus a constant, by likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 50
"""Entries; with fewer nothing is fitted."""
ROUNDS: Final = 60
CLOSE: Final = 1e-4
"""A step that brings the likelihood less than this is the last."""


@dataclass(frozen=True, slots=True)
class CoreFit:
    """A normal distribution plus a constant over a range, in the unit of the axis.

    mean, sigma: of the normal distribution; tail: the constant's share of all entries in the range; with their errors
    """

    mean: float
    mean_error: float
    sigma: float
    sigma_error: float
    tail: float
    tail_error: float

    def counts(self, centres: NDArray[np.float64], total: float) -> NDArray[np.float64]:
        """Expected counts of the bins that were fitted, float64[n], for so many entries in all."""
        z = (centres - self.mean) / self.sigma
        shape = np.exp(-(z**2) / 2)
        return np.asarray(total * ((1 - self.tail) * shape / max(shape.sum(), 1e-9) + self.tail / len(centres)))


def fit_core(centres: NDArray[np.float64], counts: NDArray[np.int64]) -> CoreFit | None:
    """The fit to a histogram whose bins fill the range; None with too few entries.

    centres: float64[n], equally far apart; counts: int64[n]
    By maximum likelihood (Poisson's, of bins), with Fisher scoring from the flat part at the range's ends; sigma is at
    most a quarter of the range, beyond which a normal distribution and a constant cannot be told apart.
    """
    total = float(counts.sum())
    if total < FEWEST:
        return None
    n = counts.astype(np.float64)
    step = float(centres[1] - centres[0])
    span = step * len(centres)
    ends = len(centres) // 8 or 1
    tail = min(max((n[:ends].sum() + n[-ends:].sum()) / (2 * ends) * len(centres) / total, 0.01), 0.95)
    mean = float((n * centres).sum() / total)
    spread = float((n * (centres - mean) ** 2).sum() / total) - tail * span**2 / 12
    sigma = min(sqrt(max(spread / (1 - tail), step**2)), span / 4)
    at = np.array([mean, sigma, tail])
    low, high = np.array([centres[0], step / 4, 1e-6]), np.array([centres[-1], span / 4, 1 - 1e-6])
    best, information = _likelihood(at, centres, n, step)
    for _ in range(ROUNDS):
        move = np.linalg.lstsq(information[1], information[0], rcond=1e-12)[0]
        for _ in range(12):
            there = np.clip(at + move, low, high)
            likelihood, next_information = _likelihood(there, centres, n, step)
            if likelihood >= best:
                break
            move = move / 2
        gain, at, best, information = likelihood - best, there, max(likelihood, best), next_information
        if gain < CLOSE:
            break
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information[1])), 0.0))
    numbers = [float(x) for pair in zip(at, errors, strict=True) for x in pair]
    return CoreFit(*numbers)


def _likelihood(
    at: NDArray[np.float64], centres: NDArray[np.float64], n: NDArray[np.float64], step: float
) -> tuple[float, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The logarithm of the likelihood at (mean, sigma, tail), its gradient, and Fisher's information."""
    mean, sigma, tail = at.tolist()
    total, bins = float(n.sum()), len(centres)
    z = (centres - mean) / sigma
    # a bin's mean of the normal distribution, to second order in its width
    shape = step / (sigma * sqrt(2 * np.pi)) * np.exp(-(z**2) / 2) * (1 + (step / sigma) ** 2 * (z**2 - 1) / 24)
    inside = max(float(shape.sum()), 1e-9)
    normal = np.maximum(shape / inside, 1e-300)
    expected = total * ((1 - tail) * normal + tail / bins)
    slope = total * (1 - tail) * normal
    moments = z, z**2
    derivatives = np.stack(
        [
            slope * (moments[0] - float((normal * moments[0]).sum())) / sigma,
            slope * (moments[1] - float((normal * moments[1]).sum())) / sigma,
            total * (1 / bins - normal),
        ]
    )
    gradient = (derivatives * (n / expected - 1)).sum(axis=1)
    fisher = (derivatives / expected) @ derivatives.T
    return float((n * np.log(expected) - expected).sum()), (gradient, fisher)


def weighted_shifts(
    design: NDArray[Any], values: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shortest solution of ``design @ x = values`` by weighted least squares, and its errors.

    design: float64[p, n], of which not all combinations need be determined; values, errors: float64[p]
    """
    inverse = np.linalg.pinv(design / errors[:, None], rcond=1e-6)
    return inverse @ (values / errors), np.sqrt((inverse**2).sum(axis=1))
