"""Rates against data time: window rows gathered in bins of about a second, with gaps and live time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.kernel import SLOT_WINDOWS
from muonstream.counting.muon_rates import VELOCITY_BINS, MuonColumns, MuonSeries, muon_series
from muonstream.counting.pauses import Gaps, Pauses, find_gaps, open_inside
from muonstream.counting.tally import ROW_CHAMBERS, ROW_FIRST_ORBIT, ROW_LAST_ORBIT, ROW_SCINTILLATOR
from muonstream.frames import KEY_WINDOW_BITS, KEY_WINDOW_MASK
from muonstream.words import ORBIT_MASK, ORBIT_SECONDS, WINDOW_ORBIT_BITS, WINDOW_ORBITS, WINDOW_SECONDS

BIN_WINDOWS: Final = 11
"""A rate bin is 11 windows, 1.0037 s, until the run is long; three bins are a slot."""
MAX_BINS: Final = 4096
"""Beyond this many bins, pairs are merged, so that memory stays bounded in a run of months."""
MOST_EPOCHS: Final = MAX_BINS // 2
"""Past so many epochs, each a counter reset, a bin holds several of them."""
NEWEST_EPOCHS: Final = 64
"""The newest epochs are never merged with others: frames of several partitions come out of order."""
GAP_ORBITS: Final = BIN_WINDOWS << WINDOW_ORBIT_BITS
"""A pause of no more orbits than this, a second, is never a gap; a longer one may be, see `pauses`."""
PAUSE_CLASSES: Final = 20
"""Pauses inside merged bins are kept by power of two of their length in units of GAP_ORBITS."""
PAUSES_AT: Final = 3
MOST_RESETS: Final = 50
EPOCH_SHIFT: Final = KEY_WINDOW_BITS + WINDOW_ORBIT_BITS
"""First and last orbits of bins are epoch << 32 | orbit, so that they rise through all resets."""

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RateSeries:
    """Rates against data time; bins without data are absent.

    time_s: float64[n], where each bin begins, since the first hit's bin, epochs one after another
    width_s: width of a bin; hits_hz, active_cells: float64[n, C], active cells per orbit that has any in the chamber;
    scintillator_hz: float64[n]
    muons: the same of segments and tracks, None without reconstruction
    resets_s: float64[r], where in data time the orbit counter was reset, the newest MOST_RESETS at most; resets inside
    one bin of a very long run are not among them
    """

    time_s: NDArray[np.float64]
    width_s: float
    hits_hz: NDArray[np.float64]
    scintillator_hz: NDArray[np.float64]
    active_cells: NDArray[np.float64]
    muons: MuonSeries | None = None
    resets_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def spaced(self) -> RateSeries:
        """The series with the true width of its bins: a series that older versions thinned says too little."""
        if len(self.time_s) < 2:
            return self
        return replace(self, width_s=max(self.width_s, float(np.median(np.diff(self.time_s)))))

    def thinned(self, n: int) -> RateSeries:
        """At most about n bins (1.25 n): neighbours become one, with their mean; as it is, if it has no more than n."""
        if len(self.time_s) <= n:
            return self
        width_s = self.spaced().width_s
        # by place in time, not in the array, so that a bin's neighbours stay the same as the run grows
        together = 1 << math.ceil(math.log2(len(self.time_s) / n))
        while True:
            group = np.floor(self.time_s / (width_s * together) + 1e-6).astype(np.int64)
            first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
            if len(first) <= 1.25 * n:
                break
            together *= 2  # bins far from one another, behind gaps
        members = np.diff(first, append=len(group))

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            summed: NDArray[np.float64] = np.add.reduceat(values, first, axis=0)
            return summed / (members if values.ndim == 1 else members[:, None])

        return RateSeries(
            time_s=group[first].astype(np.float64) * (width_s * together),
            width_s=width_s * together,
            hits_hz=mean(self.hits_hz),
            scintillator_hz=mean(self.scintillator_hz),
            active_cells=mean(self.active_cells),
            muons=None if self.muons is None else self.muons.mapped(mean).thinned_velocity(n),
            resets_s=self.resets_s,
        )


def _bin_begin(orbits: Array) -> tuple[Array, Array]:
    """Where bins of the first width begin that have these orbits (epoch << 32 | orbit), and how far in they are."""
    into = (orbits & ORBIT_MASK) % (BIN_WINDOWS * WINDOW_ORBITS)
    return orbits - into, into


class RateBins:
    """Window rows summed in bins of data time. Adding is associative and commutative.

    With two exceptions: once a run has so many bins that they are merged (after about 68 minutes), a pause inside a bin
    is seen only if what lies on both its sides comes in order; and once epochs are merged, rows of one that come after
    `newest_epochs` others add nothing to the live time.
    """

    def __init__(
        self,
        chambers: int,
        *,
        muons: bool = False,
        max_bins: int = MAX_BINS,
        max_epochs: int = MOST_EPOCHS,
        newest_epochs: int = NEWEST_EPOCHS,
    ) -> None:
        """With muons, rows have their columns too, see `MuonColumns`.

        max_bins, max_epochs: past so many bins, or epochs with bins of their own, they are merged; there may be as many
        bins as epochs at least; newest_epochs: so many are never merged with others
        """
        self.chambers = chambers
        self.max_bins, self.max_epochs = max(max_bins, max_epochs + newest_epochs + 1), max_epochs
        self.newest_epochs = newest_epochs
        self.muons = muons
        self.windows_per_bin = BIN_WINDOWS
        self.epochs_per_bin = 1
        self._columns = ROW_CHAMBERS + 3 * chambers + (MuonColumns(chambers).width if muons else 0)
        self.begins: Array = np.empty(0, np.int64)  # the key at which each bin begins, rising
        self.rows: Array = np.empty((0, self._columns), np.int64)
        # window rows; orbits between the epochs inside; those of them that are data time though without data, at the
        # ends of epochs; then by class the number and the length of pauses inside
        self.extra: Array = np.empty((0, PAUSES_AT + 2 * PAUSE_CLASSES), np.int64)
        self._gaps: Gaps | None = None

    def copy(self) -> RateBins:
        other = RateBins(
            self.chambers,
            muons=self.muons,
            max_bins=self.max_bins,
            max_epochs=self.max_epochs,
            newest_epochs=self.newest_epochs,
        )
        other.restore(self.state())
        return other

    def state(self) -> dict[str, Any]:
        """The state as plain numbers and arrays, for `restore`."""
        return {
            "windows_per_bin": self.windows_per_bin,
            "epochs_per_bin": self.epochs_per_bin,
            "begins": self.begins.copy(),
            "rows": self.rows.copy(),
            "extra": self.extra.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.windows_per_bin, self.epochs_per_bin = int(state["windows_per_bin"]), int(state["epochs_per_bin"])
        self.begins, self.rows, self.extra = state["begins"], state["rows"], state["extra"]
        self._gaps = None

    def add(self, keys: Array, rows: Array) -> None:
        """Add window rows (see `Contribution`), those with hits or passages; keys int64[k], rising."""
        timed = rows[:, ROW_FIRST_ORBIT] >= 0
        if not timed.all():
            keys, rows = keys[timed], rows[timed]
        if not len(keys):
            return
        epochs = keys >> KEY_WINDOW_BITS << EPOCH_SHIFT
        if epochs.any():
            rows = rows.copy()
            rows[:, [ROW_FIRST_ORBIT, ROW_LAST_ORBIT]] += epochs[:, None]
        if self.epochs_per_bin > 1 and len(self.begins) and keys[-1] >> KEY_WINDOW_BITS > self._newest_epoch():
            # what is older than the newest epochs is merged now
            newest = int(keys[-1] >> KEY_WINDOW_BITS)
            self.begins, self.rows, self.extra = self._gathered(self._begin(self.begins, newest), self.rows, self.extra)
        bins, rows, extra = self._gathered(self._begin(keys), rows, None)
        # bins before the first new one stay as they are: mostly all but the last, which new rows continue
        at = int(np.searchsorted(self.begins, bins[0]))
        if at < len(self.begins):
            parts = zip((self.begins, self.rows, self.extra), (bins, rows, extra), strict=True)
            bins, rows, extra = (np.concatenate([mine[at:], new]) for mine, new in parts)
            order = np.lexsort((-rows[:, ROW_LAST_ORBIT], rows[:, ROW_FIRST_ORBIT], bins))
            bins, rows, extra = self._gathered(bins[order], rows[order], extra[order])
        parts = zip((self.begins, self.rows, self.extra), (bins, rows, extra), strict=True)
        self.begins, self.rows, self.extra = (np.concatenate([mine[:at], new]) for mine, new in parts)
        self._gaps = None
        while self._too_many():
            self.begins, self.rows, self.extra = self._gathered(self._begin(self.begins), self.rows, self.extra)

    def _too_many(self) -> bool:
        """Whether bins must be merged, by widths that are set here: what they become depends on all rows alone."""
        if len(self.begins) <= min(self.max_epochs, self.max_bins):
            return False
        epochs = self._epochs()
        old = epochs[epochs < self._newest_epoch() - self.newest_epochs]
        if len(np.unique(old // self.epochs_per_bin)) > self.max_epochs:
            self.epochs_per_bin *= 2
            self.windows_per_bin = BIN_WINDOWS
            return True
        if self.epochs_per_bin == 1 and len(self.begins) > self.max_bins:
            self.windows_per_bin *= 2
            return True
        return False

    def _gathered(self, bins: Array, rows: Array, extra: Array | None) -> tuple[Array, Array, Array]:
        """Rows of the same bin as one; bins are in order. extra: None for rows of one window each."""
        first = np.flatnonzero(np.diff(bins, prepend=-1))
        if extra is not None and len(first) == len(bins):
            return bins, rows, extra
        summed = np.add.reduceat(rows, first, axis=0)
        summed[:, ROW_FIRST_ORBIT] = np.minimum.reduceat(rows[:, ROW_FIRST_ORBIT], first)
        summed[:, ROW_LAST_ORBIT] = np.maximum.reduceat(rows[:, ROW_LAST_ORBIT], first)
        sizes = np.diff(first, append=len(bins))
        if extra is None:
            sums = np.zeros((len(first), self.extra.shape[1]), np.int64)
            sums[:, 0] = sizes
        else:
            sums = np.add.reduceat(self._known_once(extra, bins, rows), first, axis=0)
        if self.windows_per_bin > BIN_WINDOWS or self.epochs_per_bin > 1:
            self._add_pauses(sums, np.repeat(np.arange(len(first)), sizes), rows)
        return bins[first], summed, sums

    def _known_once(self, extra: Array, bins: Array, rows: Array) -> Array:
        """`extra` without the pauses that another row of the same bin has too.

        Frames of several partitions may come one partition after another: each sees the same gap. A row that reaches
        less far past those before it than a pause is long has that pause where they are.
        """
        before = np.maximum.accumulate(rows[:-1, ROW_LAST_ORBIT])
        overlap = np.flatnonzero((bins[1:] == bins[:-1]) & (rows[1:, ROW_FIRST_ORBIT] < before))
        if not len(overlap):
            return extra
        extra, past = extra.copy(), rows[overlap + 1, ROW_LAST_ORBIT] - before[overlap]
        twice = np.tile(past[:, None] < GAP_ORBITS << np.arange(PAUSE_CLASSES), 2)
        extra[overlap + 1, PAUSES_AT:] *= ~twice
        extra[overlap[past <= 0] + 1, 1:PAUSES_AT] = 0
        return extra

    def _add_pauses(self, sums: Array, slot: Array, rows: Array) -> None:
        """Add the pauses between rows of the same bin to `sums`; slot: the bin of each row, by index."""
        # a row may lie within the one before it, when it came late
        before = np.maximum.accumulate(rows[:-1, ROW_LAST_ORBIT])
        step = np.maximum(rows[1:, ROW_FIRST_ORBIT] - before, 0)
        same = slot[1:] == slot[:-1]
        reset = rows[1:, ROW_FIRST_ORBIT] >> EPOCH_SHIFT > before >> EPOCH_SHIFT
        where = np.flatnonzero(same & reset)
        if len(where):
            np.add.at(sums, (slot[where], np.full(len(where), 1)), step[where])
            last, begins = before[where], _bin_begin(rows[where + 1, ROW_FIRST_ORBIT])[1]
            np.add.at(sums, (slot[where], np.full(len(where), 2)), WINDOW_ORBITS - last % WINDOW_ORBITS + begins)
        where = np.flatnonzero(same & ~reset & (step > GAP_ORBITS))
        if len(where):
            into = PAUSES_AT + np.minimum(np.log2(step[where] / GAP_ORBITS).astype(np.int64), PAUSE_CLASSES - 1)
            np.add.at(sums, (slot[where], into), 1)
            np.add.at(sums, (slot[where], into + PAUSE_CLASSES), step[where])

    def _newest_epoch(self) -> int:
        return int(self.begins[-1] >> KEY_WINDOW_BITS) if len(self.begins) else 0

    def _begin(self, keys: Array, newest: int = 0) -> Array:
        """The key at which each key's bin begins; a bin is cut at an epoch's end: 2**22 is not a multiple of 11.

        newest: epoch that is known beside those of the keys and the bins
        """
        epochs = keys >> KEY_WINDOW_BITS
        if self.epochs_per_bin > 1:
            end = max(newest, self._newest_epoch(), int(epochs.max(initial=0))) - self.newest_epochs
            merged, together = epochs, 2
            # whole blocks of powers of two, so that a block is made of blocks that were merged before
            while together <= self.epochs_per_bin:
                first = epochs // together * together
                merged = np.where(first + together <= end, first, merged)
                together *= 2
            return merged << KEY_WINDOW_BITS
        begins: Array = np.maximum(keys // self.windows_per_bin * self.windows_per_bin, epochs << KEY_WINDOW_BITS)
        return begins

    def _epochs(self) -> Array:
        epochs: Array = self.begins >> KEY_WINDOW_BITS
        return epochs

    def _inside(self) -> Array:
        """Orbits from each bin's first event to its last, without what lies between epochs."""
        inside: Array = self.rows[:, ROW_LAST_ORBIT] - self.rows[:, ROW_FIRST_ORBIT] - self.extra[:, 1]
        return inside

    def _pauses(self) -> Pauses:
        c, first, last = self.chambers, self.rows[:, ROW_FIRST_ORBIT], self.rows[:, ROW_LAST_ORBIT]
        # orbits with hits: at least those of one chamber, and one in each window
        orbits = self.rows[:, ROW_CHAMBERS + 2 * c : ROW_CHAMBERS + 3 * c].max(axis=1, initial=0)
        return Pauses(
            inside=self._inside(),
            events=np.maximum(orbits, self.extra[:, 0]),
            steps=first[1:] - last[:-1],
            linked=first[1:] >> EPOCH_SHIFT == last[:-1] >> EPOCH_SHIFT,
            counts=self.extra[:, PAUSES_AT : PAUSES_AT + PAUSE_CLASSES],
            sums=self.extra[:, PAUSES_AT + PAUSE_CLASSES :],
            shortest=GAP_ORBITS,
        )

    def _decided(self) -> tuple[Pauses, Gaps]:
        """The pauses, and which of them are gaps: decided once for all that is asked of the same bins."""
        pauses = self._pauses()
        if self._gaps is None:
            self._gaps = find_gaps(pauses)
        return pauses, self._gaps

    def covered_s(self) -> NDArray[np.float64]:
        """Live seconds in each bin, float64[n]: up to where the next one with data begins, gaps left out."""
        if not len(self.begins):
            return np.empty(0)
        pauses, gaps = self._decided()
        # a bin reaches from its own edge to the next one's, except where data begins or ends in it
        begin = self.begins << WINDOW_ORBIT_BITS
        edge = gaps.between | ~pauses.linked
        starts, ends = np.concatenate([[True], edge]), np.concatenate([edge, [True]])
        first = np.where(starts, self.rows[:, ROW_FIRST_ORBIT], begin)
        last = np.where(ends, self.rows[:, ROW_LAST_ORBIT] + 1, np.append(begin[1:], 0))
        closed = pauses.inside - open_inside(pauses, gaps) + self.extra[:, 1]
        return np.asarray(np.maximum(last - first - closed, 1) * ORBIT_SECONDS, dtype=np.float64)

    def live_time_s(self) -> float:
        """Seconds that the read-out was open, from each stretch's first event to its last, gaps left out."""
        if not len(self.begins):
            return 0.0
        pauses, gaps = self._decided()
        between = pauses.steps[pauses.linked & ~gaps.between].sum()
        return float(open_inside(pauses, gaps).sum() + between) * ORBIT_SECONDS

    def gaps(self) -> list[tuple[int, int]]:
        """Each gap between bins as (last orbit before it, first orbit after it); resets are not among them."""
        if not len(self.begins):
            return []
        _, gaps = self._decided()
        last, first = self.rows[:-1, ROW_LAST_ORBIT] & ORBIT_MASK, self.rows[1:, ROW_FIRST_ORBIT] & ORBIT_MASK
        return [(int(last[i]), int(first[i])) for i in np.flatnonzero(gaps.between)]

    def gap_count(self) -> int:
        """The number of gaps, including those inside merged bins."""
        if not len(self.begins):
            return 0
        pauses, gaps = self._decided()
        return int(gaps.between.sum() + pauses.counts[gaps.inside].sum())

    @property
    def newest(self) -> tuple[int, int]:
        """Epoch and orbit of the newest hit, (0, 0) without any."""
        newest = int(self.rows[-1, ROW_LAST_ORBIT]) if len(self.begins) else 0
        return newest >> EPOCH_SHIFT, newest & ORBIT_MASK

    def time_s(self) -> NDArray[np.float64]:
        """Where each bin begins in data time, float64[n], epochs one after another, 0 where the first bin begins."""
        if not len(self.begins):
            return np.empty(0)
        # an epoch ends with the window of its last hit
        last = self.rows[:-1, ROW_LAST_ORBIT]
        widths = (
            last + WINDOW_ORBITS - last % WINDOW_ORBITS - self._starts()[:-1] - self.extra[:-1, 1] + self.extra[:-1, 2]
        )
        steps = np.where(np.diff(self._epochs()) != 0, widths, np.diff(self.begins) << WINDOW_ORBIT_BITS)
        return np.asarray(np.concatenate([[0], np.cumsum(steps)]) * ORBIT_SECONDS, dtype=np.float64)

    def _starts(self) -> Array:
        """Where each bin begins, as its orbits are counted."""
        if self.epochs_per_bin > 1:
            return _bin_begin(self.rows[:, ROW_FIRST_ORBIT])[0]
        starts: Array = self.begins << WINDOW_ORBIT_BITS
        return starts

    def data_time_s(self) -> float:
        """Data time of the newest hit since the first bin began, gaps included."""
        if not len(self.begins):
            return 0.0
        inside = self.rows[-1, ROW_LAST_ORBIT] - self._starts()[-1] - self.extra[-1, 1] + self.extra[-1, 2]
        return float(self.time_s()[-1] + inside * ORBIT_SECONDS)

    def drop_before(self, first_slot: int) -> None:
        """Forget bins of slots before first_slot (only while bins have not been merged)."""
        kept = self.begins // SLOT_WINDOWS >= first_slot
        self.begins, self.rows, self.extra = self.begins[kept], self.rows[kept], self.extra[kept]
        self._gaps = None

    def series(self) -> RateSeries:
        """The rates in Hz."""
        covered = self.covered_s()
        c = self.chambers
        hits = self.rows[:, ROW_CHAMBERS : ROW_CHAMBERS + c]
        cells = self.rows[:, ROW_CHAMBERS + c : ROW_CHAMBERS + 2 * c]
        orbits = self.rows[:, ROW_CHAMBERS + 2 * c : ROW_CHAMBERS + 3 * c]
        time_s = self.time_s()
        resets = np.flatnonzero(np.diff(self._epochs())) + 1
        return RateSeries(
            time_s=time_s,
            width_s=self.windows_per_bin * WINDOW_SECONDS,
            hits_hz=hits / covered[:, None],
            scintillator_hz=self.rows[:, ROW_SCINTILLATOR] / covered,
            active_cells=cells / np.maximum(orbits, 1),
            muons=self._muon_series(covered) if self.muons else None,
            resets_s=time_s[resets[-MOST_RESETS:]],
        )

    def _muon_series(self, covered_s: NDArray[np.float64]) -> MuonSeries:
        together = max(VELOCITY_BINS * BIN_WINDOWS // self.windows_per_bin, 1)
        windows = together * self.windows_per_bin
        # no stretch is of two epochs
        stretch = self._epochs() * (1 << KEY_WINDOW_BITS) + (self.begins & KEY_WINDOW_MASK) // windows
        rows = self.rows[:, ROW_CHAMBERS + 3 * self.chambers :]
        return muon_series(rows, self.chambers, covered_s, self.time_s(), stretch, windows * WINDOW_SECONDS)
