"""The best side pattern of a choice of hits, by a straight relation of drift time and distance.

Kernels here and in `correction` take arrays one by one, not in tuples: at each call numba counts a reference to each
array that it takes out of a tuple, which was a twentieth of the search by a relation.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.muons.records import NORMAL, PLACES, POSITION, T0, TAN, TIMES, USABLE, WIRES

SAME: Final = 1e-7
"""Values of chi2 and tan that differ by less are the same; then what was tried first wins."""


@inlined
def freedom(layers: int, known: bool) -> int:
    """How many degrees of freedom a fit of hits in these layers has."""
    hits, rest = 0, layers
    while rest:
        rest &= rest - 1  # without its lowest bit
        hits += 1
    return hits - (2 if known else 3)


@compiled
def best_sides(
    layers: int, tables: Any, table: int, room: Any, tau: float, known: bool, chamber: Any, config: Any
) -> tuple[float, float, float, float, int]:
    """The best side pattern of hits by layer: chi2, tan, position, v t0, sides.

    tables: PATTERN rows, float64[T, 4^L, R, L], and which of these tables; room: float64[3, L], the hits' wires and
    times v t, and room for as many numbers
    With no pattern that fits, sides are -1. With `known`, tau is v t0 and is not fitted.
    """
    weight, most_chi2, most_tan = config
    n, half, slack = chamber.layers, chamber.half, chamber.slack
    best_chi2, best_tan, best_x, best_tau, best_sides = np.inf, np.inf, 0.0, 0.0, -1
    last = NORMAL + freedom(layers, known)
    for sides in range(1 << n):
        where = layers << n | sides
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
        if chi2 > most_chi2 or chi2 > best_chi2 + SAME:
            continue
        tan, later = 0.0, 0.0
        for row in range(n):
            tan += tables[table, where, TAN, row] * room[PLACES, row]
            later += tables[table, where, T0, row] * room[PLACES, row]
        if abs(tan) > most_tan or (chi2 >= best_chi2 - SAME and abs(tan) >= abs(best_tan) - SAME):
            continue
        later += tau
        inside = True
        for row in range(n):
            if (layers >> row) & 1 and not -slack <= room[TIMES, row] - later <= half + slack:
                inside = False
        if inside:
            best_chi2, best_tan, best_tau, best_sides = chi2, tan, later, sides
            best_x = 0.0
            for row in range(n):
                best_x += tables[table, where, POSITION, row] * room[PLACES, row]
    return best_chi2, best_tan, best_x, best_tau, best_sides
