"""Verdicts on cells: dead, noisy, changed; rows of dead ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.level import Level
from muonstream.detector.model import Chamber
from muonstream.detector.thresholds import Thresholds
from muonstream.verdicts.findings import Finding, graded, median, significant

Array = NDArray[np.int64]


LIVING_SHARE: Final = 0.1
"""For the typical number of hits, a cell is alive with this fraction of the hits of its chamber's upper quartile."""
AROUND_CELLS: Final = 1.75
FEWEST_NAMED: Final = 4
"""From this many dead cells on a chamber has one alarm for all; fewer have one each."""


@dataclass(frozen=True, slots=True)
class CellCounts:
    """A chamber's hits by cell in some live time (int64[cells]): all, and those known not to be noise.

    explained: hits in orbits with a passage time, or on segments
    beam: of the others, as many as particles explain by the cells around, see `particles`; 0 for none
    """

    hits: Array
    explained: Array
    seconds: float
    beam: Array | int = 0

    @property
    def noise(self) -> Array:
        """Hits that nothing explains."""
        noise: Array = self.hits - self.explained - self.beam
        return noise


@cache
def _around(chamber: Chamber) -> NDArray[np.bool_]:
    """Which cells are around which, bool[cells, cells]: wires of any layer less than two cells to the side."""
    x_mm = chamber.wire_x_mm()
    near: NDArray[np.bool_] = np.abs(x_mm[:, None] - x_mm) < AROUND_CELLS * chamber.cell_width_mm
    return near & ~np.eye(chamber.cells, dtype=np.bool_)


def particles(chamber: Chamber, hits: Array, factor: float) -> Array:
    """Hits by cell (int64[cells]) that a beam explains: up to so many times the upper quartile of the cells around.

    A beam's profile is smooth over a few cells, a noisy cell is not. Not their median, which is too low on the flank of
    a narrow beam where some of them are dead.
    """
    around = _around(chamber)
    # where a cell has fewer around it than others, the rest is below all of theirs
    rising = np.sort(np.where(around, hits, -1), axis=1)
    place = chamber.cells - 1 - around.sum(axis=1) // 4
    quartile = np.maximum(rising[np.arange(chamber.cells), place], 0)
    explained: Array = np.minimum((factor * quartile).astype(np.int64), hits)
    return explained


def typical_hits(chamber: Chamber, hits: Array) -> float:
    """Hits of a typical cell that works, of hits by cell (int64[cells]); 0 without any.

    The median of the cells that are alive: those with some part of the upper quartile's hits, or, where not even a
    quarter of the cells has any, those with hits at all. Neither a noisy cell nor dead ones pull it, however many.
    """
    listed = np.ones(chamber.cells, np.bool_)
    listed[list(chamber.dead_cells)] = False
    rising = np.sort(hits[listed])
    if not len(rising):
        return 0.0
    living = rising[rising > LIVING_SHARE * rising[len(rising) * 3 // 4]]
    return median(living)


@dataclass(frozen=True, slots=True)
class CellVerdicts:
    """Levels of a chamber's cells (int8[cells]), findings of those that are not good, which are out of line (odd)."""

    levels: NDArray[np.int8]
    findings: tuple[Finding, ...]
    odd: NDArray[np.bool_]


def judge_cells(
    chamber: Chamber, thresholds: Thresholds, now: CellCounts, before: CellCounts | None = None
) -> CellVerdicts:
    """The verdicts on a chamber's cells; before: the reference's counts, or those of the run before."""
    levels = np.full(chamber.cells, Level.GOOD, dtype=np.int8)
    known = np.zeros(chamber.cells, dtype=np.bool_)
    known[list(chamber.dead_cells)] = True
    levels[known] = Level.NULL
    odd = known.copy()
    alive = ~known
    expected = typical_hits(chamber, now.hits)
    found: list[Finding] = []
    if now.seconds <= 0 or not alive.any():
        levels[:] = Level.NULL
        return CellVerdicts(levels, (), odd)
    enough = expected >= thresholds.min_hits
    dead = np.zeros(chamber.cells, dtype=np.bool_)
    if enough:
        for finding, cell in _dead(chamber, thresholds, now, expected, known):
            found.append(finding)
            levels[cell] = finding.level
            odd[cell] = True
        # first, since a noisy cell is bad too
        dead = levels == Level.BAD
    else:
        levels[:] = Level.NULL
    # the absolute limit in hertz holds whatever the other cells have
    for finding, cell in _noisy(chamber, thresholds, now, before if enough else None, known | dead, enough=enough):
        found.append(finding)
        levels[cell] = max(int(levels[cell]), finding.level)
        odd[cell] = True
    if enough:
        found = _gathered(chamber, thresholds, found, dead, known)
    else:
        reason = f"too few hits: {expected:.0f} in a typical cell, {thresholds.min_hits} are needed"
        found.append(Finding("dead cells", chamber.name, Level.NULL, reason, chamber.name))
    return CellVerdicts(levels, tuple(found), odd)


def _gathered(
    chamber: Chamber,
    thresholds: Thresholds,
    found: list[Finding],
    dead: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> list[Finding]:
    """One finding for each cause: cells of a dead layer or row, or of a large number, are not named singly."""
    alive = ~known
    rows, of_rows = _rows(chamber, thresholds, dead, known)
    single = dead & ~of_rows
    number, share = int(dead.sum()), float(dead.sum() / max(alive.sum(), 1))
    level, limit = graded(share, thresholds.dead_cells)
    reason = f"{number} of {int(alive.sum())} cells are dead"
    if len(rows) > 1 or single.sum() >= FEWEST_NAMED:
        # one cause: half a chamber, a connector, a high voltage
        named = np.zeros_like(single)
        level = max(level, Level.BAD if rows else Level.MEDIUM)
        reason += f": {_ranges(np.flatnonzero(dead))}"
        rows = []
    else:
        # each of them is an alarm of its own, as is a row
        level, named = Level.GOOD, single
    names = {cell_name(chamber, int(cell)) for cell in np.flatnonzero(dead & ~named)}
    kept = [one for one in found if one.check != "dead cell" or one.subject not in names]
    return [*kept, *rows, Finding("dead cells", chamber.name, level, reason, chamber.name, share, limit)]


def _ranges(numbers: Array) -> str:
    """Rising numbers as text: 0 to 3, 7."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts if len(part))


def cell_name(chamber: Chamber, cell: int) -> str:
    """The name of a cell for people."""
    return f"{chamber.name} cell {cell}"


def _dead(
    chamber: Chamber, thresholds: Thresholds, now: CellCounts, expected: float, known: NDArray[np.bool_]
) -> Iterator[tuple[Finding, int]]:
    for cell in range(chamber.cells):
        n = int(now.hits[cell])
        subject = cell_name(chamber, cell)
        if known[cell]:
            if n > (1 - thresholds.missing_cell[0]) * expected:
                reason = f"listed as dead, but has {n} hits"
                yield Finding("dead cell", subject, Level.MEDIUM, reason, chamber.name, float(n), 0.0, "hits"), cell
            continue
        missing = 1 - n / expected
        level, limit = graded(missing, thresholds.missing_cell)
        if level > Level.GOOD and significant(n, expected, thresholds.significance):
            reason = f"{n} hits in {now.seconds:.0f} s, where a cell of this chamber has {expected:.0f}"
            yield Finding("dead cell", subject, level, reason, chamber.name, missing, limit), cell


def _noisy(
    chamber: Chamber,
    thresholds: Thresholds,
    now: CellCounts,
    before: CellCounts | None,
    silent: NDArray[np.bool_],
    *,
    enough: bool,
) -> Iterator[tuple[Finding, int]]:
    """Noisy cells; silent: cells known or found to be dead; enough: whether hits suffice to compare cells."""
    noise, sigmas = now.noise, thresholds.significance
    # particles cross too few layers to be found at the sides
    outer = np.zeros(chamber.cells, np.bool_)
    outer[: chamber.layers] = outer[-chamber.layers :] = True
    of_inner, of_outer = (max(median(noise[~silent & which]), 1.0) for which in (~outer, outer))
    usual_noise = np.maximum(np.where(outer, max(of_inner, of_outer), of_inner), now.beam)
    # of many particles some hits are on no segment, and more so when there are more of them than before
    beyond = noise > np.where(outer, 2, 1) * now.explained
    usual_before = 0.0 if before is None else median(before.noise[before.noise > 0])
    hz_limit = thresholds.noisy_cell_hz[0]
    for cell in np.flatnonzero((noise > 2 * usual_noise) | (noise / now.seconds > hz_limit)):
        n = float(noise[cell])
        hz = n / now.seconds
        subject = cell_name(chamber, int(cell))
        judged = []
        # the gravest of: too many a second, for its chamber, or compared with before
        if n >= thresholds.min_hits and beyond[cell]:
            level, limit = graded(hz, thresholds.noisy_cell_hz)
            judged.append((level, limit, hz, "Hz", f"{hz:.1f} Hz of noise, beyond {limit:g} Hz"))
        if enough and significant(n, float(usual_noise[cell]), sigmas):
            factor = n / float(usual_noise[cell])
            text = f"{hz:.1f} Hz of noise, {factor:.1f} times the median of its chamber"
            judged.append((*graded(factor, thresholds.noisy_cell_factor), factor, "times", text))
        if before is not None and before.seconds > 0 and beyond[cell]:
            scale = now.seconds / before.seconds
            # a cell that was dead before and is alive now is not noisy for that
            was = float(before.noise[cell])
            usual = max(was if was > LIVING_SHARE * usual_before else usual_before, 1.0) * scale
            if significant(n, usual, sigmas, scale):
                factor = n / usual
                text = f"{hz:.1f} Hz of noise, {factor:.1f} times what it was"
                judged.append((*graded(factor, thresholds.changed_cell_factor), factor, "times", text))
        if not judged:
            continue
        level, limit, value, unit, reason = max(judged, key=lambda one: one[0])
        if level > Level.GOOD:
            yield Finding("noisy cell", subject, level, reason, chamber.name, value, limit, unit), int(cell)


def _rows(
    chamber: Chamber, thresholds: Thresholds, dead: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Layers without a cell alive, and long rows of dead cells; known dead ones neither make nor break a row.

    With them the cells that they are made of.
    """
    found: list[Finding] = []
    members = np.zeros(chamber.cells, np.bool_)
    layers = chamber.layer_of_cell()
    for layer in range(chamber.layers):
        cells = np.flatnonzero((layers == layer) & ~known)
        subject = f"{chamber.name} layer {layer}"
        if len(cells) > 1 and dead[cells].all():
            reason = f"all {len(cells)} cells of the layer are dead"
            found.append(
                Finding("dead layer", subject, Level.BAD, reason, chamber.name, float(len(cells)), 0.0, "cells")
            )
            members[cells] = True
            continue
        runs = np.split(cells, np.flatnonzero(np.diff(dead[cells])) + 1)
        long = [run for run in runs if len(run) >= thresholds.dead_row and dead[run[0]]]
        if long:
            longest, limit = max(len(run) for run in long), float(thresholds.dead_row)
            reason = f"{longest} dead cells side by side"
            found.append(Finding("dead row", subject, Level.BAD, reason, chamber.name, float(longest), limit, "cells"))
            members[np.concatenate(long)] = True
    return found, members
