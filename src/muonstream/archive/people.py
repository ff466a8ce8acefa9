"""People's additions to a run: comments, and flags on stretches of data that may not be used, with the cause."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from muonstream.errors import MuonstreamError

EFFECTS: Final = ("bad", "limited", "good", "keep")
"""The effects of flags on data: not to be used; to be used with care; checked and found good; never to be pruned."""
LONGEST_TEXT: Final = 4000
LONGEST_NAME: Final = 100


class PeopleError(MuonstreamError):
    """An error in a comment or flag, in one line."""


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Comment:
    """A text, by whom ("" where no name was given), at unix seconds."""

    text: str
    name: str = ""
    time: float = 0.0
    id: str = field(default_factory=_new_id)

    def __post_init__(self) -> None:
        """Raise PeopleError for a text that is empty or too long."""
        _check_text("comment", self.text, LONGEST_TEXT, empty=False)
        _check_text("name", self.name, LONGEST_NAME, empty=True)


@dataclass(frozen=True, slots=True)
class Flag:
    """The effect on a stretch of data time, of the detector or a part of it, and its cause.

    from_s, to_s: data time in seconds, None for the run's beginning and its end
    part: a chamber or cell by name, "" for the whole detector
    """

    effect: str
    cause: str = ""
    part: str = ""
    from_s: float | None = None
    to_s: float | None = None
    name: str = ""
    time: float = 0.0
    id: str = field(default_factory=_new_id)

    def __post_init__(self) -> None:
        """Raise PeopleError for an unknown effect or an invalid time range."""
        if self.effect not in EFFECTS:
            raise PeopleError(f"flag: found effect {self.effect!r}, expected one of {', '.join(EFFECTS)}")
        _check_text("cause", self.cause, LONGEST_TEXT, empty=True)
        _check_text("name", self.name, LONGEST_NAME, empty=True)
        for name, value in (("from", self.from_s), ("to", self.to_s)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise PeopleError(f"flag: {name}: found {value!r}, expected seconds of data time, 0 or more")
        if self.from_s is not None and self.to_s is not None and self.to_s <= self.from_s:
            raise PeopleError(f"flag: found {self.from_s:g} to {self.to_s:g} s, expected an end after the beginning")


@dataclass(frozen=True, slots=True)
class People:
    """All additions of people to a run, in order of time."""

    comments: tuple[Comment, ...] = ()
    flags: tuple[Flag, ...] = ()

    def as_plain(self) -> dict[str, Any]:
        """Plain JSON types, for `of_plain`."""
        return {"comments": [asdict(one) for one in self.comments], "flags": [asdict(one) for one in self.flags]}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> People:
        """The inverse of `as_plain`. Raises PeopleError for anything else."""
        try:
            comments = tuple(Comment(**one) for one in plain["comments"])
            return cls(comments, tuple(Flag(**one) for one in plain["flags"]))
        except (KeyError, TypeError) as error:
            raise PeopleError(f"people.json: found something other than comments and flags: {error}") from None

    def merged(self, other: People) -> People:
        """The additions of both, each once, in order of time."""
        comments = {one.id: one for one in (*self.comments, *other.comments)}
        flags = {one.id: one for one in (*self.flags, *other.flags)}
        return People(
            tuple(sorted(comments.values(), key=lambda one: (one.time, one.id))),
            tuple(sorted(flags.values(), key=lambda one: (one.time, one.id))),
        )


def is_part(part: str, of: str) -> bool:
    """Whether a part of the detector is another one, or in it: a cell in its chamber, anything in the detector ("")."""
    return not of or part == of or part.startswith(f"{of} ")


def good_times(flags: Iterable[Flag], end_s: float, *, part: str = "") -> list[tuple[float, float]]:
    """The stretches of 0 to end_s (data time, s) that no flag calls bad, for a part and the whole detector."""
    bad = sorted(
        (flag.from_s or 0.0, end_s if flag.to_s is None else flag.to_s)
        for flag in flags
        if flag.effect == "bad" and (not part or is_part(part, flag.part))
    )
    good: list[tuple[float, float]] = []
    at = 0.0
    for begin, end in bad:
        if begin > at:
            good.append((at, min(begin, end_s)))
        at = max(at, end)
    if at < end_s:
        good.append((at, end_s))
    return [(begin, end) for begin, end in good if end > begin]


def _check_text(what: str, text: object, longest: int, *, empty: bool) -> None:
    if not isinstance(text, str) or len(text) > longest or (not empty and not text.strip()):
        size = len(text) if isinstance(text, str) else type(text).__name__
        raise PeopleError(f"{what}: found {size} characters, expected {0 if empty else 1} to {longest:,}")
