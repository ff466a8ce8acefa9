"""What a fault is, and a fault under way in a stream of words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf
from typing import Final

import numpy as np

from muonstream.detector.model import Detector
from muonstream.simulation.scenario import SimulationConfig
from muonstream.words import Words
from tools.faults.changes import Change
from tools.faults.checks import MAY_FIND
from tools.faults.places import CELL, LAYER, the_chamber
from tools.faults.stream import SECOND_TDC, piece_of
from tools.faults.truth import AlteredSimulation, Bend

PIECE_WORDS: Final = 1 << 20
FOR_EVER: Final = 1e9

Maker = Callable[[float, int, Detector], Change]
"""What makes a change of a size, with a seed, for a detector."""
Truth = Callable[[float, Detector], tuple[Detector, Bend | None]]
"""What muons cross when a fault of a size is there."""


class Injection:
    """A fault under way: give it the chunks of a stream one after another, and `end` after the last."""

    def __init__(self, change: Change | None, at_s: float, until_s: float = inf) -> None:
        """change: None for none; at_s, until_s: from which data time on, and up to which, since orbit 0."""
        self._change = change
        self._at_tdc = round(at_s * SECOND_TDC)
        self._until_tdc = until_s * SECOND_TDC
        self._newest: int | None = None
        self._done = 0

    def __call__(self, words: Words) -> Words:
        """The chunk (uint64[n]) changed; what is left of it, with what belongs there."""
        if self._change is None or not len(words):
            return words
        pieces = (words[first : first + PIECE_WORDS] for first in range(0, len(words), PIECE_WORDS))
        done = [piece if self._change is None else self._piece(self._change, piece) for piece in pieces]
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _piece(self, change: Change, words: Words) -> Words:
        piece = piece_of(words, self._newest, self._done, self._at_tdc)
        self._newest = int(piece.newest_tdc[-1])
        self._done += len(words)
        if self._newest < self._at_tdc:
            return words
        if self._newest < self._until_tdc:
            return change(piece)
        # it is over within this piece: what it still holds back comes where it ends
        n = int(np.searchsorted(piece.newest_tdc, self._until_tdc))
        during = change(piece_of(words[:n], piece.before_tdc, piece.first, self._at_tdc)) if n else words[:0]
        last, self._change = change.end(), None
        return np.concatenate([during, last, words[n:]])

    def end(self) -> Words:
        """What comes after the last chunk (uint64[n])."""
        return np.empty(0, np.uint64) if self._change is None else self._change.end()

    def over(self, chunks: Iterable[Words]) -> Iterator[Words]:
        """The chunks of a stream changed; those of which nothing is left are left out."""
        for words in chunks:
            if len(changed := self(words)):
                yield changed
        if len(last := self.end()):
            yield last


@dataclass(frozen=True)
class Fault:
    """A detector fault of a size, from a data time on.

    name, does: what it is called, and what it does in a sentence
    unit: of its size; sizes: a ladder from small to large; most: the largest size there can be
    reconstruction: whether only reconstruction can find it
    make: makes its change of words; None where the simulation itself makes it, by `truth`
    """

    name: str
    does: str
    unit: str
    sizes: tuple[float, ...]
    make: Maker | None = None
    truth: Truth | None = None
    most: float = FOR_EVER
    reconstruction: bool = False

    def checks(self, detector: Detector) -> tuple[tuple[str, str], ...]:
        """The (check, pattern of subjects) that may find it in a detector."""
        chamber = the_chamber(detector)
        names = {
            "chamber": chamber.name,
            "cell": f"{chamber.name} cell {CELL}",
            "next": f"{chamber.name} cells {CELL} and {CELL + 1}",
            "in_layer": f"{chamber.name} cells {CELL} and {CELL + chamber.layers}",
            "layer": f"{chamber.name} layer {LAYER}",
            "board": f"Board {chamber.board}",
        }
        return tuple((check, subject.format(**names)) for check, subject in MAY_FIND[self.name])

    def may_raise(self, check: str, subject: str, detector: Detector) -> bool:
        """Whether a finding is of this fault, and not a false alarm."""
        return any(check == c and fnmatchcase(subject, s) for c, s in self.checks(detector))

    def begin(self, size: float, at_s: float, seed: int, detector: Detector, until_s: float = inf) -> Injection:
        """The fault for a stream in chunks; at_s, until_s: data time since orbit 0. Size 0 changes nothing.

        Equal for any chunks that the stream is cut into. Expects hits whose orbits are right and do not turn over, so
        of several faults one after another stray words come last. Raises ValueError for a size that it cannot have,
        and where only the simulation can make it: see `with_fault`.
        """
        self._check(size)
        if size == 0:
            return Injection(None, at_s, until_s)
        if self.make is None:
            raise ValueError(f"{self.name}: found words, expected a simulation, see with_fault: words do not tell it")
        return Injection(self.make(size, seed, detector), at_s, until_s)

    def apply(self, words: Words, size: float, at_s: float, rng: np.random.Generator, detector: Detector) -> Words:
        """All words (uint64[n]) of a stream with the fault from at_s on, data time since orbit 0; see `begin`."""
        injection = self.begin(size, at_s, int(rng.integers(1 << 62)), detector)
        changed, last = injection(words), injection.end()
        return np.concatenate([changed, last]) if len(last) else changed

    def simulation(
        self, size: float, at_s: float, config: SimulationConfig, detector: Detector
    ) -> AlteredSimulation | None:
        """The simulation with the fault in it, None where it is made of words. Raises ValueError as `begin` does."""
        self._check(size)
        if self.truth is None or size == 0:
            return None
        truth, bend = self.truth(size, detector)
        return AlteredSimulation(config, detector, truth, bend, round(at_s * SECOND_TDC))

    def _check(self, size: float) -> None:
        if not 0 <= size <= self.most:
            raise ValueError(f"{self.name}: size: found {size}, expected 0 to {self.most:g} {self.unit}")
