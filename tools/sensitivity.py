"""python -m tools.sensitivity: the smallest fault of each kind that the verdicts find, and how soon.

For each fault of `tools.faults` and each rate the ladder of sizes is searched for the smallest that is found within so
many seconds of data, and within the whole run. With --healthy: alarms in so many hours of data without any fault.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from muonstream.analysis.findings import Level
from muonstream.analysis.timeline import Timeline
from muonstream.analysis.verdicts import Change
from muonstream.detector import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.scenario import SimulationConfig
from muonstream.words import Words
from tools.faults import FAULTS, Fault, simulated, with_fault

AT_S = 60.0
"""A fault comes after so much healthy data."""
SOON_S = 30.0
RUN_S = 3600.0
OF_THE_CLOCK = frozenset({"stalled read-out"})
"""Faults that words cannot show: the board's clock finds them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What verdicts said of a fault: how long after it, and by which check; None if never."""

    after_s: float | None
    check: str = ""
    others: tuple[str, ...] = ()


def judged(chunks: Iterator[Words], detector: Detector, until_s: float = 0.0) -> Iterator[Change]:
    """The changes of level while words come, up to about so much data time (0: to the end)."""
    with Pipeline(detector, workers=0, reconstruct=True, timeline=Timeline) as pipeline:
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


def found(name: str, size: float, rate_hz: float, within_s: float, seed: int = 5) -> Seen:
    """Whether and when a fault of a size is found within so many seconds."""
    fault, detector = FAULTS[name], Detector.default()
    muons_hz = min(60.0, rate_hz / 80)
    config = SimulationConfig(seed=seed, duration_s=AT_S + within_s + 12, rate_hz=rate_hz, muon_rate_hz=muons_hz)
    others: list[str] = []
    for change in judged(with_fault(fault, size, AT_S, config), detector, AT_S + within_s + 3):
        if change.after <= Level.GOOD:
            continue
        own = fault.may_raise(change.check, change.subject, detector)
        after_s = change.data_time_s - AT_S
        if own and 0 <= after_s <= within_s + 3:
            return Seen(after_s, f"{change.check} ({change.after.title})", tuple(others))
        if not own or after_s < 0:
            others.append(f"{change.check}: {change.subject}")
    return Seen(None, "", tuple(others))


def smallest(fault: Fault, rate_hz: float, within_s: float) -> tuple[float | None, Seen]:
    """The smallest size of the ladder that is found, by halving; None where not even the largest is."""
    low, high = 0, len(fault.sizes)
    best = Seen(None)
    while low < high:
        middle = (low + high) // 2
        seen = found(fault.name, fault.sizes[middle], rate_hz, within_s)
        if seen.after_s is not None:
            high, best = middle, seen
        else:
            low = middle + 1
    return (fault.sizes[low], best) if low < len(fault.sizes) else (None, best)


def row(name: str, rates_hz: Sequence[float], withins_s: Sequence[float]) -> str:
    """A row of the table, in Markdown."""
    fault = FAULTS[name]
    cells = []
    for rate_hz in rates_hz:
        for within_s in withins_s:
            size, seen = smallest(fault, rate_hz, within_s)
            if size is None:
                cells.append("not found")
                continue
            extra = f"; also {', '.join(seen.others[:2])}" if seen.others else ""
            cells.append(f"{size:g} {fault.unit}: {seen.check} after {seen.after_s:.0f} s{extra}")
    return f"| {name} | {' | '.join(cells)} |"


def healthy(hours: float, rate_hz: float) -> None:
    """Print the alarms in so many hours of healthy data."""
    begun, detector = time.process_time(), Detector.default()
    chunks = simulated(SimulationConfig(muon_rate_hz=min(60.0, rate_hz / 80)), hours * 3600, rate_hz, 17, chunk_s=30.0)
    alarms = [change for change in judged(chunks, detector) if change.after > Level.GOOD]
    spent = time.process_time() - begun
    print(f"{len(alarms)} alarms in {hours:g} h at {rate_hz:g} Hz ({spent:.0f} s of a processor)")
    for change in alarms:
        print(f"  {change.data_time_s:.0f} s: {change.check}: {change.subject}: {change.reason}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[5000.0, 100.0], help="words a second")
    parser.add_argument("--within", type=float, nargs="+", default=[SOON_S, RUN_S], help="seconds of data")
    parser.add_argument("--faults", nargs="+", default=[name for name in FAULTS if name not in OF_THE_CLOCK])
    parser.add_argument("--healthy", type=float, default=0.0, help="hours of healthy data instead")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.healthy:
        for rate_hz in options.rates:
            healthy(options.healthy, rate_hz)
        return
    columns = [f"{rate:g} Hz, within {within:g} s" for rate in options.rates for within in options.within]
    print(f"| fault | {' | '.join(columns)} |")
    print(f"|---|{'---|' * len(columns)}")
    with ProcessPoolExecutor(options.processes) as pool:
        for line in pool.map(partial(row, rates_hz=options.rates, withins_s=options.within), options.faults):
            print(line, flush=True)


if __name__ == "__main__":
    main()
