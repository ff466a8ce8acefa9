"""The state of a run as the entries of its file, and back."""

from __future__ import annotations

import hashlib
import io
import math
import os
import platform
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream import __version__
from muonstream.archive import container
from muonstream.archive.histograms import histograms
from muonstream.archive.machine import boot_of_machine
from muonstream.archive.people import People
from muonstream.archive.quantities import quantities
from muonstream.detector.file import detector_toml
from muonstream.detector.model import Detector
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import SnapshotError, decode, encode
from muonstream.run.summary import summary
from muonstream.verdicts.memory import Remembered
from muonstream.verdicts.verdicts import Verdicts, as_plain, headline, verdicts_summary

RATE_BINS: Final = 4096
MOST_SNAPSHOT_BYTES: Final = 64 << 20
README_TEXT: Final = f"""\
A run of a drift-tube muon detector, archived by muonstream. It needs no muonstream to be read: this is a zip file.

{(container.__doc__ or "").partition("Layout, ")[2]}
Histograms: https://uhi.readthedocs.io/en/latest/serialization.html. rates.npy: numpy.load, one field a column. Times
that end in _wall_time are seconds since 1970 (UTC), others are data time in seconds since the run's first hit. An error
is one standard deviation. A level is null (too little data), good, medium or bad.
"""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """A run that verdicts were compared with: its name, file and id, and who set it when, "" and 0 for an option.

    until_wall_time: when another was set instead, 0 for never
    """

    name: str
    file: str = ""
    id: str = ""
    by: str = ""
    since_wall_time: float = 0.0
    until_wall_time: float = 0.0


@dataclass(frozen=True, slots=True)
class Provenance:
    """The provenance of a run's numbers.

    engine: local or spark; command: the program and its command; host, pid, boot: who writes the file, and since which
    start of that machine; id: the same for all that is written of one run; references: what verdicts are compared with
    remembered: alarms that were known when the run began
    """

    id: str
    number: int
    engine: str
    command: str
    host: str
    pid: int
    boot: str
    references: tuple[ReferenceRun, ...] = ()
    remembered: tuple[Remembered, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, *, command: str, engine: str, number: int = 0) -> Provenance:
        """The provenance of a run counted by this process, with an id from its host, its source and its first start."""
        host = socket.gethostname()
        seed = f"{snapshot.begun_wall_time!r} {snapshot.source}"
        made = hashlib.sha256(f"{host}\0{seed}\0".encode()).hexdigest()[:16]
        return cls(made, number, engine, command, host, os.getpid(), boot_of_machine())


def entries_of(snapshot: Snapshot, provenance: Provenance, people: People) -> dict[str, bytes]:
    """The entries of a run's file, see `container`."""
    catalogue, total = snapshot.catalogue, snapshot.total
    toml = detector_toml(snapshot.detector)
    return {
        container.README: README_TEXT.encode(),
        container.RUN: container.as_json(header_of(snapshot, provenance)),
        container.PEOPLE: container.as_json(people.as_plain()),
        container.SUMMARY: container.as_json(summary(snapshot)),
        container.HISTOGRAMS: container.as_json(histograms(catalogue, total, __version__)),
        container.RATES: _npy(rates_table(snapshot)),
        container.VERDICTS: container.as_json(_verdicts(snapshot.verdicts)),
        container.MUONS: container.as_json({"muons": [event.as_dict() for event in snapshot.muons]}),
        container.DETECTOR: toml.encode(),
        container.SNAPSHOT: encode(snapshot, rate_bins=RATE_BINS, most_bytes=MOST_SNAPSHOT_BYTES),
    }


def header_of(snapshot: Snapshot, provenance: Provenance) -> dict[str, Any]:
    """The content of run.json, as plain JSON types."""
    verdicts = snapshot.verdicts
    toml = detector_toml(snapshot.detector)
    return {
        "format": "muonstream-run",
        "schema": container.SCHEMA,
        "id": provenance.id,
        "name": snapshot.run,
        "number": provenance.number,
        "source": snapshot.source,
        "state": snapshot.state,
        "begun_wall_time": snapshot.begun_wall_time,
        "written_wall_time": snapshot.wall_time,
        "newest_data_wall_time": snapshot.data_wall_time,
        "begun": _iso(snapshot.begun_wall_time),
        "written": _iso(snapshot.wall_time),
        "time_zone": datetime.now().astimezone().tzname(),
        "data_time_s": snapshot.data_time_s,
        "live_time_s": snapshot.live_time_s,
        "epochs": snapshot.epoch + 1,
        "newest_orbit": snapshot.newest_orbit,
        "verdict": {
            "level": "null" if verdicts is None else verdicts.level.name.lower(),
            "worst": "null" if verdicts is None else verdicts.worst.name.lower(),
            "headline": "not judged" if verdicts is None else headline(verdicts),
        },
        "account": {**snapshot.account.as_dict(), "balanced": snapshot.account.balanced},
        "inputs": [
            {"name": one.name, "format": one.format, "status": one.status, "bytes": one.size, "words": one.words}
            for one in snapshot.inputs
        ],
        "detector": {"name": snapshot.detector.name, "sha256": hashlib.sha256(toml.encode()).hexdigest()},
        "provenance": {
            "version": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{key: value for key, value in asdict(provenance).items() if key not in ("id", "number")},
            "remembered": [one.as_plain() for one in provenance.remembered],
        },
        "quantities": [one.as_plain() for one in quantities(snapshot)],
    }


def _verdicts(verdicts: Verdicts | None) -> dict[str, Any]:
    if verdicts is None:
        return {"judged": False}
    changes = [{"data_time_s": one.data_time_s, "wall_time": one.time, **one.as_plain()} for one in verdicts.history]
    findings = [
        {
            **{key: getattr(one.finding, key) for key in ("check", "subject", "reason", "limit", "unit")},
            "level": one.finding.level.name.lower(),
            "value": None if one.finding.value is None or not math.isfinite(one.finding.value) else one.finding.value,
            "since_wall_time": one.since,
            "since_data_s": one.since_data_s,
            "acknowledged": None if one.acknowledged is None else asdict(one.acknowledged),
        }
        for one in verdicts.statuses
    ]
    whole = verdicts_summary(verdicts)
    return {"judged": True, **whole, "findings": findings, "changes": changes, "state": as_plain(verdicts)}


def rate_names(detector: Detector) -> tuple[str, ...]:
    """The columns of a detector's rates: time_s, scintillator_hz, then hits and active cells by chamber."""
    numbers = [chamber.number for chamber in detector.chambers]
    hits, cells = ([f"chamber_{number}_{what}" for number in numbers] for what in ("hits_hz", "active_cells"))
    return ("time_s", "scintillator_hz", *hits, *cells)


def rates_table(snapshot: Snapshot) -> NDArray[Any]:
    """Rates against data time as a structured array, whose columns are `rate_names`."""
    rates, names = snapshot.rates, rate_names(snapshot.detector)
    columns = [rates.time_s, rates.scintillator_hz, *rates.hits_hz.T, *rates.active_cells.T]
    table = np.zeros(len(rates.time_s), dtype=[(name, "<f8") for name in names])
    for name, column in zip(names, columns, strict=True):
        table[name] = column
    return table


def snapshot_of(path: Path) -> Snapshot:
    """The snapshot of a run's file, which the page shows. Raises ArchiveError, also for a newer schema."""
    container.read_header(path)
    data = container.read(path, container.SNAPSHOT)[container.SNAPSHOT]
    try:
        return decode(data)
    except SnapshotError as error:
        # the first archives' snapshots do not say which histograms they have, their neighbours in the file do
        with suppress(SnapshotError):
            return decode(data, _sizes(path))
        raise container.ArchiveError(f"{path}: {container.SNAPSHOT}: {error}") from None


def _sizes(path: Path) -> list[tuple[str, int]]:
    """Names and sizes of a run's histograms, in the order of its version's counts. Raises ArchiveError."""
    content = container.read(path, container.HISTOGRAMS)[container.HISTOGRAMS]
    found = container.of_json(path, container.HISTOGRAMS, content)
    try:
        return [(name, np.asarray(one["storage"]["values"]).size) for name, one in found.items()]
    except (LookupError, TypeError, ValueError) as error:
        raise container.ArchiveError(f"{path}: {container.HISTOGRAMS}: {type(error).__name__}: {error}") from None


def anonymous(entries: Mapping[str, bytes], path: Path) -> dict[str, bytes]:
    """The entries without people's names, comments, host, command, and folders of sources. Raises ArchiveError."""
    run = container.of_json(path, container.RUN, entries[container.RUN])
    for key in ("host", "command", "pid", "boot"):
        run["provenance"].pop(key, None)
    for reference in run["provenance"].get("references", []):
        reference["by"], reference["file"] = "", _bare(reference["file"])
    for one in run["provenance"].get("remembered", []):
        one["name"] = one["why"] = ""
    run["source"] = _bare(run["source"])
    run["inputs"] = [{**one, "name": _bare(one["name"])} for one in run["inputs"]]
    snapshot = snapshot_of(path)
    verdicts = snapshot.verdicts
    if verdicts is not None:
        statuses = [
            replace(one, acknowledged=None if one.acknowledged is None else replace(one.acknowledged, name="", why=""))
            for one in verdicts.statuses
        ]
        spells = [replace(one, known="known" if one.known else "") for one in verdicts.spells]
        verdicts = replace(verdicts.with_statuses(statuses), spells=tuple(spells))
        run["verdict"]["headline"] = headline(verdicts)
    bare = replace(
        snapshot,
        source=_bare(snapshot.source),
        verdicts=verdicts,
        inputs=tuple(replace(one, name=_bare(one.name)) for one in snapshot.inputs),
        faults=(),
        late_by_input={_bare(name): n for name, n in snapshot.late_by_input.items()},
        engine=(),
    )
    people = People.of_plain(container.of_json(path, container.PEOPLE, entries[container.PEOPLE]))
    flags = tuple(replace(flag, name="", cause="") for flag in people.flags)
    return {
        **entries,
        container.RUN: container.as_json(run),
        container.PEOPLE: container.as_json(People((), flags).as_plain()),
        container.SUMMARY: container.as_json(summary(bare)),
        container.VERDICTS: container.as_json(_verdicts(verdicts)),
        container.SNAPSHOT: encode(bare, rate_bins=RATE_BINS, most_bytes=MOST_SNAPSHOT_BYTES),
    }


def _bare(names: str) -> str:
    """Names of files without their folders, and addresses without their hosts."""
    return ", ".join(name.rsplit("/", 1)[-1] for name in names.split(", "))


def _iso(wall_time: float) -> str | None:
    return datetime.fromtimestamp(wall_time, UTC).isoformat(timespec="seconds") if wall_time else None


def _npy(table: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, table, allow_pickle=False)
    return buffer.getvalue()
