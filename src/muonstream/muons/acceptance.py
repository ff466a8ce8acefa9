"""The angles that a telescope should see: cosmic muons' own, folded with what its chambers cover."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import crossed_cells, half_width_mm, middle_mm, to_frame
from muonstream.detector.model import Detector
from muonstream.muons.patterns import fewest_hits

MUONS: Final = 400_000
STEEPEST: Final = 4.0
"""Muons with larger slopes are left out: hardly any crosses two chambers."""


def expected_zenith(
    detector: Detector, edges_degrees: NDArray[np.float64], *, muons: int = MUONS, seed: int = 1
) -> NDArray[np.float64]:
    """Share of the muons with a track in both views in each bin of the zenith angle, float64[n], their sum 1.

    edges_degrees: float64[n + 1]. Muons come with cos2 of the zenith angle through an area turned to them (P. K. F.
    Grieder, Cosmic Rays at Earth, 2001), so with cos3 through a level one. Those count that cross, of each view, two
    chambers, or the one that there is: cells that are not known to be dead, in as many layers as a segment needs.
    Chambers are as long as they are wide, and find everything. All 0 when no muon can have tracks in both views.
    """
    tan, _, _ = _seen(detector, muons, seed)
    counts, _ = np.histogram(np.degrees(np.arctan(tan)), edges_degrees)
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)


def expected_azimuth(
    detector: Detector, edges_degrees: NDArray[np.float64], *, muons: int = MUONS, seed: int = 1
) -> NDArray[np.float64]:
    """The same in each bin of the azimuth angle, 0 to 360 degrees from x towards y, into which the muons go."""
    _, azimuth, _ = _seen(detector, muons, seed)
    counts, _ = np.histogram(np.degrees(azimuth), edges_degrees)
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)


@lru_cache(maxsize=8)
def aperture_m2_sr(detector: Detector, *, muons: int = MUONS, seed: int = 1) -> float:
    """What the vertical intensity of muons is multiplied with for the rate of those with tracks in both views.

    The integral over area, direction and cos2 of the zenith angle (J. D. Sullivan, Nucl. Instrum. Meth. 95 (1971) 5),
    by drawing muons: pi / 2 times the area that they are drawn from, times the share that is seen. 0 when none can be.
    """
    tan, _, area_m2 = _seen(detector, muons, seed)
    return _aperture_each(area_m2, muons) * len(tan)


def apertures_by_zenith(
    detector: Detector, edges_degrees: NDArray[np.float64], *, muons: int = MUONS, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the intensity at each zenith angle is multiplied with for the rate of muons in that bin, in m2 sr.

    The same integral in each bin of the angle, without cos2. edges_degrees: float64[n + 1]
    Gives float64[n] twice: the apertures, and their errors from the number of muons that are drawn.
    """
    tan, _, area_m2 = _seen(detector, muons, seed)
    # cos2 of a muon's angle is 1 / (1 + tan2)
    weight = _aperture_each(area_m2, muons) * (1 + tan**2)
    angle = np.degrees(np.arctan(tan))
    aperture, _ = np.histogram(angle, edges_degrees, weights=weight)
    squares, _ = np.histogram(angle, edges_degrees, weights=weight**2)
    return aperture, np.sqrt(squares)


def _aperture_each(area_m2: float, muons: int) -> float:
    """What each muon that is seen stands for in the aperture, of so many drawn from an area, in m2 sr."""
    below_steepest = 1 - (1 + STEEPEST**2) ** -2.0
    return float(np.pi / 2 * below_steepest * area_m2 / muons)


@lru_cache(maxsize=8)
def _seen(detector: Detector, muons: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Slope and azimuth, in radians, of muons with tracks in both views, float64[n] each, and the area drawn from."""
    rng = np.random.default_rng(seed)
    chambers = detector.chambers
    views = [[chamber for chamber in chambers if chamber.view == view] for view in ("x", "y")]
    needed = [min(len(view), 2) for view in views]
    if 0 in needed:
        return np.zeros(0), np.zeros(0), 0.0
    fewest = min(views, key=len)
    heights = [middle_mm(chamber) for chamber in chambers]
    plane_mm, half_mm = middle_mm(fewest[0]), abs(fewest[0].x_mm) + np.sqrt(2) * half_width_mm(fewest[0])
    if len(fewest) > 2:
        # no single chamber is crossed by all of them, so positions are drawn from a wide range
        half_mm += 2 * max(half_width_mm(chamber) for chamber in chambers) + STEEPEST * (max(heights) - min(heights))
    # cos4 is uniform for a flux that goes with cos3 of the angle, up to the steepest
    least = (1 + STEEPEST**2) ** -2.0
    cos = (least + (1 - least) * rng.random(muons)) ** 0.25
    tan = np.sqrt(1 - cos**2) / cos
    azimuth = rng.uniform(0, 2 * np.pi, muons)
    x, y = rng.uniform(-half_mm, half_mm, (2, muons))
    tan_x, tan_y = tan * np.cos(azimuth), tan * np.sin(azimuth)
    seen = np.ones(muons, np.bool_)
    for view, least_chambers in zip(views, needed, strict=True):
        crossed = np.zeros(muons, np.int64)
        for chamber in view:
            lines = to_frame(chamber, plane_mm, x, y, tan_x, tan_y)
            reach = half_width_mm(chamber) + STEEPEST * chamber.layers * chamber.cell_height_mm
            near = np.flatnonzero((np.abs(lines[0]) < reach) & (np.abs(lines[2]) < half_width_mm(chamber)))
            cell, _ = crossed_cells(chamber, *(values[near] for values in lines))
            works = np.ones(chamber.cells + 1, np.bool_)
            works[[*chamber.dead_cells, -1]] = False  # the last stands for no cell
            crossed[near] += np.count_nonzero(works[cell], axis=1) >= fewest_hits(chamber.layers)
        seen &= crossed >= least_chambers
    area_m2 = float((2 * half_mm / 1000) ** 2)
    return np.asarray(tan[seen], dtype=np.float64), np.asarray(azimuth[seen], dtype=np.float64), area_m2
