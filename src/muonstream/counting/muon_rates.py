"""Muons against data time: what reconstruction adds to the rows of windows, and the series that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.muon_entries import drift_velocity_um_per_ns

VELOCITY_SUMS: Final = 4
VELOCITY_BINS: Final = 30
"""The drift velocity is told for stretches of this many rate bins, about 30 s; one bin has too few segments."""
FEWEST_SEGMENTS: Final = 30
"""With a hit in each layer, for a velocity."""

Array = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MuonColumns:
    """Where muons are in a window's row, behind what is there without them.

    segments, full (those with a hit in each layer): a column a chamber; velocity: four a chamber, the sums of the
    catalogue's `velocity`; tracks: of view x and of view y; muons: with tracks in both views
    """

    chambers: int

    @property
    def width(self) -> int:
        """How many columns there are."""
        return (2 + VELOCITY_SUMS) * self.chambers + 3

    @property
    def segments(self) -> int:
        """The first column of segments."""
        return 0

    @property
    def full(self) -> int:
        """The first column of those with a hit in each layer."""
        return self.chambers

    @property
    def velocity(self) -> int:
        """The first column of the velocity's sums."""
        return 2 * self.chambers

    @property
    def tracks(self) -> int:
        """The column of view x's tracks."""
        return self.width - 3

    @property
    def muons(self) -> int:
        """The column of muons."""
        return self.width - 1


@dataclass(frozen=True, slots=True)
class MuonSeries:
    """Muons against data time, in the bins of the rates that they belong to; velocities in longer ones of their own.

    segments_hz, full_hz: float64[n, C], full ones have a hit in each layer; tracks_hz: float64[n, 2], of view x and y;
    muons_hz: float64[n]
    velocity_time_s: float64[m], where each stretch begins; velocity_width_s: its length;
    velocity_sums: int64[m, C, 4], as the catalogue's `velocity`
    """

    segments_hz: Floats
    full_hz: Floats
    tracks_hz: Floats
    muons_hz: Floats
    velocity_time_s: Floats
    velocity_width_s: float
    velocity_sums: Array

    def mapped(self, change: Callable[[Floats], Floats]) -> MuonSeries:
        """The same with another set of bins: `change` is done to each array of rates."""
        return replace(
            self,
            segments_hz=change(self.segments_hz),
            full_hz=change(self.full_hz),
            tracks_hz=change(self.tracks_hz),
            muons_hz=change(self.muons_hz),
        )

    def thinned_velocity(self, most: int) -> MuonSeries:
        """At most about `most` stretches: neighbours become one, with the sums of both."""
        n = len(self.velocity_time_s)
        together = -(-n // most) if n else 1
        if together == 1:
            return self
        first = np.arange(0, n, together)
        return replace(
            self,
            velocity_time_s=self.velocity_time_s[first],
            velocity_width_s=self.velocity_width_s * together,
            velocity_sums=np.add.reduceat(self.velocity_sums, first, axis=0),
        )

    def velocity_um_per_ns(self) -> tuple[Floats, Floats]:
        """Drift velocity in each stretch and chamber, and its error, float64[m, C]; NaN where segments are few."""
        found = np.full((*self.velocity_sums.shape[:2], 2), np.nan)
        for at in np.argwhere(self.velocity_sums[..., 0] >= FEWEST_SEGMENTS).tolist():
            found[*at] = drift_velocity_um_per_ns(self.velocity_sums[*at])
        return found[..., 0], found[..., 1]


def muon_series(
    rows: Array, chambers: int, covered_s: Floats, time_s: Floats, stretch: Array, bin_s: float
) -> MuonSeries:
    """The series of bins.

    rows: int64[n, width], their muon columns; covered_s: float64[n], live seconds of each; time_s: float64[n], where
    each begins; stretch: int64[n], never falling, the number of the velocity's stretch that it is in; bin_s: its width
    """
    columns = MuonColumns(chambers)
    hz = rows / covered_s[:, None]
    first = np.flatnonzero(np.diff(stretch, prepend=stretch[0] - 1)) if len(stretch) else np.empty(0, np.int64)
    sums = rows[:, columns.velocity : columns.tracks]
    summed = np.add.reduceat(sums, first, axis=0) if len(first) else sums
    return MuonSeries(
        segments_hz=hz[:, columns.segments : columns.full],
        full_hz=hz[:, columns.full : columns.velocity],
        tracks_hz=hz[:, columns.tracks : columns.muons],
        muons_hz=hz[:, columns.muons],
        velocity_time_s=time_s[first],
        velocity_width_s=bin_s,
        velocity_sums=summed.reshape(-1, chambers, VELOCITY_SUMS),
    )
