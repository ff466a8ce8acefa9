"""The index of an archive in SQLite: a row for each run and quantity; always reproducible from the files."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from muonstream.archive.container import SUFFIX, ArchiveError, read_header

NAME: Final = "index.sqlite"
SHOWN_WAIT_S: Final = 10.0
TABLES: Final = """
CREATE TABLE runs (
  id_in_index INTEGER PRIMARY KEY, file TEXT UNIQUE, mtime_ns INTEGER, size INTEGER, id TEXT, name TEXT, number INTEGER,
  source TEXT, state TEXT, begun REAL, written REAL, data_time_s REAL, live_time_s REAL, words INTEGER, level TEXT,
  worst TEXT, headline TEXT, engine TEXT, host TEXT, pid INTEGER, boot TEXT, detector TEXT, comments INTEGER,
  flags TEXT, problem TEXT
);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT, subject TEXT, unit TEXT, UNIQUE (name, subject));
CREATE TABLE quantities (
  name INTEGER, run INTEGER, value REAL, error REAL, PRIMARY KEY (name, run)
) WITHOUT ROWID;
"""
VERSION: Final = zlib.crc32(TABLES.encode()) & 0x7FFF_FFFF
"""By the tables themselves, so that an index with others is never taken for one with these."""


class Row(NamedTuple):
    """A run as the table of runs has it; problem: why its file cannot be read, "" if it can.

    A tuple, since ten thousand of a frozen dataclass take 0.1 s to make.

    begun, written: unix seconds; flags: as in people.json; level, worst: null, good, medium, bad
    """

    file: str
    id: str = ""
    name: str = ""
    number: int = 0
    source: str = ""
    state: str = ""
    begun: float = 0.0
    written: float = 0.0
    data_time_s: float = 0.0
    live_time_s: float = 0.0
    words: int = 0
    level: str = "null"
    worst: str = "null"
    headline: str = ""
    engine: str = ""
    host: str = ""
    pid: int = 0
    boot: str = ""
    detector: str = ""
    comments: int = 0
    flags: tuple[dict[str, Any], ...] = ()
    problem: str = ""


class Point(NamedTuple):
    """A quantity of one run, for a trend."""

    file: str
    name: str
    begun: float
    value: float
    error: float | None
    unit: str


COLUMNS: Final = Row._fields


class Index:
    """The index of a folder; where it cannot be written, one in memory. Close it at the end."""

    def __init__(self, folder: Path) -> None:
        """Raise ArchiveError for a folder that does not exist."""
        if not folder.is_dir():
            raise ArchiveError(f"{folder}: no such folder, expected an archive")
        self.folder = folder
        self._names: dict[tuple[str, str], int] = {}
        self._rows = self._open()

    def close(self) -> None:
        """Close the index's file."""
        self._rows.close()

    def rebuild(self) -> int:
        """Rebuild it from the files; gives how many there are."""
        with self._rows:
            for table in ("quantities", "names", "runs"):
                self._rows.execute(f"DELETE FROM {table}")
        self._names.clear()
        return self.sync()

    def sync(self) -> int:
        """Take in new, changed and removed files; gives the number of runs."""
        there = {entry.name: entry.stat() for entry in os.scandir(self.folder) if _is_run(entry)}
        if any(self._differences(there)):
            # another process may be updating it, with the same result
            with suppress(sqlite3.OperationalError), self._rows:
                self._rows.execute("BEGIN IMMEDIATE")
                # from here on, additions of other processes are known, names among them
                self._names.clear()
                old, new = self._differences(there)
                for name in old:
                    # by name and run, as the primary key has it: by the run alone, the whole table would be searched
                    self._rows.execute(
                        "DELETE FROM quantities WHERE name IN (SELECT id FROM names) "
                        "AND run = (SELECT id_in_index FROM runs WHERE file = ?)",
                        (name,),
                    )
                    self._rows.execute("DELETE FROM runs WHERE file = ?", (name,))
                for name in new:
                    self._add(name, there[name])
        return len(there)

    def _differences(self, there: Mapping[str, os.stat_result]) -> tuple[list[str], list[str]]:
        """The files whose rows are out of date, and those to be read."""
        old = []
        new = dict.fromkeys(there)
        for file, mtime_ns, size in self._rows.execute("SELECT file, mtime_ns, size FROM runs"):
            stat = there.get(file)
            if stat is not None and stat.st_mtime_ns == mtime_ns and stat.st_size == size:
                del new[file]
            else:
                old.append(file)
        return old, list(new)

    def rows(self) -> list[Row]:
        """All runs, those that began first before others."""
        found = self._rows.execute(f"SELECT {', '.join(COLUMNS)} FROM runs ORDER BY begun, file")
        at = COLUMNS.index("flags")
        none = "[]"
        return [
            Row._make((*row[:at], () if row[at] == none else tuple(json.loads(row[at])), *row[at + 1 :]))
            for row in found
        ]

    def points(self, name: str, subject: str = "") -> list[Point]:
        """A quantity of all runs that have it, by the time of their beginning."""
        found = self._rows.execute(
            "SELECT r.file, r.name, r.begun, q.value, q.error, n.unit FROM names n JOIN quantities q ON q.name = n.id "
            "JOIN runs r ON r.id_in_index = q.run WHERE n.name = ? AND n.subject = ? ORDER BY r.begun, r.file",
            (name, subject),
        )
        return list(map(Point._make, found))

    def names(self) -> list[tuple[str, str, str]]:
        """The quantities that there are: name, subject, unit."""
        return list(self._rows.execute("SELECT name, subject, unit FROM names ORDER BY name, subject"))

    def _add(self, name: str, stat: os.stat_result) -> None:
        row, quantities = _row_of(self.folder / name)
        values = [getattr(row, column) for column in COLUMNS]
        values[COLUMNS.index("flags")] = json.dumps(row.flags)
        names = ("mtime_ns", "size", *COLUMNS)
        marks = ", ".join("?" * len(names))
        made = self._rows.execute(
            f"INSERT INTO runs ({', '.join(names)}) VALUES ({marks})", (stat.st_mtime_ns, stat.st_size, *values)
        )
        self._rows.executemany(
            "INSERT OR REPLACE INTO quantities VALUES (?, ?, ?, ?)",
            [(self._name(*key), made.lastrowid, value, error) for *key, value, error in quantities],
        )

    def _name(self, name: str, subject: str, unit: str) -> int:
        """The number of a quantity's name, which is added if it is new."""
        if not self._names:
            found = self._rows.execute("SELECT name, subject, id FROM names")
            self._names.update({(name, subject): number for name, subject, number in found})
        number = self._names.get((name, subject))
        if number is None:
            number = (
                self._rows.execute("INSERT INTO names VALUES (NULL, ?, ?, ?)", (name, subject, unit)).lastrowid or 0
            )
            self._names[name, subject] = number
        return number

    def _open(self) -> sqlite3.Connection:
        path = self.folder / NAME
        for attempt in range(2):
            rows = None
            try:
                rows = sqlite3.connect(path, timeout=SHOWN_WAIT_S)
                rows.execute("PRAGMA journal_mode = WAL")
                (version,) = rows.execute("PRAGMA user_version").fetchone()
                if version == VERSION:
                    rows.execute("SELECT count(*) FROM runs").fetchone()
                    return rows
                if version == 0 and not rows.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    _begin(rows)
                    return rows
            except sqlite3.OperationalError:
                # read-only, or the disk is full: the index is only a cache of the files
                if rows is not None:
                    rows.close()
                break
            except sqlite3.DatabaseError:
                pass
            # damaged, or of another version: rebuild it from the files
            rows.close() if rows is not None else None
            if attempt == 0:
                for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
                    with suppress(OSError):
                        (self.folder / name).unlink(missing_ok=True)
        memory = sqlite3.connect(":memory:")
        _begin(memory)
        return memory


def _begin(rows: sqlite3.Connection) -> None:
    rows.executescript(TABLES)
    rows.execute(f"PRAGMA user_version = {VERSION}")
    rows.commit()


def _is_run(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file()


def _row_of(path: Path) -> tuple[Row, list[Sequence[Any]]]:
    """A file's row and its quantities; for an unreadable file, a row with the reason."""
    try:
        run, people = read_header(path)
        row = Row(
            file=path.name,
            id=str(run["id"]),
            name=str(run["name"]),
            number=int(run["number"]),
            source=str(run["source"]),
            state=str(run["state"]),
            begun=float(run["begun_wall_time"]),
            written=float(run["written_wall_time"]),
            data_time_s=float(run["data_time_s"]),
            live_time_s=float(run["live_time_s"]),
            words=int(run["account"]["words"]),
            level=str(run["verdict"]["level"]),
            worst=str(run["verdict"]["worst"]),
            headline=str(run["verdict"]["headline"]),
            engine=str(run["provenance"].get("engine", "")),
            host=str(run["provenance"].get("host", "")),
            pid=int(run["provenance"].get("pid", 0)),
            boot=str(run["provenance"].get("boot", "")),
            detector=str(run["detector"]["name"]),
            comments=len(people["comments"]),
            flags=tuple(people["flags"]),
        )
        return row, list(_quantities(run))
    except ArchiveError as error:
        return Row(file=path.name, problem=str(error)), []
    except KeyError as error:
        return Row(file=path.name, problem=f"{path}: found no {error} in it, expected an archived run with that"), []
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        return Row(file=path.name, problem=f"{path}: found other values than an archived run has: {error}"), []


def _quantities(run: dict[str, Any]) -> Iterator[Sequence[Any]]:
    for one in run["quantities"]:
        error = one.get("error")
        yield (
            str(one["name"]),
            str(one.get("subject", "")),
            str(one.get("unit", "")),
            float(one["value"]),
            None if error is None else float(error),
        )
