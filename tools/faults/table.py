"""The table of faults: what each does, in which unit, in which sizes, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from muonstream.detector.model import Detector
from muonstream.words import Words
from tools.faults.changes import (
    Bursts,
    Change,
    Delayed,
    Echoed,
    Lost,
    LostBlocks,
    LostOrbits,
    Moved,
    OnChannels,
    Outage,
    PeriodicHits,
    RandomHits,
    Rewritten,
    malformed,
    stray,
)
from tools.faults.fault import Fault, Maker
from tools.faults.places import (
    CHAMBER,
    EVERYTHING,
    LAYER,
    board,
    board_hits,
    half_chamber,
    kinds_of,
    known_hits,
    neighbours,
    one_cell,
    row,
    same_channels,
    scintillators,
    the_chamber,
    triggers,
    unknown_channels,
    whole_chamber,
)
from tools.faults.stream import Floats, Mask
from tools.faults.truth import Bend

DOUBLE_NS: Final = 50.0
"""How long after a scintillator's word its double comes."""
CROSSTALK_NS: Final = 2.5
SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
FEW: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

Cells = Callable[[Detector], Words]
Kinds = Callable[[Detector], Mask]


def _lost(cells: Cells) -> Maker:
    return lambda size, seed, detector: Lost(kinds_of(cells(detector)), size, seed)


def _out(kinds: Kinds) -> Maker:
    return lambda size, seed, detector: Outage(kinds(detector), size)


def _moved(kinds: Kinds) -> Maker:
    return lambda size, seed, detector: Moved(kinds(detector), triggers(detector), size, seed)


def _random(cells: Cells) -> Maker:
    return lambda size, seed, detector: RandomHits(cells(detector), size, seed)


def _afterpulsing(cells: Cells) -> Maker:
    return lambda size, seed, detector: Echoed(kinds_of(cells(detector)), size, same_channels(), None, seed)


def _crosstalk(cells: Cells, *, in_layer: bool = False) -> Maker:
    def make(size: float, seed: int, detector: Detector) -> Change:
        to_channel = neighbours(detector, in_layer=in_layer)
        return Echoed(kinds_of(cells(detector)), size, to_channel, CROSSTALK_NS, seed)

    return make


def _rewritten(rewrite: Callable[[Words, int], Words]) -> Maker:
    return lambda size, seed, detector: Rewritten(known_hits(detector), size, rewrite, seed)


def _dying(size: float, seed: int, detector: Detector) -> Change:
    def share(seconds: Floats) -> Floats:
        return size * seconds / 60

    return Lost(kinds_of(one_cell(detector)), share, seed)


def _unmapped(size: float, seed: int, detector: Detector) -> Change:
    return Rewritten(known_hits(detector), size, OnChannels(unknown_channels(detector)), seed)


def _with_chamber(detector: Detector, **changed: object) -> Detector:
    chambers = list(detector.chambers)
    chambers[CHAMBER] = the_chamber(detector).model_copy(update=changed)
    return detector.model_copy(update={"chambers": tuple(chambers)})


def _slower(size: float, detector: Detector) -> tuple[Detector, Bend | None]:
    velocity = the_chamber(detector).drift_velocity_um_per_ns
    return _with_chamber(detector, drift_velocity_um_per_ns=velocity / (1 + size / 100)), None


def _displaced(size: float, detector: Detector) -> tuple[Detector, Bend | None]:
    shifts = list(the_chamber(detector).layer_shift_mm)
    shifts[LAYER] += size
    return _with_chamber(detector, layer_shift_mm=tuple(shifts)), None


def _bent(size: float, detector: Detector) -> tuple[Detector, Bend | None]:
    return detector, Bend(the_chamber(detector).number, size)


_ALL: Final = (
    Fault(
        "dead cell",
        "a cell loses a share of its hits, all where it is dead",
        "share",
        (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
        _lost(one_cell),
        most=1,
    ),
    Fault(
        "dying cell",
        "a cell's efficiency falls by a share a minute, until it is dead",
        "share a minute",
        (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        _dying,
    ),
    Fault(
        "noisy cell",
        "a cell has more hits, at random",
        "Hz",
        (3, 10, 30, 100, 300, 1000, 5e3, 20e3, 100e3, 200e3),
        _random(one_cell),
        most=1e7,
    ),
    Fault(
        "oscillating cell",
        "a cell has more hits, strictly periodic",
        "Hz",
        (3, 10, 30, 100, 300, 1000, 5e3, 20e3, 100e3, 200e3),
        lambda size, seed, detector: PeriodicHits(one_cell(detector), size, seed),
        most=1e7,
    ),
    Fault(
        "bursting cell",
        "a cell sends 150 hits within an orbit, this many times a second",
        "a second",
        (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        lambda size, seed, detector: Bursts(one_cell(detector), size, seed),
        most=1000,
    ),
    Fault(
        "dead row",
        "this many neighbouring cells of a layer are dead",
        "cells",
        (1, 2, 3, 4, 6, 7, 8, 12),
        lambda size, seed, detector: Lost(kinds_of(row(detector, round(size))), 1.0, seed),
        most=512,
    ),
    Fault("weak layer", "a layer loses a share of its hits, all where it is dead", "share", SHARES, _lost(row), most=1),
    Fault(
        "weak half chamber",
        "half of a chamber loses a share of its hits, all where it is dead",
        "share",
        SHARES,
        _lost(half_chamber),
        most=1,
    ),
    Fault(
        "weak chamber",
        "a chamber loses a share of its hits, while others keep theirs",
        "share",
        (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
        _lost(whole_chamber),
        most=1,
    ),
    Fault(
        "dead chamber",
        "a chamber sends no hits for this many seconds",
        "s",
        SECONDS,
        _out(lambda detector: kinds_of(whole_chamber(detector))),
    ),
    Fault("dead board", "a board sends nothing for this many seconds", "s", SECONDS, _out(board)),
    Fault(
        "silent scintillator",
        "the scintillators lose a share of their words, all where they are silent",
        "share",
        SHARES,
        lambda size, seed, detector: Lost(scintillators(detector), size, seed),
        most=1,
    ),
    Fault(
        "double scintillator",
        f"a share of the scintillators' words comes twice, again after {DOUBLE_NS:g} ns",
        "share",
        SHARES,
        lambda size, seed, detector: Echoed(scintillators(detector), size, same_channels(), DOUBLE_NS, seed),
        most=1,
    ),
    Fault(
        "late scintillator",
        "the scintillators' words are late",
        "ns",
        (0.5, 1, 2, 3, 5, 10, 25, 100),
        _moved(scintillators),
        most=1e4,
    ),
    Fault(
        "t0",
        "a chamber's hits are late",
        "ns",
        (0.5, 1, 2, 3, 4, 6, 10, 25),
        _moved(lambda detector: kinds_of(whole_chamber(detector))),
        most=1e4,
    ),
    Fault(
        "drift velocity",
        "a chamber's drift times are longer",
        "%",
        (0.1, 0.3, 0.6, 1, 2, 3, 5, 10),
        truth=_slower,
        most=50,
    ),
    Fault(
        "board step",
        "a board's hits are late, by whole crossings at multiples of 25 ns",
        "ns",
        (1, 2, 4, 8, 12.5, 25, 50, 100),
        _moved(board_hits),
        most=1e6,
    ),
    Fault(
        "rt bend",
        "a chamber's hits are read as further from their wires, most halfway to the cell's wall",
        "mm",
        (0.03, 0.1, 0.2, 0.3, 0.5, 1, 2),
        truth=_bent,
        most=5,
        reconstruction=True,
    ),
    Fault(
        "layer shift",
        "a layer's wires are not where the detector file says",
        "mm",
        (0.03, 0.1, 0.2, 0.3, 0.5, 1, 2),
        truth=_displaced,
        most=21,
        reconstruction=True,
    ),
    Fault(
        "noise up",
        "a chamber has more hits, at random in all its cells",
        "Hz",
        (30, 100, 200, 300, 500, 1000, 3000, 10000),
        _random(whole_chamber),
        most=1e7,
    ),
    Fault(
        "rate down",
        "a share of all orbits loses all its hits, and so whole muons",
        "share",
        SHARES[:-1],
        lambda size, seed, detector: LostOrbits(known_hits(detector), size, seed),
        most=1,
    ),
    Fault(
        "afterpulses",
        "a share of a chamber's hits is followed by another of their cell",
        "share",
        (0.01, 0.03, 0.05, 0.08, 0.1, 0.15, 0.3),
        _afterpulsing(whole_chamber),
        most=1,
    ),
    Fault(
        "afterpulsing cell",
        "a share of a cell's hits is followed by another",
        "share",
        (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1),
        _afterpulsing(one_cell),
        most=1,
    ),
    Fault(
        "crosstalk",
        "a share of a cell's hits is in the next channel too",
        "share",
        (0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1),
        _crosstalk(one_cell),
        most=1,
    ),
    Fault(
        "crosstalk in layer",
        "a share of a cell's hits is in the next cell of its layer too",
        "share",
        (0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1),
        _crosstalk(one_cell, in_layer=True),
        most=1,
    ),
    Fault(
        "crosstalk everywhere",
        "a share of a chamber's hits is in the next channel too",
        "share",
        (0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1),
        _crosstalk(whole_chamber),
        most=1,
    ),
    Fault(
        "lost words",
        "a share of all words is lost, in blocks",
        "share",
        (0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5),
        lambda size, seed, detector: LostBlocks(EVERYTHING, size, seed),
        most=1,
    ),
    Fault(
        "late words",
        "a share of the hits comes so late that their windows have been closed",
        "share",
        FEW,
        lambda size, seed, detector: Delayed(known_hits(detector), size, seed),
        most=0.1,
    ),
    Fault("stray words", "a share of the hits has orbits of nonsense", "share", FEW, _rewritten(stray), most=0.1),
    Fault(
        "malformed words",
        "a share of the hits has bunch crossings that there are not",
        "share",
        FEW,
        _rewritten(malformed),
        most=1,
    ),
    Fault("unmapped words", "a share of the hits is on unknown channels", "share", FEW, _unmapped, most=1),
    Fault(
        "stalled read-out",
        "nothing arrives for this many seconds",
        "s",
        SECONDS,
        _out(lambda _: EVERYTHING),
    ),
)

FAULTS: Final[dict[str, Fault]] = {fault.name: fault for fault in _ALL}
"""All faults, by name."""
