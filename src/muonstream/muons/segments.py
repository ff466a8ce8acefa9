"""Segments: straight pieces of track, found in each chamber and orbit by itself, with t0 left free or known.

Hits of one orbit and chamber are taken in order of time. Each is in turn the earliest of a segment, joined by hits of
the other layers that are at most a drift time later and near enough; both sides of each wire are tried for each such
choice of hits, and the best side pattern is kept. Of choices that share a hit the one with more layers wins, then that
with the smaller chi2, then the less inclined one. Other chambers decide in the end on the sides of three
hits, where they can.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import half_width_mm, time_offsets_ns
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.muons.grouping import cell_hits
from muonstream.muons.patterns import FEWEST_LAYERS, Patterns, build_patterns, reconstructed
from muonstream.muons.records import CELL, CHAMBER, NORMAL, SEGMENT, USABLE, with_fields
from muonstream.muons.search import GIVEN_UP_HITS, SUBTDC, find_segments
from muonstream.muons.three_hits import decide_sides
from muonstream.words import NS_PER_TDC


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """How segments are found. Raises ValueError naming the key, what was found and what is allowed.

    resolution_mm: standard deviation of a hit's distance from its wire, in chi2 and errors
    most_chi2: the largest chi2 of a segment
    most_tan: the largest slope
    tolerance_ns: how far drift times may be outside 0 to T_max
    use_passage: take the passage time as t0 where the hits can have come from it, instead of fitting t0
    by_others: with t0 fitted, let other chambers decide on the sides of three hits
    """

    resolution_mm: float = 0.5
    most_chi2: float = 16.0
    most_tan: float = 2.0
    tolerance_ns: float = 12.0
    use_passage: bool = False
    by_others: bool = True

    def __post_init__(self) -> None:
        """Check every value."""
        for key, low, high in (
            ("resolution_mm", 0.01, 10),
            ("most_chi2", 0, 1e6),
            ("most_tan", 0.01, 100),
            ("tolerance_ns", 0, 200),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ValueError(f"{key}: found {value}, expected {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments, as arrays of one length n, in order of window, orbit and chamber; L is the most layers of a chamber.

    frame: int64, the window by its place among the frames; orbit: int64, the orbit counter
    chamber: int64, by index; layers, sides: int64, bit sets (bit l: layer l from the top; side at larger x)
    x_mm: float64, across the wires from the chamber's middle, at the height of its middle, in its own frame
    tan: float64, how far x goes for each step down; t0_ns: float64, since the orbit's beginning, offsets applied
    chi2: float64 for the configured resolution, 0 with three layers and t0 free
    cell: int64[n, L], the cell of each layer's hit, -1 for none; word: int64[n, L], where its word is in the frames
    drift_ns: float64[n, L], since the t0 that the hits were fitted with, which is t0_ns less the chamber's t0_tan_ns
        times the slope
    added_mm: float64[n, L], to velocity times drift time, by the chamber's relation, 0 where that is straight
    residual_mm: float64[n, L], hit less fit, biased (the hit is in the fit), NaN for no hit
    """

    frame: NDArray[np.int64]
    orbit: NDArray[np.int64]
    chamber: NDArray[np.int64]
    layers: NDArray[np.int64]
    sides: NDArray[np.int64]
    x_mm: NDArray[np.float64]
    tan: NDArray[np.float64]
    t0_ns: NDArray[np.float64]
    chi2: NDArray[np.float64]
    cell: NDArray[np.int64]
    word: NDArray[np.int64]
    drift_ns: NDArray[np.float64]
    residual_mm: NDArray[np.float64]
    added_mm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def hits(self) -> NDArray[np.int64]:
        """Number of hits of each, int64[n]."""
        return np.asarray((self.cell >= 0).sum(axis=1), dtype=np.int64)

    def chosen(self, which: Any) -> Self:
        """Those of a mask, or at these places."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Found:
    """The segments found in some frames.

    passage_ns: float64[n], the passage time of each segment's orbit, since the orbit's beginning, NaN for none
    given_up: int64[k, 3], by window: hits that were left out, hits with more choices than were tried, and fits that
        were not kept, for the work to be bounded
    """

    segments: Segments
    passage_ns: NDArray[np.float64]
    given_up: NDArray[np.int64]


def _stacked(tables: list[Patterns]) -> NDArray[np.float64]:
    """Several tables of side patterns in one, float64[T, 4^L, R, L], each filled up to the most layers L.

    The rows of a pattern are those of `records`, R of them.
    """
    n = max((table.layers for table in tables), default=FEWEST_LAYERS)
    out = np.zeros((len(tables), 1 << (2 * n), NORMAL + n - 2, n))
    for t, table in enumerate(tables):
        size, own = len(table.usable), table.layers
        out[t, :size, USABLE, 0] = table.usable
        out[t, :size, :USABLE, :own] = table.solution
        out[t, :size, NORMAL : NORMAL + own - 2, :own] = table.normal
    return out


def _relation_steps(detector: Detector) -> NDArray[np.float64]:
    """The steps of each chamber's relation, float64[C, n, 2], zeros for a chamber without one."""
    relations = [chamber.drift for chamber in detector.chambers]
    n = max((len(relation.steps()) for relation in relations if relation is not None), default=2)
    return np.stack([np.zeros((n, 2)) if relation is None else relation.steps(n) for relation in relations])


def _cells(detector: Detector) -> NDArray[np.void]:
    """The search's table of cells, CELL by cell code."""
    channel_map = detector.channel_map()
    out = with_fields(np.zeros(channel_map.n_cell_codes, CELL))
    out["offset_ns"] = time_offsets_ns(detector)
    for first, chamber in zip(channel_map.cell_base.tolist(), detector.chambers, strict=True):
        cells = out[first : first + chamber.cells]
        cells["layer"] = chamber.layer_of_cell()
        cells["wire_mm"] = chamber.wire_x_mm() - half_width_mm(chamber)
        cells["own_offset"] = np.rint((cells["offset_ns"] - cells["offset_ns"][0]) * (SUBTDC / NS_PER_TDC))
    return out


class SegmentFinder:
    """Finds segments with the tables of one detector; safe to call from several threads at once."""

    def __init__(self, detector: Detector, config: SegmentConfig | None = None) -> None:
        self.detector = detector
        self.config = config or SegmentConfig()
        chambers = detector.chambers
        channel_map = detector.channel_map()
        chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._channels = (channel_map.codes.astype(np.uint16), channel_map.n_cell_codes, chamber_of_block)
        self._cells = _cells(detector)
        self._relation_steps = _relation_steps(detector)
        # chambers of the same shape share a table; those for a known t0 come after those for a free one
        shapes = [(c.layers, c.cell_height_mm) if reconstructed(c) else None for c in chambers]
        kinds = [shape for shape in dict.fromkeys(shapes) if shape is not None]
        one_each = [chambers[shapes.index(kind)] for kind in kinds]
        self._patterns = [build_patterns(c) for c in one_each]
        self._tables = _stacked(self._patterns + [build_patterns(c, t0_known=True) for c in one_each])
        self._chambers = with_fields(np.zeros(len(chambers), CHAMBER))
        for row, c, shape, first in zip(self._chambers, chambers, shapes, channel_map.cell_base, strict=True):
            table = kinds.index(shape) if shape else 0
            velocity = c.drift_velocity_um_per_ns / 1000
            row["layers"], row["first_code"] = c.layers if shape else 0, first
            row["free_table"], row["known_table"] = table, table + len(kinds)
            row["velocity"], row["slack"] = velocity, self.config.tolerance_ns * velocity
            row["half"], row["width"], row["pitch"] = c.cell_width_mm / 2, c.cell_width_mm, c.cell_height_mm
            if c.drift is not None:
                row["has_relation"], row["first_ns"], row["t0_tan_ns"] = 1, c.drift.first_ns, c.drift.t0_tan_ns
        self.layers: NDArray[np.int64] = self._chambers["layers"].copy()
        """Layers of each chamber, 0 where no segments are looked for, int64[C]."""

    def patterns(self, chamber: int) -> Patterns:
        """The side patterns of a chamber (by index) with t0 free. Raises ValueError for one without segments."""
        if not self.layers[chamber]:
            raise ValueError(f"chamber: found {chamber}, which has too few or too many layers for segments")
        return self._patterns[int(self._chambers["free_table"][chamber])]

    def none_of(self, frames: Frames) -> Found:
        """No segments: all hits of the windows are given up, for want of time."""
        given_up = np.zeros((len(frames), 3), np.int64)
        codes, cell_codes, _ = self._channels
        for index in range(len(frames)):
            given_up[index, GIVEN_UP_HITS] = cell_hits(frames.window(index), codes, cell_codes)
        return self._found(with_fields(np.empty(0, SEGMENT)), given_up)

    def __call__(self, frames: Frames) -> Found:
        """The segments of whole windows."""
        config = self.config
        out = with_fields(np.empty(len(frames.words) // 3 + 1, SEGMENT))
        given_up = np.zeros((len(frames), 3), np.int64)
        tables = self._cells, self._chambers, self._relation_steps, self._tables
        limits = 1 / config.resolution_mm**2, config.most_chi2, config.most_tan
        windows = frames.words, frames.starts, frames.keys
        n = find_segments(windows, self._channels, *tables, config.use_passage, limits, out, given_up)
        if config.by_others and not config.use_passage:
            decide_sides(out[:n], *tables, limits)
        return self._found(out[:n], given_up)

    def _found(self, out: NDArray[np.void], given_up: NDArray[np.int64]) -> Found:
        most = max(int(self.layers.max()), 1)
        columns = (out[field.name] for field in fields(Segments))
        segments = Segments(*(column[:, :most].copy() if column.ndim > 1 else column.copy() for column in columns))
        return Found(segments, out["passage_ns"].copy(), given_up)
