"""The best side pattern of a choice of hits, by a straight relation of drift time and distance."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled

SAME: Final = 1e-7
"""Values of chi2 and tan that differ by less are the same; then what was tried first wins."""


@compiled
def best_sides(
    layers: int,
    n: int,
    x: Any,
    vt: Any,
    table: Any,
    tau: float,
    known: bool,
    half: float,
    slack: float,
    config: Any,
    y: Any,
) -> tuple[float, float, float, float, int]:
    """The best side pattern of hits at wires x and times vt, by layer: chi2, tan, position, v t0, sides.

    With no pattern that fits, sides are -1. With `known`, tau is v t0 and is not fitted.
    """
    usable, solution, normal = table
    weight, most_chi2, most_tan = config
    best_chi2, best_tan, best_x, best_tau, best_sides = np.inf, np.inf, 0.0, 0.0, -1
    hits = 0
    for row in range(n):
        hits += (layers >> row) & 1
    free = hits - (2 if known else 3)
    for sides in range(1 << n):
        where = layers << n | sides
        if not usable[where]:
            continue
        for row in range(n):
            y[row] = x[row] + (vt[row] - tau if (sides >> row) & 1 else tau - vt[row])
        chi2 = 0.0
        for k in range(free):
            miss = 0.0
            for row in range(n):
                miss += normal[where, k, row] * y[row]
            chi2 += miss * miss * weight
        if chi2 > most_chi2 or chi2 > best_chi2 + SAME:
            continue
        tan, later = 0.0, 0.0
        for row in range(n):
            tan += solution[where, 1, row] * y[row]
            later += solution[where, 2, row] * y[row]
        if abs(tan) > most_tan or (chi2 >= best_chi2 - SAME and abs(tan) >= abs(best_tan) - SAME):
            continue
        later += tau
        inside = True
        for row in range(n):
            if (layers >> row) & 1 and not -slack <= vt[row] - later <= half + slack:
                inside = False
        if inside:
            best_chi2, best_tan, best_tau, best_sides = chi2, tan, later, sides
            best_x = 0.0
            for row in range(n):
                best_x += solution[where, 0, row] * y[row]
    return best_chi2, best_tan, best_x, best_tau, best_sides
