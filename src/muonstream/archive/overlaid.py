"""A histogram of several runs, one over another: counts of the same sum, and their ratios to the first run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.archive.compare import SHAPES, chi2_of_shapes, rows, sigma_of, subjects, title_of
from muonstream.errors import MuonstreamError
from muonstream.run.monitor import Snapshot
from muonstream.words import NS_PER_TDC

MOST_RUNS: Final = 8
DRIFT_JOINED: Final = 8
"""Bins of the drift time, of one TDC count each, that are shown as one."""
FEWEST: Final = 5
"""The fewest entries of the first run in a bin for which a ratio to it is given."""


class OverlayError(MuonstreamError):
    """Runs or a histogram that cannot be shown over one another, in one line."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A histogram that can be overlaid, and what it has one of each: chambers, views, or "" alone."""

    name: str
    title: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's histogram.

    entries: its sum; y: float64[bins], its counts scaled to the first run's sum; ratio: float64[bins], to the first
    run's, NaN where that has few; sigma: how far its shape is from the first run's, in standard deviations
    """

    entries: int
    y: NDArray[np.float64]
    ratio: NDArray[np.float64]
    sigma: float


@dataclass(frozen=True, slots=True)
class Overlay:
    """A histogram of several runs; edges: float64[bins + 1], in the unit that the label ends with."""

    title: str
    label: str
    edges: NDArray[np.float64]
    curves: tuple[Curve, ...]


def choices(snapshot: Snapshot) -> list[Choice]:
    """The histograms of a run that can be overlaid."""
    names = [name for name in SHAPES if name in snapshot.catalogue.entries]
    return [Choice(name, title_of(snapshot, name), tuple(subjects(snapshot, name))) for name in names]


def overlaid(snapshots: Sequence[Snapshot], name: str, subject: str = "") -> Overlay:
    """A histogram of 1 to 8 runs; subject: "" for the first. Raises OverlayError.

    Bins above and below the axis are left out. Shapes are compared as `compare.shape_differences` does.
    """
    if not 1 <= len(snapshots) <= MOST_RUNS:
        raise OverlayError(f"overlay: found {len(snapshots)} runs, expected 1 to {MOST_RUNS}")
    first = snapshots[0]
    known = choices(first)
    choice = next((one for one in known if one.name == name), None)
    if choice is None:
        raise OverlayError(f"histogram: found {name[:60]!r}, expected {', '.join(one.name for one in known)}")
    subject = subject or choice.subjects[0]
    if subject not in choice.subjects:
        raise OverlayError(f"of: found {subject[:60]!r}, expected {', '.join(choice.subjects)}")
    axis = first.catalogue.entries[name].axis
    inside = slice(1, -1) if axis.flow else slice(None)
    found: list[NDArray[np.int64]] = []
    for snapshot in snapshots:
        row = _row(snapshot, name, subject)
        if row is None or (found and len(row) != len(found[0])) or snapshot.catalogue.entries[name].axis != axis:
            raise OverlayError(f"overlay: run {snapshot.run}: found no {choice.title} of {subject} with these bins")
        found.append(row)
    sigmas = [sigma_of(*chi2_of_shapes(row, found[0])) if row.sum() and found[0].sum() else 0.0 for row in found]
    found = [row[inside] for row in found]
    if name == "drift_tdc":
        found = [row[: len(row) // DRIFT_JOINED * DRIFT_JOINED].reshape(-1, DRIFT_JOINED).sum(axis=1) for row in found]
    edges, label = _axis(first, name, len(found[0]))
    # where no run has anything there is nothing to see
    filled = np.flatnonzero(np.sum(found, axis=0))
    if len(filled):
        shown = slice(max(int(filled[0]) - 1, 0), int(filled[-1]) + 2)
        found, edges = [row[shown] for row in found], edges[shown.start : shown.start + len(found[0][shown]) + 1]
    base = found[0].astype(np.float64)
    curves = []
    for row, sigma in zip(found, sigmas, strict=True):
        total = int(row.sum())
        y = row * (base.sum() / total) if total else np.zeros(len(row))
        ratio = np.divide(y, base, out=np.full(len(row), np.nan), where=base >= FEWEST)
        curves.append(Curve(total, y, ratio, sigma))
    title = f"{subject}: {choice.title[0].lower()}{choice.title[1:]}" if subject else choice.title
    return Overlay(title, label, edges, tuple(curves))


def _axis(snapshot: Snapshot, name: str, bins: int) -> tuple[NDArray[np.float64], str]:
    """The edges of the bins that are shown, float64[bins + 1], and what the axis says."""
    entry = snapshot.catalogue.entries[name]
    axis = entry.axis
    if entry.per == "cell":
        return np.asarray(np.arange(bins + 1) - 0.5, dtype=np.float64), "cell"
    if name == "drift_tdc":
        edges = (axis.start + np.arange(bins + 1, dtype=np.float64) * DRIFT_JOINED) * NS_PER_TDC
        return np.asarray(edges, dtype=np.float64), axis.physical.title
    return axis.edges[: bins + 1], axis.title


def _row(snapshot: Snapshot, name: str, subject: str) -> NDArray[np.int64] | None:
    if name not in snapshot.catalogue.entries:
        return None
    found = dict(zip(subjects(snapshot, name), rows(snapshot, name), strict=True))
    return None if subject not in found else np.asarray(found[subject], dtype=np.int64)
