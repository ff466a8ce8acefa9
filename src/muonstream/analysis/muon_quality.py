"""Verdicts from reconstruction: segments, efficiency of chambers, layers and cells, residuals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.cells import cell_name
from muonstream.analysis.findings import Finding, Level, change, graded
from muonstream.analysis.histograms import Catalogue, Counts
from muonstream.analysis.muons import wilson

SHARE_SIGMAS: Final = 3.0
"""A share is out of line when its interval of so many standard deviations is."""


def judge_muons(
    catalogue: Catalogue,
    chamber: int,
    now: Counts,
    long: Counts,
    change_of_rate: tuple[float, float, float] | None,
    odd: NDArray[np.bool_] | None = None,
) -> Iterator[Finding]:
    """The verdicts on a chamber, by index.

    now, long: int64[size], of the newest data with enough segments, and of up to some minutes
    change_of_rate: segments, how many were expected by what was before, and how many times the number of before that
        is; None without anything to compare with
    odd: bool[cells], cells that have a finding of their own by their hits; their efficiency is no second one
    """
    yield _segments(catalogue, chamber, change_of_rate)
    yield from _efficiency(catalogue, chamber, now, long, odd)
    yield from _residuals(catalogue, chamber, now)


def segments_of(catalogue: Catalogue, counts: Counts, chamber: int) -> int:
    """Segments found in a chamber, by index."""
    return int(catalogue.view(counts, "segment_hits")[chamber].sum())


def _segments(catalogue: Catalogue, chamber: int, change_of_rate: tuple[float, float, float] | None) -> Finding:
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    if change_of_rate is None or change_of_rate[1] < thresholds.min_hits:
        return Finding("segments", name, Level.NULL, "compared with nothing", name)
    n, expected, scale = change_of_rate
    level, relative, limit = change(n, expected, thresholds.segment_rate_change, thresholds.significance, scale)
    reason = f"{n:.0f} segments, {relative:+.0%} against what it was"
    return Finding("segments", name, level, reason, name, relative, limit)


def _missing(
    check: str, subject: str, part: str, found: int, expected: int, limits: tuple[float, float], what: str
) -> Finding:
    """The finding of a share that is missing; one that chance may bring is Good."""
    missing = 1 - found / expected
    level, limit = graded(missing, limits)
    if 1 - wilson(found, expected, SHARE_SIGMAS)[1] <= limits[0]:
        level, limit = Level.GOOD, limits[0]
    low, high = wilson(found, expected)
    reason = f"efficiency {found / expected:.1%} ({low:.1%} to {high:.1%}), of {expected} {what}"
    return Finding(check, subject, level, reason, part, missing, limit)


def _efficiency(
    catalogue: Catalogue, chamber: int, now: Counts, long: Counts, odd: NDArray[np.bool_] | None
) -> Iterator[Finding]:
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    expected = int(catalogue.view(long, "chamber_expected")[chamber])
    if expected < thresholds.min_hits:
        yield Finding("efficiency", room.name, Level.NULL, f"only {expected} lines crossed it", room.name)
    else:
        found = int(catalogue.view(long, "chamber_found")[chamber])
        limits = thresholds.missing_segments
        yield _missing("efficiency", room.name, room.name, found, expected, limits, "lines that crossed it")

    known = np.zeros(room.cells, np.bool_)
    known[list(room.dead_cells)] = True
    if odd is not None:
        known |= odd
    crossed, hit = (_cells(catalogue, now, name, chamber) for name in ("cell_expected", "cell_found"))
    layers = room.layer_of_cell()
    for layer in range(room.layers):
        cells, subject = (layers == layer) & ~known, f"{room.name} layer {layer}"
        n = int(crossed[cells].sum())
        if n < thresholds.min_hits:
            yield Finding("layer efficiency", subject, Level.NULL, f"only {n} segments crossed it", room.name)
            continue
        limits = thresholds.missing_hits_layer
        found = int(hit[cells].sum())
        yield _missing("layer efficiency", subject, room.name, found, n, limits, "segments that crossed it")

    crossed, hit = (_cells(catalogue, long, name, chamber) for name in ("cell_expected", "cell_found"))
    suspect = (crossed - hit > thresholds.missing_hits_cell[0] * crossed) & ~known
    for cell in np.flatnonzero(suspect):
        limits, n, subject = thresholds.missing_hits_cell, int(crossed[cell]), cell_name(room, int(cell))
        finding = _missing("cell efficiency", subject, room.name, int(hit[cell]), n, limits, "segments that crossed it")
        if finding.level > Level.GOOD:
            yield finding


def _cells(catalogue: Catalogue, counts: Counts, name: str, chamber: int) -> NDArray[np.int64]:
    first = int(catalogue.channel_map.cell_base[chamber])
    return catalogue.view(counts, name)[first : first + catalogue.detector.chambers[chamber].cells]


def _residuals(catalogue: Catalogue, chamber: int, now: Counts) -> Iterator[Finding]:
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    counts = catalogue.view(now, "residual_unbiased")[chamber, 1:-1]
    n = int(counts.sum())
    if n < thresholds.min_hits:
        for check in ("residual mean", "residual width"):
            yield Finding(check, name, Level.NULL, f"only {n} residuals", name)
        return
    centres_mm = catalogue.entries["residual_unbiased"].axis.centres
    mean = float((counts * centres_mm).sum() / n)
    width = float(np.sqrt((counts * (centres_mm - mean) ** 2).sum() / n))
    error = width / np.sqrt(n)
    level, limit = graded(abs(mean), thresholds.residual_mean_mm)
    if abs(mean) < thresholds.significance * error:
        level, limit = Level.GOOD, thresholds.residual_mean_mm[0]
    reason = f"hits are {mean:+.3f} ± {error:.3f} mm from the segment of the other layers"
    yield Finding("residual mean", name, level, reason, name, mean, limit, "mm")
    level, limit = graded(width, thresholds.residual_width_mm)
    reason = f"hits scatter by {width:.2f} mm about the segment of the other layers"
    yield Finding("residual width", name, level, reason, name, width, limit, "mm")
