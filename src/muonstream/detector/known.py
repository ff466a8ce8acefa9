"""Known problems: alarms that a detector file names, with why, so that they are shown apart from new ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from muonstream.detector.guidance import GUIDANCE
from muonstream.detector.level import Level
from muonstream.errors import shown

LEVELS: Final = {"medium": Level.MEDIUM, "bad": Level.BAD}
LONGEST: Final = 200
KEYS: Final = ("check", "subject", "why", "level")


@dataclass(frozen=True, slots=True)
class Known:
    """An alarm that is known: its check and subject, why, and up to which level it is known."""

    check: str
    subject: str
    why: str
    level: Level = Level.MEDIUM

    def covers(self, check: str, subject: str, level: Level) -> bool:
        """Whether an alarm is this one, and not worse than is known."""
        return (check, subject) == (self.check, self.subject) and Level.GOOD < level <= self.level

    def as_plain(self) -> dict[str, str]:
        """As the detector file has it, with the level left out where it is the default."""
        plain = {"check": self.check, "subject": self.subject, "why": self.why}
        return plain if self.level is Level.MEDIUM else {**plain, "level": self.level.name.lower()}


def why_known(known: Iterable[Known], check: str, subject: str, level: Level) -> str:
    """Why an alarm is known, "" where it is not."""
    return next((one.why for one in known if one.covers(check, subject, level)), "")


def known_table(value: object) -> tuple[Known, ...]:
    """The tables `known` of a detector file.

    Raises ValueError, with one line a fault: which key, what was found, what is expected.
    """
    if isinstance(value, tuple) and all(isinstance(one, Known) for one in value):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"found {shown(value)}, expected tables with {', '.join(KEYS)}")
    faults = [f"[{n}]{fault}" for n, one in enumerate(value) for fault in _faults(one)]
    keys = [(one.get("check"), one.get("subject")) for one in value]
    faults += [f"[{n}]: found {' of '.join(map(str, key))} again" for n, key in enumerate(keys) if key in keys[:n]]
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(Known(one["check"], one["subject"], one["why"], LEVELS[one.get("level", "medium")]) for one in value)


def _faults(one: dict[Any, Any]) -> Iterator[str]:
    for key in one:
        if key not in KEYS:
            yield f".{key}: found a key that is not known, expected {', '.join(KEYS)}"
    if one.get("check") not in GUIDANCE:
        yield f".check: found {shown(one.get('check'))}, expected {', '.join(GUIDANCE)}"
    for key in ("subject", "why"):
        text = one.get(key)
        if not isinstance(text, str) or not 1 <= len(text) <= LONGEST or not text.isprintable():
            yield f".{key}: found {shown(text)}, expected text of 1 to {LONGEST} printable characters"
    if one.get("level", "medium") not in LEVELS:
        yield f".level: found {shown(one['level'])}, expected {', '.join(LEVELS)}"
