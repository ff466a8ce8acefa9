"""Rates against data time: window rows gathered in bins of about a second, with gaps and live time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.accumulate import SLOT_WINDOWS
from muonstream.analysis.muon_rates import VELOCITY_BINS, MuonColumns, MuonSeries, muon_series
from muonstream.analysis.tally import ROW_CHAMBERS, ROW_FIRST_ORBIT, ROW_LAST_ORBIT, ROW_SCINTILLATOR
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.words import ORBIT_SECONDS, WINDOW_ORBIT_BITS, WINDOW_SECONDS

BIN_WINDOWS: Final = 11
"""A rate bin is 11 windows, 1.0037 s, until the run is long; three bins are a slot."""
MAX_BINS: Final = 4096
"""Past so many bins, pairs are merged, so that memory stays bounded in a run of months."""
GAP_ORBITS: Final = BIN_WINDOWS << WINDOW_ORBIT_BITS
"""More orbits than this without a hit are a gap, which is no live time."""

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RateSeries:
    """Rates against data time; bins without data are absent.

    time_s: float64[n], where each bin begins, since the first hit's bin, epochs one after another
    width_s: width of a bin; hits_hz, active_cells: float64[n, C], active cells per orbit that has any in the chamber;
    scintillator_hz: float64[n]
    muons: the same of segments and tracks, None without reconstruction
    """

    time_s: NDArray[np.float64]
    width_s: float
    hits_hz: NDArray[np.float64]
    scintillator_hz: NDArray[np.float64]
    active_cells: NDArray[np.float64]
    muons: MuonSeries | None = None

    def thinned(self, n: int) -> RateSeries:
        """At most about n bins, neighbours averaged; `width_s` stays that of the bins as they were."""
        values = (self.time_s, self.hits_hz, self.scintillator_hz, self.active_cells)
        time_s, hits_hz, scintillator_hz, active_cells = (_thinned(array, n) for array in values)
        muons = None if self.muons is None else self.muons.mapped(lambda array: _thinned(array, n)).thinned_velocity(n)
        return RateSeries(time_s, self.width_s, hits_hz, scintillator_hz, active_cells, muons)


def _thinned(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    step = -(-len(values) // n) if len(values) else 1
    if step == 1:
        return values
    first = np.arange(0, len(values), step)
    sums = np.add.reduceat(values, first, axis=0)
    sizes = np.diff(np.append(first, len(values)))
    return np.asarray(sums / (sizes if values.ndim == 1 else sizes[:, None]), dtype=np.float64)


class RateBins:
    """Window rows summed in bins of data time. Adding is associative and commutative.

    With one exception: once a run has so many bins that they are merged (after some 68 minutes), a gap inside a bin is
    seen only if what lies on both its sides comes in order.
    """

    def __init__(self, chambers: int, *, muons: bool = False) -> None:
        """With muons, rows have their columns too, see `MuonColumns`."""
        self.chambers = chambers
        self.muons = muons
        self.windows_per_bin = BIN_WINDOWS
        self._columns = ROW_CHAMBERS + 3 * chambers + (MuonColumns(chambers).width if muons else 0)
        self.begins: Array = np.empty(0, np.int64)  # the key at which each bin begins, rising
        self.rows: Array = np.empty((0, self._columns), np.int64)
        self.gap_orbits: Array = np.empty(0, np.int64)  # inside a bin, after bins were merged
        self.gap_counts: Array = np.empty(0, np.int64)

    def copy(self) -> RateBins:
        other = RateBins(self.chambers, muons=self.muons)
        other.windows_per_bin = self.windows_per_bin
        other.begins, other.rows = self.begins.copy(), self.rows.copy()
        other.gap_orbits, other.gap_counts = self.gap_orbits.copy(), self.gap_counts.copy()
        return other

    def state(self) -> dict[str, Any]:
        """All of it as plain numbers and arrays, for `restore`."""
        names = ("begins", "rows", "gap_orbits", "gap_counts")
        return {"windows_per_bin": self.windows_per_bin, **dict(zip(names, self._state(), strict=True))}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.windows_per_bin = int(state["windows_per_bin"])
        self.begins, self.rows = state["begins"], state["rows"]
        self.gap_orbits, self.gap_counts = state["gap_orbits"], state["gap_counts"]

    def add(self, keys: Array, rows: Array) -> None:
        """Add window rows (see `Contribution`), those with hits or passages; keys int64[k], rising."""
        timed = rows[:, ROW_FIRST_ORBIT] >= 0
        if not timed.all():
            keys, rows = keys[timed], rows[timed]
        if not len(keys):
            return
        zeros = np.zeros(len(keys), np.int64)
        new = self._gathered(self._begin(keys), rows, zeros, zeros)
        if len(self.begins) and new[0][0] <= self.begins[-1]:
            bins = np.concatenate([self.begins, new[0]])
            order = np.argsort(bins, kind="stable")
            parts = [np.concatenate([a, b])[order] for a, b in zip(self._state()[1:], new[1:], strict=True)]
            merged = self._gathered(bins[order], *parts)
        else:
            bins, rows, gap_orbits, gap_counts = (
                np.concatenate([a, b]) for a, b in zip(self._state(), new, strict=True)
            )
            merged = bins, rows, gap_orbits, gap_counts
        self.begins, self.rows, self.gap_orbits, self.gap_counts = merged
        while len(self.begins) > MAX_BINS:
            self.windows_per_bin *= 2
            self.begins, self.rows, self.gap_orbits, self.gap_counts = self._gathered(
                self._begin(self.begins), *self._state()[1:]
            )

    def _state(self) -> tuple[Array, Array, Array, Array]:
        return self.begins, self.rows, self.gap_orbits, self.gap_counts

    def _gathered(
        self, bins: Array, rows: Array, gap_orbits: Array, gap_counts: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Rows of the same bin as one; bins are in order."""
        first = np.flatnonzero(np.diff(bins, prepend=-1))
        summed = np.add.reduceat(rows, first, axis=0)
        summed[:, ROW_FIRST_ORBIT] = np.minimum.reduceat(rows[:, ROW_FIRST_ORBIT], first)
        summed[:, ROW_LAST_ORBIT] = np.maximum.reduceat(rows[:, ROW_LAST_ORBIT], first)
        gap_sum, gap_count = np.add.reduceat(gap_orbits, first), np.add.reduceat(gap_counts, first)
        if self.windows_per_bin > BIN_WINDOWS:
            step = np.zeros(len(bins), np.int64)
            step[1:] = np.maximum(rows[1:, ROW_FIRST_ORBIT] - rows[:-1, ROW_LAST_ORBIT], 0)
            step[first] = 0
            step[step <= GAP_ORBITS] = 0
            gap_sum = gap_sum + np.add.reduceat(step, first)
            gap_count = gap_count + np.add.reduceat((step > 0).astype(np.int64), first)
        return bins[first], summed, gap_sum, gap_count

    def _begin(self, keys: Array) -> Array:
        """The key at which each key's bin begins; a bin is cut where the epoch ends, as 2**22 is no multiple of 11."""
        epoch_begin = keys >> KEY_WINDOW_BITS << KEY_WINDOW_BITS
        begins: Array = np.maximum(keys // self.windows_per_bin * self.windows_per_bin, epoch_begin)
        return begins

    def _widths(self) -> Array:
        """Windows in each bin: fewer than windows_per_bin where it is cut."""
        whole = (self.begins // self.windows_per_bin + 1) * self.windows_per_bin
        widths: Array = np.minimum(whole, (self._epochs() + 1) << KEY_WINDOW_BITS) - self.begins
        return widths

    def _epochs(self) -> Array:
        epochs: Array = self.begins >> KEY_WINDOW_BITS
        return epochs

    def _steps(self) -> tuple[Array, NDArray[np.bool_]]:
        """Orbits from each bin's last hit to the next bin's first, and whether that is a gap or a new epoch."""
        step = self.rows[1:, ROW_FIRST_ORBIT] - self.rows[:-1, ROW_LAST_ORBIT]
        return step, (step > GAP_ORBITS) | (np.diff(self._epochs()) != 0)

    def covered_s(self) -> NDArray[np.float64]:
        """Live seconds in each bin, float64[n]: whole bins, less what lies outside the data at the edges of gaps."""
        if not len(self.begins):
            return np.empty(0)
        # a bin reaches from its own edges, except where data begins or ends in it
        begin = (self.begins & KEY_WINDOW_MASK) << WINDOW_ORBIT_BITS
        end = begin + (self._widths() << WINDOW_ORBIT_BITS)
        _, edge = self._steps()
        starts = np.concatenate([[True], edge])
        ends = np.concatenate([edge, [True]])
        first = np.where(starts, self.rows[:, ROW_FIRST_ORBIT], begin)
        last = np.where(ends, self.rows[:, ROW_LAST_ORBIT] + 1, end)
        seconds = (last - first - self.gap_orbits) * ORBIT_SECONDS
        return np.asarray(np.maximum(seconds, ORBIT_SECONDS), dtype=np.float64)

    def live_time_s(self) -> float:
        """Seconds of data from each stretch's first hit to its last, gaps left out."""
        if not len(self.begins):
            return 0.0
        step, edge = self._steps()
        inside = self.rows[:, ROW_LAST_ORBIT] - self.rows[:, ROW_FIRST_ORBIT] - self.gap_orbits
        return float(inside.sum() + step[~edge].sum()) * ORBIT_SECONDS

    def gaps(self) -> list[tuple[int, int]]:
        """Each gap between bins as (last orbit before it, first orbit after it); resets are none."""
        step, _ = self._steps()
        same = np.diff(self._epochs()) == 0
        where = np.flatnonzero((step > GAP_ORBITS) & same)
        return [(int(self.rows[i, ROW_LAST_ORBIT]), int(self.rows[i + 1, ROW_FIRST_ORBIT])) for i in where]

    def gap_count(self) -> int:
        """How many gaps, those inside merged bins too."""
        return len(self.gaps()) + int(self.gap_counts.sum())

    def time_s(self) -> NDArray[np.float64]:
        """Where each bin begins in data time, float64[n], epochs one after another, 0 where the first bin begins."""
        if not len(self.begins):
            return np.empty(0)
        steps = np.where(np.diff(self._epochs()) != 0, self._widths()[:-1], np.diff(self.begins))
        return np.asarray(np.concatenate([[0], np.cumsum(steps)]) * WINDOW_SECONDS, dtype=np.float64)

    def data_time_s(self) -> float:
        """Data time of the newest hit since the first bin began, gaps included."""
        if not len(self.begins):
            return 0.0
        window = int(self.begins[-1]) & KEY_WINDOW_MASK
        inside = int(self.rows[-1, ROW_LAST_ORBIT]) - (window << WINDOW_ORBIT_BITS)
        return float(self.time_s()[-1]) + inside * ORBIT_SECONDS

    def drop_before(self, first_slot: int) -> None:
        """Forget bins of slots before first_slot (only while bins have not been merged)."""
        kept = self.begins // SLOT_WINDOWS >= first_slot
        self.begins, self.rows = self.begins[kept], self.rows[kept]
        self.gap_orbits, self.gap_counts = self.gap_orbits[kept], self.gap_counts[kept]

    def series(self) -> RateSeries:
        """The rates in Hz."""
        covered = self.covered_s()
        c = self.chambers
        hits = self.rows[:, ROW_CHAMBERS : ROW_CHAMBERS + c]
        cells = self.rows[:, ROW_CHAMBERS + c : ROW_CHAMBERS + 2 * c]
        orbits = self.rows[:, ROW_CHAMBERS + 2 * c : ROW_CHAMBERS + 3 * c]
        return RateSeries(
            time_s=self.time_s(),
            width_s=self.windows_per_bin * WINDOW_SECONDS,
            hits_hz=hits / covered[:, None],
            scintillator_hz=self.rows[:, ROW_SCINTILLATOR] / covered,
            active_cells=cells / np.maximum(orbits, 1),
            muons=self._muon_series(covered) if self.muons else None,
        )

    def _muon_series(self, covered_s: NDArray[np.float64]) -> MuonSeries:
        together = max(VELOCITY_BINS * BIN_WINDOWS // self.windows_per_bin, 1)
        windows = together * self.windows_per_bin
        # no stretch is of two epochs
        stretch = self._epochs() * (1 << KEY_WINDOW_BITS) + (self.begins & KEY_WINDOW_MASK) // windows
        rows = self.rows[:, ROW_CHAMBERS + 3 * self.chambers :]
        return muon_series(rows, self.chambers, covered_s, self.time_s(), stretch, windows * WINDOW_SECONDS)
