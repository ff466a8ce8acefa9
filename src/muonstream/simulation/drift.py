"""The hits that a muon leaves in a simulated chamber: drift, knock-on electrons, afterpulses, dead time.

The rates of these effects are taken from a run of cosmic muons: of a cell's hits some 3 % are followed by another one
80 to 500 ns later, most often after 150 ns, with a second, smaller peak near 380 ns, and none within 80 ns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Chamber
from muonstream.detector.relation import steepness

DEAD_TIME_NS: Final = 80.0
AFTERPULSE_DECAY_NS: Final = 110.0
LATE_AFTERPULSE_NS: Final = 375.0
LATE_AFTERPULSE_SPREAD_NS: Final = 15.0
LATE_AFTERPULSES: Final = 0.1
"""Share of afterpulses that come from the electrodes, a longest drift time later."""


RANGE_POWER: Final = 1.58
"""Electrons are as many as 1 / T² for an energy T (Particle Data Group, "Passage of particles through matter",
energetic knock-on electrons), and go as far as T^1.72 below some 100 keV (L. Katz and A. S. Penfold, Rev. Mod. Phys.
24 (1952) 28): as many as r^-1.58 reach r."""


class Origin(IntEnum):
    """The origin of a word."""

    NOISE = 0
    MUON = 1
    DELTA = 2
    AFTERPULSE = 3
    SCINTILLATOR = 4
    TRIGGER = 5
    ANCILLARY = 6
    DECAY = 7


@dataclass(frozen=True, slots=True)
class CellResponse:
    """The response of a cell to a muon.

    efficiency: chance of a hit in a cell that is alive; deltas: chance of a knock-on electron, which hits before the
    muon, or in the neighbouring cell; afterpulses: chance that another hit follows
    delta_range_mm: 0, or the least that knock-on electrons reach, of which there are as many then as the path is long
    """

    smearing_ns: float
    efficiency: float
    deltas: float
    afterpulses: float
    delta_range_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class DriftHits:
    """Hits of one chamber, as arrays of one length.

    muon: int64, which of the muons; cell: int64; late_ns: float64, after the muon's passage; origin: int8, as `Origin`
    """

    muon: NDArray[np.int64]
    cell: NDArray[np.int64]
    late_ns: NDArray[np.float64]
    origin: NDArray[np.int8]


def drift_hits(
    rng: np.random.Generator,
    chamber: Chamber,
    alive: NDArray[np.bool_],
    cell: NDArray[np.int64],
    distance_mm: NDArray[np.float64],
    tan: NDArray[np.float64],
    response: CellResponse,
) -> DriftHits:
    """Hits of muons that cross cells at distances from their wires.

    alive: bool[cells]; cell: int64[n, layers], -1: none; distance_mm: float64[n, layers], signed; tan: float64[n]
    """
    n, layers = cell.shape
    muon = np.repeat(np.arange(n), layers)
    flat = cell.ravel()
    late_ns = _drift_ns(chamber, np.abs(distance_mm.ravel()), np.repeat(tan, layers))
    origin = np.full(n * layers, Origin.MUON, np.int8)
    seen = (flat >= 0) & (rng.random(n * layers) < response.efficiency) & alive[flat]
    by_range = response.delta_range_mm > 0
    chance: Any = response.deltas
    if by_range:
        chance = 1 - (1 - min(response.deltas, 0.999)) ** np.repeat(np.hypot(1, tan), layers)
    knocked = rng.random(n * layers) < chance
    beside = rng.random(n * layers) < 0.5
    nearer = knocked & ~beside
    half_mm, away_mm = chamber.cell_width_mm / 2, np.abs(distance_mm.ravel())
    if by_range:
        across_mm = _reach_mm(rng, n * layers, response.delta_range_mm, half_mm) * rng.random(n * layers)
        early_ns = _drift_ns(chamber, np.maximum(away_mm - across_mm, 0), np.repeat(tan, layers))
        late_ns = np.where(nearer, np.minimum(early_ns, late_ns), late_ns)
    else:
        late_ns = np.where(nearer, late_ns * rng.random(n * layers), late_ns)
    origin[nearer] = Origin.DELTA
    # no signal comes before its muon
    late_ns = np.abs(late_ns + rng.normal(0, response.smearing_ns, n * layers))
    parts = [DriftHits(muon[seen], flat[seen], late_ns[seen], origin[seen])]

    right = distance_mm.ravel() > 0 if by_range else rng.random(n * layers) < 0.5
    other = flat + np.where(right, chamber.layers, -chamber.layers)
    leaves = knocked & beside & (flat >= 0) & (other >= 0) & (other < chamber.cells)
    if by_range:
        # those that go away from the wire hit the neighbour if they reach it
        leaves &= away_mm + across_mm > half_mm
    extra = np.flatnonzero(leaves)
    extra = extra[alive[other[extra]]]
    if by_range:
        inside_mm = np.clip(2 * half_mm - (away_mm + across_mm)[extra], 0, half_mm)
        away_ns = _drift_ns(chamber, inside_mm, tan[muon[extra]])
    else:
        away_ns = rng.uniform(0, half_mm * 1000 / chamber.drift_velocity_um_per_ns, len(extra))
    parts.append(DriftHits(muon[extra], other[extra], away_ns, np.full(len(extra), Origin.DELTA, np.int8)))

    again = np.flatnonzero(seen & (rng.random(n * layers) < response.afterpulses))
    after_ns = DEAD_TIME_NS + rng.gamma(2.0, AFTERPULSE_DECAY_NS / 2, len(again))
    late = rng.random(len(again)) < LATE_AFTERPULSES
    after_ns[late] = rng.normal(LATE_AFTERPULSE_NS, LATE_AFTERPULSE_SPREAD_NS, int(late.sum()))
    later_ns = late_ns[again] + after_ns
    parts.append(DriftHits(muon[again], flat[again], later_ns, np.full(len(again), Origin.AFTERPULSE, np.int8)))
    hits = _alive_again(
        DriftHits(
            np.concatenate([part.muon for part in parts]),
            np.concatenate([part.cell for part in parts]),
            np.concatenate([part.late_ns for part in parts]),
            np.concatenate([part.origin for part in parts]),
        )
    )
    if chamber.drift is not None and chamber.drift.t0_tan_ns:
        earlier_ns = chamber.drift.t0_tan_ns * steepness(tan)
        hits = replace(hits, late_ns=hits.late_ns - earlier_ns[hits.muon])
    if chamber.cell_time_offset_ns:
        # a cell's offset is added to its hit times, so that the cell is early by as much
        hits = replace(hits, late_ns=hits.late_ns - np.asarray(chamber.cell_time_offset_ns)[hits.cell])
    return hits


def _reach_mm(rng: np.random.Generator, n: int, least_mm: float, most_mm: float) -> NDArray[np.float64]:
    """How far knock-on electrons reach, float64[n]: as many as r^-`RANGE_POWER`, from the least to the most."""
    power = 1 - RANGE_POWER
    low, high = least_mm**power, max(most_mm, least_mm) ** power
    return np.asarray((low + (high - low) * rng.random(n)) ** (1 / power), dtype=np.float64)


def _drift_ns(chamber: Chamber, distance_mm: NDArray[np.float64], tan: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drift times of distances, float64[n] all, by the chamber's own relation where it has one."""
    if chamber.drift is None:
        return distance_mm * 1000 / chamber.drift_velocity_um_per_ns
    half_mm = chamber.cell_width_mm / 2
    # a muon that crosses no cell of the layer leaves no hit in it
    distance_mm = np.minimum(distance_mm, half_mm)
    return chamber.drift.drift_ns(distance_mm, tan, chamber.drift_velocity_um_per_ns / 1000)


def _alive_again(hits: DriftHits) -> DriftHits:
    """Remove hits of a cell that come within the dead time of an earlier one of the same muon."""
    order = np.lexsort((hits.late_ns, hits.cell, hits.muon))
    muon, cell, late_ns = hits.muon[order], hits.cell[order], hits.late_ns[order]
    # three hits of a muon in a cell within the dead time are too few to be told apart from two
    close = np.zeros(len(muon), np.bool_)
    close[1:] = (muon[1:] == muon[:-1]) & (cell[1:] == cell[:-1]) & (np.diff(late_ns) < DEAD_TIME_NS)
    return DriftHits(muon[~close], cell[~close], late_ns[~close], hits.origin[order][~close])
