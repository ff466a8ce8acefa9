"""Side patterns: for each choice of layers and sides of the wires, the equations of a straight track and its t0.

A hit of a wire at x, at depth h below the chamber's middle, at time t, on side s = +1 or -1 of the wire, says
``x + s v (t - t0) = position + tan h``: linear in position, tan and v t0. The solution of least squares for all layers
and sides is a table of weights, worked out once. The weights of t0 are mean-timer equations (CMS: G. Abbiendi et al.,
JINST 4 (2009) P05002) for every pattern: for three neighbouring layers of half-cell stagger, crossed zigzag, they are
``t0 = ((t1 + t3)/2 + t2 - T_max)/2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import depths_mm
from muonstream.detector.model import Chamber

FEWEST_LAYERS: Final = 3
MOST_LAYERS: Final = 6
"""Chambers with fewer or more layers have no segments."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """The table of one chamber of L layers, by ``layers << L | sides``: bit sets, bit l for layer l from the top.

    A set bit of sides means that the track passes at larger x than the wire. All in mm, times as v t.

    usable: bool[4^L], whether layers are enough, sides belong to them and the equations have one solution
    solution: float64[4^L, 3, L], weights of x + s v t of each layer in position (at the middle's depth), tan and v t0
    normal: float64[4^L, L - 2, L], orthonormal combinations of x + s v t that vanish for a straight track; the sum of
        their squares is that of the residuals
    covariance: float64[4^L, 3, 3] of position, tan and v t0 for unit variance of each hit's distance
    leverage: float64[4^L, L], what is left of a hit's own error in its residual: biased = leverage x unbiased
    """

    layers: int
    usable: NDArray[np.bool_]
    solution: NDArray[np.float64]
    normal: NDArray[np.float64]
    covariance: NDArray[np.float64]
    leverage: NDArray[np.float64]


def fewest_hits(layers: int) -> int:
    """Layers that a segment must have hits in: all but one, and three at least."""
    return max(FEWEST_LAYERS, layers - 1)


def reconstructed(chamber: Chamber) -> bool:
    """Whether segments are searched for in this chamber."""
    return FEWEST_LAYERS <= chamber.layers <= MOST_LAYERS


def build_patterns(chamber: Chamber, *, t0_known: bool = False) -> Patterns:
    """The table of a chamber; with t0_known the weights of v t0 are 0, and its columns are not unknowns."""
    n = chamber.layers
    size, unknowns = 1 << (2 * n), 2 if t0_known else 3
    usable = np.zeros(size, np.bool_)
    solution = np.zeros((size, 3, n))
    normal = np.zeros((size, n - 2, n))
    covariance = np.zeros((size, 3, 3))
    leverage = np.zeros((size, n))
    depth = depths_mm(chamber)
    for layers in range(1 << n):
        chosen = np.flatnonzero((layers >> np.arange(n)) & 1)
        if len(chosen) < fewest_hits(n):
            continue
        for sides in range(1 << n):
            if sides & ~layers:
                continue
            sign = np.where((sides >> chosen) & 1, 1.0, -1.0)
            design = np.stack([np.ones(len(chosen)), depth[chosen], sign], axis=1)[:, :unknowns]
            if np.linalg.matrix_rank(design) < unknowns:
                continue  # with all hits on one side, a later t0 cannot be told from another position
            where = layers << n | sides
            usable[where] = True
            inverse = np.linalg.inv(design.T @ design)
            solution[where, :unknowns, chosen] = (inverse @ design.T).T
            covariance[where, :unknowns, :unknowns] = inverse
            basis = np.linalg.svd(design)[0][:, unknowns:]
            normal[where, : basis.shape[1], chosen] = basis
            leverage[where, chosen] = (basis**2).sum(axis=1)
    return Patterns(n, usable, solution, normal, covariance, leverage)
