"""A normal distribution fitted to the core of a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CORE_SIGMAS: Final = 2.0
"""Bins this near the mean are fitted."""
ROUNDS: Final = 4
STEPS: Final = 12
FEWEST: Final = 50
"""Entries; with fewer nothing is fitted."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A fitted normal distribution, in the unit of the axis.

    mean, sigma: with their errors; height: counts a bin at the mean; low, high: the range that was fitted
    chi2, degrees: Pearson's, of the bins fitted
    """

    mean: float
    mean_error: float
    sigma: float
    sigma_error: float
    height: float
    low: float
    high: float
    chi2: float
    degrees: int

    def counts(self, centres: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected counts of bins, float64[n], NaN outside what was fitted."""
        curve = self.height * np.exp(-(((centres - self.mean) / self.sigma) ** 2) / 2)
        return np.where((centres > self.low) & (centres < self.high), curve, np.nan)


def fitted_peak(centres: NDArray[np.float64], counts: NDArray[np.int64]) -> Peak | None:
    """The core of a histogram (float64[n] centres, equally far apart; int64[n] counts), by maximum likelihood.

    Counts follow Poisson's law. None for too few entries, a core narrower than a bin, or no convergence.
    """
    total = int(counts.sum())
    if total < FEWEST:
        return None
    cumulated = np.cumsum(counts) / total
    step = float(centres[1] - centres[0])
    low, mean, high = (float(centres[np.searchsorted(cumulated, share)]) for share in (0.16, 0.5, 0.84))
    sigma = max((high - low) / 2, step)
    height = max(float(counts.max()), 1.0)
    for _ in range(ROUNDS):
        # the range follows the fit, then stays for the last one
        inside = np.abs(centres - mean) < CORE_SIGMAS * sigma
        x, n = centres[inside], counts[inside].astype(np.float64)
        if len(x) < 5 or n.sum() < FEWEST:
            return None
        found = _likeliest(x, n, height, mean, sigma)
        if found is None:
            return None
        (height, mean, sigma), covariance, expected = found
    return Peak(
        mean=mean,
        mean_error=float(np.sqrt(covariance[1, 1])),
        sigma=sigma,
        sigma_error=float(np.sqrt(covariance[2, 2])),
        height=height,
        low=float(x[0] - step / 2),
        high=float(x[-1] + step / 2),
        chi2=float(((n - expected) ** 2 / expected).sum()),
        degrees=len(x) - 3,
    )


def _likeliest(
    x: NDArray[np.float64], n: NDArray[np.float64], height: float, mean: float, sigma: float
) -> tuple[tuple[float, float, float], NDArray[np.float64], NDArray[np.float64]] | None:
    """Height, mean and sigma, their covariance, and the expected counts, by Fisher's scoring; None without success."""
    reach = x[-1] - x[0]
    for _ in range(STEPS):
        off = (x - mean) / sigma
        expected = height * np.exp(-(off**2) / 2)
        # of the logarithm of the expected counts, by each parameter
        slopes = np.stack([np.full_like(x, 1 / height), off / sigma, off**2 / sigma])
        information = (slopes * expected) @ slopes.T
        try:
            covariance: NDArray[Any] = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            return None
        change = covariance @ (slopes @ (n - expected))
        height = min(max(height + change[0], height / 2), 2 * height)
        mean += float(np.clip(change[1], -sigma, sigma))
        sigma = min(max(sigma + change[2], sigma / 2), 2 * sigma)
        if not (x[0] <= mean <= x[-1] and sigma < 3 * reach):
            return None
        if abs(change[1]) < 1e-4 * sigma and abs(change[2]) < 1e-4 * sigma:
            break
    else:
        return None
    expected = height * np.exp(-(((x - mean) / sigma) ** 2) / 2)
    return (float(height), mean, float(sigma)), covariance, expected
