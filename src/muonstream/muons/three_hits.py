"""Sides of segments with three hits, decided by the time that another chamber tells, compiled.

Three hits are fitted exactly on several combinations of sides, each with a t0 of its own, and the search takes the
least inclined one. Where another chamber has a segment of the same orbit whose hits do tell its t0, the combination
whose t0 is nearest to that one is taken instead.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.detector.relation import MOST_TAN
from muonstream.muons.agreement import CONFIRMED_NS, MOST_SEGMENTS
from muonstream.muons.correction import correct
from muonstream.muons.patterns import MOST_LAYERS
from muonstream.muons.records import PLACES, POSITION, T0, TAN, TIMES, USABLE, WIRES
from muonstream.muons.search import write
from muonstream.muons.sides import freedom

SAME_NS: Final = 1e-6
"""Times that differ by less are the same."""


@inlined
def _nearest(segments: Any, first: int, end: int, chamber: int, t0_ns: float) -> float:
    """How far the nearest t0 is that another chamber's hits tell, of segments[first:end]."""
    least = np.inf
    for other in range(first, end):
        if segments[other].chamber != chamber and freedom(segments[other].layers, False) > 0:
            least = min(least, abs(segments[other].t0_ns - t0_ns))
    return least


@compiled
def _decide(
    i: int,
    first: int,
    end: int,
    segments: Any,
    cells: Any,
    chambers: Any,
    relation_steps: Any,
    tables: Any,
    config: Any,
    time: Any,
    wire: Any,
    cell: Any,
    place: Any,
    hits_of: Any,
    fit_of: Any,
    room: Any,
) -> None:
    """Decide the sides of segments[i] by the others of its orbit, segments[first:end]."""
    segment = segments[i]
    c = segment.chamber
    if _nearest(segments, first, end, c, segment.t0_ns) == np.inf:
        return
    chamber = chambers[c]
    n, table, velocity = chamber.layers, chamber.free_table, chamber.velocity
    slope_ns = chamber.t0_tan_ns if chamber.has_relation > 0 else 0.0
    counted_from = segment.t0_ns - slope_ns * min(abs(segment.tan), MOST_TAN)
    earliest = np.inf
    for row in range(n):
        hits_of[0, row] = -1
        if (segment.layers >> row) & 1:
            hits_of[0, row] = row
            time[row], cell[row], place[row] = (
                segment.drift_ns[row] + counted_from,
                segment.cell[row],
                segment.word[row],
            )
            wire[row] = cells[chamber.first_code + segment.cell[row]].wire_mm
            earliest = min(earliest, time[row])
    for row in range(n):
        there = hits_of[0, row] >= 0
        room[WIRES, row] = wire[row] if there else 0.0
        room[TIMES, row] = (time[row] - earliest) * velocity if there else 0.0
    best, least = -1, CONFIRMED_NS
    for sides in range(1 << n):
        where = segment.layers << n | sides
        if tables[table, where, USABLE, 0] == 0:
            continue
        position, tan, tau = 0.0, 0.0, 0.0
        for row in range(n):
            room[PLACES, row] = room[WIRES, row] + (room[TIMES, row] if (sides >> row) & 1 else -room[TIMES, row])
            position += tables[table, where, POSITION, row] * room[PLACES, row]
            tan += tables[table, where, TAN, row] * room[PLACES, row]
            tau += tables[table, where, T0, row] * room[PLACES, row]
        inside = abs(tan) <= config[2]
        for row in range(n):
            drift = room[TIMES, row] - tau
            if hits_of[0, row] >= 0 and not -chamber.slack <= drift <= chamber.half + chamber.slack:
                inside = False
        if not inside:
            continue
        t0 = earliest + tau / velocity
        off = _nearest(segments, first, end, c, t0 + slope_ns * min(abs(tan), MOST_TAN))
        # combinations may have one t0 but for rounding: then the search's stays
        if off < least - SAME_NS or (off < least + SAME_NS and sides == segment.sides):
            best, least = sides, off
            fit_of[0, 0], fit_of[0, 1], fit_of[0, 2], fit_of[0, 3], fit_of[0, 4] = 0.0, tan, position, t0, 0.0
    if best < 0 or best == segment.sides:
        return
    pattern = segment.layers << n | best
    if chamber.has_relation > 0:
        correct(0, hits_of, fit_of, pattern, time, wire, np.nan, config[0], tables, relation_steps, c, chamber, room)
    write(segment, 0, hits_of, fit_of, pattern, time, wire, cell, place, relation_steps, c, chamber)


@compiled
def decide_sides(segments: Any, cells: Any, chambers: Any, relation_steps: Any, tables: Any, config: Any) -> None:
    """Decide the sides of all segments with three hits that another chamber can tell; arguments as of `find_segments`.

    segments: SEGMENT, in order of window and orbit
    """
    time, wire = np.zeros(MOST_LAYERS), np.zeros(MOST_LAYERS)
    cell, place = np.zeros(MOST_LAYERS, np.int64), np.zeros(MOST_LAYERS, np.int64)
    hits_of, fit_of, room = np.zeros((1, MOST_LAYERS), np.int64), np.zeros((1, 5)), np.zeros((3, MOST_LAYERS))
    first = 0
    while first < len(segments):
        end = first + 1
        one = segments[first]
        while end < len(segments) and segments[end].orbit == one.orbit and segments[end].frame == one.frame:
            end += 1
        if 1 < end - first <= MOST_SEGMENTS:
            for i in range(first, end):
                if freedom(segments[i].layers, False) > 0:
                    continue
                _decide(
                    i,
                    first,
                    end,
                    segments,
                    cells,
                    chambers,
                    relation_steps,
                    tables,
                    config,
                    time,
                    wire,
                    cell,
                    place,
                    hits_of,
                    fit_of,
                    room,
                )
        first = end
