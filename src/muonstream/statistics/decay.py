"""A lifetime from counts of delays: an exponential plus a constant, by maximum likelihood in a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 50
"""Counts in the window; with fewer nothing is fitted."""
ROUNDS: Final = 100
CLOSE: Final = 1e-6
"""A step that brings the likelihood less than this is the last."""
CLEAR: Final = 5.0
"""A decay is found if the exponential has so many times the error of its counts."""


@dataclass(frozen=True, slots=True)
class DecayFit:
    """An exponential plus a constant over a window, with errors.

    lifetime: in the unit of the edges; decays, others: counts of the exponential and of the constant in the window
    """

    lifetime: float
    lifetime_error: float
    decays: float
    decays_error: float
    others: float
    others_error: float

    @property
    def clear(self) -> bool:
        """Whether there is an exponential at all."""
        return self.decays > CLEAR * self.decays_error

    def counts(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected counts of the bins between edges of the window, float64[n]."""
        return _expected(np.array([self.lifetime, self.decays, self.others]), edges)[0]


def fit_decay(edges: NDArray[np.float64], counts: NDArray[np.int64]) -> DecayFit | None:
    """The fit to the counts between edges, float64[n + 1]: Poisson's likelihood of bins, whose content is integrated.

    None with too few counts. Fisher scoring from a lifetime of an eighth of the window, with half of the likeliest step
    while that makes the likelihood smaller. A lifetime is at least half a bin and at most twice the window.
    """
    n = counts.astype(np.float64)
    total, span = float(n.sum()), float(edges[-1] - edges[0])
    if total < FEWEST:
        return None
    tail = float(n[len(n) // 2 :].sum()) * 2
    others = min(max(tail, 0.01 * total), 0.95 * total)
    at = np.array([span / 8, total - others, others])
    low = np.array([float(edges[1] - edges[0]) / 2, 0.0, 0.0])
    high = np.array([2 * span, 2 * total, 2 * total])
    best, gradient, fisher = _likelihood(at, edges, n)
    for _ in range(ROUNDS):
        move = np.linalg.lstsq(fisher, gradient, rcond=1e-12)[0]
        for _ in range(20):
            there = np.clip(at + move, low, high)
            likelihood, next_gradient, next_fisher = _likelihood(there, edges, n)
            if likelihood >= best:
                break
            move = move / 2
        else:
            break
        gain, at, best, gradient, fisher = likelihood - best, there, likelihood, next_gradient, next_fisher
        if gain < CLOSE:
            break
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(fisher)), 0.0))
    return DecayFit(*(float(x) for pair in zip(at, errors, strict=True) for x in pair))


def _expected(at: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected counts of bins, and their derivatives by lifetime, decays and others, float64[3, n]."""
    lifetime, decays, others = at.tolist()
    begin, span = edges[0], edges[-1] - edges[0]
    after = np.exp(-(edges - begin) / lifetime)
    slope_of_after = after * (edges - begin) / lifetime**2
    inside, slope_of_inside = 1 - after[-1], -slope_of_after[-1]
    share = -np.diff(after) / inside
    by_lifetime = (-np.diff(slope_of_after) - share * slope_of_inside) / inside
    flat = np.diff(edges) / span
    return decays * share + others * flat, np.stack([decays * by_lifetime, share, flat])


def _likelihood(
    at: NDArray[np.float64], edges: NDArray[np.float64], n: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The logarithm of the likelihood, its gradient, and Fisher's information."""
    expected, derivatives = _expected(at, edges)
    expected = np.maximum(expected, 1e-12)
    gradient = (derivatives * (n / expected - 1)).sum(axis=1)
    return float((n * np.log(expected) - expected).sum()), gradient, (derivatives / expected) @ derivatives.T
