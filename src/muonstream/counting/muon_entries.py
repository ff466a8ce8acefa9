"""The catalogue's muon part: histograms of segments, tracks, residuals and efficiency, and how to fill and read them.

Every number is a sum of integers over segments and tracks, so that parts of a run add up as all else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector

Per = Literal["detector", "chamber", "layer", "cell", "view"]

SEGMENTS, FULL_SEGMENTS, TRACKS, MUONS, GIVEN_UP, GIVEN_UP_SEGMENTS = 0, 1, 2, 3, 4, 7
"""What `muon_counts` has: segments, those with a hit in each layer, tracks, muons with tracks in both views, and the
kinds of what was given up to keep the work bounded, see `GIVEN_UP_KINDS`."""
GIVEN_UP_KINDS: Final = ("hits", "choices", "fits", "segments")
"""Hits and choices of hits not tried, fits not kept, segments of orbits with too many to look for tracks."""
COUNT_KINDS: Final = GIVEN_UP + len(GIVEN_UP_KINDS)


class Quality(IntEnum):
    """Classes of segments, the best one first: hits in all layers or not, confirmed by another chamber or not."""

    FULL_CONFIRMED = 0
    CONFIRMED = 1
    FULL_ALONE = 2
    ALONE = 3


VELOCITY_WIRE_UM: Final = 10
VELOCITY_TIME_PS: Final = 100
"""Units in which the sums of `velocity` are kept."""
HEIGHT_TAN: Final = 10_000
"""Slopes times this are in the sums of `height`: of 1, slope, miss in um, slope squared, slope times miss."""
MISS_MM: Final = 50
"""Positions farther from another segment's line than this are outside of `miss`."""


MISFIT_MM: Final = 2.0
"""Misfits are kept up to here, from 0."""
TAN_STEP: Final = 0.1
TAN_BINS: Final = 12
"""Bins of |slope| in `misfit_tan`; the last has all that are steeper."""
MISFIT_TAN_STEP: Final = 0.05
MISFIT_TAN_BINS: Final = 40
"""Bins of |misfit| in mm for each of these."""
DELAY_NS: Final = 100.0
DELAY_BINS: Final = 200
"""Times between hits of a chamber, and from segments to later hits, are counted in bins of 100 ns, up to 20 us."""
AT_ONCE: Final = 16
"""Bins of `at_once`, by number of segments; the last has all with more, and orbits with too many to look."""
APART_MM: Final = 20.0
APART_BINS: Final = 40
"""Bins of the distance between parallel segments; the last has all that are farther apart."""
SIDES: Final = 64
"""Choices of sides of up to six layers, bit l set where the track passes at larger x than layer l's wire."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An entry to be: one row for each of `rows`, `bins` of `step` from `start` on; with `flow` two more bins."""

    per: Per
    rows: int
    name: str
    title: str
    label: str
    unit: str
    bins: int
    start: float = 0.0
    step: float = 1.0
    flow: bool = True

    @property
    def width(self) -> int:
        """Bins in a row, flow bins among them."""
        return self.bins + 2 * self.flow

    def bin_of(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The bin of each value, int64; without flow, values outside are put into the nearest bin."""
        if np.issubdtype(values.dtype, np.integer) and (self.start, self.step) == (0.0, 1.0):
            place = np.asarray(values, dtype=np.int64) + self.flow
        else:
            place = np.floor((values - self.start) * (1 / self.step)).astype(np.int64) + self.flow
        return np.minimum(np.maximum(place, 0), self.width - 1)


def muon_shapes(detector: Detector, cell_codes: int) -> list[Shape]:
    """The muon part of a detector's catalogue, in order."""
    c = len(detector.chambers)
    reach = max(chamber.cells_per_layer * chamber.cell_width_mm for chamber in detector.chambers) / 2 + 63
    deepest = max(chamber.cell_width_mm for chamber in detector.chambers) / 2
    deep = int(np.ceil(deepest)) + 1
    timer_ns = float(np.floor(np.mean([chamber.t_max_ns for chamber in detector.chambers])) - 100)
    chamber, view = partial(Shape, "chamber", c), partial(Shape, "view", 2)
    cell, whole = partial(Shape, "cell", 1), partial(Shape, "detector", 1)
    return [
        whole("muon_counts", "Segments and tracks", "kind", "", COUNT_KINDS, flow=False),
        chamber("segment_hits", "Hits of segments", "hits", "", 7, flow=False),
        chamber("segment_chi2", "chi2 of segments with a hit in each layer", "chi2", "", 100, 0.0, 0.2),
        chamber("segment_tan", "Slope of segments", "tan", "", 100, -2.5, 0.05),
        chamber("segment_x", "Position of segments", "x", "mm", int(2 * reach / 7), -reach, 7.0),
        chamber("residual_biased", "Hit minus its own segment", "residual", "mm", 200, -2.0, 0.02),
        chamber("residual_unbiased", "Hit minus the segment of the other hits", "residual", "mm", 200, -2.0, 0.02),
        chamber("misfit", "Combination of hits that is zero for a straight track", "misfit", "mm", 80, -2.0, 0.05),
        chamber("misfit_side", "Sums of the misfit by sides", "kind", "", 3 * SIDES, flow=False),
        chamber("residual_count", "Hits by distance from the wire", "distance", "mm", deep, flow=False),
        chamber("residual_sum_um", "Sum of residuals away from the wire, um", "distance", "mm", deep, flow=False),
        chamber("residual_sum2_um2", "Sum of squared residuals, um2", "distance", "mm", deep, flow=False),
        chamber("t0_passage", "t0 minus passage time", "difference", "ns", 200, -100.0, 1.0),
        chamber("t0_between", "t0 minus t0 in the track's first chamber", "difference", "ns", 200, -50, 0.5),
        chamber("bend", "Slope minus slope in the track's first chamber", "difference", "", 200, -0.25, 0.0025),
        chamber("miss", "Position minus the line from the track's first chamber", "miss", "mm", 200, -MISS_MM, 0.5),
        chamber("height", "Sums for the height of chambers", "kind", "", 5, flow=False),
        whole("t0_views", "t0 in view y minus t0 in view x", "difference", "ns", 200, -50.0, 0.5),
        view("track_tan", "Slope of tracks", "tan", "", 100, -2.5, 0.05),
        view("track_chi2", "chi2 per degree of freedom of tracks", "chi2", "", 100, 0.0, 0.2),
        whole("zenith", "Zenith angle of muons", "angle", "degrees", 45, 0.0, 2.0),
        cell("cell_expected", "Segments that crossed a cell", "cell", "", cell_codes, flow=False),
        cell("cell_found", "Segments that crossed a cell and have a hit in it", "cell", "", cell_codes, flow=False),
        whole("chamber_expected", "Lines that crossed a chamber", "chamber", "", c, flow=False),
        whole("chamber_found", "Lines that crossed a chamber with a segment in it", "chamber", "", c, flow=False),
        chamber("velocity", "Sums for the drift velocity", "kind", "", 4, flow=False),
        whole(
            "chamber_tagged", "Muons that crossed a chamber, judged by all other chambers", "chamber", "", c, flow=False
        ),
        whole("tagged_found", "Muons that crossed a chamber with a segment in it", "chamber", "", c, flow=False),
        chamber("segment_quality", "Segments by class of quality", "class", "", len(Quality), flow=False),
        chamber("drift_count", "Hits by drift time", "drift time", "ns", 45, -20.0, 10.0),
        chamber("drift_sum_um", "Sum of distances of lines, um", "drift time", "ns", 45, -20.0, 10.0),
        chamber("mean_timer", "Mean-timer sums of three layers", "sum", "ns", 100, timer_ns, 2.0),
        chamber("misfit_tan", "Misfits by slope", "kind", "", TAN_BINS * MISFIT_TAN_BINS, flow=False),
        chamber("coincidences", "Pairs of segments at one time", "chamber", "", c, flow=False),
        chamber("tdc_codes", "Hits by TDC code", "code", "", 32, flow=False),
        chamber("trigger_late", "Trigger minus t0", "difference", "ns", 200, -500.0, 5.0),
        whole("azimuth", "Azimuth of muons", "angle", "degrees", 36, 0.0, 10.0),
        chamber("hit_gap", "Time between hits", "time", "ns", DELAY_BINS, 0.0, DELAY_NS, flow=False),
        chamber("hit_gap_hits", "Hits with 20 us left, hits left out", "kind", "", 2, flow=False),
        chamber(
            "decay_time",
            "Groups of hits after a segment",
            "time after the segment",
            "ns",
            DELAY_BINS,
            0.0,
            DELAY_NS,
            flow=False,
        ),
        chamber("at_once", "Segments within 25 ns", "segments", "", AT_ONCE, flow=False),
        chamber(
            "parallel_apart",
            "Distance of parallel segments within 25 ns",
            "distance",
            "mm",
            APART_BINS,
            0.0,
            APART_MM,
            flow=False,
        ),
        chamber("decay_starts", "Segments with 20 us of orbit left", "kind", "", 1, flow=False),
        cell("cell_on_segment", "Hits on segments, in orbits without a passage", "cell", "", cell_codes, flow=False),
    ]


def wilson(found: int, expected: int, sigmas: float = 1.0) -> tuple[float, float]:
    """The interval of a share, by E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209: low and high; 0 and 1 for none."""
    low, high = wilson_limits(np.array([found]), np.array([expected]), sigmas)
    return float(low[0]), float(high[0])


def wilson_limits(
    found: NDArray[np.int64], expected: NDArray[np.int64], sigmas: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of several shares, int64[n] each: low and high, float64[n]."""
    n, z2 = np.maximum(expected, 1).astype(np.float64), sigmas**2
    share = found / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sigmas / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    none = expected <= 0
    return np.where(none, 0.0, np.maximum(middle - half, 0.0)), np.where(none, 1.0, np.minimum(middle + half, 1.0))


def drift_velocity_um_per_ns(sums: NDArray[np.int64]) -> tuple[float, float]:
    """Drift velocity and its error from a chamber's row of `velocity`: NaN for both with too little to go by.

    For a segment with hits in all layers, the combination of wires and times that vanishes for a straight track says
    A + v B = 0, where A knows no error: B is fitted against A, so that errors of times do not pull v.
    """
    n, aa, ab, bb = (float(value) for value in sums)
    if n < 2 or aa <= 0 or ab >= 0:
        return float("nan"), float("nan")
    slope = ab / aa  # B = slope A, slope = -1/v
    scatter = max(bb - slope * ab, 0.0) / max(n - 1, 1)
    velocity = -1 / slope * VELOCITY_WIRE_UM / (VELOCITY_TIME_PS / 1000)
    return velocity, velocity * float(np.sqrt(scatter / aa)) / abs(slope)
