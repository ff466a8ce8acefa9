"""The histogram catalogue: the layout of a run's integer array, and how to read it.

Everything counted in a run is one flat int64 array, laid out by the catalogue of its detector. Two such arrays add up
to that of both their data, so merging is `+=`, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.muon_entries import Per, muon_shapes
from muonstream.detector.channels import ANCILLARY, MALFORMED, SCINTILLATOR, TRIGGER, UNMAPPED
from muonstream.detector.geometry import VIEWS
from muonstream.detector.model import Detector
from muonstream.words import NS_PER_TDC

Counts = NDArray[np.int64]

DRIFT_FIRST_TDC: Final = -512
DRIFT_LAST_TDC: Final = 1536
DRIFT_BINS: Final = DRIFT_LAST_TDC - DRIFT_FIRST_TDC
LAYER_BIN_BITS: Final = 3
LAYER_BINS: Final = DRIFT_BINS >> LAYER_BIN_BITS

PAIR_STEP_TDC: Final = 12
"""Pairs of hits are counted by the time between them in bins of 12 TDC counts, 10 ns, up to 2 us."""
PAIR_BINS: Final = 200

COURSE_ORBIT_FIRST: Final = 600_000
COURSE_ORBIT_LAST: Final = 10_000_000
COURSE_ORBIT_WIDTH: Final = 500_000
COURSE_ORBIT_BINS: Final = 19
COURSE_CHANNEL_WIDTH: Final = 5
COURSE_CHANNEL_BINS: Final = 26
COURSE_DRIFT_WIDTH_NS: Final = 10
COURSE_DRIFT_BINS: Final = 100


@dataclass(frozen=True, slots=True)
class Axis:
    """A regular axis: bin i begins at start + i * step, in `unit`; flow bins, if any, are the first and the last."""

    label: str
    unit: str
    bins: int
    start: float
    step: float
    flow: bool = False

    @property
    def physical(self) -> Axis:
        """The same axis in a physical unit: TDC counts, in which all is counted, as ns."""
        if self.unit != "TDC counts":
            return self
        return replace(self, unit="ns", start=self.start * NS_PER_TDC, step=self.step * NS_PER_TDC)

    @property
    def title(self) -> str:
        """The label with the unit."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where bins begin and the last ends, flow bins left out, float64[bins + 1]."""
        return np.asarray(self.start + np.arange(self.bins + 1) * self.step, dtype=np.float64)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middles of the bins, float64[bins]."""
        return np.asarray(self.start + (np.arange(self.bins) + 0.5) * self.step, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Entry:
    """One histogram of the catalogue, which describes itself."""

    name: str
    title: str
    shape: tuple[int, ...]
    axis: Axis
    per: Per
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Catalogue:
    """The histograms of a detector and where each lies in the flat array.

    Entries, with C chambers, L layers (of all chambers), K cell codes (see `muonstream.detector.channels`):

    counts[K + 64]              words by code: cells, then scintillator, trigger, unmapped, malformed, ancillary by head
    hits_with_scintillator[K]   hits by cell, in orbits with a passage time
    active_cells[C, max + 1]    orbits with n active cells in the chamber, n >= 1
    orbits[4]                   orbits with hits; with a passage time; with a passage within T_max of the orbit's end; 0
    active_cells_by_orbit[C,19] active cells in the course's orbit bins
    drift_tdc[C, 2050]          hit less passage in TDC counts, -512..1535, with under- and overflow
    drift_layer[L, 258]         the same by layer, 8 counts a bin

    Filled in live runs, of part of the orbits when words are many, see `muonstream.counting.pairs`:
    pair_time[C, 200]           pairs of hits of a cell, by the time between them in 10 ns
    pair_hits[K]                hits that were looked at
    pair_after[K]               pairs of hits of a cell within 600 ns
    pair_next[2, K]             pairs within 10 ns: with the next channel, with the next cell of the layer
    pair_orbits[1]              orbits that were looked at, with hits or without
    pair_given_up[C, 1]         hits that were not looked at: of cells with too many in an orbit

    With `muons`, those of `muonstream.counting.muon_entries` follow.
    """

    def __init__(self, detector: Detector, *, muons: bool = False) -> None:
        self.detector = detector
        self.channel_map = detector.channel_map()
        chambers = len(detector.chambers)
        self.max_cells = max(chamber.cells for chamber in detector.chambers)
        codes, cells = self.channel_map.n_codes, self.channel_map.n_cell_codes
        drift_axis = Axis("hit - passage", "TDC counts", DRIFT_BINS, DRIFT_FIRST_TDC, 1, flow=True)
        layer_axis = Axis("hit - passage", "TDC counts", LAYER_BINS, DRIFT_FIRST_TDC, 1 << LAYER_BIN_BITS, flow=True)
        orbit_axis = Axis("orbit", "orbits", COURSE_ORBIT_BINS, COURSE_ORBIT_FIRST, COURSE_ORBIT_WIDTH)
        self.entries: dict[str, Entry] = {}
        self.size = 0
        self._add("counts", "Words by code", (codes,), Axis("code", "", codes, 0, 1), "cell")
        self._add("hits_with_scintillator", "Hits with scintillator", (cells,), Axis("cell", "", cells, 0, 1), "cell")
        active = Axis("active cells", "cells", self.max_cells + 1, 0, 1)
        self._add("active_cells", "Active cells per orbit", (chambers, self.max_cells + 1), active, "chamber")
        self._add("orbits", "Orbits", (4,), Axis("kind", "", 4, 0, 1), "detector")
        by_orbit = (chambers, COURSE_ORBIT_BINS)
        self._add("active_cells_by_orbit", "Active cells against orbit", by_orbit, orbit_axis, "chamber")
        self._add("drift_tdc", "Drift time", (chambers, DRIFT_BINS + 2), drift_axis, "chamber")
        layers = (self.channel_map.n_layers, LAYER_BINS + 2)
        self._add("drift_layer", "Drift time by layer", layers, layer_axis, "layer")
        self.kernel_size = self.size
        """Size of what the accumulating kernel fills; the pairs follow."""
        pair_axis = Axis("time between hits", "ns", PAIR_BINS, 0, PAIR_STEP_TDC * NS_PER_TDC)
        cell_axis = Axis("cell", "", cells, 0, 1)
        self._add("pair_time", "Time between hits of a cell", (chambers, PAIR_BINS), pair_axis, "chamber")
        self._add("pair_hits", "Hits looked at for pairs", (cells,), cell_axis, "cell")
        self._add("pair_after", "Pairs of hits within 600 ns", (cells,), cell_axis, "cell")
        self._add("pair_next", "Pairs with a neighbour within 10 ns", (2, cells), cell_axis, "cell")
        self._add("pair_orbits", "Orbits looked at for pairs", (1,), Axis("kind", "", 1, 0, 1), "detector")
        given_up = "Hits of cells with too many in an orbit, not looked at for pairs"
        self._add("pair_given_up", given_up, (chambers, 1), Axis("kind", "", 1, 0, 1), "chamber")
        self.counted_size = self.size
        """Size of the part that is there without muons too."""
        self.muon_shapes = muon_shapes(detector, cells) if muons else []
        for one in self.muon_shapes:
            axis = Axis(one.label, one.unit, one.bins, one.start, one.step, flow=one.flow)
            shape = (one.rows, one.width) if one.per in ("chamber", "view") else (one.width,)
            self._add(one.name, one.title, shape, axis, one.per)

    def _add(
        self,
        name: str,
        title: str,
        shape: tuple[int, ...],
        axis: Axis,
        per: Per,
    ) -> None:
        entry = Entry(name, title, shape, axis, per, self.size)
        self.entries[name] = entry
        self.size += entry.size

    def zeros(self) -> Counts:
        """An empty flat array: the zero of merging."""
        return np.zeros(self.size, dtype=np.int64)

    def view(self, data: Counts, name: str) -> Counts:
        """The part of the flat array that is one entry, in its shape (a view)."""
        entry = self.entries[name]
        return data[entry.offset : entry.offset + entry.size].reshape(entry.shape)

    def cells_of(self, data: Counts, name: str, chamber: int) -> Counts:
        """A chamber's part (by index) of an entry by cell, int64[cells] (a view)."""
        base = int(self.channel_map.cell_base[chamber])
        return self.view(data, name)[base : base + self.detector.chambers[chamber].cells]

    def hits_per_cell(self, data: Counts, chamber: int) -> Counts:
        """Hits of the chamber (by index) in each cell, int64[cells], by channel within the chamber."""
        return self.cells_of(data, "counts", chamber)

    def hits_per_cell_with_scintillator(self, data: Counts, chamber: int) -> Counts:
        """The same, only hits in orbits with a passage time."""
        return self.cells_of(data, "hits_with_scintillator", chamber)

    def chamber_hits(self, data: Counts, name: str = "counts") -> Counts:
        """Hits of each chamber, int64[C], or what else an entry by cell has."""
        chambers = range(len(self.detector.chambers))
        return np.array([self.cells_of(data, name, c).sum() for c in chambers], dtype=np.int64)

    def special(self, data: Counts, code: int) -> int:
        """Words of a special code, as `SCINTILLATOR`."""
        return int(self.view(data, "counts")[self.channel_map.n_cell_codes + code])

    def words_by_kind(self, data: Counts) -> dict[str, int]:
        """Words of each kind that the kernel tells apart; they add up to all it was given."""
        counts = self.view(data, "counts")
        cells = self.channel_map.n_cell_codes
        return {
            "hits": int(counts[:cells].sum()),
            "scintillator": self.special(data, SCINTILLATOR),
            "trigger": self.special(data, TRIGGER),
            "ancillary": int(counts[cells + ANCILLARY : cells + ANCILLARY + 8].sum()),
            "unmapped": self.special(data, UNMAPPED),
            "malformed": self.special(data, MALFORMED),
        }

    def words_by_head(self, data: Counts) -> dict[int, int]:
        """Words of each HEAD that occurs; hits that are malformed have HEAD 2."""
        kinds = self.words_by_kind(data)
        first = self.channel_map.n_cell_codes + ANCILLARY
        heads = self.view(data, "counts")[first : first + 8].copy()
        heads[2] = sum(kinds[kind] for kind in ("hits", "scintillator", "trigger", "unmapped", "malformed"))
        return {head: int(n) for head, n in enumerate(heads) if n}

    def drift_histogram_ns(self, data: Counts, chamber: int) -> tuple[NDArray[np.floating[Any]], Counts]:
        """Drift times of a chamber: bin edges in ns (float64[2049]), the chamber's offset applied, and counts."""
        edges_ns = np.arange(DRIFT_FIRST_TDC, DRIFT_LAST_TDC + 1) * NS_PER_TDC
        counts = self.view(data, "drift_tdc")[chamber, 1:-1]
        return edges_ns + self.detector.chambers[chamber].time_offset_ns, counts

    def layer_drift_ns(self, data: Counts, chamber: int, layer: int) -> tuple[NDArray[np.floating[Any]], Counts]:
        """The same for one layer of the chamber (0 is the top), float64[257] edges and counts."""
        first = sum(c.layers for c in self.detector.chambers[:chamber])
        edges_ns = np.arange(DRIFT_FIRST_TDC, DRIFT_LAST_TDC + 1, 1 << LAYER_BIN_BITS) * NS_PER_TDC
        counts = self.view(data, "drift_layer")[first + layer, 1:-1]
        return edges_ns + self.detector.chambers[chamber].time_offset_ns, counts

    def course_histograms(self, data: Counts, chamber: int) -> dict[str, tuple[NDArray[np.floating[Any]], Counts]]:
        """The course's four histograms of a chamber, in its bins: (left edges, counts) by name.

        hist_1 TDC channel, hist_2 active cells by orbit, hist_3 TDC channel with scintillator, hist_4 drift time in ns.
        """
        room = self.detector.chambers[chamber]
        channel_bin = (room.first_channel + np.arange(room.cells)) // COURSE_CHANNEL_WIDTH
        bins = max(COURSE_CHANNEL_BINS, int(channel_bin.max()) + 1)

        def by_channel(cells: Counts) -> tuple[NDArray[np.floating[Any]], Counts]:
            counts = np.zeros(bins, dtype=np.int64)
            np.add.at(counts, channel_bin, cells)
            return np.arange(bins) * float(COURSE_CHANNEL_WIDTH), counts

        # the same expression as in the course, so that the same doubles decide the bin
        drift_ns = np.arange(DRIFT_FIRST_TDC, DRIFT_LAST_TDC) * 25 / 30 + room.time_offset_ns
        inside = (drift_ns >= 0) & (drift_ns < COURSE_DRIFT_BINS * COURSE_DRIFT_WIDTH_NS)
        drift = np.zeros(COURSE_DRIFT_BINS, dtype=np.int64)
        raw = self.view(data, "drift_tdc")[chamber, 1:-1]
        np.add.at(drift, (drift_ns[inside] // COURSE_DRIFT_WIDTH_NS).astype(np.int64), raw[inside])
        orbit_edges = COURSE_ORBIT_FIRST + np.arange(COURSE_ORBIT_BINS) * float(COURSE_ORBIT_WIDTH)
        return {
            "hist_1": by_channel(self.hits_per_cell(data, chamber)),
            "hist_2": (orbit_edges, self.view(data, "active_cells_by_orbit")[chamber]),
            "hist_3": by_channel(self.hits_per_cell_with_scintillator(data, chamber)),
            "hist_4": (np.arange(COURSE_DRIFT_BINS) * float(COURSE_DRIFT_WIDTH_NS), drift),
        }

    def _rows_of(self, entry: Entry) -> tuple[list[str], str]:
        """What an entry's rows are called, and what they are."""
        chambers = self.detector.chambers
        names = {
            "chamber": [chamber.name for chamber in chambers],
            "layer": [f"{chamber.name}, layer {layer}" for chamber in chambers for layer in range(chamber.layers)],
            "view": list(VIEWS),
        }.get(entry.per, [])
        if len(names) == entry.shape[0] == len(set(names)):
            return names, entry.per
        return [str(row) for row in range(entry.shape[0])], "row"

    def hists(self, data: Counts) -> Mapping[str, Any]:
        """Every entry as a `hist.Hist` (UHI), by name; needs the extra `hist`.

        The axis `x` is in physical units: what is counted in TDC counts is in ns here. Before it is, where there are
        several rows, one with their names: chambers, views, or layers of all chambers.

        Raises ImportError, saying what to install, without it.
        """
        try:
            import hist
        except ImportError as error:
            raise ImportError("hist.Hist objects need the extra hist; in a checkout: pip install '.[hist]'") from error
        out: dict[str, Any] = {}
        for name, entry in self.entries.items():
            plain = entry.axis.physical
            stop = plain.start + plain.bins * plain.step
            axis = hist.axis.Regular(plain.bins, plain.start, stop, name="x", label=plain.title)
            flow = np.zeros((*entry.shape[:-1], entry.axis.bins + 2), dtype=np.int64)
            values = self.view(data, name)
            if entry.axis.flow:
                flow[...] = values
            else:
                flow[..., 1:-1] = values
            axes: list[Any] = [axis]
            if len(entry.shape) == 2:
                names, of = self._rows_of(entry)
                axes.insert(0, hist.axis.StrCategory(names, name=of, label=of, overflow=False))
            histogram = hist.Hist(*axes, storage=hist.storage.Int64(), name=name, label=entry.title)
            histogram.view(flow=True)[...] = flow
            out[name] = histogram
        return out
