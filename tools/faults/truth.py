"""Faults that the simulation itself makes: from a time on, muons cross another detector than the one they are read as.

What these change depends on where each muon went, which words do not tell: for most muons no scintillator says when
they passed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Chamber, Detector
from muonstream.simulation.particles import Muons, Signals
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.words import TDC_PER_ORBIT, Words
from tools.faults.stream import Mask, piece_of

Row = TypeVar("Row", Muons, Signals)


@dataclass(frozen=True, slots=True)
class Bend:
    """Drift distances of a chamber, by number, are read as others: more by `mm` halfway between wire and cell wall."""

    chamber: int
    mm: float


class BentSimulation(Simulation):
    """A simulation with such a relation of drift time to distance."""

    def __init__(self, config: SimulationConfig, detector: Detector, bend: Bend | None) -> None:
        self._bend = bend
        super().__init__(config, detector)

    def _crossed(self, chamber: Chamber, muons: Muons) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        cell, distance = super()._crossed(chamber, muons)
        if self._bend is not None and chamber.number == self._bend.chamber:
            # smooth, and nothing at both ends, so that the longest and shortest drift times stay as they are
            part = np.abs(distance) / (chamber.cell_width_mm / 2)
            distance = distance + np.sign(distance) * self._bend.mm * np.sin(np.pi * part)
        return cell, distance


class AlteredSimulation(Simulation):
    """A simulation that is another one from a time on; both have the same seed, rates and noise.

    truth: what muons cross then; at_tdc: the time, since orbit 0
    """

    def __init__(
        self, config: SimulationConfig, detector: Detector, truth: Detector, bend: Bend | None, at_tdc: int
    ) -> None:
        super().__init__(config, detector)
        self._at_tdc = at_tdc
        self._later = BentSimulation(config, truth, bend)
        # the muons of the other would bring more words or fewer, and noise would make up the difference
        self._later._muon_hz, self._later._ancillary_hz = self._muon_hz, self._ancillary_hz
        self._later._noise_hz = self._noise_hz

    def slab(self, index: int) -> tuple[Words, Signals, Muons]:
        """See `Simulation.slab`."""
        edges = np.array([index, index + 1], np.int64) * self._slab_tdc
        begin, end = self._with_gap(edges) + self.config.start_orbit * TDC_PER_ORBIT
        if begin >= self._at_tdc:
            return self._later.slab(index)
        before = super().slab(index)
        if end <= self._at_tdc:
            return before
        after = self._later.slab(index)
        at_tdc = self._at_tdc - self.config.start_orbit * TDC_PER_ORBIT
        signals = [_of(before[1], before[1].time_tdc < at_tdc), _of(after[1], after[1].time_tdc >= at_tdc)]
        signals[1].muon[signals[1].muon >= 0] += len(before[2])
        words = [before[0][~self._is_later(before[0])], after[0][self._is_later(after[0])]]
        return np.concatenate(words), _joined(signals), _joined([before[2], after[2]])

    def _is_later(self, words: Words) -> Mask:
        """Which words are from the time on; words that are not hits are where the hits before them are."""
        later: Mask = piece_of(words, None, 0, self._at_tdc).time_tdc >= self._at_tdc
        return later


def _of(rows: Signals, mask: Mask) -> Signals:
    return Signals(*(getattr(rows, field.name)[mask] for field in fields(rows)))


def _joined(parts: list[Row]) -> Row:
    first = parts[0]
    columns = ([getattr(part, field.name) for part in parts] for field in fields(first))
    # rows are the last axis; what a simulation does without is None in all parts
    joined: list[Any] = [None if column[0] is None else np.concatenate(column, axis=-1) for column in columns]
    return type(first)(*joined)
