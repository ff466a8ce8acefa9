"""Numbers of archived runs for plots: the course of a run's rate as a few points, trends, overlays."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.archive.container import ArchiveError
from muonstream.archive.contents import snapshot_of
from muonstream.archive.index import Row
from muonstream.archive.overlaid import choices, overlaid
from muonstream.dashboard.archived.table import address_of
from muonstream.run.monitor import Snapshot

SPARK_POINTS: Final = 48
SPARKS_KEPT: Final = 4096
SNAPSHOTS_KEPT: Final = 16


def sparks(archive: Archive, runs: Sequence[str]) -> dict[str, list[float]]:
    """The rate of all chambers' hits in the course of each run, Hz, at most 48 points; none of a file without it.

    runs: by their addresses, see `table.address_of`
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        path = archive.folder / f"{run}{container.SUFFIX}"
        found[run] = []
        if path.name == f"{run}{container.SUFFIX}":  # and nothing outside of the archive
            with suppress(ArchiveError, OSError, ValueError):
                found[run] = list(_spark(path, path.stat().st_mtime_ns))
    return found


@lru_cache(maxsize=SPARKS_KEPT)
def _spark(path: Path, _: int) -> tuple[float, ...]:
    content = container.read(path, container.RATES)[container.RATES]
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
        columns = [table[name] for name in table.dtype.names if name.endswith("_hits_hz")]
        hz = np.asarray(np.sum(columns, axis=0), dtype=np.float64)
    except (ValueError, TypeError, EOFError) as error:
        raise ArchiveError(f"{path}: {container.RATES}: {error}") from None
    parts = np.array_split(hz, min(len(hz), SPARK_POINTS)) if np.ndim(hz) and len(hz) else []
    means = [float(part.mean()) for part in parts]
    return tuple(round(mean, 3) for mean in means if np.isfinite(mean))


def trend_json(archive: Archive, quantity: str, subject: str) -> dict[str, Any]:
    """A quantity of all runs that have it, as plain JSON types. Raises ArchiveError."""
    points = archive.trend(quantity, subject)
    return {
        "quantity": quantity,
        "subject": subject,
        "unit": points[-1].unit,
        "runs": [point.file.removesuffix(container.SUFFIX) for point in points],
        "names": [point.name for point in points],
        "begun": [point.begun for point in points],
        "values": [point.value for point in points],
        "errors": [point.error for point in points],
    }


def quantities_json(archive: Archive) -> list[dict[str, str]]:
    """The quantities that some run has."""
    with archive.index() as index:
        return [{"name": name, "subject": subject, "unit": unit} for name, subject, unit in index.names()]


def overlay_json(archive: Archive, runs: Sequence[str], name: str, subject: str) -> dict[str, Any]:
    """A histogram of several runs, as plain JSON types. Raises ArchiveError or OverlayError."""
    rows = archive.find_all(runs)
    snapshots = [kept_snapshot(archive, row) for row in rows]
    made = overlaid(snapshots, name, subject)
    return {
        "title": made.title,
        "label": made.label,
        "edges": made.edges.tolist(),
        "histograms": [
            {"name": one.name, "title": one.title, "subjects": list(one.subjects)} for one in choices(snapshots[0])
        ],
        "curves": [
            {
                "run": address_of(row),
                "name": row.name,
                "begun": row.begun,
                "entries": curve.entries,
                "sigma": round(max(curve.sigma, 0.0), 2),
                "y": curve.y.tolist(),
                "ratio": [None if np.isnan(ratio) else ratio for ratio in curve.ratio.tolist()],
            }
            for row, curve in zip(rows, made.curves, strict=True)
        ],
    }


def kept_snapshot(archive: Archive, row: Row) -> Snapshot:
    """The run of a row; those that were asked for last are kept. Raises ArchiveError."""
    path = archive.path(row)
    try:
        return _snapshot(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from None


@lru_cache(maxsize=SNAPSHOTS_KEPT)
def _snapshot(path: Path, _: int) -> Snapshot:
    return snapshot_of(path)
