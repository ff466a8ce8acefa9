"""The alarms that were known when a run began: those acknowledged in the run before, until they are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from muonstream.detector.level import Level
from muonstream.verdicts.verdicts import Acknowledgement, Status, Verdicts

AWAITED_S: Final = 120.0
"""Live seconds after the first verdict on its chamber in which an alarm of the run before may appear again."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Remembered:
    """An alarm that was acknowledged in an earlier run, and had not ended with it.

    level: up to which it is known; why, name, time: the acknowledgement's, in unix seconds
    run: in which it was acknowledged; since: unix seconds at which it began in that run
    """

    check: str
    subject: str
    level: Level
    why: str
    name: str = ""
    time: float = 0.0
    run: str = ""
    since: float = 0.0

    @property
    def key(self) -> Key:
        """Its key: check and subject."""
        return self.check, self.subject

    @property
    def acknowledgement(self) -> Acknowledgement:
        """The acknowledgement, as it was given."""
        return Acknowledgement(self.why, self.time, self.name)

    @property
    def text(self) -> str:
        """Why it is known, by whom, and since which day (UTC)."""
        day = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d") if self.since else ""
        more = ", ".join(part for part in (self.name, f"since {day}" if day else "") if part)
        return f"{self.why} ({more})" if more else self.why

    def as_plain(self) -> dict[str, Any]:
        """Plain JSON types, for `of_plain`."""
        return {**asdict(self), "level": self.level.name.lower()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `as_plain`. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(**{**plain, "level": Level[str(plain["level"]).upper()]})


class Memory:
    """The alarms that were known when the run began; live time alone decides how long they are.

    One is known until it gets worse than it was, or is over. One that has not come back `AWAITED_S` after its chamber
    was first judged is over as well.
    """

    def __init__(self, entries: Iterable[Remembered] = ()) -> None:
        self.entries = tuple(entries)
        self._valid = {one.key: one for one in self.entries}
        self._back: set[Key] = set()
        self._again: set[Key] = set()
        self._judged_s: dict[str, float] = {}

    def shown(
        self, statuses: tuple[Status, ...], level: Level, chambers: Mapping[str, Level], live_s: float
    ) -> tuple[Status, ...]:
        """The statuses of a moment, with the acknowledgements that still apply.

        level, chambers: the verdicts on the detector and its chambers
        """
        if not self.entries:
            return statuses
        for part, verdict in (("", level), *chambers.items()):
            if verdict > Level.NULL:
                self._judged_s.setdefault(part, live_s)
        found = {status.finding.key: status.finding.level for status in statuses}
        for key, entry in list(self._valid.items()):
            now = found.get(key, Level.NULL)
            if Level.GOOD < now <= entry.level:
                self._back.add(key)
                continue
            awaited_s = live_s - self._judged_s.get(part_of(entry.subject, chambers), live_s)
            if now > entry.level or key in self._back or awaited_s > AWAITED_S:
                del self._valid[key]
        known = {one.key for one in self.entries} - set(self._valid)
        self._again.update(key for key in known if found.get(key, Level.NULL) > Level.GOOD)
        return tuple(self._acknowledged(status) for status in statuses)

    def _acknowledged(self, status: Status) -> Status:
        entry = self._valid.get(status.finding.key)
        if entry is None or status.acknowledged is not None or status.finding.level <= Level.GOOD:
            return status
        return replace(status, acknowledged=entry.acknowledgement)

    def why(self, check: str, subject: str, level: Level) -> str:
        """Why an alarm of the run is known, "" where it is new, or is worse than it was, or came back."""
        entry = next((one for one in self.entries if one.key == (check, subject)), None)
        if entry is None or entry.key in self._again or not Level.GOOD < level <= entry.level:
            return ""
        return entry.text

    def state(self) -> dict[str, Any]:
        """All of it as plain types, for `restore`."""
        return {
            "entries": [one.as_plain() for one in self.entries],
            "valid": [list(key) for key in self._valid],
            "back": [list(key) for key in sorted(self._back)],
            "again": [list(key) for key in sorted(self._again)],
            "judged_s": dict(self._judged_s),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """The memory that `state` gave. Raises ValueError, KeyError or TypeError for anything else."""
        made = cls(Remembered.of_plain(one) for one in state["entries"])
        valid = {(str(check), str(subject)) for check, subject in state["valid"]}
        made._valid = {key: entry for key, entry in made._valid.items() if key in valid}
        made._back = {(str(check), str(subject)) for check, subject in state["back"]}
        made._again = {(str(check), str(subject)) for check, subject in state["again"]}
        made._judged_s = {str(part): float(live_s) for part, live_s in state["judged_s"].items()}
        return made


def remembered_of(verdicts: Verdicts, before: Iterable[Remembered], run: str) -> tuple[Remembered, ...]:
    """What the run after this one starts with: alarms that were acknowledged and on at its end.

    verdicts: as they stood at the end; before: what this run had started with; run: its name
    An alarm known before stays known if the run ended before there was a verdict on its chamber. Problems that the
    detector file names are left out, since it names them again.
    """
    earlier = {one.key: one for one in before}
    kept: dict[Key, Remembered] = {}
    for status in verdicts.statuses:
        finding, acknowledged = status.finding, status.acknowledged
        if finding.level <= Level.GOOD or acknowledged is None or acknowledged.by_file:
            continue
        was = earlier.get(finding.key)
        if was is not None and was.acknowledgement == acknowledged and was.time == acknowledged.time:
            kept[was.key] = was
        else:
            why, at, name = acknowledged.why, acknowledged.time, acknowledged.name
            kept[finding.key] = Remembered(*finding.key, finding.level, why, name, at, run, status.since)
    alarms = {status.finding.key for status in verdicts.alarms}
    for key, one in earlier.items():
        part = part_of(one.subject, verdicts.chambers)
        judged = verdicts.chambers[part] if part else verdicts.level
        if key not in kept and key not in alarms and judged <= Level.NULL:
            kept[key] = one
    return tuple(kept[key] for key in sorted(kept))


def part_of(subject: str, chambers: Iterable[str]) -> str:
    """The chamber that a subject such as `Chamber 3 cell 40` belongs to, "" for the detector or a board."""
    found = [name for name in chambers if subject == name or subject.startswith(f"{name} ")]
    return max(found, key=len, default="")
