"""The verdict board of a live run: verdicts from its words and from the clock, and their acknowledgements."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from muonstream.detector.known import Known
from muonstream.detector.level import Level
from muonstream.run.inputs import InputTotals
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.findings import Finding, graded
from muonstream.verdicts.levels import Key, Levels, Moment
from muonstream.verdicts.verdicts import Acknowledgement, Change, Status, Verdicts, as_plain, of_plain, with_known

INTERVAL_S: Final = 0.9
"""Snapshots that follow the previous one sooner than this are not judged."""
HISTORY: Final = 500
OF_READING: Final = frozenset({"stalled", "account", "malformed input", "forced windows", "inputs"})
"""Checks of how words are read; in "stalled", which only the clock can tell, two readings of the same words differ."""


class Board:
    """The verdicts on one run's snapshots. `update` is for one thread; `verdicts` and `acknowledge` for any.

    listener: gets each change
    live: whether the source sends as time goes by, so that it can stall; a file that is read at once cannot
    """

    def __init__(self, *, listener: Callable[[Change], None] | None = None, live: bool = True) -> None:
        self.verdicts = Verdicts()
        self.acts = 0
        """How often somebody has acknowledged an alarm, or withdrawn that."""
        self.live = live
        self._listener = listener
        self._lock = Lock()
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._seen = 0
        self._levels = Levels()
        self._known: dict[Key, tuple[Level, Acknowledgement]] = {}
        self._withdrawn: set[Key] = set()
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._changes = 0
        self._worst = Level.NULL
        self._judged_at = -INTERVAL_S

    def update(self, snapshot: Snapshot) -> Verdicts:
        """Take a snapshot's verdicts, unless one was taken just now, and give the board as it then stands."""
        made = snapshot.verdicts or Verdicts(chambers={c.name: Level.NULL for c in snapshot.detector.chambers})
        if snapshot.run != self._run or made.changes < self._seen:
            for status in self.verdicts.alarms:
                # listeners that were told of it are told that it is over
                was, key = status.finding.level, status.finding.key
                self._say(Change(snapshot.wall_time, snapshot.data_time_s, *key, was, Level.NULL, "another run begins"))
            self._begin(snapshot.run)
        age_s = max(0.0, snapshot.wall_time - snapshot.data_wall_time)
        now_s = snapshot.data_time_s + age_s
        ended = snapshot.state == "ended"
        if now_s - self._judged_at < INTERVAL_S and not ended:
            return self.verdicts
        self._judged_at = now_s
        with self._lock:
            moment = Moment(now_s, snapshot.wall_time, snapshot.data_time_s, ended)
            number = made.changes - self._seen
            changes = list(made.history[-number:] if number else ())
            self._seen = made.changes
            changes += self._levels.take(_of_reading(snapshot, age_s, live=self.live), moment)
            self._history.extend(changes)
            self._changes += len(changes)
            self._publish(made, snapshot.detector.known)
        for change in changes:
            self._say(change)
        return self.verdicts

    def _publish(self, made: Verdicts, known: Iterable[Known]) -> None:
        of_reading = with_known(self._levels.statuses.values(), known)
        statuses = [self._shown(status) for status in (*of_reading, *made.statuses)]
        verdicts = replace(made, history=tuple(self._history), changes=self._changes).with_statuses(statuses)
        self._worst = max(self._worst, verdicts.level)
        self.verdicts = replace(verdicts, worst=max(made.worst, self._worst))

    def _shown(self, status: Status) -> Status:
        """The status with its acknowledgement, which is valid until the alarm gets worse."""
        key, level = status.finding.key, status.finding.level
        if key not in self._known:
            if level <= Level.GOOD:
                self._withdrawn.discard(key)
            return replace(status, acknowledged=None) if key in self._withdrawn else status
        of_level, known = self._known[key]
        if not Level.GOOD < level <= of_level:
            del self._known[key]
            return status
        return replace(status, acknowledged=known)

    def _say(self, change: Change) -> None:
        if self._listener is not None:
            self._listener(change)

    def acknowledge(self, check: str, subject: str, why: str, time: float, name: str = "") -> bool:
        """Acknowledge an alarm in this person's name; False when there is no such alarm."""
        with self._lock:
            of_key = [status for status in self.verdicts.statuses if status.finding.key == (check, subject)]
            if not of_key or of_key[0].finding.level <= Level.GOOD:
                return False
            self._withdrawn.discard((check, subject))
            self._known[check, subject] = of_key[0].finding.level, Acknowledgement(why, time, name)
            self.acts += 1
            statuses = tuple(self._shown(status) for status in self.verdicts.statuses)
            self.verdicts = replace(self.verdicts, statuses=statuses)
        return True

    def acknowledge_all(self, why: str, time: float, name: str = "") -> int:
        """Acknowledge every alarm that has not been acknowledged; gives how many."""
        open_ones = [status.finding.key for status in self.verdicts.alarms if status.acknowledged is None]
        return sum(self.acknowledge(*key, why, time, name) for key in open_ones)

    def retract(self, check: str, subject: str) -> bool:
        """Withdraw an acknowledgement; False when there is none."""
        with self._lock:
            shown = next((one for one in self.verdicts.alarms if one.finding.key == (check, subject)), None)
            known = None if shown is None else shown.acknowledged
            if known is None or known.by_file:
                return False
            # it may also come from the run before
            self._known.pop((check, subject), None)
            self._withdrawn.add((check, subject))
            self.acts += 1
            self.verdicts = replace(
                self.verdicts,
                statuses=tuple(
                    replace(status, acknowledged=None) if status.finding.key == (check, subject) else status
                    for status in self.verdicts.statuses
                ),
            )
        return True

    def state(self) -> dict[str, Any]:
        """The state from which a restarted engine resumes, as plain types: alarms, history, acknowledgements."""
        with self._lock:
            withdrawn = [list(key) for key in sorted(self._withdrawn)]
            known = [[*key, int(level)] for key, (level, _) in sorted(self._known.items())]
            shown = {"verdicts": as_plain(self.verdicts), "known": known, "withdrawn": withdrawn}
            return {"run": self._run, "seen": self._seen, **shown}

    def on(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what the board has beyond its verdicts: acknowledgements, alarms of reading, all changes.

        The worst level and how long each alarm lasted stay those of the words.
        """
        made = snapshot.verdicts
        if made is None or snapshot.run != self._run:
            return snapshot
        with self._lock:
            reading = [one for one in self.verdicts.alarms if one.finding.check in OF_READING]
            statuses = [self._shown(status) for status in made.statuses]
            shown = made.with_statuses([*statuses, *reading])
            return replace(snapshot, verdicts=replace(shown, history=tuple(self._history), changes=self._changes))

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises ValueError, KeyError or TypeError for anything else."""
        verdicts = of_plain(state["verdicts"])
        with self._lock:
            self._run, self._seen = str(state["run"]), int(state["seen"])
            own = [status for status in verdicts.statuses if status.finding.check in OF_READING]
            self._levels = Levels(replace(status, acknowledged=None) for status in own)
            # an alarm may be milder by now than when it was acknowledged
            known = {(str(check), str(subject)): Level(level) for check, subject, level in state.get("known", [])}
            self._known = {
                status.finding.key: (known.get(status.finding.key, status.finding.level), status.acknowledged)
                for status in verdicts.statuses
                if status.acknowledged is not None and not status.acknowledged.by_file
            }
            self._withdrawn = {(str(check), str(subject)) for check, subject in state.get("withdrawn", [])}
            self._history = deque(verdicts.history, maxlen=HISTORY)
            self._changes, self._worst = verdicts.changes, verdicts.worst
            self.verdicts = verdicts


def _of_reading(snapshot: Snapshot, age_s: float, *, live: bool) -> Iterator[Finding]:
    """Findings that the counted words do not show: whether words arrive, and how reading them went."""
    thresholds, account = snapshot.detector.thresholds, snapshot.account
    if live and snapshot.state == "running":
        level, limit = graded(age_s, thresholds.stalled_s)
        text = f"no new words for {age_s:.0f} s" if level > Level.GOOD else "words come in"
        yield Finding("stalled", "Stream", level, text, value=age_s, limit=limit, unit="s")
    residual = account.residual
    level = Level.BAD if residual else Level.GOOD
    text = f"{residual} words are unaccounted for" if residual else "every word is accounted for"
    yield Finding("account", "Stream", level, text, value=float(residual), limit=0.0, unit="words")
    rows = account.malformed - snapshot.catalogue.words_by_kind(snapshot.total)["malformed"]
    share = max(rows, 0) / account.words if account.words else 0.0
    level, limit = graded(share, thresholds.lost_words)
    level = level if account.words >= thresholds.min_hits else Level.NULL
    text = f"{share:.3%} of the input's words are rows or bytes that could not be made words"
    yield Finding("malformed input", "Stream", level, text, "", share, limit)
    level = Level.MEDIUM if snapshot.forced else Level.GOOD
    text = f"{snapshot.forced} windows were closed early to save memory" if snapshot.forced else "none was forced"
    yield Finding("forced windows", "Stream", level, text, value=float(snapshot.forced), limit=0.0, unit="windows")
    # undecided bytes wait for more until the run ends
    decided = [report for report in snapshot.inputs if report.status != "waiting" or snapshot.state == "ended"]
    totals = InputTotals.of(decided)
    found = "; ".join(f"{number:,} {what}" for number, what in totals.suspect)
    yield Finding("inputs", "Stream", Level.MEDIUM if found else Level.GOOD, found or "every byte read has been used")
