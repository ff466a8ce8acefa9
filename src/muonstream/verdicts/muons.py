"""Verdicts from reconstruction: segments, efficiency of chambers, layers and cells, residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import SIDES, drift_velocity_um_per_ns, wilson
from muonstream.detector.level import Level
from muonstream.detector.model import Chamber
from muonstream.muons.patterns import build_patterns
from muonstream.statistics.core import fit_core, weighted_shifts
from muonstream.verdicts.cells import cell_name
from muonstream.verdicts.findings import Finding, change, graded

FEWEST_OF_SIDES: Final = 30
"""Segments of one choice of sides, for their mean misfit."""
BAND_MM: Final = 3
"""Residuals by distance are judged in bands of this width, mm."""
VELOCITY_ERROR: Final = 0.004
"""A drift velocity is judged by segments if its relative error is below this."""
SHARE_SIGMAS: Final = 3.0
"""A share is out of line when its interval of this many standard deviations is."""


def judge_muons(
    catalogue: Catalogue,
    chamber: int,
    now: Counts,
    long: Counts,
    change_of_rate: tuple[float, float, float, float] | None,
    odd: NDArray[np.bool_] | None = None,
) -> Iterator[Finding]:
    """The verdicts on a chamber, by index.

    now, long: int64[size], of the newest data with enough segments, and of up to some minutes
    change_of_rate: segments, how many were expected by what was before, and how many times the number of before that
        is, and the spread between runs; None without anything to compare with
    odd: bool[cells], cells that have a finding of their own by their hits; their efficiency is not judged again
    """
    yield _segments(catalogue, chamber, change_of_rate)
    yield from _efficiency(catalogue, chamber, now, long, odd)
    yield from _residuals(catalogue, chamber, now)


def segments_of(catalogue: Catalogue, counts: Counts, chamber: int) -> int:
    """Segments found in a chamber, by index."""
    return int(catalogue.view(counts, "segment_hits")[chamber].sum())


def _segments(catalogue: Catalogue, chamber: int, change_of_rate: tuple[float, float, float, float] | None) -> Finding:
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    if change_of_rate is None or change_of_rate[1] < thresholds.min_hits:
        return Finding("segments", name, Level.NULL, "compared with nothing", name)
    n, expected, scale, spread = change_of_rate
    limits, sigmas = thresholds.segment_rate_change, thresholds.significance
    level, relative, limit = change(n, expected, limits, sigmas, scale, spread)
    reason = f"{n:.0f} segments, {relative:+.0%} against what it was"
    return Finding("segments", name, level, reason, name, relative, limit)


def _missing(
    check: str, subject: str, part: str, found: int, expected: int, limits: tuple[float, float], what: str
) -> Finding:
    """The finding on a missing share; one that may be a fluctuation is Good."""
    missing = 1 - found / expected
    chance = 1 - wilson(found, expected, SHARE_SIGMAS)[1] <= limits[0]
    level, limit = graded(missing, limits, chance=chance)
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
    """The resolution of single hits, the share of wrong ones, and whether a layer is displaced.

    By the misfit, the one combination of a segment's hits that vanishes for a straight track: its width is that of one
    hit. A fit's own residuals have a mean of 0 whatever is wrong, but the misfit's mean by sides tells of layers.
    """
    name, thresholds = catalogue.detector.chambers[chamber].name, catalogue.detector.thresholds
    fit = fit_core(catalogue.entries["misfit"].axis.centres, catalogue.view(now, "misfit")[chamber, 1:-1])
    n = int(catalogue.view(now, "misfit")[chamber, 1:-1].sum())
    if fit is None or n < thresholds.min_hits:
        for check in ("hit resolution", "wrong hits", "layer shift", "x-t relation"):
            yield Finding(check, name, Level.NULL, f"only {n} segments with a hit in each layer", name)
        return
    sigmas = thresholds.significance
    chance = fit.sigma - sigmas * fit.sigma_error < thresholds.residual_width_mm[0]
    level, limit = graded(fit.sigma, thresholds.residual_width_mm, chance=chance)
    reason = f"hits scatter by {fit.sigma:.3f} ± {fit.sigma_error:.3f} mm, wrong ones apart"
    yield Finding("hit resolution", name, level, reason, name, fit.sigma, limit, "mm")
    chance = fit.tail - sigmas * fit.tail_error < thresholds.wrong_hits[0]
    level, limit = graded(fit.tail, thresholds.wrong_hits, chance=chance)
    reason = f"{fit.tail:.0%} ± {fit.tail_error:.0%} of the segments have a hit that is not the track's"
    yield Finding("wrong hits", name, level, reason, name, fit.tail, limit)
    yield _layer_shift(catalogue, chamber, now)
    yield _xt_relation(catalogue, chamber, now)


def _layer_shift(catalogue: Catalogue, chamber: int, now: Counts) -> Finding:
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    sums = catalogue.view(now, "misfit_side")[chamber].reshape(SIDES, 3).astype(np.float64)
    used = np.flatnonzero(sums[:, 0] >= FEWEST_OF_SIDES)
    if not len(used):
        return Finding("layer shift", room.name, Level.NULL, "too few segments of any one choice of sides", room.name)
    n, mean = sums[used, 0], sums[used, 1] / sums[used, 0]
    errors_mm = np.sqrt(np.maximum(sums[used, 2] / n - mean**2, 1.0) / n) / 1000
    shifts_mm, errors = weighted_shifts(_normals(room)[used], mean / 1000, errors_mm)
    clear = np.abs(shifts_mm) - thresholds.significance * errors
    layer = int(np.argmax(np.where(clear > 0, np.abs(shifts_mm), -1.0))) if (clear > 0).any() else int(clear.argmax())
    shift = float(shifts_mm[layer])
    level, limit = graded(abs(shift), thresholds.residual_mean_mm, chance=bool(clear[layer] <= 0))
    reason = f"layer {layer} is {shift:+.3f} ± {errors[layer]:.3f} mm from where the others put it"
    return Finding("layer shift", room.name, level, reason, room.name, shift, limit, "mm")


def _xt_relation(catalogue: Catalogue, chamber: int, now: Counts) -> Finding:
    """Whether distance is drift time times a constant velocity, by residuals against the distance from the wire.

    A fit has residuals of its own hits, which are some 7 % of what the relation is off by.
    """
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    velocity, error = drift_velocity_um_per_ns(catalogue.view(now, "velocity")[chamber])
    if velocity > 0:
        off = abs(velocity / room.drift_velocity_um_per_ns - 1)
        if off > max(thresholds.velocity_change[0], SHARE_SIGMAS * error / velocity):
            return Finding("x-t relation", room.name, Level.NULL, "not judged: the drift velocity is off", room.name)
    names = ("residual_count", "residual_sum_um", "residual_sum2_um2")
    bands = np.arange(0, catalogue.view(now, names[0]).shape[1], BAND_MM)
    n, sums, squares = (np.add.reduceat(catalogue.view(now, name)[chamber], bands).astype(float) for name in names)
    used = n >= thresholds.min_hits
    if not used.any():
        return Finding("x-t relation", room.name, Level.NULL, "too few hits at any distance", room.name)
    mean_mm = sums[used] / n[used] / 1000
    errors_mm = np.sqrt(np.maximum(squares[used] / n[used] / 1e6 - mean_mm**2, 1e-6) / n[used])
    clear = np.abs(mean_mm) - thresholds.significance * errors_mm
    worst = int(np.argmax(np.where(clear > 0, np.abs(mean_mm), clear - 1)))
    value, at_mm = float(mean_mm[worst]), int(bands[used][worst])
    level, limit = graded(abs(value), thresholds.xt_residual_mm, chance=bool(clear[worst] <= 0))
    reason = f"hits {at_mm} to {at_mm + BAND_MM} mm from their wires are {value:+.3f} ± {errors_mm[worst]:.3f} mm off"
    return Finding("x-t relation", room.name, level, reason, room.name, value, limit, "mm")


@lru_cache(maxsize=64)
def _normals(chamber: Chamber) -> NDArray[np.float64]:
    """The weights of the misfit by sides, float64[SIDES, layers], of segments with a hit in each layer."""
    layers = chamber.layers
    every = ((1 << layers) - 1) << layers
    out = np.zeros((SIDES, layers))
    out[: 1 << layers] = build_patterns(chamber).normal[every : every + (1 << layers), 0]
    return out


def segment_velocity(catalogue: Catalogue, chamber: int, windows: Sequence[Counts]) -> tuple[float, float] | None:
    """Drift velocity and its error, um/ns, by the segments of the shortest stretch that has enough; None without."""
    for counts in windows:
        sums = catalogue.view(counts, "velocity")[chamber]
        velocity, error = drift_velocity_um_per_ns(sums)
        if sums[0] >= catalogue.detector.thresholds.min_hits and velocity > 0 and error < VELOCITY_ERROR * velocity:
            return velocity, error
    return None
