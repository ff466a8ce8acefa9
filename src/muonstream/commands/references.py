"""The reference of a run: good runs that its verdicts and its page compare with, chosen once, or set from the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream.archive.archive import Archive, state_of
from muonstream.archive.container import SUFFIX
from muonstream.archive.contents import ReferenceRun, snapshot_of
from muonstream.archive.index import Row
from muonstream.commands import common
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import SnapshotError, decode
from muonstream.verdicts.judge import Exposure

LAST: Final = re.compile(r"last:([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Reference:
    """Good runs; `runs` say which they are, and snapshots are in the same order."""

    runs: tuple[ReferenceRun, ...]
    snapshots: tuple[Snapshot, ...]

    def exposure(self, catalogue: Catalogue) -> Exposure:
        """Their counts by a catalogue, all together and run by run."""
        found = []
        for snapshot in self.snapshots:
            total = snapshot.total[: catalogue.size]
            found.append(Exposure(np.pad(total, (0, catalogue.size - len(total))), snapshot.live_time_s))
        if len(found) == 1:
            return found[0]
        counts = np.sum([one.counts for one in found], axis=0)
        return Exposure(counts, sum(one.seconds for one in found), tuple(found))

    def together(self) -> Snapshot:
        """One snapshot with the counts of all, for the page."""
        first = self.snapshots[-1]
        if len(self.snapshots) == 1:
            return first
        account = first.account
        account = replace(
            account,
            words=sum(one.account.words for one in self.snapshots),
            hits=sum(one.account.hits for one in self.snapshots),
        )
        return replace(
            first,
            run=self.name,
            total=np.sum([one.total for one in self.snapshots], axis=0),
            live_time_s=sum(one.live_time_s for one in self.snapshots),
            account=account,
        )

    @property
    def name(self) -> str:
        """What it is called in a line."""
        names = [one.name or "unnamed" for one in self.runs]
        return names[0] if len(names) == 1 else f"{len(names)} runs: {', '.join(names)}"

    def about(self) -> dict[str, Any]:
        """Which runs, and who set it when, as plain JSON types, for people."""
        first = self.runs[0]
        return {"runs": [one.name for one in self.runs], "by": first.by, "since": first.since_wall_time}


def resolved(given: Sequence[str], archive: Path | None, detector: Detector) -> Reference | None:
    """The runs that --reference names, once and for all; None without any. Raises CommandError or ArchiveError.

    given: files, runs of the archive by name or number, or last:N, the newest N runs that are flagged good
    """
    found: list[tuple[ReferenceRun, Snapshot]] = []
    for text in given:
        if text.startswith("last:") and not LAST.fullmatch(text):
            raise common.CommandError(
                f"--reference: found {text}, expected last: and a number from 1 to 999, such as last:10"
            )
        if last := LAST.fullmatch(text):
            found += [_of_row(Archive(_needed(archive, text)), row) for row in _last_good(archive, int(last[1]), text)]
        elif archive is not None and not Path(text).exists():
            opened = Archive(archive)
            found.append(_of_row(opened, opened.find(text)))
        else:
            found.append(_of_file(text))
    return checked([one for one, _ in found], [snapshot for _, snapshot in found], detector) if found else None


def of_rows(archive: Archive, rows: Sequence[Row], detector: Detector, *, by: str, since: float) -> Reference:
    """Runs of an archive as the reference that somebody set. Raises CommandError or ArchiveError."""
    found = [_of_row(archive, row) for row in rows]
    runs = [replace(one, by=by, since_wall_time=since) for one, _ in found]
    return checked(runs, [snapshot for _, snapshot in found], detector)


def checked(runs: Sequence[ReferenceRun], snapshots: Sequence[Snapshot], detector: Detector) -> Reference:
    """The runs, if all of them can be compared with a detector's. Raises CommandError."""
    here = Catalogue(detector)
    for run, snapshot in zip(runs, snapshots, strict=True):
        shapes = [[(c.name, c.layers, c.cells) for c in one.chambers] for one in (snapshot.detector, detector)]
        if shapes[0] != shapes[1] or snapshot.catalogue.counted_size != here.counted_size:
            raise common.CommandError(
                f"{run.file}: found a snapshot of detector {snapshot.detector.name}, expected one with the chambers of "
                f"{detector.name}"
            )
        if snapshot.live_time_s <= 0:
            raise common.CommandError(f"{run.file}: found a snapshot without data, expected one with some")
        if snapshot.catalogue.size != snapshots[0].catalogue.size:
            raise common.CommandError(
                f"{run.file}: found other histograms than in {runs[0].file}, expected --reconstruct in all runs or none"
            )
    return Reference(tuple(runs), tuple(snapshots))


def _needed(archive: Path | None, text: str) -> Path:
    if archive is None:
        raise common.CommandError(
            f"--reference: found {text} without --archive, expected the archive to take runs from"
        )
    return archive


def _last_good(archive: Path | None, number: int, text: str) -> list[Row]:
    """The newest runs that are complete and, as a whole, flagged good and not bad."""
    found = []
    for row in Archive(_needed(archive, text)).rows():
        effects = {flag.get("effect") for flag in row.flags if not flag.get("part")}
        if not row.problem and "good" in effects and "bad" not in effects and state_of(row) == "ended":
            found.append(row)
    if not found:
        raise common.CommandError(f"--reference: {text}: found no run of {archive} flagged good, expected one or more")
    return found[-number:]


def _of_row(archive: Archive, row: Row) -> tuple[ReferenceRun, Snapshot]:
    return ReferenceRun(row.name, row.file, row.id), snapshot_of(archive.path(row))


def _of_file(name: str) -> tuple[ReferenceRun, Snapshot]:
    if name.endswith(SUFFIX):
        snapshot = snapshot_of(Path(name))
    else:
        try:
            snapshot = decode(Path(name).read_bytes())
        except OSError as error:
            raise common.CommandError(f"{name}: cannot be read: {error.strerror or error}") from None
        except SnapshotError as error:
            text = f"{name}: {error}; expected an archived run, or a snapshot as a page gives it at /api/snapshot.musn"
            raise common.CommandError(text) from None
    return ReferenceRun(snapshot.run, name), snapshot
