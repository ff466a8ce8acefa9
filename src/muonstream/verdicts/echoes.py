"""Verdicts on echoes of hits: afterpulses in the same cell, crosstalk into a neighbouring one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.pairs import AFTERPULSE_TDC, CROSSTALK_TDC, accidental_pairs
from muonstream.detector.level import Level
from muonstream.verdicts.cells import cell_name
from muonstream.verdicts.findings import Finding, graded, median, significant


def judge_echoes(catalogue: Catalogue, counts: Counts, chamber: int) -> Iterator[Finding]:
    """The verdicts on a chamber, by index; counts: int64[size], of a stretch of data."""
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    first = int(catalogue.channel_map.cell_base[chamber])
    cells = slice(first, first + room.cells)
    hits = catalogue.view(counts, "pair_hits")[cells]
    after = catalogue.view(counts, "pair_after")[cells]
    orbits = int(catalogue.view(counts, "pair_orbits")[0])
    alive = np.ones(room.cells, np.bool_)
    alive[list(room.dead_cells)] = False
    if median(hits[alive]) < thresholds.min_hits if alive.any() else True:
        yield Finding("afterpulses", room.name, Level.NULL, "too few hits", room.name)
        yield Finding("crosstalk", room.name, Level.NULL, "too few hits", room.name)
        return
    chance = accidental_pairs(hits, hits, AFTERPULSE_TDC, orbits) / 2
    yield from _afterpulses(catalogue, chamber, hits, after, chance)
    yield from _crosstalk(catalogue, chamber, hits, catalogue.view(counts, "pair_next")[:, cells], orbits)


def _afterpulses(
    catalogue: Catalogue, chamber: int, hits: Counts, after: Counts, chance: NDArray[np.float64]
) -> Iterator[Finding]:
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    share = np.maximum(after - chance, 0) / np.maximum(hits, 1)
    usual = median(share)
    odd = np.zeros(room.cells, np.bool_)
    for cell in np.flatnonzero((share > thresholds.afterpulsing_cell[0]) & (hits >= thresholds.min_hits)):
        if significant(float(after[cell]), float(chance[cell] + usual * hits[cell]), thresholds.significance):
            level, limit = graded(float(share[cell]), thresholds.afterpulsing_cell)
            odd[cell] = True
            reason = f"{share[cell]:.0%} of its hits are followed by another, {usual:.1%} in its chamber's median cell"
            subject = cell_name(room, int(cell))
            yield Finding("afterpulsing cell", subject, level, reason, room.name, float(share[cell]), limit)
    mean = float(max((after - chance)[~odd].sum(), 0) / max(hits[~odd].sum(), 1))
    level, limit = graded(mean, thresholds.afterpulses)
    reason = f"{mean:.1%} of the hits are followed by another of their cell within {AFTERPULSE_TDC * 25 // 30} ns"
    yield Finding("afterpulses", room.name, level, reason, room.name, mean, limit)


def _crosstalk(catalogue: Catalogue, chamber: int, hits: Counts, pairs: Counts, orbits: int) -> Iterator[Finding]:
    """Pairs of neighbours, each kind compared with pairs of the same geometry, of which muons make some coincide."""
    room, thresholds = catalogue.detector.chambers[chamber], catalogue.detector.thresholds
    worst, where = 0.0, "no pair of cells"
    # of one layer the next channel is the next cell
    for kind, distance in enumerate(dict.fromkeys((1, room.layers))):
        mine, other, together = hits[:-distance], hits[distance:], pairs[kind, :-distance]
        fewer = np.minimum(mine, other)
        chance = accidental_pairs(mine, other, CROSSTALK_TDC, orbits)
        share = np.maximum(together - chance, 0) / np.maximum(fewer, 1)
        alike = np.arange(len(mine)) % room.layers
        enough = fewer >= thresholds.min_hits
        usual = np.zeros(len(mine))
        for number in range(room.layers):
            these = (alike == number) & enough
            usual[alike == number] = median(share[these]) if these.any() else 0.0
        excess = np.where(enough, share - usual, 0.0)
        if excess.size and excess.max() > worst:
            worst = float(excess.max())
            where = f"cells {int(excess.argmax())} and {int(excess.argmax()) + distance}"
        for cell in np.flatnonzero(excess > thresholds.crosstalk[0]):
            expected = float(chance[cell] + usual[cell] * fewer[cell])
            if significant(float(together[cell]), expected, thresholds.significance):
                level, limit = graded(float(excess[cell]), thresholds.crosstalk)
                reason = f"{share[cell]:.0%} of the hits of the quieter come together, {usual[cell]:.1%} in pairs alike"
                subject = f"{room.name} cells {int(cell)} and {int(cell) + distance}"
                yield Finding("crosstalking cells", subject, level, reason, room.name, float(excess[cell]), limit)
    reason = f"{where} share most, {worst:.1%} of their hits more than pairs alike"
    yield Finding("crosstalk", room.name, Level.GOOD, reason, room.name, worst, thresholds.crosstalk[0])
