"""Levels with hysteresis: a level is shown once it has lasted long enough, so that it does not flap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from muonstream.detector.level import Level
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.verdicts import Change, Status

WORSE_AFTER_S: Final = 2.0
"""A worse level must last this long before it is shown: two steps of data time must have it."""
SLOWLY_WORSE_AFTER_S: Final = 10.0
SLOWLY_WORSE: Final = frozenset({"velocity", "board step"})
"""These have to be worse for longer: while times jump, a box of before and after looks like a wider one, and where all
have jumped some boxes show it before others."""
BETTER_AFTER_S: Final = 10.0
"""A better level must last this long before it is shown."""
RELEASE: Final = 0.8
"""A level is left when its value is below this part of the limit that it passed."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Moment:
    """When findings were made.

    now_s: by the clock that hysteresis goes by; time: unix seconds; data_time_s: of the newest data
    ended: no more findings follow, so that these are shown at once
    """

    now_s: float
    time: float
    data_time_s: float
    ended: bool = False


class Levels:
    """The findings that are shown, by check and subject."""

    def __init__(self, statuses: Iterable[Status] = (), pending: Iterable[Sequence[Any]] = ()) -> None:
        """statuses: that are shown; pending: what `pending` gave beside them."""
        self.statuses: dict[Key, Status] = {status.finding.key: status for status in statuses}
        self._pending: dict[Key, tuple[Level, float]] = {
            (str(check), str(subject)): (Level(level), float(begun_s)) for check, subject, level, begun_s in pending
        }

    def pending(self) -> list[list[Any]]:
        """Levels that have not lasted long enough yet, as plain types: check, subject, level, since when."""
        return [[*key, int(level), begun_s] for key, (level, begun_s) in self._pending.items()]

    def take(self, findings: Iterable[Finding], at: Moment) -> list[Change]:
        """Take all findings of a moment; give the levels that are shown differently from now on."""
        found = {finding.key: finding for finding in findings}
        for key, status in self.statuses.items():
            if key not in found:
                found[key] = _over(status.finding)
        return [change for key, finding in found.items() if (change := self._taken(key, finding, at)) is not None]

    def _taken(self, key: Key, finding: Finding, at: Moment) -> Change | None:
        shown = self.statuses.get(key)
        was = shown.finding.level if shown else Level.NULL
        if shown is not None:
            finding = _released(finding, shown.finding)
        if finding.level == was or max(finding.level, was) <= Level.GOOD:
            self._pending.pop(key, None)
            same = shown is not None and finding.level == was
            status = shown if shown is not None and same else Status(finding, at.time, at.data_time_s)
            self.statuses[key] = replace(status, finding=finding)
            return None
        level, begun_s = self._pending.get(key, (finding.level, at.now_s))
        if level != finding.level and (level > was) != (finding.level > was):
            # between two levels that are both worse, or both better, the clock runs on
            begun_s = at.now_s
        self._pending[key] = (finding.level, begun_s)
        worse_after_s = SLOWLY_WORSE_AFTER_S if finding.check in SLOWLY_WORSE else WORSE_AFTER_S
        held_s = worse_after_s if finding.level > was else BETTER_AFTER_S
        if at.now_s - begun_s < held_s and not at.ended:
            if shown is None:
                self.statuses[key] = Status(replace(finding, level=Level.NULL), at.time, at.data_time_s)
            return None
        del self._pending[key]
        self.statuses[key] = Status(finding, at.time, at.data_time_s)
        return Change(at.time, at.data_time_s, *key, was, finding.level, finding.reason)


def _over(finding: Finding) -> Finding:
    """The finding in place of one that is no longer made: for cells, only what is not Good is found."""
    if finding.check == "stalled":  # no more words are due, which does not mean that they came again
        return replace(finding, level=Level.NULL, value=None, reason="the run has ended")
    return replace(finding, level=Level.GOOD, value=None, reason="back to normal")


def _released(finding: Finding, shown: Finding) -> Finding:
    """The finding, at the level that is shown as long as its value is not well below the limit that it had passed."""
    if not Level.NULL < finding.level < shown.level or finding.value is None or not shown.limit:
        return finding
    if finding.unit != shown.unit or abs(finding.value) < RELEASE * shown.limit:
        return finding
    return replace(finding, level=shown.level, limit=shown.limit)
