"""The verdict board: findings from snapshot to snapshot, with hysteresis, since when, history and acknowledgement."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

import numpy as np

from muonstream.analysis.account import Account
from muonstream.analysis.findings import Finding, Judgement, Level, worst
from muonstream.analysis.histograms import Catalogue, Counts
from muonstream.analysis.monitor import Snapshot
from muonstream.analysis.quality import Stream, Window, judge
from muonstream.analysis.timebox import TimeBox, newest_time_box

WORSE_AFTER_S: Final = 2.0
"""A worse level has to last so long before it is shown."""
VELOCITY_WORSE_AFTER_S: Final = 10.0
"""A drift velocity has to be worse for longer: while times jump, a box of before and after looks like a wider one."""
BETTER_AFTER_S: Final = 10.0
"""And a better one so long: verdicts do not flap."""
RELEASE: Final = 0.8
"""A level is left when its value is below this part of the limit that it passed."""
FINE_S: Final = 15.0
FINE_STEP_S: Final = 1.0
COARSE_STEP_S: Final = 5.0
"""Live time between the counts that are kept: those of the last FINE_S, and older ones."""
LONG_S: Final = 120.0
BOX_S: Final = (10.0, 20.0, 40.0, 80.0, LONG_S)
"""Stretches from which a time box may be taken."""
BOXES_AT_ONCE: Final = 2
"""Time boxes that are fitted for a snapshot; the others stay as they were."""
BEFORE_S: Final = 30.0
"""What is compared with is older than this, and at least this long."""
INTERVAL_S: Final = 0.9
"""Snapshots that come sooner after the one before are not judged."""
HISTORY: Final = 500
BEGUN_ANEW_S: Final = 5.0
"""A run whose live time goes back by more than this was begun anew; by less, words that a snapshot had counted
provisionally turned out to be late or stray."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That somebody knows: why, and when (unix seconds)."""

    why: str
    time: float


@dataclass(frozen=True, slots=True)
class Status:
    """A finding as it is shown, and since when (unix seconds) it has had its level."""

    finding: Finding
    since: float
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A level that changed: when (unix seconds; data time), what, from which level to which, and why."""

    time: float
    data_time_s: float
    check: str
    subject: str
    before: Level
    after: Level
    reason: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The board at a moment: the detector's level, chambers' by name, every status, cells' levels, the history."""

    level: Level = Level.NULL
    chambers: dict[str, Level] = field(default_factory=dict)
    statuses: tuple[Status, ...] = ()
    judgement: Judgement = field(default_factory=lambda: Judgement((), ()))
    history: tuple[Change, ...] = ()

    @property
    def alarms(self) -> list[Status]:
        """What is Medium or Bad, gravest first, newest first."""
        found = [status for status in self.statuses if status.finding.level > Level.GOOD]
        return sorted(found, key=lambda status: (-status.finding.level, -status.since))


@dataclass(frozen=True, slots=True)
class _Kept:
    live_s: float
    counts: Counts
    account: Account


class Board:
    """Judges one run's snapshots. `update` is for one thread; `verdicts` and `acknowledge` for any.

    reference: counts of another run, with its live seconds, by the same catalogue
    listener: gets each change
    """

    def __init__(self, *, reference: Window | None = None, listener: Callable[[Change], None] | None = None) -> None:
        self.reference = reference
        self.verdicts = Verdicts()
        self._listener = listener
        self._lock = Lock()
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._kept: deque[_Kept] = deque()
        self._before: Window | None = None
        self._boxes: dict[int, TimeBox] = {}
        self._next_box = 0
        self._statuses: dict[tuple[str, str], Status] = {}
        self._pending: dict[tuple[str, str], tuple[Level, float]] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._judged_at = -INTERVAL_S

    def update(self, snapshot: Snapshot) -> Verdicts:
        """Judge a snapshot, unless the one before was judged just now, and give the board as it then stands."""
        went_back_s = self._kept[-1].live_s - snapshot.live_time_s if self._kept else 0.0
        if snapshot.run != self._run or went_back_s > BEGUN_ANEW_S:
            for status in self.verdicts.alarms:
                # whoever was told of it is told that it is over
                was, key = status.finding.level, status.finding.key
                self._say(Change(snapshot.wall_time, snapshot.data_time_s, *key, was, Level.NULL, "another run begins"))
            self._begin(snapshot.run)
        age_s = max(0.0, snapshot.wall_time - snapshot.data_wall_time)
        now = snapshot.data_time_s + age_s
        if now - self._judged_at < INTERVAL_S and snapshot.state != "ended":
            return self.verdicts
        self._judged_at = now
        judgement = self._judged(snapshot, age_s)
        with self._lock:
            changes = self._take(judgement, snapshot, now)
            self._publish(snapshot, judgement)
        for change in changes:
            self._say(change)
        return self.verdicts

    def _say(self, change: Change) -> None:
        if self._listener is not None:
            self._listener(change)

    def acknowledge(self, check: str, subject: str, why: str, time: float) -> bool:
        """Note that somebody knows of an alarm; False when there is none such."""
        with self._lock:
            status = self._statuses.get((check, subject))
            if status is None or status.finding.level <= Level.GOOD:
                return False
            known = replace(status, acknowledged=Acknowledgement(why, time))
            self._statuses[check, subject] = known
            self.verdicts = replace(self.verdicts, statuses=tuple(self._statuses.values()))
        return True

    def _judged(self, snapshot: Snapshot, age_s: float) -> Judgement:
        catalogue, live_s = snapshot.catalogue, snapshot.live_time_s
        kept = self._kept
        if not kept:
            kept.append(_Kept(0.0, catalogue.zeros(), Account()))
        start = kept[0]
        instant = next((entry for entry in reversed(kept) if live_s - entry.live_s >= FINE_STEP_S), start)
        self._fit_boxes(snapshot, start)
        judgement = judge(
            catalogue,
            _between(instant, snapshot),
            _between(self._brief(catalogue, snapshot) or start, snapshot),
            _between(start, snapshot),
            self._boxes,
            Stream(_less(snapshot.account, start.account), snapshot.account, age_s, snapshot.state == "running"),
            paired=_between(self._brief(catalogue, snapshot, "pair_hits") or start, snapshot),
            crossed=self._crossed(catalogue, snapshot, start),
            before=self._before,
            reference=self.reference,
        )
        if live_s - kept[-1].live_s >= FINE_STEP_S:
            kept.append(_Kept(live_s, snapshot.total, snapshot.account))
            self._thin(live_s)
        if judgement.rates_are_good and live_s >= 2 * BEFORE_S:
            old = [entry for entry in kept if BEFORE_S <= entry.live_s <= live_s - BEFORE_S]
            if old:
                self._before = Window(old[-1].counts, old[-1].live_s)
        return judgement

    def _thin(self, live_s: float) -> None:
        """Forget counts that are too old, or old and too close to others."""
        thin: list[_Kept] = []
        for entry in self._kept:
            age_s = live_s - entry.live_s
            near = thin and entry.live_s - thin[-1].live_s < COARSE_STEP_S
            if age_s <= FINE_S or (age_s <= LONG_S and not near):
                thin.append(entry)
        self._kept = deque(thin)

    def _fit_boxes(self, snapshot: Snapshot, start: _Kept) -> None:
        """Fit the time boxes of the next chambers in turn."""
        catalogue, chambers = snapshot.catalogue, snapshot.detector.chambers
        starts = [
            next((entry for entry in reversed(self._kept) if snapshot.live_time_s - entry.live_s >= seconds), start)
            for seconds in BOX_S
        ]
        starts = [entry for i, entry in enumerate(starts) if i == 0 or entry is not starts[i - 1]]
        windows = [_between(entry, snapshot).counts for entry in starts]
        for c in ((self._next_box + i) % len(chambers) for i in range(min(BOXES_AT_ONCE, len(chambers)))):
            found = [catalogue.drift_histogram_ns(window, c) for window in windows]
            box = newest_time_box(found[0][0], [counts for _, counts in found], chambers[c].t_max_ns)
            if box is None:
                self._boxes.pop(c, None)
            else:
                self._boxes[c] = box
        self._next_box = (self._next_box + BOXES_AT_ONCE) % len(chambers)

    def _crossed(self, catalogue: Catalogue, snapshot: Snapshot, start: _Kept) -> Window | None:
        """The newest data in which enough segments crossed the layers of a chamber; None without reconstruction."""
        if not catalogue.muon_shapes:
            return None
        return _between(self._brief(catalogue, snapshot, "cell_expected") or start, snapshot)

    def _brief(self, catalogue: Catalogue, snapshot: Snapshot, name: str = "counts") -> _Kept | None:
        """From when on an entry of the catalogue has enough to judge cells, or layers by segments; None if never."""
        thresholds, chambers = catalogue.detector.thresholds, catalogue.detector.chambers
        hits, by_segments = catalogue.chamber_hits(snapshot.total, name), name == "cell_expected"
        for entry in reversed(self._kept):
            new = hits - catalogue.chamber_hits(entry.counts, name)
            busy = new > (0.05 if by_segments else 0.25) * new.mean()
            parts = [chamber.layers if by_segments else chamber.cells for chamber in chambers]
            enough = [n >= 1.5 * thresholds.min_hits * m for n, m in zip(new, parts, strict=True)]
            if new.sum() and all(ok for ok, counted in zip(enough, busy, strict=True) if counted):
                return entry
        return None

    def _take(self, judgement: Judgement, snapshot: Snapshot, now: float) -> list[Change]:
        """Levels that have lasted long enough become those shown."""
        found = {finding.key: finding for finding in judgement.findings}
        changes = []
        for key, status in list(self._statuses.items()):
            if key not in found:  # only what is not good is found of cells
                found[key] = _over(status.finding)
        for key, finding in found.items():
            shown = self._statuses.get(key)
            was = shown.finding.level if shown else Level.NULL
            if shown is not None:
                finding = _released(finding, shown.finding)
            if finding.level == was or max(finding.level, was) <= Level.GOOD:
                self._pending.pop(key, None)
                since = shown.since if shown and finding.level == was else snapshot.wall_time
                known = shown.acknowledged if shown and finding.level > Level.GOOD else None
                self._statuses[key] = Status(finding, since, known)
                continue
            level, begun = self._pending.get(key, (finding.level, now))
            if level != finding.level:
                # between two levels that are both worse, or both better, the clock runs on
                begun = begun if (level > was) == (finding.level > was) else now
            self._pending[key] = (finding.level, begun)
            worse_after_s = VELOCITY_WORSE_AFTER_S if finding.check == "velocity" else WORSE_AFTER_S
            held_s = worse_after_s if finding.level > was else BETTER_AFTER_S
            if now - begun < held_s and snapshot.state != "ended":  # the last word is said at once
                if shown is None:
                    self._statuses[key] = Status(replace(finding, level=Level.NULL), snapshot.wall_time)
                continue
            del self._pending[key]
            known = shown.acknowledged if shown and Level.GOOD < finding.level <= was else None
            self._statuses[key] = Status(finding, snapshot.wall_time, known)
            time, data_time_s = snapshot.wall_time, snapshot.data_time_s
            change = Change(time, data_time_s, *key, was, finding.level, finding.reason)
            self._history.append(change)
            changes.append(change)
        return changes

    def _publish(self, snapshot: Snapshot, judgement: Judgement) -> None:
        statuses = tuple(self._statuses.values())
        chambers = {
            chamber.name: worst(_upward(s.finding) for s in statuses if s.finding.part == chamber.name)
            for chamber in snapshot.detector.chambers
        }
        own = worst(s.finding.level for s in statuses if not s.finding.part)
        level = worst([own, *chambers.values()])
        self.verdicts = Verdicts(level, chambers, statuses, judgement, tuple(self._history))


def _over(finding: Finding) -> Finding:
    """What becomes of a finding that is no longer made."""
    if finding.check == "stalled":  # no words are due any more, which does not say that they came again
        return replace(finding, level=Level.NULL, value=None, reason="the run has ended")
    return replace(finding, level=Level.GOOD, value=None, reason="as it should be again")


def _released(finding: Finding, shown: Finding) -> Finding:
    """The finding, at the level that is shown as long as its value is not well below the limit that it had passed."""
    if not Level.NULL < finding.level < shown.level or finding.value is None or not shown.limit:
        return finding
    if finding.unit != shown.unit or abs(finding.value) < RELEASE * shown.limit:
        return finding
    return replace(finding, level=shown.level, limit=shown.limit)


def _upward(finding: Finding) -> Level:
    """What a finding is for its chamber: a single cell never makes it Bad."""
    return min(finding.level, Level.MEDIUM) if " cell" in finding.subject else finding.level


def _between(start: _Kept, snapshot: Snapshot) -> Window:
    return Window(np.maximum(snapshot.total - start.counts, 0), max(snapshot.live_time_s - start.live_s, 0.0))


def _less(account: Account, before: Account) -> Account:
    return Account(**{name: n - getattr(before, name) for name, n in account.as_dict().items()})
