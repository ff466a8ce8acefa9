"""python -m tools.sensitivity: the smallest fault of each kind that the verdicts find, and how soon.

For each fault of `tools.faults`, or with --checks for each check and the fault that it is for, and for each rate, the
ladder of sizes is searched for the smallest that is found within so many seconds of data, and within the whole run.
With --healthy: alarms in so many hours of data without any fault.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

import muonstream
from muonstream.counting.catalogue import Catalogue
from muonstream.counting.steps import Step
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation.scenario import SimulationConfig
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Change, duration
from muonstream.words import Words
from tools.faults import FAULTS, Fault, simulated, with_fault
from tools.faults.checks import FOR_CHECK

AT_S: Final = 60.0
QUIET_HZ, QUIET_AT_S = 1000.0, 600.0
"""A fault comes after so much healthy data; at lower rates after more, so that there is something to compare with."""
SOON_S: Final = 30.0
RUN_S: Final = 3600.0
STEP_S: Final = 3.0
"""What is found at the end of the step in which the time is up counts."""
OF_THE_CLOCK: Final = frozenset({"stalled read-out"})
"""Faults that words cannot show: the board's clock finds them."""
SEED: Final = 5
MOST_HZ: Final = 10
"""Faults that bring words are tried up to so many times the rate of all words."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault of a size at a rate: what was raised of it, by check, and of anything else, in so many seconds after it.

    every: so many steps of data time were taken for one
    first: seconds after the fault at which each check was first Medium or Bad, and which of them
    others: what is not of this fault: when, and what
    """

    fault: str
    size: float
    rate_hz: float
    until_s: float
    every: int = 1
    first: dict[str, tuple[float, str]] = field(default_factory=dict)
    others: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What verdicts said of a fault: how long after it, and by which check; None if never."""

    after_s: float | None
    check: str = ""
    others: tuple[str, ...] = ()


def muons_hz(rate_hz: float) -> float:
    """Muons a second at so many words a second."""
    return min(60.0, rate_hz / 80)


def healthy_s(rate_hz: float) -> float:
    """How much healthy data comes before a fault."""
    return AT_S if rate_hz >= QUIET_HZ else QUIET_AT_S


class Thinned(Timeline):
    """A time line that takes several steps for one: quicker, and late by at most so many."""

    def __init__(self, catalogue: Catalogue, every: int) -> None:
        super().__init__(catalogue)
        self._every = every
        self._held: list[Step] = []

    def add(self, step: Step) -> list[Change]:
        """See `Timeline.add`."""
        self._held.append(step)
        return self._added() if len(self._held) == self._every else []

    def finish(self) -> list[Change]:
        """See `Timeline.finish`."""
        return [*self._added(), *super().finish()]

    def _added(self) -> list[Change]:
        held, self._held = self._held, []
        if not held:
            return []
        counts = np.sum([step.counts for step in held], axis=0)
        return super().add(replace(held[-1], counts=counts))


def judged(chunks: Iterator[Words], detector: Detector, until_s: float = 0.0, every: int = 1) -> Iterator[Change]:
    """The changes of level while words come, up to about so much data time (0: to the end).

    every: so many steps are taken for one
    """
    with Pipeline(detector, workers=0, reconstruct=True, timeline=partial(Thinned, every=every)) as pipeline:
        timeline = pipeline.timeline
        assert timeline is not None
        seen = 0

        def new() -> list[Change]:
            nonlocal seen
            number = timeline.verdicts.changes - seen
            seen = timeline.verdicts.changes
            return list(timeline.verdicts.history[-number:]) if number else []

        for words in chunks:
            pipeline.push(words)
            pipeline.settle()
            yield from new()
            if until_s and timeline.verdicts.data_time_s > until_s:
                return
        pipeline.finish()
        yield from new()


def tried(
    name: str, size: float, rate_hz: float, within_s: float, check: str | None = None, every: int = 1, seed: int = SEED
) -> Trial:
    """A fault of a size, for so many seconds, or until it has been found (by a check, None: by any) after SOON_S."""
    fault, detector, at_s = FAULTS[name], Detector.default(), healthy_s(rate_hz)
    config = SimulationConfig(
        seed=seed, duration_s=at_s + within_s + 12, rate_hz=rate_hz, muon_rate_hz=muons_hz(rate_hz)
    )
    first: dict[str, tuple[float, str]] = {}
    others: list[tuple[float, str]] = []
    until_s = within_s
    # the time line is the same for any chunks: long ones are read faster
    chunk_s = 15.0 if within_s <= 2 * SOON_S else 60.0
    for change in judged(
        with_fault(fault, size, at_s, config, chunk_s=chunk_s), detector, at_s + within_s + STEP_S, every
    ):
        after_s = change.data_time_s - at_s
        if after_s > until_s + every * STEP_S:
            break
        if change.after <= Level.GOOD:
            continue
        if after_s < 0 or not fault.may_raise(change.check, change.subject, detector):
            others.append((after_s, f"{change.check}: {change.subject}"))
            continue
        first.setdefault(change.check, (after_s, change.after.title))
        if check in (None, change.check):
            until_s = min(until_s, max(after_s, SOON_S))
    return Trial(name, size, rate_hz, until_s, every, first, tuple(others))


class Trials:
    """Trials that have been made, kept in a file too: whoever needs one again, by another process or day, has it.

    Of a file only those count that were made by the same source of verdicts and faults.
    every: so many steps are taken for one in those that are longer than SOON_S
    """

    def __init__(self, path: Path | None = None, every: int = 1) -> None:
        self._path = path
        self._every = every
        self._known: dict[tuple[str, float, float], list[Trial]] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                plain = json.loads(line)
                if plain.pop("source") == _source():
                    self._add(_trial_of(plain))

    def seen(self, name: str, size: float, rate_hz: float, within_s: float, check: str | None = None) -> Seen:
        """Whether and when a fault of a size is found within so many seconds, by a check or by any."""
        every = self._every if within_s > SOON_S else 1
        for trial in self._known.get((name, size, rate_hz), ()):
            seen = _seen(trial, within_s, check)
            if trial.every <= every and (seen.after_s is not None or trial.until_s >= within_s):
                return seen
        trial = tried(name, size, rate_hz, within_s, check, every)
        self._add(trial)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"source": _source(), **asdict(trial)}) + "\n")
        return _seen(trial, within_s, check)

    def _add(self, trial: Trial) -> None:
        self._known.setdefault((trial.fault, trial.size, trial.rate_hz), []).append(trial)


def _trial_of(plain: dict[str, Any]) -> Trial:
    first = {check: (float(after_s), str(level)) for check, (after_s, level) in plain.pop("first").items()}
    others = tuple((float(after_s), str(what)) for after_s, what in plain.pop("others"))
    return Trial(**plain, first=first, others=others)


def _seen(trial: Trial, within_s: float, check: str | None) -> Seen:
    others = tuple(what for after_s, what in trial.others if after_s <= within_s + STEP_S)
    mine = [
        (after_s, f"{name} ({level})")
        for name, (after_s, level) in trial.first.items()
        if after_s <= within_s + trial.every * STEP_S and check in (None, name)
    ]
    return Seen(*min(mine), others) if mine else Seen(None, "", others)


@cache
def _source() -> str:
    """What the verdicts and faults were made by: a digest of their source."""
    places = [Path(muonstream.__file__).parent, Path(__file__).parent / "faults"]
    digest = hashlib.sha256()
    for path in sorted(path for place in places for path in place.rglob("*.py")):
        if not {"dashboard", "commands", "sinks", "sources", "kafka", "formats"} & set(path.parts):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def found(name: str, size: float, rate_hz: float, within_s: float, seed: int = SEED) -> Seen:
    """Whether and when a fault of a size is found within so many seconds."""
    return _seen(tried(name, size, rate_hz, within_s, seed=seed), within_s, None)


def smallest(
    fault: Fault,
    rate_hz: float,
    within_s: float,
    *,
    trials: Trials | None = None,
    check: str | None = None,
    known: int = 0,
) -> tuple[int | None, Seen]:
    """The place in its ladder of the smallest size that is found, by halving; None where not even the largest is.

    known: smaller sizes than that of this place are known not to be found
    """
    trials = trials or Trials()
    low, high = known, len(fault.sizes)
    best = Seen(None)
    while low < high:
        middle = (low + high) // 2
        seen = trials.seen(fault.name, fault.sizes[middle], rate_hz, within_s, check)
        if seen.after_s is not None:
            high, best = middle, seen
        else:
            low = middle + 1
    return (low, best) if best.after_s is not None else (None, best)


def cells(
    what: tuple[str, float],
    withins_s: Sequence[float],
    *,
    by_check: bool = False,
    keep: Path | None = None,
    every: int = 1,
) -> list[str]:
    """The cells of a row of the table at one rate, one for each time within which a fault is found; times rise.

    what: the name of the fault, or of the check, and the rate
    """
    name, rate_hz = what
    fault, check = FAULTS[FOR_CHECK[name][0] if by_check else name], name if by_check else None
    if by_check:
        fault = replace(fault, sizes=tuple(size for size in fault.sizes if size <= FOR_CHECK[name][1]))
    if fault.unit == "Hz":
        # more words than all others together take long to count, and are found at once
        fault = replace(fault, sizes=tuple(size for size in fault.sizes if size <= MOST_HZ * rate_hz))
    trials = Trials(keep, every)
    place, seen = smallest(fault, rate_hz, withins_s[-1], trials=trials, check=check)
    largest = seen if place is None else trials.seen(fault.name, fault.sizes[-1], rate_hz, withins_s[-1], check)
    # what is found within the longest time says what the shorter ones need not ask, if it was judged as often
    known = (place or 0) if every == 1 else 0
    out: list[str] = []
    best, best_seen = len(fault.sizes), Seen(None)
    for within_s in withins_s:
        now, found_now = place, seen
        if within_s < withins_s[-1]:
            # where steps are taken together the largest may have been found earlier than it seems
            early = largest.after_s is not None and largest.after_s <= within_s + 3 * every * STEP_S
            ask = partial(smallest, fault, rate_hz, within_s, trials=trials, check=check, known=known)
            now, found_now = ask() if early else (None, Seen(None))
        if now is not None and now < best:
            best, best_seen = now, found_now
        if best_seen.after_s is not None:
            extra = f"; also {', '.join(best_seen.others[:2])}" if best_seen.others else ""
            found_as = "" if by_check else f"{best_seen.check}, "
            out.append(f"{fault.sizes[best]:g} {fault.unit}: {found_as}{duration(best_seen.after_s)}{extra}")
        elif largest.after_s is not None:
            out.append(f"none: {fault.sizes[-1]:g} {fault.unit} takes {duration(largest.after_s)}")
        else:
            out.append("not found")
    return out


def print_table(options: argparse.Namespace) -> None:
    """The table in Markdown, a row as soon as it is complete."""
    names = options.faults or [name for name in FAULTS if name not in OF_THE_CLOCK]
    if options.checks:
        names = options.faults or list(FOR_CHECK)
    columns = [f"{rate:g} Hz, within {duration(within)}" for rate in options.rates for within in options.within]
    heads = ["check", "fault"] if options.checks else ["fault"]
    print(f"| {' | '.join([*heads, *columns])} |")
    print(f"|{'---|' * (len(heads) + len(columns))}")
    made = partial(cells, withins_s=options.within, by_check=options.checks, keep=options.keep, every=options.every)
    with ProcessPoolExecutor(options.processes) as pool:
        parts = pool.map(made, [(name, rate_hz) for name in names for rate_hz in options.rates])
        for name in names:
            line = [cell for _ in options.rates for cell in next(parts)]
            heads = [name, FOR_CHECK[name][0]] if options.checks else [name]
            print(f"| {' | '.join([*heads, *line])} |", flush=True)


def healthy(hours: float, rate_hz: float, seed: int, every: int) -> None:
    """Print the alarms in so many hours of healthy data."""
    begun, detector = time.process_time(), Detector.default()
    chunks = simulated(SimulationConfig(muon_rate_hz=muons_hz(rate_hz)), hours * 3600, rate_hz, seed, chunk_s=60.0)
    alarms = [change for change in judged(chunks, detector, every=every) if change.after > Level.GOOD]
    spent = time.process_time() - begun
    how = f"seed {seed}, judged every {every * STEP_S:g} s"
    print(f"{len(alarms)} alarms in {hours:g} h at {rate_hz:g} Hz, {how} ({spent:.0f} s of a processor)", flush=True)
    for change in alarms:
        print(f"  {change.data_time_s:.0f} s: {change.check}: {change.subject}: {change.reason}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[5000.0, 100.0], help="words a second")
    parser.add_argument("--within", type=float, nargs="+", default=[SOON_S, RUN_S], help="seconds of data")
    parser.add_argument("--checks", action="store_true", help="a row for each check, instead of each fault")
    parser.add_argument("--faults", nargs="+", choices=[*FAULTS, *FOR_CHECK], metavar="NAME", help="these rows only")
    parser.add_argument(
        "--every", type=int, default=1, help="in long runs, take this many steps at once, which is faster"
    )
    parser.add_argument("--keep", type=Path, help="a file for what was tried, so that nothing is tried twice")
    parser.add_argument("--healthy", type=float, default=0.0, help="hours of healthy data instead")
    parser.add_argument("--seed", type=int, default=17, help="of healthy data")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.within.sort()
    if options.healthy:
        for rate_hz in options.rates:
            healthy(options.healthy, rate_hz, options.seed, options.every)
        return
    print_table(options)


if __name__ == "__main__":
    main()
