"""Normal distributions fitted to the cores of histograms, several at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CORE_SIGMAS: Final = 2.0
"""Bins this near the mean are fitted."""
ROUNDS: Final = 4
STEPS: Final = 12
FEWEST: Final = 50
"""Entries; with fewer nothing is fitted."""
FEWEST_BINS: Final = 5
CLOSE: Final = 1e-4
"""Of sigma; a fit that moves by less is done."""

Floats = NDArray[np.float64]


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

    def counts(self, centres: Floats) -> Floats:
        """Expected counts of bins, float64[n], NaN outside what was fitted."""
        curve = self.height * np.exp(-(((centres - self.mean) / self.sigma) ** 2) / 2)
        return np.where((centres > self.low) & (centres < self.high), curve, np.nan)


def fitted_peaks(centres: Floats, counts: NDArray[np.int64]) -> list[Peak | None]:
    """The core of each histogram of the same bins, by maximum likelihood; counts follow Poisson's law.

    centres: float64[n], equally far apart; counts: int64[k, n]
    None for one with too few entries, a core narrower than some bins, or a fit that does not end.
    """
    step = float(centres[1] - centres[0])
    n = counts.astype(np.float64)
    total = n.sum(axis=1)
    good = total >= FEWEST
    cumulated = np.cumsum(n, axis=1)
    low, mean, high = (centres[np.argmax(cumulated >= share * total[:, None], axis=1)] for share in (0.16, 0.5, 0.84))
    sigma = np.maximum((high - low) / 2, step)
    height = np.maximum(n.max(axis=1), 1.0)
    for _ in range(ROUNDS):
        # the range follows the fit
        inside = np.abs(centres - mean[:, None]) < CORE_SIGMAS * sigma[:, None]
        good &= (inside.sum(axis=1) >= FEWEST_BINS) & ((n * inside).sum(axis=1) >= FEWEST)
        mean, sigma, height = (
            np.where(good, value, safe) for value, safe in ((mean, 0.0), (sigma, 1.0), (height, 1.0))
        )
        height, mean, sigma, covariance, done = _likeliest(centres, n, inside, good, height, mean, sigma)
        good &= done
    expected = height[:, None] * np.exp(-(((centres - mean[:, None]) / sigma[:, None]) ** 2) / 2)
    return [
        Peak(
            mean=float(mean[k]),
            mean_error=float(np.sqrt(covariance[k, 1, 1])),
            sigma=float(sigma[k]),
            sigma_error=float(np.sqrt(covariance[k, 2, 2])),
            height=float(height[k]),
            low=float(centres[inside[k]][0] - step / 2),
            high=float(centres[inside[k]][-1] + step / 2),
            chi2=float(((n[k] - expected[k]) ** 2 / expected[k])[inside[k]].sum()),
            degrees=int(inside[k].sum()) - 3,
        )
        if good[k]
        else None
        for k in range(len(n))
    ]


def _likeliest(
    x: Floats,
    n: Floats,
    inside: NDArray[np.bool_],
    good: NDArray[np.bool_],
    height: Floats,
    mean: Floats,
    sigma: Floats,
) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """Heights, means and sigmas, float64[k], their covariance, float64[k, 3, 3], and which have been found.

    Fisher's scoring: expected counts and their derivatives are all moments of u = (x - mean) / sigma.
    """
    done = np.zeros_like(good)
    covariance = np.zeros((len(n), 3, 3))
    for _ in range(STEPS):
        u = (x - mean[:, None]) / sigma[:, None]
        expected = np.where(inside, height[:, None] * np.exp(-(u**2) / 2), 0.0)
        powers = np.stack([np.ones_like(u), u, u**2], axis=1)
        unit = np.stack([1 / height, 1 / sigma, 1 / sigma], axis=1)
        information = (powers * expected[:, None]) @ powers.transpose(0, 2, 1) * unit[:, :, None] * unit[:, None, :]
        score = (powers @ (np.where(inside, n, 0.0) - expected)[:, :, None])[:, :, 0] * unit
        good = good & (np.linalg.det(information * (sigma**2)[:, None, None]) > 0)
        information[~good] = np.eye(3)
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
        change = (covariance @ score[:, :, None])[:, :, 0]
        change[~good] = 0.0
        height = np.clip(height + change[:, 0], height / 2, 2 * height)
        mean = mean + np.clip(change[:, 1], -sigma, sigma)
        sigma = np.clip(sigma + change[:, 2], sigma / 2, 2 * sigma)
        done = good & (np.abs(change[:, 1:]).max(axis=1) < CLOSE * sigma)
        if (done | ~good).all():
            break
    first, last = np.where(inside, x, np.inf).min(axis=1), np.where(inside, x, -np.inf).max(axis=1)
    return height, mean, sigma, covariance, done & (mean >= first) & (mean <= last) & (sigma < 3 * (last - first))
