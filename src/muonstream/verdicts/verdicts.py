"""Verdicts as they are shown: statuses, changes of level, acknowledgements, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from muonstream.detector.known import Known, why_known
from muonstream.detector.level import Level
from muonstream.verdicts.findings import Finding, Judgement, worst

BY_FILE: Final = "detector file"
"""The name under which problems listed in the detector file are acknowledged."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An acknowledgement of an alarm: its reason, when (unix seconds), and by whom ("" where no name was given)."""

    why: str
    time: float = field(compare=False)
    name: str = ""

    @property
    def by_file(self) -> bool:
        """Whether it comes from the detector file rather than from a person on shift."""
        return self.name == BY_FILE


@dataclass(frozen=True, slots=True)
class Status:
    """A finding as shown, with the time since which it has its level: unix seconds, and data time in seconds."""

    finding: Finding
    since: float = field(compare=False)
    since_data_s: float = 0.0
    acknowledged: Acknowledgement | None = None


def with_known(statuses: Iterable[Status], known: Iterable[Known]) -> tuple[Status, ...]:
    """The statuses; those listed in the detector file are acknowledged by it, and no others."""
    known = tuple(known)
    out = []
    for status in statuses:
        why = why_known(known, *status.finding.key, status.finding.level)
        if why or status.acknowledged is not None:
            status = replace(status, acknowledged=Acknowledgement(why, status.since, BY_FILE) if why else None)
        out.append(status)
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Change:
    """A level that changed: when (unix seconds; data time), what, from which level to which, and why.

    The unix time says when the words were read; two readings of the same words differ in nothing else.
    """

    time: float = field(compare=False)
    data_time_s: float
    check: str
    subject: str
    before: Level
    after: Level
    reason: str

    def as_plain(self) -> dict[str, Any]:
        """The change as plain JSON types, without the unix time: the same words give the same."""
        return {
            "data_time_s": self.data_time_s,
            "check": self.check,
            "subject": self.subject,
            "before": self.before.name.lower(),
            "after": self.after.name.lower(),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Spell:
    """How much of a run one check had of a subject at Medium or worse: live seconds, and the worst level.

    known: why it is known, by the detector file or from the run before; "" where it is new
    """

    check: str
    subject: str
    level: Level
    seconds: float
    known: str = ""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts at a moment.

    level, reason: the detector's, and why where that is Null; chambers: levels by name; statuses: every finding
    judgement: the findings as they are before hysteresis, with the levels of cells
    history: the newest changes, the oldest of them first; changes: how many there were in the whole run
    worst, spells: the worst level of the whole run; for each alarm of it how long it lasted, those that are known last,
        gravest for the detector and longest first
    judged_s: live seconds that were judged; data_time_s: up to where
    """

    level: Level = Level.NULL
    reason: str = "nothing has been judged yet"
    chambers: Mapping[str, Level] = field(default_factory=dict)
    statuses: tuple[Status, ...] = ()
    judgement: Judgement = field(default_factory=lambda: Judgement((), ()), compare=False)
    history: tuple[Change, ...] = ()
    changes: int = 0
    worst: Level = Level.NULL
    spells: tuple[Spell, ...] = ()
    judged_s: float = 0.0
    data_time_s: float = 0.0

    @property
    def alarms(self) -> list[Status]:
        """The statuses at Medium or Bad, gravest first, newest first."""
        found = [status for status in self.statuses if status.finding.level > Level.GOOD]
        return sorted(found, key=lambda status: (-status.finding.level, -status.since))

    def with_statuses(self, statuses: Iterable[Status]) -> Verdicts:
        """The verdicts with other statuses, from which the levels of the whole and of the chambers follow."""
        statuses = tuple(statuses)
        level, reason, chambers = concluded(statuses, list(self.chambers))
        return replace(self, level=level, reason=reason, chambers=chambers, statuses=statuses)


def duration(seconds: float) -> str:
    """A length of time as text: 12 s, 3 min, 8.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def headline(verdicts: Verdicts, *, ended: bool = True) -> str:
    """A run's verdict in a line: the worst that was found in it and for how long, beside how it stands.

    ended: whether that is at the run's end, or now
    """
    now = verdicts.level.title + (f": {verdicts.reason}" if verdicts.reason else "")
    if verdicts.worst <= Level.GOOD or not verdicts.spells:
        return now
    first, judged = verdicts.spells[0], duration(verdicts.judged_s)
    known = sum(bool(spell.known) for spell in verdicts.spells)
    new = len(verdicts.spells) - known
    # the gravest of the new ones; a cell's Bad makes the detector Medium
    level = min(verdicts.worst, upward(first.subject, first.level)) if known and new else verdicts.worst
    text = f"{level.title} for {duration(first.seconds)} of {judged}: {first.subject}: {first.check}"
    if not new:
        text += f", known: {first.known}"
        known -= 1
    more = [f"{new - 1} more alarm{'s' if new != 2 else ''}"] if new > 1 else []
    more += [f"{known} known"] if known else []
    text += f" (and {', '.join(more)})" if more else ""
    return text if verdicts.level == verdicts.worst else f"{text}; {'at the end' if ended else 'now'} {now}"


def verdicts_summary(verdicts: Verdicts) -> dict[str, Any]:
    """The verdicts of a run as plain JSON types, by data time alone: the same words give the same."""

    def named(finding: Finding) -> dict[str, Any]:
        return {**finding.as_plain(), "level": finding.level.name.lower()}

    return {
        "headline": headline(verdicts),
        "level": verdicts.level.name.lower(),
        "reason": verdicts.reason,
        "worst": verdicts.worst.name.lower(),
        "judged_s": verdicts.judged_s,
        "chambers": {name: level.name.lower() for name, level in verdicts.chambers.items()},
        "checks": [{**named(one.finding), "since_data_s": one.since_data_s} for one in verdicts.statuses],
        "alarms": [
            {
                "check": one.check,
                "subject": one.subject,
                "level": one.level.name.lower(),
                "seconds": one.seconds,
                "known": one.known,
            }
            for one in verdicts.spells
        ],
        "changes": verdicts.changes,
        "history": [one.as_plain() for one in verdicts.history],
    }


NEEDED_OF_CHAMBERS: Final = "dead cells"
"""The check without which nothing is known of a chamber: until it is done the chamber is Null."""
NEEDED: Final = "hits"
"""The check without which nothing is known of the detector."""


def concluded(statuses: Iterable[Status], chambers: Iterable[str]) -> tuple[Level, str, dict[str, Level]]:
    """The level of the whole, the reason where it is Null, and each chamber's level.

    An alarm counts whatever else is unknown. Without one, what has not been judged is Null and never Good: a chamber
    whose cells could not be judged, and a detector with such a chamber.
    """
    findings = [status.finding for status in statuses]
    levels: dict[str, Level] = {}
    missing = ""
    for name in chambers:
        of_chamber = [finding for finding in findings if finding.part == name]
        level = worst(upward(finding.subject, finding.level) for finding in of_chamber)
        needed = [finding for finding in of_chamber if finding.check == NEEDED_OF_CHAMBERS and finding.subject == name]
        if level <= Level.GOOD and not any(finding.level > Level.NULL for finding in needed):
            level = Level.NULL
            missing = missing or f"{name}: {needed[0].reason if needed else 'its cells have not been judged'}"
        levels[name] = level
    own = [finding for finding in findings if not finding.part]
    needed = [finding for finding in own if finding.check == NEEDED]
    level = worst([*(finding.level for finding in own), *levels.values()])
    if level > Level.GOOD:
        return level, "", levels
    if not any(finding.level > Level.NULL for finding in needed):
        return Level.NULL, needed[0].reason if needed else "nothing has been judged yet", levels
    if missing:
        return Level.NULL, missing, levels
    return level, "", levels


def upward(subject: str, level: Level) -> Level:
    """The level that an alarm on a subject gives its chamber: a single cell never makes it Bad."""
    return min(level, Level.MEDIUM) if " cell" in subject else level


def as_plain(verdicts: Verdicts) -> dict[str, Any]:
    """The verdicts as plain JSON types, for `of_plain`."""
    return {
        "level": int(verdicts.level),
        "reason": verdicts.reason,
        "chambers": {name: int(level) for name, level in verdicts.chambers.items()},
        "statuses": [
            [one.finding.as_plain(), one.since, one.since_data_s, _known_plain(one.acknowledged)]
            for one in verdicts.statuses
        ],
        "cells": [levels.tolist() for levels in verdicts.judgement.cells],
        "history": [
            [one.time, one.data_time_s, one.check, one.subject, int(one.before), int(one.after), one.reason]
            for one in verdicts.history
        ],
        "changes": verdicts.changes,
        "worst": int(verdicts.worst),
        "spells": [[one.check, one.subject, int(one.level), one.seconds, one.known] for one in verdicts.spells],
        "judged_s": verdicts.judged_s,
        "data_time_s": verdicts.data_time_s,
    }


def of_plain(plain: Mapping[str, Any]) -> Verdicts:
    """The verdicts that `as_plain` gave. Raises ValueError, KeyError or TypeError for anything else."""
    statuses = tuple(
        Status(
            Finding.of_plain(finding),
            float(since),
            float(since_data_s),
            None if known is None else Acknowledgement(**known),
        )
        for finding, since, since_data_s, known in plain["statuses"]
    )
    cells = tuple(np.array(levels, np.int8) for levels in plain["cells"])
    return Verdicts(
        level=Level(plain["level"]),
        reason=str(plain["reason"]),
        chambers={str(name): Level(level) for name, level in plain["chambers"].items()},
        statuses=statuses,
        judgement=Judgement(tuple(status.finding for status in statuses), cells),
        history=tuple(
            Change(float(time), float(data_s), str(check), str(subject), Level(before), Level(after), str(reason))
            for time, data_s, check, subject, before, after, reason in plain["history"]
        ),
        changes=int(plain["changes"]),
        worst=Level(plain["worst"]),
        spells=tuple(
            Spell(str(check), str(subject), Level(level), float(seconds), *map(str, known))
            for check, subject, level, seconds, *known in plain["spells"]
        ),
        judged_s=float(plain["judged_s"]),
        data_time_s=float(plain["data_time_s"]),
    )


def _known_plain(known: Acknowledgement | None) -> dict[str, Any] | None:
    return None if known is None else asdict(known)
