"""python -m tools.night FILE: a night of ten faults as a file of words, and what verdicts say of it.

Prints for each fault which checks raised it, how long after it began, and how long after its end they were over; then
what was raised of no fault. The file is for `muonstream run` and `process --verdicts`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.verdicts.verdicts import Change
from muonstream.words import Words
from tools.faults import FAULTS, by_time
from tools.sensitivity import judged, muons_hz

SEED: Final = 11
CHUNK_S: Final = 60.0
NIGHT: Final = (
    ("noisy cell", 300.0),
    ("dead cell", 1.0),
    ("dead chamber", 180.0),
    ("late scintillator", 25.0),
    ("t0", 10.0),
    ("silent scintillator", 1.0),
    ("dead row", 7.0),
    ("noise up", 3000.0),
    ("board step", 25.0),
    ("late words", 0.01),
)
"""Faults and their sizes: what breaks in ten nights, in one. Late words come last: they are late by orbits before."""
FIRST_S, APART_S, LASTS_S = 300.0, 360.0, 180.0


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault of a size, from a data time up to another, s."""

    fault: str
    size: float
    begin_s: float
    end_s: float


def night(faults: Sequence[tuple[str, float]] = NIGHT, scale: float = 1.0) -> list[Episode]:
    """Faults one after another, each for three minutes and healthy for as long; scale: all times are so much longer."""
    begins = [(FIRST_S + n * APART_S) * scale for n in range(len(faults))]
    return [
        Episode(name, size, begin, begin + LASTS_S * scale) for (name, size), begin in zip(faults, begins, strict=True)
    ]


def words_of(
    episodes: Sequence[Episode], seconds: float, rate_hz: float, seed: int = SEED, detector: Detector | None = None
) -> Iterator[Words]:
    """The words (uint64) of so many seconds with these faults, which words alone must be able to show, in chunks."""
    detector = detector or Detector.default()
    config = SimulationConfig(seed=seed, duration_s=seconds, rate_hz=rate_hz, muon_rate_hz=muons_hz(rate_hz))
    chunks: Iterable[Words] = by_time(Simulation(config, detector).blocks(), CHUNK_S)
    for one in episodes:
        chunks = FAULTS[one.fault].begin(one.size, one.begin_s, seed, detector, one.end_s).over(chunks)
    return iter(chunks)


def write(path: Path, chunks: Iterable[Words]) -> int:
    """Write words as a file of words; gives how many they are."""
    n = 0
    with path.open("wb") as file:
        for words in chunks:
            file.write(words.astype("<u8").tobytes())
            n += len(words)
    return n


def report(episodes: Sequence[Episode], changes: Iterable[Change], detector: Detector) -> Iterator[str]:
    """Lines for people: of each fault what was raised, and when it was over; then what is of no fault."""
    left = list(changes)
    for one in episodes:
        fault = FAULTS[one.fault]
        mine = [
            change
            for change in left
            if change.data_time_s >= one.begin_s and fault.may_raise(change.check, change.subject, detector)
        ]
        # up to the next fault that may raise the same
        following = [other.begin_s for other in episodes if other.begin_s > one.begin_s]
        mine = [change for change in mine if change.data_time_s < min(following, default=1e9)]
        left = [change for change in left if change not in mine]
        yield f"{one.begin_s / 60:.0f} min: {one.fault}, {one.size:g} {fault.unit}, for {one.end_s - one.begin_s:.0f} s"
        for change in mine:
            after_s = change.data_time_s - one.begin_s
            yield f"  {after_s:+5.0f} s {_text(change)}"
        if not mine:
            yield "  missed"
    yield f"of no fault: {len(left)} changes"
    for change in left:
        yield f"  {change.data_time_s:6.0f} s {_text(change)}"


def _text(change: Change) -> str:
    text = f"{change.before.title} to {change.after.title}: {change.check}: {change.subject}"
    return text + (f": {change.reason}" if change.after > Level.GOOD else "")


def main() -> None:
    """Write the night and print what was said of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where to write the words")
    parser.add_argument("--rate", type=float, default=5000.0, help="words a second")
    options = parser.parse_args()
    episodes, detector = night(), Detector.default()
    seconds = episodes[-1].end_s + LASTS_S
    print(f"{write(options.file, words_of(episodes, seconds, options.rate)):,} words, {seconds / 60:.0f} min")
    for line in report(episodes, judged(words_of(episodes, seconds, options.rate), detector), detector):
        print(line)


if __name__ == "__main__":
    main()
