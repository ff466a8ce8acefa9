"""Runs kept in an archive, a live one each minute and at its end, others once they are complete; their reports."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from muonstream.archive.archive import REFRESH_S, Archive, file_stem
from muonstream.archive.container import ArchiveError
from muonstream.archive.contents import Provenance, ReferenceRun, header_of
from muonstream.archive.people import People
from muonstream.run.monitor import Snapshot
from muonstream.sources.runs import run_number
from muonstream.verdicts.memory import Remembered

LOGGER: Final = logging.getLogger(__name__)
LOOKED_AT_BYTES: Final = 4096
"""Of an earlier report, which says there of which run it is."""


def command_line() -> str:
    """The program and its command, without its options, which may contain passwords."""
    return " ".join(["muonstream", *[word for word in sys.argv[1:2] if not word.startswith("-")]])


@dataclass(frozen=True, slots=True)
class Origin:
    """What counts a run, beside its words: the engine, and the run's number, 0 for that in its name.

    references: what verdicts are compared with by now; remembered: what was known when the run began
    """

    engine: str = "local"
    number: Callable[[], int] = int
    references: Callable[[], tuple[ReferenceRun, ...]] = tuple
    remembered: Callable[[], tuple[Remembered, ...]] = tuple

    def of(self, snapshot: Snapshot) -> Provenance:
        """The provenance of a run as it stands."""
        number = self.number() or run_number(snapshot.run)
        made = Provenance.of(snapshot, command=command_line(), engine=self.engine, number=number)
        return replace(made, references=self.references(), remembered=self.remembered())


class Archiving:
    """Keeps one run in an archive; a fault is reported once and does not end the run."""

    def __init__(
        self, folder: Path, origin: Origin | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raise ArchiveError for a folder that cannot be made."""
        self._archive = Archive(folder, make=True)
        self._origin = origin or Origin()
        self._clock = clock
        self._due = clock() + REFRESH_S
        self.problem = ""
        """Why the run could not be kept the last time, "" if it could."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Keep the run as it stands, once a minute."""
        if self._clock() >= self._due and snapshot.account.words:
            self._save(snapshot)
            self._due = self._clock() + REFRESH_S

    def finish(self, snapshot: Snapshot) -> Path | None:
        """Keep the run as it ended; gives its file, None where it could not be written."""
        return self._save(snapshot)

    def _save(self, snapshot: Snapshot) -> Path | None:
        try:
            path = self._archive.save(snapshot, self._origin.of(snapshot))
        except ArchiveError as error:
            if str(error) != self.problem:
                LOGGER.error("--archive: %s", error)
            self.problem = str(error)
            return None
        self.problem = ""
        return path


class Reporting:
    """Writes the report of each run at its end into a folder; a fault is reported and does not end the run."""

    def __init__(self, folder: Path, origin: Origin | None = None) -> None:
        """Raise ArchiveError for a folder that cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = "found a file, expected a folder" if folder.is_file() else f"cannot be made: {error.strerror}"
            raise ArchiveError(f"--report: {folder}: {found}") from None
        self._folder = folder
        self._origin = origin or Origin()
        self.problem = ""
        """Why the last report could not be written, "" if it could."""

    def finish(self, snapshot: Snapshot, against: tuple[str, Snapshot] | None = None) -> Path | None:
        """Write the report of a run as it ended; gives its file, None where it could not be written.

        against: the name and the counts of what verdicts were compared with
        """
        from muonstream.archive.compare import compare
        from muonstream.archive.report import Reported, report_html, write_report

        header = header_of(snapshot, self._origin.of(snapshot))
        compared = None if against is None else (against[0], *compare(snapshot, against[1]))
        reported = Reported(snapshot, header, snapshot.state, People(), compared)
        try:
            path = self._place(snapshot, reported.id)
            write_report(path, report_html([reported]))
        except (ArchiveError, OSError) as error:
            self.problem = str(error)
            LOGGER.error("--report: %s", error)
            return None
        self.problem = ""
        LOGGER.info("%s written: the run's report", path)
        return path

    def _place(self, snapshot: Snapshot, run: str) -> Path:
        """A new name, or that of the report that was written of the same run before."""
        stem = file_stem(snapshot.begun_wall_time, snapshot.run)
        for attempt in count(1):
            path = self._folder / f"{stem}{'' if attempt == 1 else f'_{attempt}'}.html"
            if not path.exists():
                return path
            with path.open("rb") as handle:
                if f'name="muonstream-runs" content="{run}"'.encode() in handle.read(LOOKED_AT_BYTES):
                    return path
        raise AssertionError
