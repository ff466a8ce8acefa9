"""The table of archived runs: what is asked of it, and the rows that answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muonstream.archive.archive import state_of
from muonstream.archive.container import SUFFIX
from muonstream.archive.index import Row
from muonstream.archive.people import EFFECTS
from muonstream.errors import MuonstreamError

LEVELS: Final = ("null", "good", "medium", "bad")
STATES: Final = ("ended", "running", "interrupted")
MOST_ROWS: Final = 500
MOST_OFFSET: Final = 10**9
ROWS: Final = 50
LONGEST: Final = 200
SORTED: Final[Mapping[str, Callable[[Row], Any]]] = {
    "begun": lambda row: row.begun,
    "name": lambda row: (row.name.lower(), row.begun),
    "number": lambda row: (row.number, row.begun),
    "live_time_s": lambda row: row.live_time_s,
    "words": lambda row: row.words,
    "worst": lambda row: LEVELS.index(row.worst) if row.worst in LEVELS else -1,
    "flags": lambda row: len(row.flags),
    "comments": lambda row: row.comments,
}


class QueryError(MuonstreamError):
    """A question about archived runs that is not right, in one line."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs, in which order, and which of these.

    matching: what name, number, source, detector or a cause has in it; state, level, flag: "" for any, flag also none
    sort: a column, with - before it from the highest down; at most `limit` runs from the `offset`-th on
    """

    matching: str = ""
    state: str = ""
    level: str = ""
    flag: str = ""
    sort: str = "-begun"
    limit: int = ROWS
    offset: int = 0

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """What an address asks for. Raises QueryError."""
        texts = {key: given.get(key, "") for key in ("matching", "state", "level", "flag")}
        if len(texts["matching"]) > LONGEST:
            raise QueryError(f"matching: found {len(texts['matching'])} characters, expected at most {LONGEST}")
        for key, allowed in (("state", STATES), ("level", LEVELS), ("flag", (*EFFECTS, "none"))):
            if texts[key] and texts[key] not in allowed:
                raise QueryError(f"{key}: found {texts[key][:40]!r}, expected {', '.join(allowed)}")
        sort = given.get("sort", "-begun")
        if sort.removeprefix("-") not in SORTED:
            raise QueryError(f"sort: found {sort[:40]!r}, expected one of {', '.join(SORTED)}, - before it for down")
        numbers: dict[str, int] = {}
        for key, otherwise, most in (("limit", ROWS, MOST_ROWS), ("offset", 0, MOST_OFFSET)):
            text = given.get(key, str(otherwise))
            if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= most):
                raise QueryError(f"{key}: found {text[:40]!r}, expected a number up to {most:,}")
            numbers[key] = int(text)
        matching, state, level, flag = texts.values()
        return cls(matching, state, level, flag, sort, numbers["limit"], numbers["offset"])

    def answer(self, rows: Sequence[Row], *, now: float | None = None) -> dict[str, Any]:
        """How many runs there are, how many of them match, and those that are shown, as plain JSON types."""
        found = [row for row in rows if self._fits(row, now)]
        down = self.sort.startswith("-")
        found.sort(key=SORTED[self.sort.removeprefix("-")], reverse=down)
        shown = found[self.offset : self.offset + self.limit]
        return {"runs": [row_json(row, now=now) for row in shown], "matching": len(found), "total": len(rows)}

    def _fits(self, row: Row, now: float | None) -> bool:
        if self.level and row.worst != self.level:
            return False
        effects = {flag.get("effect") for flag in row.flags}
        if self.flag and not (not effects if self.flag == "none" else self.flag in effects):
            return False
        if self.state and state_of(row, now=now) != self.state:
            return False
        if not self.matching:
            return True
        causes = " ".join(str(flag.get("cause", "")) for flag in row.flags)
        text = f"{row.name} {row.number} {row.source} {row.detector} {row.file} {causes}".lower()
        return all(part in text for part in self.matching.lower().split())


def row_json(row: Row, *, now: float | None = None) -> dict[str, Any]:
    """A row as plain JSON types; `run` is what addresses call it."""
    keys = ("name", "number", "source", "begun", "written", "live_time_s", "data_time_s", "words")
    more = ("level", "worst", "headline", "detector", "comments", "problem")
    state = "unreadable" if row.problem else state_of(row, now=now)
    return {
        "run": address_of(row),
        **{key: getattr(row, key) for key in keys + more},
        "state": state,
        "flags": list(row.flags),
    }


def address_of(row: Row) -> str:
    """What addresses call a run: its file without the ending."""
    return row.file.removesuffix(SUFFIX)
