"""An archive: a folder of runs' files, and all operations on them."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from muonstream.archive import container
from muonstream.archive.container import SUFFIX, ArchiveError, NewerError
from muonstream.archive.index import Index, Point, Row
from muonstream.archive.machine import boot_of_machine, is_alive
from muonstream.archive.people import Comment, Flag, People, PeopleError, is_part
from muonstream.errors import shown

if TYPE_CHECKING:
    from muonstream.archive.contents import Provenance
    from muonstream.run.monitor import Snapshot

REFRESH_S: Final = 60.0
SILENT_S: Final = 3 * REFRESH_S
"""A run of another host that has not been refreshed for this long counts as interrupted."""


class Archive:
    """A folder of archived runs. Every method may be called by several processes at once."""

    def __init__(self, folder: str | Path, *, make: bool = False) -> None:
        """Raise ArchiveError for a folder that does not exist, or with `make` cannot be created."""
        self.folder = Path(folder)
        if make:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArchiveError(f"{folder}: cannot be made: {error.strerror}") from None
        if not self.folder.is_dir():
            found = "found a file" if self.folder.exists() else "no such folder"
            raise ArchiveError(f"{folder}: {found}, expected the folder of an archive of runs")

    def save(self, snapshot: Snapshot, provenance: Provenance) -> Path:
        """Write the present state of a run, replacing the one written before; people's additions stay.

        A file of the run that cannot be read is kept aside under another name. Raises ArchiveError.
        """
        from muonstream.archive.contents import entries_of

        with container.locked(self.folder):
            path, people = self._place(snapshot, provenance)
            container.write(path, entries_of(snapshot, provenance, people))
        return path

    def _place(self, snapshot: Snapshot, provenance: Provenance) -> tuple[Path, People]:
        """The file of a run, and people's additions so far."""
        stem = file_stem(snapshot.begun_wall_time, snapshot.run)
        for attempt in range(1, 1000):
            path = self.folder / f"{stem}{'' if attempt == 1 else f'_{attempt}'}{SUFFIX}"
            if not path.exists():
                return path, People()
            try:
                run, people = container.read_header(path)
                if run.get("id") == provenance.id:
                    return path, People.of_plain(people)
            except NewerError:
                continue  # it is whole, and stays where it is
            except ArchiveError:
                with suppress(OSError):
                    path.rename(path.with_name(f"{path.name}.broken-{time.time_ns()}"))
                return path, People()
        raise ArchiveError(f"{self.folder}: found 999 runs called {snapshot.run!r} that began in one second")

    @contextmanager
    def index(self) -> Iterator[Index]:
        """The index, brought up to date with the files."""
        index = Index(self.folder)
        try:
            index.sync()
            yield index
        finally:
            index.close()

    def rows(self) -> list[Row]:
        """All runs, the oldest first, with their present states."""
        with self.index() as index:
            return index.rows()

    def table(self, *quantities: str | tuple[str, str]) -> list[dict[str, Any]]:
        """All runs that can be read, the oldest first, as rows that pandas and polars take.

        quantities: by name, or by name and chamber; each adds a column and one for its error, None for a run without
        Raises ArchiveError for a quantity that no run has.
        """
        rows = [row for row in as_table(self.rows()) if not row["problem"]]
        for one in quantities:
            name, subject = (one, "") if isinstance(one, str) else one
            column = f"{name} of {subject}" if subject else name
            points = {point.file: point for point in self.trend(name, subject)}
            for row in rows:
                point = points.get(row["file"])
                row[column] = None if point is None else point.value
                row[f"{column} error"] = None if point is None else point.error
        return rows

    def trend(self, name: str, subject: str = "") -> list[Point]:
        """A quantity of all runs that have it. Raises ArchiveError when none has."""
        with self.index() as index:
            found = index.points(name, subject)
            if not found:
                raise ArchiveError(_no_quantity(name, subject, index.names()))
            return found

    def rebuild(self) -> int:
        """Rebuild the index from the files; gives the number of runs."""
        index = Index(self.folder)
        try:
            return index.rebuild()
        finally:
            index.close()

    def find(self, run: str) -> Row:
        """The run of a file's name, a name, a number, an id, or `last`; of several the newest. Raises ArchiveError."""
        return self._find(run, self.rows())

    def find_all(self, runs: Iterable[str]) -> list[Row]:
        """Find several runs, as `find` does, in the archive at one moment."""
        rows = self.rows()
        return [self._find(run, rows) for run in runs]

    def _find(self, run: str, rows: list[Row]) -> Row:
        named = (Path(run).name, Path(run).name + SUFFIX)
        rows = [row for row in rows if not row.problem or row.file in named]
        if run == "last" and rows:
            return rows[-1]
        for matches in (
            lambda row: row.file in named,
            lambda row: row.id == run,
            lambda row: row.name == run,
            lambda row: run.isascii() and run.isdigit() and (run.lstrip("0") or "0") == str(row.number),
        ):
            found = [row for row in rows if matches(row)]
            if found:
                if found[-1].problem:
                    raise ArchiveError(found[-1].problem)
                return found[-1]
        raise ArchiveError(f"{self.folder}: found no run {run!r}, expected a name, number, file, or last")

    def path(self, row: Row) -> Path:
        """The file of a run."""
        return self.folder / row.file

    def people(self, row: Row) -> People:
        """People's additions to a run. Raises ArchiveError or PeopleError."""
        return People.of_plain(container.read_header(self.path(row))[1])

    def comment(self, run: str, text: str, *, name: str = "") -> Row:
        """Add a comment to a run. Raises ArchiveError or PeopleError."""
        comment = Comment(text, name, time.time())
        return self._change(run, lambda people: people.merged(People((comment,))))

    def check_part(self, part: str) -> None:
        """Raise PeopleError unless this is "" or a part of a detector that the archive has runs of.

        A chamber by its name, or what is in one, such as `Chamber 2 cell 20`.
        """
        with self.index() as index:
            chambers = list(dict.fromkeys(subject for _, subject, _ in index.names() if subject))
        _check_part(part, dict.fromkeys(chambers))

    def flag(self, run: str, flag: Flag) -> Row:
        """Add a flag to a run. Raises ArchiveError, or PeopleError for a part or a time that the run does not have."""
        # imported only where it is needed: it takes longer than listing thousands of runs
        from muonstream.detector.model import DetectorError, parse

        row = self.find(run)
        name = container.DETECTOR
        try:
            detector = parse(container.read(self.path(row), name)[name].decode(), str(self.path(row)))
        except (DetectorError, UnicodeDecodeError) as error:
            raise ArchiveError(f"{self.path(row)}: {name}: {error}") from None
        _check_part(flag.part, {chamber.name: chamber.cells for chamber in detector.chambers})
        if flag.from_s is not None and flag.from_s >= row.data_time_s and state_of(row) != "running":
            raise PeopleError(
                f"flag: from: found {flag.from_s:g} s, expected less than the run's {row.data_time_s:g} s"
            )
        return self._change(run, lambda people: people.merged(People((), (flag,))))

    def _change(self, run: str, change: Callable[[People], People]) -> Row:
        row = self.find(run)
        with container.locked(self.folder):
            entries = container.read(self.path(row))
            people = People.of_plain(container.of_json(self.path(row), container.PEOPLE, entries[container.PEOPLE]))
            entries[container.PEOPLE] = container.as_json(change(people).as_plain())
            container.write(self.path(row), entries)
        return row

    def prune(
        self, *, older_than_s: float | None = None, most_bytes: int | None = None, now: float, dry: bool = False
    ) -> list[Row]:
        """The runs, oldest first, that are removed for their age, or until the rest is small enough.

        dry: they are not removed, only given.

        A run that is flagged to be kept, or is still running, never is. Raises ArchiveError.
        """
        removed = []
        with container.locked(self.folder):
            rows = [row for row in self.rows() if not row.problem]
            sizes = {row.file: self.path(row).stat().st_size for row in rows}
            whole = sum(sizes.values())
            for row in rows:
                old = older_than_s is not None and row.begun < now - older_than_s
                large = most_bytes is not None and whole > most_bytes
                kept = any(flag.get("effect") == "keep" for flag in row.flags)
                if (old or large) and not kept and state_of(row, now=now) != "running":
                    with suppress(FileNotFoundError):
                        if not dry:
                            self.path(row).unlink()
                    whole -= sizes[row.file]
                    removed.append(row)
        return removed


def _check_part(part: str, chambers: Mapping[str, int | None]) -> None:
    """Raise PeopleError unless this is "", a chamber, or in one; chambers: with their numbers of cells, where known."""
    chamber = next((name for name in chambers if is_part(part, name)), None)
    cell = re.fullmatch(r".* cell ([0-9]+)", part)
    cells = None if chamber is None else chambers[chamber]
    if cell and cells is not None and (len(cell[1]) > 9 or int(cell[1]) >= cells):
        raise PeopleError(f"part: found {shown(part)}, expected a cell from 0 to {cells - 1}")
    if part and chamber is None:
        example = f", or a cell, such as {next(iter(chambers))} cell 20" if chambers else ""
        raise PeopleError(f"part: found {shown(part)}, expected one of {', '.join(chambers)}{example}")


def _no_quantity(name: str, subject: str, known: Iterable[tuple[str, str, str]]) -> str:
    """A line for a quantity that no run has, alone or of this part; known: those that there are, see `Index.names`."""
    subjects = [of for one, of, _ in known if one == name]
    if subjects:
        of = f"of {shown(subject)}" if subject else "of the whole detector"
        there = ", ".join(one or "the whole detector" for one in subjects)
        return f"found no quantity {shown(name)} {of}, expected that of {there}"
    names = sorted({one for one, _, _ in known})
    return f"found no quantity {shown(name)}, expected one of {', '.join(names) or 'none yet'}"


def state_of(row: Row, *, now: float | None = None) -> str:
    """ended, running or interrupted: by the file, and by whether the process that writes it still runs.

    On this host a run is interrupted when its process is gone, or the machine was started again since; on another, when
    it has not been refreshed for three minutes (runs are refreshed each minute).
    """
    if row.state == "ended":
        return "ended"
    if row.host == socket.gethostname() and row.pid:
        return "running" if row.boot == boot_of_machine() and is_alive(row.pid) else "interrupted"
    return "running" if (time.time() if now is None else now) - row.written < SILENT_S else "interrupted"


def local_time(wall_time: float) -> str:
    """Unix seconds as date and time with the zone of this machine, "" for 0, which is not known."""
    if not wall_time:
        return ""
    # five times as fast as datetime's, which is to be seen in a table of ten thousand runs
    at = time.localtime(wall_time)
    return f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02} {at.tm_hour:02}:{at.tm_min:02} {at.tm_zone}"


def file_stem(begun_wall_time: float, name: str) -> str:
    """The name of a run's file, without its suffix: when it began, in UTC, and its name in portable characters."""
    at = datetime.fromtimestamp(begun_wall_time or 0.0, UTC).strftime("%Y%m%dT%H%M%SZ")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    return f"{at}_{plain or 'run'}"


def as_table(rows: list[Row]) -> list[dict[str, Any]]:
    """The table of runs as plain JSON types."""
    return [
        {
            **{column: getattr(row, column) for column in Row._fields if column not in ("pid", "boot")},
            "state": state_of(row),
            "flags": list(row.flags),
        }
        for row in rows
    ]
