"""Muons that stop below a chamber's layers, and the electrons that they decay into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Chamber
from muonstream.simulation.drift import DriftHits
from muonstream.simulation.particles import Muons

LIFETIME_NS: Final = 2196.98
"""Of free muons: V. Tishchenko et al. (MuLan), Phys. Rev. D 87 (2013) 052003. That of negative muons in aluminium is
864 ns (T. Suzuki, D. F. Measday, J. P. Roalsvig, Phys. Rev. C 35 (1987) 2212), which this simulation leaves out."""
STEEPEST: Final = 20.0


@dataclass(frozen=True, slots=True)
class Stops:
    """Where muons stop: chamber is int64[n], the index of the chamber below whose layers each stops, -1 for none.

    bottom_mm: float64[C], the height of the lowest edge of each chamber; plane_mm: at which muons' x and y are
    """

    chamber: NDArray[np.int64]
    bottom_mm: NDArray[np.float64]
    plane_mm: float

    @classmethod
    def none(cls, n: int, chambers: Sequence[Chamber], plane_mm: float) -> Self:
        """Of n muons that all go on."""
        return cls(np.full(n, -1), np.array([chamber.z_mm for chamber in chambers]), plane_mm)

    @property
    def any(self) -> NDArray[np.bool_]:
        """Which muons stop, bool[n]."""
        return self.chamber >= 0

    def above(self, c: int, hits: DriftHits) -> DriftHits:
        """The hits of a chamber without those of muons that stopped higher up."""
        where = self.chamber[hits.muon]
        reached = (where < 0) | (self.bottom_mm[c] >= self.bottom_mm[where])
        if reached.all():
            return hits
        return DriftHits(hits.muon[reached], hits.cell[reached], hits.late_ns[reached], hits.origin[reached])

    def electrons(
        self, rng: np.random.Generator, c: int, muons: Muons
    ) -> tuple[NDArray[np.int64], Muons, NDArray[np.float64]]:
        """The electrons that go up through a chamber: which muons they are of, their lines, and their delays in ns."""
        which = np.flatnonzero(self.chamber == c)
        which = which[rng.random(len(which)) < 0.5]
        n, of = len(which), muons.in_chamber(c)
        fall = self.plane_mm - self.bottom_mm[c]
        # all directions alike: the cosine of the angle is uniform, up to the steepest slope
        cosine = 1 - rng.random(n) * (1 - 1 / np.hypot(1, STEEPEST))
        tan, azimuth = np.sqrt(1 - cosine**2) / cosine, rng.uniform(0, 2 * np.pi, n)
        tan_x, tan_y = tan * np.cos(azimuth), tan * np.sin(azimuth)
        lines = replace(
            muons.chosen(which),
            x_mm=of.x_mm[which] + (of.tan_x[which] - tan_x) * fall,
            y_mm=of.y_mm[which] + (of.tan_y[which] - tan_y) * fall,
            tan_x=tan_x,
            tan_y=tan_y,
            scattered=None,
        )
        return which, lines, rng.exponential(LIFETIME_NS, n)


def stopped(
    rng: np.random.Generator,
    crossed: NDArray[np.bool_],
    chambers: Sequence[Chamber],
    plane_mm: float,
    chance: float,
) -> Stops:
    """Let muons stop below the chambers that they cross, bool[C, n], each with this chance if they come that far."""
    stops = Stops.none(crossed.shape[1], chambers, plane_mm)
    for c in np.argsort(-stops.bottom_mm).tolist():
        here = crossed[c] & (rng.random(crossed.shape[1]) < chance) & (stops.chamber < 0)
        stops.chamber[here] = c
    return stops
