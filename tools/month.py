"""python -m tools.month DIR: an archive of a month of simulated runs with faults, and what is found of these.

A hundred short runs, each judged as in `muonstream run --archive DIR --reference last:10`. Somebody on shift
acknowledges the dead cell and flags runs. Then DIR is an archive like any other, for `muonstream runs`, `report` and
`dashboard`.
"""

from __future__ import annotations

import argparse
import random
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from muonstream.archive.archive import Archive, state_of
from muonstream.archive.compare import compare
from muonstream.archive.contents import Provenance, snapshot_of
from muonstream.archive.people import Flag
from muonstream.commands.alarms import AlarmOptions, Alarms
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.verdicts.verdicts import Spell
from muonstream.words import Words
from tools.faults import FAULTS, with_fault
from tools.sensitivity import muons_hz

RUNS, SECONDS, RATE_HZ = 100, 20.0, 5000.0
BEGUN, APART_S = 1_793_491_200.0, 26_000.0
"""The first run begins on the first of November 2026, and another each seven hours."""
WANDERING = 0.05
"""The standard deviation of runs' rates."""
FEWEST_GOOD = 3
"""References are used as soon as there are so many runs flagged as good."""
NO_PROCESS = 2**22 + 1
"""Larger than any process id of Linux: who wrote the run is gone."""
OUTLYING = 5.0
CELL: Final = (3, 20)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault in the runs from one number up to another; growing: each run adds `size` to it."""

    fault: str
    size: float
    first: int
    last: int
    growing: bool = False

    def size_in(self, run: int) -> float:
        """Its size in a run."""
        return self.size * (run - self.first + 1) if self.growing else self.size


DEAD: Final = Trouble("dead cell", 1.0, 20, 49)
TROUBLES: Final = (
    DEAD,
    Trouble("noisy cell", 300.0, 30, 32),
    Trouble("drift velocity", 0.3, 58, 67, growing=True),
    Trouble("t0", 10.0, 75, 77),
    Trouble("dead board", 3600.0, 85, 85),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a month has: the length of a run in seconds, its troubles, and the run whose engine is killed."""

    seconds: float = SECONDS
    troubles: tuple[Trouble, ...] = TROUBLES
    killed: int = 90


def words_of(run: int, plan: Plan) -> Iterator[Words]:
    """The words (uint64) of a run, in chunks: at most one trouble beside a dead cell."""
    chance = random.Random(run)
    rate_hz = RATE_HZ * chance.gauss(1, WANDERING)
    here = [one for one in plan.troubles if one.first <= run <= one.last]
    dead = CELL if any(one.fault == DEAD.fault for one in here) else None
    config = SimulationConfig(
        seed=run,
        cells_seed=1,
        rate_hz=rate_hz,
        duration_s=plan.seconds,
        muon_rate_hz=muons_hz(rate_hz),
        dead_cell=dead,
    )
    other = next((one for one in here if one.fault != DEAD.fault), None)
    if other is None:
        return Simulation(config, Detector.default()).blocks()
    return with_fault(FAULTS[other.fault], other.size_in(run), 0.0, config)


def taken(archive: Archive, run: int, plan: Plan) -> Snapshot:
    """Take a run into the archive, as a live engine does, acknowledge the dead cell, and flag the run."""
    good = sum(any(flag["effect"] == "good" for flag in row.flags) for row in archive.rows())
    reference = ("last:10",) if good >= FEWEST_GOOD else ()
    name, begun = f"Run{run:06d}", BEGUN + run * APART_S
    alarms = Alarms(AlarmOptions(archive=archive.folder, reference=reference), Detector.default(), name)
    with Pipeline(
        Detector.default(), run=name, source=f"simulated {name}", workers=0, reconstruct=True, timeline=alarms.timeline
    ) as pipeline:
        for words in words_of(run, plan):
            pipeline.push(words)
        pipeline.finish()
        snapshot = pipeline.snapshot("running" if run == plan.killed else "ended")
    snapshot = replace(snapshot, begun_wall_time=begun, wall_time=begun + plan.seconds)
    alarms.board.update(snapshot)
    for status in alarms.board.verdicts.alarms:
        if status.finding.subject == the_cell() and status.acknowledged is None:
            alarms.board.acknowledge(*status.finding.key, "wire disconnected", begun + plan.seconds, "Ann")
    snapshot = at_its_time(alarms.board.on(snapshot), begun)
    provenance = Provenance.of(snapshot, command="muonstream run", engine="local", number=run)
    provenance = replace(provenance, references=alarms.references, remembered=alarms.remembered)
    if run == plan.killed:
        provenance = replace(provenance, pid=NO_PROCESS, host=socket.gethostname())
    archive.save(snapshot, provenance)
    if run != plan.killed:
        new = [spell for spell in spells_of(snapshot) if not spell.known]
        cause = "; ".join(f"{one.subject}: {one.check}" for one in new[:3])
        archive.flag(name, Flag("limited" if new else "good", cause, name="Ann", time=begun + 2 * plan.seconds))
    return snapshot


def at_its_time(snapshot: Snapshot, begun: float) -> Snapshot:
    """A snapshot whose alarms have the times at which they would have been raised, not those of simulating."""
    verdicts = snapshot.verdicts
    if verdicts is None:
        return snapshot
    history = tuple(replace(one, time=begun + one.data_time_s) for one in verdicts.history)
    statuses = tuple(replace(one, since=begun + one.since_data_s) for one in verdicts.statuses)
    return replace(snapshot, verdicts=replace(verdicts, history=history, statuses=statuses))


def the_cell() -> str:
    """The dead cell, as verdicts call it."""
    chamber, cell = CELL
    return f"{Detector.default().chambers[chamber - 1].name} cell {cell}"


def spells_of(snapshot: Snapshot) -> tuple[Spell, ...]:
    """The alarms of a run."""
    return () if snapshot.verdicts is None else snapshot.verdicts.spells


def found(archive: Archive, troubles: Sequence[Trouble]) -> Iterator[str]:
    """Lines for people: of each trouble in which runs it was found, and which alarms are of none."""
    detector = Detector.default()
    rows = [row for row in archive.rows() if not row.problem]
    alarms = {row.number: spells_of(snapshot_of(archive.path(row))) for row in rows}
    explained: set[tuple[int, str, str]] = set()
    for one in troubles:
        fault, runs = FAULTS[one.fault], [n for n in alarms if one.first <= n <= one.last]
        mine = {n: [a for a in alarms[n] if fault.may_raise(a.check, a.subject, detector)] for n in runs}
        if one.fault == DEAD.fault:
            mine = {n: [a for a in alarms[n] if a.subject == the_cell()] for n in runs}
        explained |= {(n, a.check, a.subject) for n, raised in mine.items() for a in raised}
        if one.fault == DEAD.fault:  # it may be found by its efficiency as well, in some runs and not in others
            mine = {n: [a for a in raised if a.check == DEAD.fault] for n, raised in mine.items()}
        new = [n for n, raised in mine.items() if any(not a.known for a in raised)]
        known = [n for n, raised in mine.items() if raised and all(a.known for a in raised)]
        size = f"{one.size:g} {fault.unit}{' more each run' if one.growing else ''}"
        yield f"{one.fault}, {size}, in runs {one.first} to {one.last}:"
        checks = sorted({a.check for raised in mine.values() for a in raised})
        yield f"  new in {spans(new)}; known in {spans(known)}; missed in {spans(set(runs) - set(new) - set(known))}"
        yield f"  by {', '.join(checks) or 'nothing'}"
    others = [(n, a) for n, raised in alarms.items() for a in raised if (n, a.check, a.subject) not in explained]
    new_ones = [(n, a) for n, a in others if not a.known]
    yield f"false alarms: {len(new_ones)} in {len({n for n, _ in new_ones})} of {len(rows)} runs"
    for n, a in new_ones:
        yield f"  run {n}: {a.subject}: {a.check}, {a.level.title}, {a.seconds:.0f} s"
    yield f"interrupted: {spans(row.number for row in rows if state_of(row) == 'interrupted')}"
    flags = [flag["effect"] for row in rows for flag in row.flags]
    yield f"flagged as good: {flags.count('good')} runs; as limited: {flags.count('limited')}"


def outlying(archive: Archive) -> Iterator[str]:
    """Lines for people: which runs stand out in the trend of a quantity, by the middle and spread of all its points."""
    with archive.index() as index:
        trends = {(name, subject): index.points(name, subject) for name, subject, _ in index.names()}
    numbers = {row.file: row.number for row in archive.rows()}
    yield f"trends: runs more than {OUTLYING:g} standard deviations from the middle of all"
    for (name, subject), points in trends.items():
        middle = median(point.value for point in points)
        # of a normal distribution, the middle of the distances is 0.6745 standard deviations
        spread = median(abs(point.value - middle) for point in points) / 0.6745
        errors = [point.error or 0.0 for point in points]
        sigma = max(spread, median(errors))
        out = [numbers[point.file] for point in points if sigma and abs(point.value - middle) > OUTLYING * sigma]
        if out:
            yield f"  {name}{f' of {subject}' if subject else ''}: {spans(out)}"


def differences(archive: Archive, pairs: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Lines for people: what `runs compare` puts first for some pairs of runs."""
    for one, other in pairs:
        rows = archive.find_all([f"Run{one:06d}", f"Run{other:06d}"])
        scalars, shapes = compare(*(snapshot_of(archive.path(row)) for row in rows))
        yield f"runs compare: run {one} with run {other}"
        for scalar in scalars[:2]:
            sigma = "" if scalar.sigma is None else f", {scalar.sigma:+.1f} standard deviations"
            yield f"  {scalar.name} {scalar.subject}: {scalar.one:,.5g} and {scalar.other:,.5g} {scalar.unit}{sigma}"
        for shape in shapes[:1]:
            yield f"  shape of {shape.name} {shape.subject}: {shape.sigma:+.1f} standard deviations"


def spans(numbers: Iterable[int]) -> str:
    """Numbers as text, neighbours together: 3, 5 to 9."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts) or "none"


def main() -> None:
    """Make the archive, and print what is found in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder for the archive, which is new or holds a month already")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a run")
    options = parser.parse_args()
    archive, plan = Archive(options.folder, make=True), Plan(options.seconds)
    there = {row.number for row in archive.rows()}
    for run in range(1, options.runs + 1):
        if run not in there:
            taken(archive, run, plan)
    for line in (*found(archive, plan.troubles), *outlying(archive)):
        print(line)
    pairs = [(one.last, one.first - 1) for one in plan.troubles if one.last <= options.runs]
    for line in differences(archive, pairs):
        print(line)


if __name__ == "__main__":
    main()
