"""The hits that a muon leaves in a simulated chamber: drift, knock-on electrons, afterpulses, dead time.

The rates of these effects are taken from a run of cosmic muons: of a cell's hits some 3 % are followed by another one
80 to 500 ns later, most often after 150 ns, with a second, smaller peak near 380 ns, and none within 80 ns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

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


class Origin(IntEnum):
    """The origin of a word."""

    NOISE = 0
    MUON = 1
    DELTA = 2
    AFTERPULSE = 3
    SCINTILLATOR = 4
    TRIGGER = 5
    ANCILLARY = 6


@dataclass(frozen=True, slots=True)
class CellResponse:
    """The response of a cell to a muon.

    efficiency: chance of a hit in a cell that is alive; deltas: chance of a knock-on electron, which hits before the
    muon, or in the neighbouring cell; afterpulses: chance that another hit follows
    """

    smearing_ns: float
    efficiency: float
    deltas: float
    afterpulses: float


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
    knocked = rng.random(n * layers) < response.deltas
    beside = rng.random(n * layers) < 0.5
    nearer = knocked & ~beside
    late_ns = np.where(nearer, late_ns * rng.random(n * layers), late_ns)
    origin[nearer] = Origin.DELTA
    # no signal comes before its muon
    late_ns = np.abs(late_ns + rng.normal(0, response.smearing_ns, n * layers))
    parts = [DriftHits(muon[seen], flat[seen], late_ns[seen], origin[seen])]

    other = flat + np.where(rng.random(n * layers) < 0.5, chamber.layers, -chamber.layers)
    extra = np.flatnonzero(knocked & beside & (flat >= 0) & (other >= 0) & (other < chamber.cells))
    extra = extra[alive[other[extra]]]
    t_max_ns = chamber.cell_width_mm * 500 / chamber.drift_velocity_um_per_ns
    away_ns = rng.uniform(0, t_max_ns, len(extra))
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
