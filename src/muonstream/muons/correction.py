"""Fits of hits by a relation of drift time and distance that is not straight, from the fit by the straight one.

The table of weights is the same for both: what the relation adds to a hit's distance is added to the hit, with the
times and the slope of the fit before, and the fit is made again. What is added changes slowly with both, so that each
fit is several times nearer to the end than the one before, twice for the steepest tracks.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled
from muonstream.detector.relation import MOST_TAN, STEP_NS
from muonstream.muons.records import NORMAL, PLACES, POSITION, T0, TAN, TIMES, USABLE, WIRES
from muonstream.muons.sides import SAME, freedom

ROUNDS: Final = 2
"""Fits for each pattern of sides that is compared with others."""
LAST_ROUNDS: Final = 1
"""Further ones for the one that is kept; a fit with no degree of freedom, not compared, has the others first."""
LOOSE: Final = 1.6
"""Side patterns up to so many times the largest chi2, by the straight relation, are tried with the other."""
MARGIN: Final = 4.0
"""Side patterns whose chi2 by the straight relation is larger than the best one's by more than this are not."""


@compiled
def added_mm(steps: Any, c: int, chamber: Any, time_ns: float, steep: float) -> float:
    """What a chamber's relation adds to velocity times time, for a slope that is not negative, and not more than the
    most.

    steps: float64[C, m, 2]; c, chamber: the chamber's index, and its row
    """
    place = min(max((time_ns - chamber.first_ns) / STEP_NS, 0.0), steps.shape[1] - 1.000001)
    low = np.int64(place)
    part = place - low
    f0 = steps[c, low, 0] + (steps[c, low + 1, 0] - steps[c, low, 0]) * part
    return float(f0 + steep * (steps[c, low, 1] + (steps[c, low + 1, 1] - steps[c, low, 1]) * part))


@compiled
def refitted(
    where: int,
    tables: Any,
    table: int,
    room: Any,
    known: bool,
    known_tau: float,
    tan: float,
    tau: float,
    steps: Any,
    c: int,
    chamber: Any,
    rounds: int,
) -> tuple[float, float, float, float]:
    """The fit of hits on the sides of a pattern, by the relation, from a fit before: chi2, tan, position, v t0.

    chi2 is in units of mm2. With `known` the passage is at known_tau; what is given is v times the t0 that drift times
    count from, which for an inclined track is not the passage. Arrays as in `best_sides` and `added_mm`.
    """
    n, velocity, first_ns, t0_tan_ns = chamber.layers, chamber.velocity, chamber.first_ns, chamber.t0_tan_ns
    layers, sides, last = where >> n, where & ((1 << n) - 1), steps.shape[1] - 1.000001
    position, chi2 = 0.0, 0.0
    for turn in range(rounds):
        steep = min(abs(tan), MOST_TAN)
        if known:
            tau = known_tau - velocity * t0_tan_ns * steep
        for row in range(n):
            room[PLACES, row] = 0.0
            if (layers >> row) & 1:
                drift = room[TIMES, row] - tau
                # `added_mm` in place
                step = min(max((drift / velocity - first_ns) / STEP_NS, 0.0), last)
                low = np.int64(step)
                part = step - low
                f0 = steps[c, low, 0] + (steps[c, low + 1, 0] - steps[c, low, 0]) * part
                f1 = steps[c, low, 1] + (steps[c, low + 1, 1] - steps[c, low, 1]) * part
                away = drift + f0 + steep * f1
                room[PLACES, row] = room[WIRES, row] + (away if (sides >> row) & 1 else -away)
        tan, later = 0.0, 0.0
        for row in range(n):
            tan += tables[table, where, TAN, row] * room[PLACES, row]
            later += tables[table, where, T0, row] * room[PLACES, row]
        tau += later
        if turn == rounds - 1:
            for row in range(n):
                position += tables[table, where, POSITION, row] * room[PLACES, row]
            for k in range(NORMAL, NORMAL + freedom(layers, known)):
                miss = 0.0
                for row in range(n):
                    miss += tables[table, where, k, row] * room[PLACES, row]
                chi2 += miss * miss
    return chi2, tan, position, tau


@compiled
def best_corrected(
    layers: int,
    tables: Any,
    table: int,
    room: Any,
    tau: float,
    known: bool,
    steps: Any,
    c: int,
    chamber: Any,
    config: Any,
    fit_of: Any,
) -> tuple[float, float, float, float, int]:
    """The best side pattern of hits in more layers than a fit has unknowns, by the relation.

    fit_of: room for three numbers a pattern; other arrays as in `best_sides` and `added_mm`
    Gives chi2, tan, position, v t0, sides; with no pattern that fits, sides are -1.
    """
    weight, most_chi2, most_tan = config
    n, half, slack, least_chi2 = chamber.layers, chamber.half, chamber.slack, np.inf
    last = NORMAL + freedom(layers, known)
    for sides in range(1 << n):
        where = layers << n | sides
        fit_of[sides, 0] = np.inf
        if tables[table, where, USABLE, 0] == 0:
            continue
        for row in range(n):
            away = room[TIMES, row] - tau
            room[PLACES, row] = room[WIRES, row] + (away if (sides >> row) & 1 else -away)
        chi2 = 0.0
        for k in range(NORMAL, last):
            miss = 0.0
            for row in range(n):
                miss += tables[table, where, k, row] * room[PLACES, row]
            chi2 += miss * miss * weight
        if chi2 > LOOSE * most_chi2 or chi2 > least_chi2 + MARGIN:
            continue
        tan, later = 0.0, tau
        for row in range(n):
            tan += tables[table, where, TAN, row] * room[PLACES, row]
            later += tables[table, where, T0, row] * room[PLACES, row]
        inside = abs(tan) <= 1.1 * most_tan
        for row in range(n):
            # the relation moves t0 by less than this
            if (layers >> row) & 1 and not -2 * slack <= room[TIMES, row] - later <= half + 2 * slack:
                inside = False
        if inside:
            fit_of[sides, 0], fit_of[sides, 1], fit_of[sides, 2] = chi2, tan, later
            least_chi2 = min(least_chi2, chi2)
    best_chi2, best_tan, best_x, best_tau, best_sides = np.inf, np.inf, 0.0, 0.0, -1
    for sides in range(1 << n):
        if fit_of[sides, 0] == np.inf or fit_of[sides, 0] > least_chi2 + MARGIN:
            continue
        where, tan, later = layers << n | sides, fit_of[sides, 1], fit_of[sides, 2]
        chi2, tan, position, later = refitted(
            where, tables, table, room, known, tau, tan, later, steps, c, chamber, ROUNDS
        )
        chi2 *= weight
        if chi2 > most_chi2 or abs(tan) > most_tan:
            continue
        inside = True
        for row in range(n):
            if (layers >> row) & 1 and not -slack <= room[TIMES, row] - later <= half + slack:
                inside = False
        if inside and (chi2 < best_chi2 - SAME or (chi2 <= best_chi2 + SAME and abs(tan) < abs(best_tan) - SAME)):
            best_chi2, best_tan, best_x, best_tau, best_sides = chi2, tan, position, later, sides
    return best_chi2, best_tan, best_x, best_tau, best_sides


@compiled
def correct(
    best: int,
    hits_of: Any,
    fit_of: Any,
    pattern: int,
    time: Any,
    wire: Any,
    passage_ns: float,
    weight: float,
    tables: Any,
    relation_steps: Any,
    c: int,
    chamber: Any,
    room: Any,
) -> None:
    """Fit a chosen candidate again, by the relation; its t0 is the one that drift times count from.

    best: its row in hits_of, int64[m, L], and fit_of, float64[m, 5]: chi2, tan, position, t0, whether that is known
    pattern: its layers and sides; time, wire: of the hits of its orbit and chamber
    """
    n, velocity, t0 = chamber.layers, chamber.velocity, fit_of[best, 3]
    hits = 0
    for row in range(n):
        j = hits_of[best, row]
        room[WIRES, row] = wire[j] if j >= 0 else 0.0
        room[TIMES, row] = (time[j] - t0) * velocity if j >= 0 else 0.0
        hits += j >= 0
    known_tau = (passage_ns - t0) * velocity
    known = fit_of[best, 4] > 0
    table = chamber.known_table if known else chamber.free_table
    rounds = LAST_ROUNDS if hits > (2 if known else 3) else ROUNDS + LAST_ROUNDS
    chi2, tan, position, tau = refitted(
        pattern, tables, table, room, known, known_tau, fit_of[best, 1], 0.0, relation_steps, c, chamber, rounds
    )
    fit_of[best, 0], fit_of[best, 1], fit_of[best, 2] = chi2 * weight, tan, position
    fit_of[best, 3] = t0 + tau / velocity
