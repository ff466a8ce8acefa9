"""Segments: straight pieces of track, found in each chamber and orbit by itself, with t0 left free or known.

Hits of one orbit and chamber are taken in order of time. Each is in turn the earliest of a segment, joined by hits of
the other layers that are at most a drift time later and near enough; both sides of each wire are tried for each such
choice of hits, and the best side pattern is kept. Of choices that share a hit the one with more layers wins, then that
with the smaller chi2, then the less inclined one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import time_offsets_ns
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.muons.patterns import FEWEST_LAYERS, MOST_LAYERS, Patterns, build_patterns, reconstructed
from muonstream.muons.search import find_segments


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """How segments are found. Raises ValueError naming the key, what was found and what is allowed.

    resolution_mm: standard deviation of a hit's distance from its wire, in chi2 and errors
    most_chi2: the largest chi2 of a segment
    most_tan: the largest slope
    tolerance_ns: how far drift times may be outside 0 to T_max
    use_passage: take the passage time as t0 where the hits can have come from it, instead of fitting t0
    """

    resolution_mm: float = 0.5
    most_chi2: float = 16.0
    most_tan: float = 2.0
    tolerance_ns: float = 12.0
    use_passage: bool = False

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
    """What was found in some frames.

    passage_ns: float64[n], the passage time of each segment's orbit, since the orbit's beginning, NaN for none
    given_up: int64[k, 3], by window: hits that were left out, hits with more choices than were tried, and fits that
        were not kept, for the work to be bounded
    """

    segments: Segments
    passage_ns: NDArray[np.float64]
    given_up: NDArray[np.int64]


def _stacked(tables: list[Patterns]) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Usable, solution and normal of several tables, each filled up to the most layers."""
    n = max((table.layers for table in tables), default=FEWEST_LAYERS)
    usable = np.zeros((len(tables), 1 << (2 * n)), np.bool_)
    solution = np.zeros((len(tables), 1 << (2 * n), 3, n))
    normal = np.zeros((len(tables), 1 << (2 * n), n - 2, n))
    for t, table in enumerate(tables):
        size, own = len(table.usable), table.layers
        usable[t, :size] = table.usable
        solution[t, :size, :, :own] = table.solution
        normal[t, :size, : own - 2, :own] = table.normal
    return usable, solution, normal


def _relations(
    detector: Detector,
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Which chambers have a relation of their own, its steps, float64[C, n, 2], where they begin, and t0_tan_ns."""
    relations = [chamber.drift for chamber in detector.chambers]
    n = max((len(relation.steps()) for relation in relations if relation is not None), default=2)
    steps = [np.zeros((n, 2)) if relation is None else relation.steps(n) for relation in relations]
    return (
        np.array([relation is not None for relation in relations]),
        np.stack(steps),
        np.array([0.0 if relation is None else relation.first_ns for relation in relations]),
        np.array([0.0 if relation is None else relation.t0_tan_ns for relation in relations]),
    )


def _added(numbers: NDArray[np.float64], corrected: NDArray[np.bool_], layers: int) -> NDArray[np.float64]:
    """What relations add to the hits of segments, those of chambers without one as 0."""
    if not numbers.shape[1]:
        return np.broadcast_to(np.zeros(1), (len(numbers), layers))
    return np.asarray(np.where(corrected[:, None], numbers[:, :layers], 0.0), dtype=np.float64)


class SegmentFinder:
    """Finds segments with the tables of one detector; safe to call from several threads at once."""

    def __init__(self, detector: Detector, config: SegmentConfig | None = None) -> None:
        self.detector = detector
        self.config = config or SegmentConfig()
        channel_map = detector.channel_map()
        chambers = detector.chambers
        self._codes = channel_map.codes.astype(np.uint16)
        self._cell_codes = channel_map.n_cell_codes
        self._chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._cell_base = channel_map.cell_base
        self._layer = np.zeros(channel_map.n_cell_codes, np.int64)
        self._wire = np.zeros(channel_map.n_cell_codes)
        for c, chamber in enumerate(chambers):
            here = slice(int(self._cell_base[c]), int(self._cell_base[c]) + chamber.cells)
            self._layer[here] = chamber.layer_of_cell()
            self._wire[here] = chamber.wire_x_mm() - chamber.cells_per_layer * chamber.cell_width_mm / 2
        self.layers = np.array([c.layers if reconstructed(c) else 0 for c in chambers], np.int64)
        """Layers of each chamber, 0 where no segments are looked for, int64[C]."""
        self._offset_ns = time_offsets_ns(detector)
        self._relations = _relations(detector)
        velocity = np.array([c.drift_velocity_um_per_ns / 1000 for c in chambers])
        width = np.array([c.cell_width_mm for c in chambers])
        pitch = np.array([c.cell_height_mm for c in chambers])
        self._geometry = np.stack([velocity, width / 2, self.config.tolerance_ns * velocity, pitch, width], axis=1)
        # chambers of the same shape share a table; those for a known t0 come after those for a free one
        shapes = [(c.layers, c.cell_height_mm) if reconstructed(c) else None for c in chambers]
        kinds = [shape for shape in dict.fromkeys(shapes) if shape is not None]
        self._table_of = np.array([kinds.index(shape) if shape else 0 for shape in shapes], np.int64)
        one_each = [chambers[shapes.index(kind)] for kind in kinds]
        self._known_tables = len(kinds)
        self._patterns = [build_patterns(c) for c in one_each]
        self._tables = _stacked(self._patterns + [build_patterns(c, t0_known=True) for c in one_each])

    def patterns(self, chamber: int) -> Patterns:
        """The side patterns of a chamber (by index) with t0 free. Raises ValueError for one without segments."""
        if not self.layers[chamber]:
            raise ValueError(f"chamber: found {chamber}, which has too few or too many layers for segments")
        return self._patterns[int(self._table_of[chamber])]

    def __call__(self, frames: Frames) -> Found:
        """The segments of whole windows."""
        config, most = self.config, MOST_LAYERS
        room = len(frames.words) // 3 + 1
        out = np.empty((room, 5 + 2 * most), np.int64)
        numbers = np.empty((room, 5 + (3 if self._relations[0].any() else 2) * most))
        given_up = np.zeros((len(frames), 3), np.int64)
        n = find_segments(
            frames.words,
            frames.starts,
            frames.keys,
            self._codes,
            self._cell_codes,
            self._cell_codes,
            self._chamber_of_block,
            self._cell_base,
            self._layer,
            self._wire,
            self.layers,
            self._offset_ns,
            self._relations,
            self._geometry,
            self._table_of,
            self._known_tables,
            *self._tables,
            config.use_passage,
            (1 / config.resolution_mm**2, config.most_chi2, config.most_tan),
            out,
            numbers,
            given_up,
        )
        most_layers = max(int(self.layers.max()), 1)
        out, numbers = out[:n], numbers[:n]
        segments = Segments(
            frame=out[:, 0].copy(),
            orbit=out[:, 1].copy(),
            chamber=out[:, 2].copy(),
            layers=out[:, 3].copy(),
            sides=out[:, 4].copy(),
            x_mm=numbers[:, 0].copy(),
            tan=numbers[:, 1].copy(),
            t0_ns=numbers[:, 2].copy(),
            chi2=numbers[:, 3].copy(),
            cell=out[:, 5 : 5 + most_layers].copy(),
            word=out[:, 5 + most : 5 + most + most_layers].copy(),
            drift_ns=numbers[:, 5 : 5 + most_layers].copy(),
            residual_mm=numbers[:, 5 + most : 5 + most + most_layers].copy(),
            added_mm=_added(numbers[:, 5 + 2 * most :], self._relations[0][out[:, 2]], most_layers),
        )
        return Found(segments, numbers[:, 4].copy(), given_up)
