"""The truth of simulated words: the origin of each, and the path of its muon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import depths_mm, half_width_mm
from muonstream.simulation.drift import Origin
from muonstream.simulation.particles import Muons, Signals
from muonstream.simulation.telescope import Simulation
from muonstream.words import NS_PER_TDC, TDC_PER_ORBIT, Words


@dataclass(frozen=True, slots=True)
class Truth:
    """Simulated words in the order in which they are sent, and what is true of each: arrays of one length.

    words: uint64; origin: int8, as `Origin`
    muon: int64, the number of the muon in the run, -1 where there is none; the rest is 0 or NaN then, and for a hit of
    the electron that a muon decays into, which goes its own way
    chamber: int16, its number, 0 where the word is not of a cell; cell: int16, -1 there
    distance_mm: float32, from the wire to the muon, towards larger x, at the height of the wire
    x_mm, tan: float32, the muon in the chamber's frame: across, at its middle, and slope
    passage_ns: float64, when the muon passed, since its orbit's beginning, as a scintillator without jitter says it
    orbit: int64, the orbit that this time counts from
    """

    words: Words
    origin: NDArray[np.int8]
    muon: NDArray[np.int64]
    chamber: NDArray[np.int16]
    cell: NDArray[np.int16]
    distance_mm: NDArray[np.float32]
    x_mm: NDArray[np.float32]
    tan: NDArray[np.float32]
    passage_ns: NDArray[np.float64]
    orbit: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    @staticmethod
    def joined(parts: list[Truth]) -> Truth:
        """One after another. Raises ValueError for none."""
        return Truth(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Truth)))


def with_truth(simulation: Simulation) -> Iterator[Truth]:
    """The words of a simulation with their truth, a slab at a time; the words are identical to those of `blocks`."""
    muons_before = 0
    for words, signals, muons in simulation.slabs():
        yield _slab_truth(simulation, words, signals, muons, muons_before)
        muons_before += len(muons)


def _slab_truth(simulation: Simulation, words: Words, signals: Signals, muons: Muons, muons_before: int) -> Truth:
    which = _signal_of(words, signals.words)
    known = which >= 0
    n = len(words)
    muon = np.where(known, signals.muon[which] if len(signals.muon) else -1, -1)
    origin = np.full(n, Origin.NOISE, np.int8)
    origin[known] = signals.origin[which[known]]
    passage_tdc = muons.begin_tdc + muons.time_tdc + simulation.delay_ns / NS_PER_TDC
    orbit = np.floor(passage_tdc / TDC_PER_ORBIT).astype(np.int64)
    truth = Truth(
        words=words,
        origin=origin,
        muon=np.where(muon >= 0, muon + muons_before, -1),
        chamber=np.zeros(n, np.int16),
        cell=np.full(n, -1, np.int16),
        distance_mm=np.full(n, np.nan, np.float32),
        x_mm=np.full(n, np.nan, np.float32),
        tan=np.full(n, np.nan, np.float32),
        passage_ns=np.full(n, np.nan),
        orbit=np.zeros(n, np.int64),
    )
    # an electron goes another way than its muon
    muon = np.where(origin == Origin.DECAY, -1, muon)
    there = np.flatnonzero(muon >= 0)
    truth.passage_ns[there] = ((passage_tdc - orbit * TDC_PER_ORBIT) * NS_PER_TDC)[muon[there]]
    truth.orbit[there] = orbit[muon[there]] + simulation.config.start_orbit
    channel_map = simulation.detector.channel_map()
    code = channel_map.codes[words >> np.uint64(49)].astype(np.int64)
    for c, chamber in enumerate(simulation.detector.chambers):
        cell = code - int(channel_map.cell_base[c])
        here = (cell >= 0) & (cell < chamber.cells)
        truth.chamber[here] = chamber.number
        truth.cell[here] = cell[here]
        here &= muon >= 0
        x_mm, tan, _ = muons.in_chamber(c).in_frame(chamber, simulation.plane_mm)
        truth.x_mm[here], truth.tan[here] = x_mm[muon[here]], tan[muon[here]]
        wires = chamber.wire_x_mm() - half_width_mm(chamber)
        depth = depths_mm(chamber)[chamber.layer_of_cell()]
        at = x_mm[muon[here]] + tan[muon[here]] * depth[cell[here]]
        truth.distance_mm[here] = at - wires[cell[here]]
    return truth


def _signal_of(words: Words, signals: Words) -> NDArray[np.int64]:
    """Which signal each word is, -1 for none, by value: words that are the same in all their bits are each other's."""
    order, order_signals = np.argsort(words, kind="stable"), np.argsort(signals, kind="stable")
    rising, rising_signals = words[order], signals[order_signals]
    # the first of the same value to the first, the second to the second, and so on
    occurrence = np.arange(len(rising)) - np.searchsorted(rising, rising)
    place = np.searchsorted(rising_signals, rising) + occurrence
    inside = place < len(signals)
    found = np.zeros(len(words), np.bool_)
    found[inside] = rising_signals[place[inside]] == rising[inside]
    which = np.full(len(words), -1, np.int64)
    which[order[found]] = order_signals[place[found]]
    return which
