"""Faults put into simulated words, for the tests of the verdicts and for the table in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.board import Board
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Change
from muonstream.words import ORBIT_SECONDS, TDC_PER_ORBIT, Words, decode, encode, time_tdc

SEED = 7
RATE_HZ = 5000.0
PIECE_WORDS = 2500
CHAMBER = 1
"""Index of the chamber that gets the faults of one chamber."""
CELL = 17

Fault = Callable[[Words, Detector], Words]


def simulated(
    duration_s: float, *, detector: Detector | None = None, start_s: float = 0.0, rate_hz: float = RATE_HZ
) -> Words:
    """Simulated words of so many seconds."""
    settings = SimulationConfig(
        seed=SEED, duration_s=duration_s, start_orbit=round(start_s / ORBIT_SECONDS), rate_hz=rate_hz
    )
    return np.concatenate(list(Simulation(settings, detector or Detector.default()).blocks()))


def of_chamber(words: Words, detector: Detector, chamber: int) -> NDArray[np.int64]:
    """The cell of each word in the chamber, -1 for words of others."""
    fields, it = decode(words), detector.chambers[chamber]
    cell = fields.channel - it.first_channel
    inside: NDArray[np.int64] = np.where((fields.fpga == it.board) & (cell >= 0) & (cell < it.cells), cell, -1)
    return inside


def later(words: Words, which: NDArray[np.bool_], tdc: int) -> Words:
    """The words with the time of some put off by so many TDC counts."""
    fields = decode(words)
    total = time_tdc(words) - 1 + np.where(which, tdc, 0)
    orbit, rest = np.divmod(total, TDC_PER_ORBIT)
    return encode(
        head=fields.head, fpga=fields.fpga, channel=fields.channel, orbit=orbit, bx=rest // 30, tdc=rest % 30 + 1
    )


def kept(words: Words, which: NDArray[np.bool_]) -> Words:
    """Some of the words."""
    out: Words = words[which]
    return out


def dead_cell(words: Words, detector: Detector) -> Words:
    """One cell gives nothing."""
    return kept(words, of_chamber(words, detector, CHAMBER) != CELL)


def dead_layer(words: Words, detector: Detector) -> Words:
    """The cells of one layer give nothing."""
    cell = of_chamber(words, detector, CHAMBER)
    return kept(words, (cell < 0) | (detector.chambers[CHAMBER].layer_of_cell()[cell] != 2))


def hot_cell(words: Words, detector: Detector) -> Words:
    """One cell gives ten times as much: each of its hits nine times more, in the orbits that follow."""
    mine = of_chamber(words, detector, CHAMBER) == CELL
    times = np.where(mine, 10, 1)
    out = np.repeat(words, times)
    copy = np.arange(len(out)) - np.repeat(np.cumsum(times) - times, times)
    fields = decode(out)
    return encode(
        head=fields.head,
        fpga=fields.fpga,
        channel=fields.channel,
        orbit=fields.orbit + copy,
        bx=(fields.bx + 311 * copy) % 3564,
        tdc=fields.tdc,
    )


def afterpulsing_cell(words: Words, detector: Detector) -> Words:
    """Every second hit of one cell is followed by another, 200 ns later."""
    return _echoed(words, of_chamber(words, detector, CHAMBER) == CELL, 0, 240)


def crosstalking_cells(words: Words, detector: Detector) -> Words:
    """Every second hit of one cell is in the next channel too, 2.5 ns later."""
    return _echoed(words, of_chamber(words, detector, CHAMBER) == CELL, 1, 3)


def _echoed(words: Words, which: NDArray[np.bool_], channels: int, tdc: int) -> Words:
    """The words, and behind every second of some one more, so many channels and TDC counts on."""
    chosen = np.flatnonzero(which)[::2]
    fields = decode(words[chosen])
    orbit, rest = np.divmod(time_tdc(words[chosen]) - 1 + tdc, TDC_PER_ORBIT)
    more = encode(
        head=fields.head,
        fpga=fields.fpga,
        channel=fields.channel + channels,
        orbit=orbit,
        bx=rest // 30,
        tdc=rest % 30 + 1,
    )
    out: Words = np.insert(words, chosen + 1, more)
    return out


def inefficient_chamber(words: Words, detector: Detector) -> Words:
    """Of three hits of one chamber one is missing."""
    cell = of_chamber(words, detector, CHAMBER)
    number = np.cumsum(cell >= 0)
    return kept(words, (cell < 0) | (number % 3 != 0))


def silent_board(words: Words, detector: Detector) -> Words:
    """Board 0 gives nothing."""
    return kept(words, decode(words).fpga != 0)


def shifted_t0(words: Words, detector: Detector) -> Words:
    """One chamber's hits are 5 ns late."""
    return later(words, of_chamber(words, detector, CHAMBER) >= 0, 6)


def boards_out_of_step(words: Words, detector: Detector) -> Words:
    """Board 0 is a bunch crossing late."""
    return later(words, decode(words).fpga == 0, 30)


def slower(detector: Detector) -> Detector:
    """A detector of which one chamber drifts 2 % slower."""
    chambers = list(detector.chambers)
    it = chambers[CHAMBER]
    chambers[CHAMBER] = it.model_copy(
        update={"drift_velocity_um_per_ns": it.drift_velocity_um_per_ns / 1.02, "t_max_ns": it.t_max_ns * 1.02}
    )
    return detector.model_copy(update={"chambers": tuple(chambers)})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a board said: every change, those from the moment of the fault on as (seconds after it, change)."""

    changes: tuple[Change, ...]
    after: tuple[tuple[float, Change], ...]
    level: Level

    def first(self, check: str, subject: str) -> float | None:
        """How long after the fault this was first Medium or Bad, s."""
        for seconds, change in self.after:
            if (change.check, change.subject) == (check, subject) and change.after > Level.GOOD:
                return seconds
        return None

    def wrong(self, allowed: set[tuple[str, str]]) -> list[Change]:
        """Everything else that was raised."""
        return [
            change
            for change in self.changes
            if change.after > Level.GOOD and (change.check, change.subject) not in allowed
        ]


def watched(
    words: Words, fault_s: float, *, stall_s: float = 0.0, board: Board | None = None, reconstruct: bool = False
) -> Outcome:
    """A board that watches words as they come, and then nothing for stall_s; the fault is there from fault_s on."""
    changes: list[Change] = []
    board = board or Board(listener=changes.append)
    with Pipeline(Detector.default(), run="faults", workers=0, reconstruct=reconstruct, timeline=Timeline) as pipeline:
        snapshot = pipeline.snapshot()
        for piece in _pieces(words):
            pipeline.push(piece)
            snapshot = pipeline.snapshot()
            board.update(replace(snapshot, wall_time=snapshot.data_wall_time))
        for second in range(round(stall_s)):
            board.update(replace(snapshot, wall_time=snapshot.data_wall_time + second + 1, data_time_s=fault_s))
            if changes and changes[-1].check == "stalled":
                changes[-1] = replace(changes[-1], data_time_s=max(changes[-1].data_time_s, fault_s + second + 1))
                break
    found = tuple((change.data_time_s - fault_s, change) for change in changes if change.data_time_s >= fault_s)
    return Outcome(tuple(changes), found, board.verdicts.level)


def _pieces(words: Words) -> Iterator[Words]:
    for first in range(0, len(words), PIECE_WORDS):
        yield words[first : first + PIECE_WORDS]
