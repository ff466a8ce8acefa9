"""Multiple scattering of muons in the material of chambers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.simulation.particles import Muons

LEAST_GEV: Final = 0.3
SPECTRUM_GEV: Final = 3.64
SPECTRUM_POWER: Final = 2.7
"""Vertical muons are as many as (E + 3.64 GeV)^-2.7: M. Guan et al., arXiv:1509.06176, below 100 GeV."""
HIGHLAND_GEV: Final = 0.0136
"""Width of the angle, projected on a plane: G. R. Lynch and O. I. Dahl, Nucl. Instrum. Meth. B58 (1991) 6."""


def energies_gev(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Energies of n muons, float64[n]."""
    rest = (1.0 - rng.random(n)) ** (-1 / (SPECTRUM_POWER - 1))
    return np.asarray((LEAST_GEV + SPECTRUM_GEV) * rest - SPECTRUM_GEV, dtype=np.float64)


def scattered(
    rng: np.random.Generator, muons: Muons, heights_mm: NDArray[np.float64], plane_mm: float, radiation_lengths: float
) -> Muons:
    """Muons that each chamber, at these heights, turns in its middle: what they have in the next one is another line.

    In a chamber they go along the line that they came by.
    """
    n, energy = len(muons), energies_gev(rng, len(muons))
    lines = np.empty((4, len(heights_mm), n))
    x, y, tan_x, tan_y = muons.x_mm, muons.y_mm, muons.tan_x, muons.tan_y
    for c in np.argsort(-heights_mm).tolist():
        lines[:, c] = x, y, tan_x, tan_y
        slant2 = 1 + tan_x**2 + tan_y**2
        thickness = radiation_lengths * np.sqrt(slant2)
        width = HIGHLAND_GEV / energy * np.sqrt(thickness) * np.maximum(1 + 0.038 * np.log(thickness), 0)
        turn_x, turn_y = rng.normal(0, 1, (2, n)) * width * np.stack([1 + tan_x**2, 1 + tan_y**2])
        fall = plane_mm - heights_mm[c]
        # the old line and the new one meet in the chamber's middle
        x, y, tan_x, tan_y = x - turn_x * fall, y - turn_y * fall, tan_x + turn_x, tan_y + turn_y
    return replace(muons, scattered=lines)
