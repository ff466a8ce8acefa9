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
from muonstream.muons.sides import SAME

ROUNDS: Final = 2
"""Fits for each pattern of sides that is compared with others."""
LAST_ROUNDS: Final = 1
"""Further ones for the one that is kept; a fit with no degree of freedom, not compared, has the others first."""
LOOSE: Final = 1.6
"""Side patterns up to so many times the largest chi2, by the straight relation, are tried with the other."""
MARGIN: Final = 4.0
"""Side patterns whose chi2 by the straight relation is larger than the best one's by more than this are not."""


@compiled
def added_mm(relation: Any, time_ns: float, steep: float) -> float:
    """What the relation adds to velocity times time, for a slope that is not negative, and not more than the most."""
    steps, first_ns, _ = relation
    place = min(max((time_ns - first_ns) / STEP_NS, 0.0), len(steps) - 1.000001)
    low = np.int64(place)
    part = place - low
    f0 = steps[low, 0] + (steps[low + 1, 0] - steps[low, 0]) * part
    return float(f0 + steep * (steps[low, 1] + (steps[low + 1, 1] - steps[low, 1]) * part))


@compiled
def refitted(
    where: int, n: int, hits: Any, known: bool, known_tau: float, tan: float, tau: float, correction: Any, rounds: int
) -> tuple[float, float, float, float]:
    """The fit of hits on the sides of a pattern, by the relation, from a fit before: chi2, tan, position, v t0.

    chi2 is in units of mm2. With `known` the passage is at known_tau; what is given is v times the t0 that drift times
    count from, which for an inclined track is not the passage.
    """
    x, vt, y = hits
    velocity, relation, table = correction
    _, solution, normal = table
    steps, first_ns, t0_tan_ns = relation
    layers, sides, last = where >> n, where & ((1 << n) - 1), len(steps) - 1.000001
    position, chi2 = 0.0, 0.0
    for turn in range(rounds):
        steep = min(abs(tan), MOST_TAN)
        if known:
            tau = known_tau - velocity * t0_tan_ns * steep
        for row in range(n):
            y[row] = 0.0
            if (layers >> row) & 1:
                drift = vt[row] - tau
                # `added_mm` in place: handing the relation over would take as long as the rest
                step = min(max((drift / velocity - first_ns) / STEP_NS, 0.0), last)
                low = np.int64(step)
                part = step - low
                f0 = steps[low, 0] + (steps[low + 1, 0] - steps[low, 0]) * part
                f1 = steps[low, 1] + (steps[low + 1, 1] - steps[low, 1]) * part
                away = drift + f0 + steep * f1
                y[row] = x[row] + (away if (sides >> row) & 1 else -away)
        tan, later = 0.0, 0.0
        for row in range(n):
            tan += solution[where, 1, row] * y[row]
            later += solution[where, 2, row] * y[row]
        tau += later
        if turn == rounds - 1:
            for row in range(n):
                position += solution[where, 0, row] * y[row]
            for k in range(n - 2):
                miss = 0.0
                for row in range(n):
                    miss += normal[where, k, row] * y[row]
                chi2 += miss * miss
    return chi2, tan, position, tau


@compiled
def best_corrected(
    layers: int,
    n: int,
    hits: Any,
    tau: float,
    known: bool,
    half: float,
    slack: float,
    config: Any,
    correction: Any,
    fit_of: Any,
) -> tuple[float, float, float, float, int]:
    """The best side pattern of hits in more layers than a fit has unknowns, by the relation.

    hits: wires x, times v t by layer, and room for as many; fit_of: room for three numbers a pattern
    Gives chi2, tan, position, v t0, sides; with no pattern that fits, sides are -1.
    """
    x, vt, y = hits
    usable, solution, normal = correction[2]
    weight, most_chi2, most_tan, least_chi2 = config[0], config[1], config[2], np.inf
    for sides in range(1 << n):
        where = layers << n | sides
        fit_of[sides, 0] = np.inf
        if not usable[where]:
            continue
        for row in range(n):
            y[row] = x[row] + (vt[row] - tau if (sides >> row) & 1 else tau - vt[row])
        chi2 = 0.0
        for k in range(n - 2):
            miss = 0.0
            for row in range(n):
                miss += normal[where, k, row] * y[row]
            chi2 += miss * miss * weight
        if chi2 > LOOSE * most_chi2 or chi2 > least_chi2 + MARGIN:
            continue
        tan, later = 0.0, tau
        for row in range(n):
            tan += solution[where, 1, row] * y[row]
            later += solution[where, 2, row] * y[row]
        inside = abs(tan) <= 1.1 * most_tan
        for row in range(n):
            # the relation moves t0 by less than this
            if (layers >> row) & 1 and not -2 * slack <= vt[row] - later <= half + 2 * slack:
                inside = False
        if inside:
            fit_of[sides, 0], fit_of[sides, 1], fit_of[sides, 2] = chi2, tan, later
            least_chi2 = min(least_chi2, chi2)
    best_chi2, best_tan, best_x, best_tau, best_sides = np.inf, np.inf, 0.0, 0.0, -1
    for sides in range(1 << n):
        if fit_of[sides, 0] == np.inf or fit_of[sides, 0] > least_chi2 + MARGIN:
            continue
        where, tan, later = layers << n | sides, fit_of[sides, 1], fit_of[sides, 2]
        chi2, tan, position, later = refitted(where, n, hits, known, tau, tan, later, correction, ROUNDS)
        chi2 *= weight
        if chi2 > most_chi2 or abs(tan) > most_tan:
            continue
        inside = True
        for row in range(n):
            if (layers >> row) & 1 and not -slack <= vt[row] - later <= half + slack:
                inside = False
        if inside and (chi2 < best_chi2 - SAME or (chi2 <= best_chi2 + SAME and abs(tan) < abs(best_tan) - SAME)):
            best_chi2, best_tan, best_x, best_tau, best_sides = chi2, tan, position, later, sides
    return best_chi2, best_tan, best_x, best_tau, best_sides
