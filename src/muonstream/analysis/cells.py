"""Verdicts on cells: dead, noisy, changed; rows of dead ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.findings import Finding, Level, graded, significant
from muonstream.detector import Chamber, Thresholds

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CellCounts:
    """A chamber's hits by cell in some live time: all, and those in orbits with a passage time (int64[cells])."""

    hits: Array
    with_passage: Array
    seconds: float

    @property
    def noise(self) -> Array:
        """Hits in orbits without a passage time."""
        return self.hits - self.with_passage


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
    expected = float(np.median(now.hits[alive])) if alive.any() else 0.0
    if expected < thresholds.min_hits or now.seconds <= 0:
        levels[:] = Level.NULL
        return CellVerdicts(levels, (), odd)
    found: list[Finding] = []
    for finding, cell in _dead(chamber, thresholds, now, expected, known):
        found.append(finding)
        levels[cell] = finding.level
        odd[cell] = True
    # before a noisy cell is bad too
    dead = levels == Level.BAD
    for finding, cell in _noisy(chamber, thresholds, now, before, known):
        found.append(finding)
        levels[cell] = max(int(levels[cell]), finding.level)
        odd[cell] = True
    found += _rows(chamber, thresholds, dead, known)
    share = float(dead.sum() / max(alive.sum(), 1))
    level, limit = graded(share, thresholds.dead_cells)
    reason = f"{int(dead.sum())} of {int(alive.sum())} cells are dead"
    found.append(Finding("dead cells", chamber.name, level, reason, chamber.name, share, limit))
    return CellVerdicts(levels, tuple(found), odd)


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
    chamber: Chamber, thresholds: Thresholds, now: CellCounts, before: CellCounts | None, known: NDArray[np.bool_]
) -> Iterator[tuple[Finding, int]]:
    noise, sigmas = now.noise, thresholds.significance
    median = max(float(np.median(noise[~known])), 1.0)
    for cell in np.flatnonzero((noise > 2 * median) | (noise / now.seconds > thresholds.noisy_cell_hz[0])):
        n = float(noise[cell])
        hz = n / now.seconds
        subject = cell_name(chamber, int(cell))
        # the gravest of: too many a second, too many for its chamber, too many for what it was
        level, limit = graded(hz, thresholds.noisy_cell_hz)
        judged = [(level, limit, hz, "Hz", f"{hz:.1f} Hz of noise, beyond {limit:g} Hz")]
        if significant(n, median, sigmas):
            factor = n / median
            text = f"{hz:.1f} Hz of noise, {factor:.1f} times the median of its chamber"
            judged.append((*graded(factor, thresholds.noisy_cell_factor), factor, "times", text))
        if before is not None and before.seconds > 0:
            scale = now.seconds / before.seconds
            usual = max(float(before.noise[cell]), 1.0) * scale
            if significant(n, usual, sigmas, scale):
                factor = n / usual
                text = f"{hz:.1f} Hz of noise, {factor:.1f} times what it was"
                judged.append((*graded(factor, thresholds.changed_cell_factor), factor, "times", text))
        level, limit, value, unit, reason = max(judged, key=lambda one: one[0])
        if level > Level.GOOD:
            yield Finding("noisy cell", subject, level, reason, chamber.name, value, limit, unit), int(cell)


def _rows(
    chamber: Chamber, thresholds: Thresholds, dead: NDArray[np.bool_], known: NDArray[np.bool_]
) -> Iterator[Finding]:
    """Layers without a cell alive, and long rows of dead cells; known dead ones neither make nor break a row."""
    layers = chamber.layer_of_cell()
    for layer in range(chamber.layers):
        cells = np.flatnonzero((layers == layer) & ~known)
        if len(cells) > 1 and dead[cells].all():
            reason = f"all {len(cells)} cells of the layer are dead"
            subject = f"{chamber.name} layer {layer}"
            yield Finding("dead layer", subject, Level.BAD, reason, chamber.name, float(len(cells)), 0.0, "cells")
            continue
        longest = length = 0
        for is_dead in dead[cells]:
            length = length + 1 if is_dead else 0
            longest = max(longest, length)
        if longest >= thresholds.dead_row:
            reason = f"{longest} dead cells side by side"
            yield Finding(
                "dead row",
                f"{chamber.name} layer {layer}",
                Level.BAD,
                reason,
                chamber.name,
                float(longest),
                float(thresholds.dead_row),
                "cells",
            )
