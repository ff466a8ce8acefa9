"""The monitor: a run's total, its last 30 seconds and its rates, and snapshots of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.kernel import RECENT_SLOTS, SLOT_WINDOWS, Contribution
from muonstream.counting.rates import RateBins, RateSeries
from muonstream.detector.model import Detector
from muonstream.errors import without_secrets
from muonstream.formats.block import InputReport
from muonstream.muons.events import MuonContribution, MuonEvent, newest
from muonstream.run.account import Account
from muonstream.run.engine_times import EngineTimes
from muonstream.verdicts.verdicts import Verdicts

UNMERGED, UNMERGED_ROWS = 64, 1 << 14
"""Number of contributions, or rate rows in them, that are merged together: more would not stay in the cache."""

RATE_OVER_S = 10.0
"""Throughput is averaged over this much wall-clock time, since Spark's words come a micro-batch at a time."""

State = Literal["waiting", "running", "ended"]


@dataclass(frozen=True, slots=True)
class Intake:
    """Counts by a builder and its reader of words that the kernel has not seen.

    words: all that came in, malformed rows among them; late, stray, held: as the builder counts them;
    malformed: rows or bytes that could not be words; forced: windows closed early to save memory
    lag_messages: how many messages wait at the source, None where that is not known; restarts: of this run's engine
    engine: what else the engine says of itself, as names and values; inputs: the files and streams behind the words
    """

    words: int = 0
    malformed: int = 0
    late: int = 0
    stray: int = 0
    held: int = 0
    forced: int = 0
    resets: int = 0
    late_by_input: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    lag_messages: int | None = None
    restarts: int = 0
    engine: tuple[tuple[str, str], ...] = ()
    inputs: tuple[InputReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run in absolute values, so that showing one twice does no harm.

    data_time_s: of the newest hit, since the first, gaps included; live_time_s: gaps left out
    wall_time, data_wall_time: unix seconds, when this was made and when data last arrived
    total, recent: int64[size] by the catalogue, of the run and of its last 30 s (live time: recent_seconds)
    words_per_second: throughput by the wall clock in the last 10 s
    forced, lag_messages, restarts, engine, inputs: see `Intake`
    verdicts: what the words of complete steps say; None where they are not judged
    muons: the newest muons for an event display, the oldest of them first; none without reconstruction
    begun_wall_time: unix seconds, when the run's engine was first started, restarts notwithstanding; 0: not known
    times: what the engine's time went to since it was last started; None where it did not say
    """

    run: str
    source: str
    state: State
    epoch: int
    sequence: int
    data_time_s: float
    live_time_s: float
    newest_orbit: int
    wall_time: float
    data_wall_time: float
    account: Account
    detector: Detector
    catalogue: Catalogue
    total: Counts
    recent: Counts
    recent_seconds: float
    rates: RateSeries
    gaps: int
    resets: int
    words_per_second: float
    late_by_input: Mapping[str, int]
    faults: tuple[str, ...]
    lag_messages: int | None = None
    restarts: int = 0
    muons: tuple[MuonEvent, ...] = ()
    engine: tuple[tuple[str, str], ...] = ()
    inputs: tuple[InputReport, ...] = ()
    forced: int = 0
    verdicts: Verdicts | None = None
    begun_wall_time: float = 0.0
    times: EngineTimes | None = None


class Monitor:
    """Adds up Contributions, in any order, and gives Snapshots."""

    def __init__(self, catalogue: Catalogue, *, run: str = "", source: str = "") -> None:
        self.catalogue = catalogue
        self.run = run
        self.source = source
        self.total = catalogue.zeros()
        chambers = len(catalogue.detector.chambers)
        with_muons = bool(catalogue.muon_shapes)
        self._rates = RateBins(chambers, muons=with_muons)
        self._recent_rates = RateBins(chambers, muons=with_muons)
        self._slots: dict[int, Counts] = {}
        self._unmerged: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._unmerged_rows = 0
        self._muons: tuple[MuonEvent, ...] = ()
        self._sequence = 0
        self._came = deque([(time.monotonic(), 0)])
        self._data_wall_time = time.time()
        self._begun_wall_time = self._data_wall_time
        self._words_seen = 0

    def add(self, contribution: Contribution) -> None:
        """Merge the contribution of some windows."""
        self.total += contribution.total
        # keep only what is needed, so that the memory of the rest is reused at once
        self._unmerged.append((contribution.keys, contribution.rows))
        if isinstance(contribution, MuonContribution):
            self._muons = newest([*self._muons, *contribution.events])
        for slot, data in zip(contribution.slots.tolist(), contribution.recent, strict=True):
            kept = self._slots.get(slot)
            self._slots[slot] = data if kept is None else kept + data
        if self._slots:
            oldest = max(self._slots) - RECENT_SLOTS
            for slot in [slot for slot in self._slots if slot <= oldest]:
                del self._slots[slot]
        self._unmerged_rows += len(contribution.keys)
        if len(self._unmerged) >= UNMERGED or self._unmerged_rows >= UNMERGED_ROWS:
            self._merge_rates()

    def _merge_rates(self) -> None:
        """Rows are merged some dozens of contributions at a time: each merge copies the series."""
        if not self._unmerged:
            return
        keys = np.concatenate([of_some for of_some, _ in self._unmerged])
        rows = np.concatenate([of_some for _, of_some in self._unmerged])
        self._unmerged.clear()
        self._unmerged_rows = 0
        if (np.diff(keys) < 0).any():
            order = np.argsort(keys, kind="stable")
            keys, rows = keys[order], rows[order]
        self._rates.add(keys, rows)
        first_slot = max((int(keys[-1]) // SLOT_WINDOWS, *self._slots)) - RECENT_SLOTS + 1
        new = keys // SLOT_WINDOWS >= first_slot
        if new.any():
            self._recent_rates.add(keys[new], rows[new])
        self._recent_rates.drop_before(first_slot)

    @property
    def rates(self) -> RateBins:
        """The run's rates, gaps and live time."""
        self._merge_rates()
        return self._rates

    def copy(self) -> Monitor:
        """Another monitor with the same counts, to which provisional data can be added."""
        other = Monitor(self.catalogue, run=self.run, source=self.source)
        other.total = self.total.copy()
        other._rates = self.rates.copy()
        other._recent_rates = self._recent_rates.copy()
        other._slots = dict(self._slots)
        other._muons = self._muons
        other._begun_wall_time = self._begun_wall_time
        return other

    def state(self) -> dict[str, Any]:
        """The monitor's state as plain numbers and arrays, for `restore`."""
        self._merge_rates()
        slots = sorted(self._slots)
        recent = [self._slots[slot] for slot in slots]
        return {
            "total": self.total.copy(),
            "rates": self._rates.state(),
            "recent_rates": self._recent_rates.state(),
            "slots": np.array(slots, np.int64),
            "recent": np.stack(recent) if recent else np.empty((0, self.catalogue.size), np.int64),
            "muons": [event.as_dict() for event in self._muons],
            "sequence": self._sequence,
            "data_wall_time": self._data_wall_time,
            "begun_wall_time": self._begun_wall_time,
            "words_seen": self._words_seen,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state of the same catalogue."""
        self.total = state["total"]
        self._rates.restore(state["rates"])
        self._recent_rates.restore(state["recent_rates"])
        self._slots = dict(zip(state["slots"].tolist(), state["recent"], strict=True))
        self._muons = tuple(MuonEvent.from_dict(event) for event in state.get("muons", ()))
        self._unmerged.clear()
        self._unmerged_rows = 0
        self._sequence = int(state["sequence"])
        self._data_wall_time = float(state["data_wall_time"])
        # states written by older versions have no such time
        self._begun_wall_time = float(state.get("begun_wall_time", 0.0))
        self._words_seen = int(state["words_seen"])
        self._came = deque([(time.monotonic(), self._words_seen)])

    def account(self, intake: Intake) -> Account:
        """The account of the words added so far and of the intake."""
        kinds = self.catalogue.words_by_kind(self.total)
        kinds["malformed"] += intake.malformed
        return Account(words=intake.words, late=intake.late, stray=intake.stray, held=intake.held, **kinds)

    def snapshot(
        self, intake: Intake, *, state: State = "running", provisional: Contribution | None = None
    ) -> Snapshot:
        """A snapshot of the run, with the words still held added provisionally if given."""
        self._sequence += 1
        now, wall_time = time.monotonic(), time.time()
        self._came.append((now, intake.words))
        while len(self._came) > 2 and self._came[1][0] <= now - RATE_OVER_S:
            self._came.popleft()
        before, words_before = self._came[0]
        if intake.words != self._words_seen:
            self._words_seen = intake.words
            self._data_wall_time = wall_time
        shown = self
        if provisional is not None and len(provisional.keys):
            shown = self.copy()
            shown.add(provisional)
            counted = sum(self.catalogue.words_by_kind(provisional.total).values())
            intake = replace(intake, held=intake.held - counted)
        rates = shown.rates
        epoch, newest_orbit = rates.newest
        recent = sum(shown._slots.values(), start=self.catalogue.zeros())
        return Snapshot(
            run=self.run,
            source=without_secrets(self.source),
            state=state if intake.words or state == "ended" else "waiting",
            epoch=epoch,
            sequence=self._sequence,
            data_time_s=rates.data_time_s(),
            live_time_s=rates.live_time_s(),
            newest_orbit=newest_orbit,
            wall_time=wall_time,
            data_wall_time=self._data_wall_time,
            account=shown.account(intake),
            detector=self.catalogue.detector,
            catalogue=self.catalogue,
            total=np.array(shown.total),
            recent=recent,
            recent_seconds=float(shown._recent_rates.covered_s().sum()),
            rates=rates.series(),
            gaps=rates.gap_count(),
            resets=intake.resets,
            words_per_second=(intake.words - words_before) / max(now - before, 1e-9),
            late_by_input={without_secrets(name): late for name, late in intake.late_by_input.items()},
            faults=tuple(map(without_secrets, intake.faults)),
            lag_messages=intake.lag_messages,
            restarts=intake.restarts,
            muons=shown._muons,
            engine=intake.engine,
            inputs=tuple(map(_kept, intake.inputs)),
            forced=intake.forced,
            begun_wall_time=self._begun_wall_time,
        )


def _kept(report: InputReport) -> InputReport:
    """An input as a snapshot keeps it."""
    name, why = without_secrets(report.name), without_secrets(report.why)
    return report if (name, why) == (report.name, report.why) else replace(report, name=name, why=why)
