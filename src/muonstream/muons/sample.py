"""Segments with a hit in each of four layers as numbers to fit corrections to: wires, times, sides, slopes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import half_width_mm
from muonstream.detector.model import Detector
from muonstream.detector.relation import steepness
from muonstream.frames import Frames
from muonstream.muons.patterns import build_patterns
from muonstream.muons.segments import Found, SegmentFinder

LAYERS: Final = 4
ROUNDS: Final = 3
MOST_SEGMENTS: Final = 200_000
"""With so many no correction is found better than it is written; more are left out."""
FOLD_WINDOWS: Final = 16
"""Data are divided into halves by turns, of so many windows each."""

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is added: at the knots of the relation, to layers, and to the times of cells.

    knots_ns: float64[K]; add_mm, add_tan_mm: float64[K]; shift_mm: float64[C, 4]; cell_ns: float64[C, cells]
    """

    knots_ns: Floats
    add_mm: Floats
    add_tan_mm: Floats
    shift_mm: Floats
    cell_ns: Floats

    @classmethod
    def none(cls, knots_ns: Floats, detector: Detector) -> Corrections:
        """Nothing added."""
        chambers = len(detector.chambers)
        cells = max(chamber.cells for chamber in detector.chambers)
        zeros = np.zeros(len(knots_ns))
        return cls(knots_ns, zeros, zeros, np.zeros((chambers, LAYERS)), np.zeros((chambers, cells)))


@dataclass(frozen=True, slots=True)
class Sample:
    """Segments, as arrays of one length n, with times as they come, without corrections.

    orbit, chamber, sides: int64; cell: int64[n, 4]; wire_mm: float64[n, 4], where wires are by the file
    drift_ns: float64[n, 4], since t0_ns; t0_ns: float64, the fitted one; passage_ns: float64, NaN for none
    tan: float64; velocity: float64, mm/ns; normal: float64[n, 4], solution: float64[n, 3, 4], see `Patterns`
    """

    orbit: Places
    chamber: Places
    sides: Places
    cell: Places
    wire_mm: Floats
    drift_ns: Floats
    t0_ns: Floats
    passage_ns: Floats
    tan: Floats
    velocity: Floats
    normal: Floats
    solution: Floats

    def __len__(self) -> int:
        return len(self.tan)

    def chosen(self, which: Any) -> Self:
        """Those of a mask, or at these places."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    @property
    def sign(self) -> Floats:
        """+1 for hits on the side of larger x, else -1, float64[n, 4]."""
        return np.where((self.sides[:, None] >> np.arange(LAYERS)) & 1, 1.0, -1.0)

    @property
    def odd(self) -> NDArray[np.bool_]:
        """Which are of the second half of the data."""
        return np.asarray((self.orbit >> 10) // FOLD_WINDOWS % 2 == 1)

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """One after another, in order of their first orbits. Raises ValueError for none."""
        parts = sorted((part for part in parts if len(part)), key=lambda part: int(part.orbit[0])) or parts
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def sample_of(detector: Detector, found: Found) -> Sample:
    """The segments with four hits in chambers of four layers, found with this detector."""
    s = found.segments
    layers = np.array([chamber.layers for chamber in detector.chambers])
    here = np.flatnonzero((s.hits == LAYERS) & (layers[s.chamber] == LAYERS))
    s, n = s.chosen(here), len(here)
    wire, drift = np.empty((n, LAYERS)), s.drift_ns[:, :LAYERS].copy()
    normal, solution, velocity = np.empty((n, LAYERS)), np.empty((n, 3, LAYERS)), np.empty(n)
    t0_ns = s.t0_ns.copy()
    for c, chamber in enumerate(detector.chambers):
        own = np.flatnonzero(s.chamber == c)
        if not len(own):
            continue
        cells, table = s.cell[own, :LAYERS], build_patterns(chamber)
        where = s.layers[own] << LAYERS | s.sides[own]
        wire[own] = (chamber.wire_x_mm() - half_width_mm(chamber))[cells]
        normal[own], solution[own] = table.normal[where, 0], table.solution[where]
        velocity[own] = chamber.drift_velocity_um_per_ns / 1000
        if chamber.cell_time_offset_ns:
            drift[own] -= np.asarray(chamber.cell_time_offset_ns)[cells]
        if chamber.drift is not None:
            t0_ns[own] -= chamber.drift.t0_tan_ns * steepness(s.tan[own])
    cell = s.cell[:, :LAYERS].copy()
    passage_ns = found.passage_ns[here]
    return Sample(
        s.orbit, s.chamber, s.sides, cell, wire, drift, t0_ns, passage_ns, s.tan, velocity, normal, solution
    )  # fmt: skip


class Samples:
    """Collects the segments of frames, up to a number; safe for several threads at once."""

    def __init__(self, detector: Detector, most: int = MOST_SEGMENTS) -> None:
        self._detector, self._most = detector, most
        self._parts: list[Sample] = []
        self._lock = Lock()
        self.left_out = 0
        """Segments with four hits that came when there were enough."""

    def keep(self, found: Found) -> None:
        """Take the segments of some frames."""
        part = sample_of(self._detector, found)
        with self._lock:
            if sum(map(len, self._parts)) < self._most:
                self._parts.append(part)
            else:
                self.left_out += len(part)

    def joined(self) -> Sample:
        """All of them, in the order of the data."""
        nothing = sample_of(self._detector, SegmentFinder(self._detector)(Frames.empty()))
        return Sample.joined([nothing, *self._parts])


@dataclass(frozen=True, slots=True)
class Fitted:
    """Segments fitted with corrections: misfit_mm, tan, t0_ns: float64[n]; drift_ns: float64[n, 4]."""

    misfit_mm: Floats
    tan: Floats
    t0_ns: Floats
    drift_ns: Floats


def knots_at(knots_ns: Floats, time_ns: Floats) -> tuple[Places, Floats]:
    """Which knot each time is behind, and how far it is on the way to the next one, from 0 to 1."""
    time = np.clip(time_ns, knots_ns[0], knots_ns[-1])
    low = np.clip(np.searchsorted(knots_ns, time, side="right") - 1, 0, len(knots_ns) - 2)
    return low, (time - knots_ns[low]) / (knots_ns[low + 1] - knots_ns[low])


def refit(sample: Sample, corrections: Corrections) -> Fitted:
    """The segments, on the sides that they have, with corrections."""
    chamber = sample.chamber[:, None]
    wire = sample.wire_mm + corrections.shift_mm[chamber, np.arange(LAYERS)]
    drift = sample.drift_ns + corrections.cell_ns[chamber, sample.cell]
    tan, t0_ns, sign, velocity = sample.tan, sample.t0_ns, sample.sign, sample.velocity[:, None]
    hits = wire
    for _ in range(ROUNDS):
        low, part = knots_at(corrections.knots_ns, drift)
        f0, f1 = (one[low] * (1 - part) + one[low + 1] * part for one in (corrections.add_mm, corrections.add_tan_mm))
        hits = wire + sign * (velocity * drift + f0 + steepness(tan)[:, None] * f1)
        fit = (sample.solution * hits[:, None, :]).sum(axis=2)
        later_ns = fit[:, 2] / sample.velocity
        tan, t0_ns, drift = fit[:, 1], t0_ns + later_ns, drift - later_ns[:, None]
    return Fitted((sample.normal * hits).sum(axis=1), tan, t0_ns, drift)


def with_gauge(corrections: Corrections, drift_ns: Floats) -> tuple[Corrections, float]:
    """The same corrections with f0 of no mean and no slope, and f1 of no mean, and the slope that f0 had, mm/ns.

    drift_ns: times of hits, which are the weights. A distance that is the same at all times moves t0 alone, and one
    that grows with time is the velocity's.
    """
    knots = corrections.knots_ns
    time = np.clip(drift_ns.ravel(), knots[0], knots[-1])
    low, part = knots_at(knots, time)
    weight = np.bincount(low, 1 - part, len(knots)) + np.bincount(low + 1, part, len(knots)) + 1e-9
    design = np.sqrt(weight)[:, None] * np.stack([np.ones(len(knots)), knots], axis=1)
    constant, slope = np.linalg.lstsq(design, np.sqrt(weight) * corrections.add_mm, rcond=None)[0]
    mean = float((weight * corrections.add_tan_mm).sum() / weight.sum())
    changed = replace(
        corrections,
        add_mm=corrections.add_mm - constant - slope * knots,
        add_tan_mm=corrections.add_tan_mm - mean,
    )
    return changed, float(slope)
