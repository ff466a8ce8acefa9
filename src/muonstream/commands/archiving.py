"""Runs kept in an archive: a live one each minute and at its end, others once they are complete."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from muonstream.archive.archive import REFRESH_S, Archive
from muonstream.archive.container import ArchiveError
from muonstream.archive.contents import Provenance, ReferenceRun
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.memory import Remembered

LOGGER: Final = logging.getLogger(__name__)


def command_line() -> str:
    """The program and its command, without its options, which may contain passwords."""
    return " ".join(["muonstream", *[word for word in sys.argv[1:2] if not word.startswith("-")]])


class Archiving:
    """Keeps one run in an archive; a fault is reported once and does not end the run."""

    def __init__(
        self,
        folder: Path,
        *,
        engine: str = "local",
        number: int = 0,
        clock: Callable[[], float] = time.monotonic,
        references: Callable[[], tuple[ReferenceRun, ...]] = tuple,
        remembered: Callable[[], tuple[Remembered, ...]] = tuple,
    ) -> None:
        """Raise ArchiveError for a folder that cannot be made.

        references: what verdicts are compared with by now; remembered: what was known when the run began
        """
        self._archive = Archive(folder, make=True)
        self._engine = engine
        self._number = number
        self._clock = clock
        self._references = references
        self._remembered = remembered
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
        provenance = Provenance.of(snapshot, command=command_line(), engine=self._engine, number=self._number)
        provenance = replace(provenance, references=self._references(), remembered=self._remembered())
        try:
            path = self._archive.save(snapshot, provenance)
        except ArchiveError as error:
            if str(error) != self.problem:
                LOGGER.error("--archive: %s", error)
            self.problem = str(error)
            return None
        self.problem = ""
        return path
