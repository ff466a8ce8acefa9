"""The search for segments: kernels over whole windows, orbit by orbit and chamber by chamber, with bounded work.

The search may take `STEPS_A_HIT` for each hit of an orbit and chamber, and, once these are used up, the window's spare
steps, of which there are `SPARE_STEPS` and `SPARE_STEPS_A_WORD` for each word. A step is about 7 ns. When there are
none left, the choices not tried are given up, and counted.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled
from muonstream.detector.relation import MOST_TAN
from muonstream.frames import KEY_WINDOW_MASK
from muonstream.muons.correction import added_mm, best_corrected, correct
from muonstream.muons.grouping import cell_hits, group, sort_keys
from muonstream.muons.patterns import FEWEST_LAYERS, MOST_LAYERS
from muonstream.muons.records import TIMES, WIRES
from muonstream.muons.sides import SAME, best_sides
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    NS_PER_TDC,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    WINDOW_ORBIT_BITS,
    WINDOW_ORBITS,
)

MOST_WINDOW_WORDS: Final = 1 << 18
"""Windows of more words are given up, hit by hit: signals wait for a window, and this is 2.9 MHz for its 91 ms."""
MOST_IN_LAYER: Final = 8
"""Hits of one layer, after the earliest hit, that are tried with it; later ones are given up."""
MOST_CHOICES: Final = 512
"""Choices of hits tried for one earliest hit."""
STEPS_A_HIT: Final = 85
SPARE_STEPS: Final = 2000
SPARE_STEPS_A_WORD: Final = 68
MOST_SPARE_STEPS: Final = 1 << 17
"""Spare steps that one orbit and chamber may take at most: a counter that stands still leaves some to others."""
SUBTDC: Final = 64
"""Hits of a chamber are put in order of time by 1/64 of a TDC count."""
EARLIEST: Final = 1 << 15
KEY_TIME_SHIFT: Final = 40
KEY_CELL_SHIFT: Final = 28
KEY_CELL_MASK: Final = 0xFFF
KEY_PLACE_MASK: Final = (1 << KEY_CELL_SHIFT) - 1
"""Bits of what hits are sorted by: time, cell, then the order in which they came; a window has fewer than 2^28 hits."""
MOST_CANDIDATES: Final = 256
"""Choices with a fit that are kept to be compared with one another."""
NO_PASSAGE: Final = np.iinfo(np.int64).max

GIVEN_UP_HITS, GIVEN_UP_CHOICES, GIVEN_UP_CANDIDATES = 0, 1, 2


@compiled
def _candidates(
    first: int,
    last: int,
    time: Any,
    layer: Any,
    wire: Any,
    c: int,
    chamber: Any,
    tables: Any,
    relation_steps: Any,
    passage_ns: float,
    use_passage: bool,
    config: Any,
    steps: int,
    k: int,
    given_up: Any,
    hits_of: Any,
    fit_of: Any,
    sides_of: Any,
    near: Any,
    n_near: Any,
    turn: Any,
    pattern_fits: Any,
    room: Any,
) -> tuple[int, int]:
    """Choices of hits among first to last that can be a segment, each with its best sides, in so many steps.

    near, n_near, turn: room for hits by layer, how many these are, and which of them is tried; pattern_fits, room: as
    in `best_corrected`; others as in `find_segments`
    Gives the number of choices that fit, and the steps that are left.
    """
    n, velocity, half, slack = chamber.layers, chamber.velocity, chamber.half, chamber.slack
    pitch, width, corrected = chamber.pitch, chamber.width, chamber.has_relation > 0
    fewest = max(FEWEST_LAYERS, n - 1)
    window = (half + 2 * slack) / velocity
    found = 0
    for i in range(first, last):
        if steps <= 0:
            given_up[k, GIVEN_UP_CHOICES] += last - i
            break
        n_near[:] = 0
        for j in range(i + 1, last):
            if time[j] - time[i] > window:
                break
            if steps <= 0:
                given_up[k, GIVEN_UP_HITS] += 1
                break
            steps -= 1
            row = layer[j]
            if row == layer[i] or abs(wire[j] - wire[i]) > width + config[2] * pitch * abs(row - layer[i]) + 2 * slack:
                continue
            if n_near[row] == MOST_IN_LAYER:
                given_up[k, GIVEN_UP_HITS] += 1
                continue
            near[row, n_near[row]] = j
            n_near[row] += 1
        # a passage that these hits cannot have come from is another muon's
        known = use_passage and -slack <= (time[i] - passage_ns) * velocity <= half + slack
        table = chamber.known_table if known else chamber.free_table
        possible = 1
        for row in range(n):
            possible += n_near[row] > 0
        if possible < fewest:
            continue
        # an odometer over the layers: turn n_near is "no hit of this layer"
        turn[:] = 0
        tried = 0
        while True:
            if steps <= 0:
                given_up[k, GIVEN_UP_CHOICES] += 1
                break
            steps -= 2
            layers, hits, steep = 0, 0, False
            before = -1
            for row in range(n):
                j = i if row == layer[i] else near[row, turn[row]] if turn[row] < n_near[row] else -1
                if j < 0:
                    room[WIRES, row] = 0.0
                    room[TIMES, row] = 0.0
                    continue
                room[WIRES, row], room[TIMES, row] = wire[j], (time[j] - time[i]) * velocity
                if before >= 0:
                    far = width + config[2] * pitch * (row - before) + 2 * slack
                    steep = steep or abs(room[WIRES, row] - room[WIRES, before]) > far
                before = row
                layers |= 1 << row
                hits += 1
            if hits >= fewest and not steep:
                if tried == MOST_CHOICES:
                    given_up[k, GIVEN_UP_CHOICES] += 1
                    break
                tried += 1
                steps -= max(n - 3, 1) << (n - 1)
                tau = (passage_ns - time[i]) * velocity if known else 0.0
                if corrected and hits > (2 if known else 3):
                    chi2, tan, position, tau, sides = best_corrected(
                        layers, tables, table, room, tau, known, relation_steps, c, chamber, config, pattern_fits
                    )
                else:
                    chi2, tan, position, tau, sides = best_sides(
                        layers, tables, table, room, tau, known, chamber, config
                    )
                if sides >= 0 and found == MOST_CANDIDATES:
                    given_up[k, GIVEN_UP_CANDIDATES] += 1
                elif sides >= 0:
                    for row in range(n):
                        hits_of[found, row] = -1
                        if row == layer[i]:
                            hits_of[found, row] = i
                        elif turn[row] < n_near[row]:
                            hits_of[found, row] = near[row, turn[row]]
                    fit_of[found, 0] = chi2
                    fit_of[found, 1] = tan
                    fit_of[found, 2] = position
                    fit_of[found, 3] = time[i] + tau / velocity
                    fit_of[found, 4] = known
                    sides_of[found] = sides | layers << n
                    found += 1
            row = 0
            while row < n:
                if row != layer[i]:
                    turn[row] += 1
                    if turn[row] <= n_near[row]:
                        break
                    turn[row] = 0
                row += 1
            if row == n:
                break
    return found, steps


@compiled
def _better(fit: Any, a: int, b: int, hits_a: int, hits_b: int) -> bool:
    """Whether candidate a is to be taken before b: more hits, smaller chi2, less inclined."""
    if hits_a != hits_b:
        return bool(hits_a > hits_b)
    if abs(fit[a, 0] - fit[b, 0]) > SAME:
        return bool(fit[a, 0] < fit[b, 0])
    return bool(abs(fit[a, 1]) < abs(fit[b, 1]) - SAME)


@compiled
def _next_best(found: int, n: int, hits_of: Any, fit_of: Any, used: Any) -> int:
    """The best candidate none of whose hits is used, or -1."""
    best, best_hits = -1, 0
    for f in range(found):
        free, hits = True, 0
        for row in range(n):
            if hits_of[f, row] >= 0:
                hits += 1
                free = free and not used[hits_of[f, row]]
        if free and (best < 0 or _better(fit_of, f, best, hits, best_hits)):
            best, best_hits = f, hits
    return best


@compiled
def write(
    segment: Any,
    best: int,
    hits_of: Any,
    fit_of: Any,
    sides: int,
    time: Any,
    wire: Any,
    cell: Any,
    place: Any,
    relation_steps: Any,
    c: int,
    chamber: Any,
) -> None:
    """A segment's layers, sides, fit, hits, drift times and residuals; layers and sides are in `sides`, as patterns."""
    n, corrected = chamber.layers, chamber.has_relation > 0
    tan, position, t0 = fit_of[best, 1], fit_of[best, 2], fit_of[best, 3]
    segment.layers, segment.sides = sides >> n, sides & ((1 << n) - 1)
    segment.x_mm, segment.tan, segment.t0_ns, segment.chi2 = position, tan, t0, fit_of[best, 0]
    steep = min(abs(tan), MOST_TAN)
    if corrected:
        segment.t0_ns += chamber.t0_tan_ns * steep
    for row in range(MOST_LAYERS):
        j = hits_of[best, row] if row < n else -1
        if j < 0:
            segment.cell[row], segment.word[row] = -1, -1
            segment.drift_ns[row], segment.residual_mm[row] = np.nan, np.nan
            segment.added_mm[row] = np.nan if corrected else 0.0
            continue
        segment.cell[row], segment.word[row] = cell[j], place[j]
        drift = time[j] - t0
        sign = 1.0 if (sides >> row) & 1 else -1.0
        added = added_mm(relation_steps, c, chamber, drift, steep) if corrected else 0.0
        fitted = position + tan * (row + 0.5 - n / 2) * chamber.pitch
        residual = wire[j] + sign * drift * chamber.velocity - fitted
        segment.drift_ns[row], segment.added_mm[row] = drift, added
        segment.residual_mm[row] = residual + sign * added if corrected else residual


@compiled
def find_segments(
    windows: Any,
    channels: Any,
    cells: Any,
    chambers: Any,
    relation_steps: Any,
    tables: Any,
    use_passage: bool,
    config: Any,
    out: Any,
    given_up: Any,
) -> int:
    """The segments of all windows; gives how many there are.

    windows: words, uint64[w], where windows start, int64[n + 1], and their keys, int64[n]
    channels: cell code of each channel, uint16, how many codes are cells, and the chamber of each block of codes
    cells, chambers: CELL by code, CHAMBER by index; relation_steps: float64[C, m, 2], by chamber
    tables: the side patterns, float64[T, 4^L, R, L], see `records`
    config: 1 / resolution², the largest chi2, the largest slope
    out: SEGMENT, one row for each three words; given_up: int64[n, 3], by window and reason
    """
    words, starts, keys = windows
    codes, cell_codes, chamber_of_block = channels
    scintillator = cell_codes
    n_chambers = len(chambers)
    most = MOST_LAYERS
    # one bucket an orbit and chamber
    buckets = np.zeros(WINDOW_ORBITS * n_chambers + 2, np.int64)
    longest = 0
    for k in range(len(keys)):
        if starts[k + 1] - starts[k] <= MOST_WINDOW_WORDS:
            longest = max(longest, starts[k + 1] - starts[k])
    order = np.empty(longest, np.int64)
    spare = np.empty(longest, np.int64)
    keys_of = np.empty(longest, np.int64)
    groups = np.empty((min(longest, WINDOW_ORBITS * n_chambers) + 1, 2), np.int64)
    as_came = np.empty(longest)
    time = np.empty(longest)
    wire = np.empty(longest)
    layer = np.empty(longest, np.int64)
    cell = np.empty(longest, np.int64)
    place = np.empty(longest, np.int64)
    used = np.empty(longest, np.bool_)
    passage = np.full(WINDOW_ORBITS, NO_PASSAGE)
    hits_of = np.empty((MOST_CANDIDATES, most), np.int64)
    fit_of = np.empty((MOST_CANDIDATES, 5))
    sides_of = np.empty(MOST_CANDIDATES, np.int64)
    near, n_near = np.empty((most, MOST_IN_LAYER), np.int64), np.empty(most, np.int64)
    turn, pattern_fits, room = np.empty(most, np.int64), np.empty((1 << most, 3)), np.zeros((3, most))
    done = 0
    for k in range(len(keys)):
        window = words[starts[k] : starts[k + 1]]
        if len(window) < FEWEST_LAYERS:
            continue
        if len(window) > MOST_WINDOW_WORDS:
            given_up[k, GIVEN_UP_HITS] += cell_hits(window, codes, cell_codes)
            continue
        n_groups = group(window, codes, chamber_of_block, cell_codes, n_chambers, buckets, order, spare, groups)
        for i in range(len(window)):
            word = window[i]
            bx = np.int64((word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK))
            if codes[word >> np.uint64(CHANNEL_SHIFT)] == scintillator and bx < BX_PER_ORBIT:
                orbit = np.int64((word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1))
                passage[orbit] = min(passage[orbit], bx * TDC_PER_BX + np.int64(word & np.uint64(TDC_MASK)))
        first_orbit = (keys[k] & KEY_WINDOW_MASK) << WINDOW_ORBIT_BITS
        spare_steps = SPARE_STEPS + SPARE_STEPS_A_WORD * len(window)
        for g in range(n_groups):
            bucket, begin, end = groups[g, 0], groups[g, 1], groups[g + 1, 1]
            c = bucket % n_chambers
            chamber = chambers[c]
            n, first_code = chamber.layers, chamber.first_code
            fewest = max(FEWEST_LAYERS, n - 1)
            if n == 0 or end - begin < fewest:
                continue
            # the hits of this orbit and chamber, in order of time, cell and arrival
            for m in range(end - begin):
                word = window[order[begin + m]]
                bx = np.int64((word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK))
                tdc = bx * TDC_PER_BX + np.int64(word & np.uint64(TDC_MASK))
                code = np.int64(codes[word >> np.uint64(CHANNEL_SHIFT)])
                # cells of a chamber may have time offsets of their own
                when = tdc * SUBTDC + cells[code].own_offset + EARLIEST
                keys_of[m] = when << KEY_TIME_SHIFT | (code - first_code) << KEY_CELL_SHIFT | m
                as_came[m] = tdc * NS_PER_TDC + cells[code].offset_ns
            sort_keys(keys_of, end - begin, spare)
            for m in range(end - begin):
                key = keys_of[m]
                came = key & KEY_PLACE_MASK
                cell[m] = (key >> KEY_CELL_SHIFT) & KEY_CELL_MASK
                time[m] = as_came[came]
                place[m] = starts[k] + order[begin + came]
            borrowed = min(spare_steps, MOST_SPARE_STEPS)
            steps = STEPS_A_HIT * (end - begin) + borrowed
            for m in range(end - begin):
                layer[m] = cells[first_code + cell[m]].layer
                wire[m] = cells[first_code + cell[m]].wire_mm
                used[m] = False
            velocity, half, slack = chamber.velocity, chamber.half, chamber.slack
            orbit = np.int64(bucket // n_chambers)
            has_passage = passage[orbit] != NO_PASSAGE
            known = use_passage and has_passage
            passage_ns = passage[orbit] * NS_PER_TDC if has_passage else np.nan
            # clusters: hits none of which is more than a drift time after the one before
            m = 0
            while m < end - begin:
                stop = m + 1
                layers = np.int64(0)
                layers |= 1 << layer[m]
                while stop < end - begin and time[stop] - time[stop - 1] <= (half + 2 * slack) / velocity:
                    layers |= 1 << layer[stop]
                    stop += 1
                several = 0
                for row in range(n):
                    several += (layers >> row) & 1
                found = 0
                if several >= fewest:
                    found, steps = _candidates(
                        m,
                        stop,
                        time,
                        layer,
                        wire,
                        c,
                        chamber,
                        tables,
                        relation_steps,
                        passage_ns,
                        known,
                        config,
                        steps,
                        k,
                        given_up,
                        hits_of,
                        fit_of,
                        sides_of,
                        near,
                        n_near,
                        turn,
                        pattern_fits,
                        room,
                    )
                m = stop
                while True:
                    best = _next_best(found, n, hits_of, fit_of, used)
                    if best < 0:
                        break
                    segment = out[done]
                    segment.frame, segment.orbit, segment.chamber = k, first_orbit + orbit, c
                    segment.passage_ns = passage_ns
                    pattern = sides_of[best]
                    if chamber.has_relation > 0:
                        correct(
                            best,
                            hits_of,
                            fit_of,
                            pattern,
                            time,
                            wire,
                            passage_ns,
                            config[0],
                            tables,
                            relation_steps,
                            c,
                            chamber,
                            room,
                        )
                    write(segment, best, hits_of, fit_of, pattern, time, wire, cell, place, relation_steps, c, chamber)
                    for row in range(n):
                        if hits_of[best, row] >= 0:
                            used[hits_of[best, row]] = True
                    done += 1
            spare_steps -= max(borrowed - max(steps, 0), 0)
        passage[:] = NO_PASSAGE
    return done
