"""The relation of drift time and distance, where it is not a straight line: what is added to velocity times time.

A hit at drift time t, of a track of slope tan, is ``v t + f0(t) + |tan| f1(t)`` from its wire. f0 and f1 are straight
between the times of a table and constant beyond. Near its wire an inclined track is nearer than where it crosses the
wire's height, and farther out its first electrons come from the near side of the cell: both are in f1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.errors import shown

MOST_TAN: Final = 2.0
"""Steeper tracks are taken to be as steep as this."""
STEP_NS: Final = 1.0
"""The relation is worked out at whole steps and is straight between these, for the reconstruction and everyone else."""
KNOTS: Final = 64
MOST_MM: Final = 10.0
MOST_T0_NS: Final = 100.0
KEYS: Final = ("time_ns", "add_mm", "add_tan_mm", "t0_tan_ns")
STEPS_MM: Final = 0.05
STEPS_TAN: Final = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DriftRelation:
    """What is added to velocity times drift time, at the times of a table.

    time_ns: rising; add_mm: f0 at these; add_tan_mm: f1, for a slope of 1
    t0_tan_ns: times |tan|, what is added to a fitted t0 to be the passage time
    """

    time_ns: tuple[float, ...]
    add_mm: tuple[float, ...]
    add_tan_mm: tuple[float, ...]
    t0_tan_ns: float = 0.0

    @property
    def first_ns(self) -> float:
        """Where the steps begin."""
        return float(np.floor(self.time_ns[0] / STEP_NS) * STEP_NS)

    def steps(self, n: int | None = None) -> Floats:
        """f0 and f1 at whole steps from `first_ns` on, float64[n, 2]; as many as there are to the table's end."""
        return _steps(self, n)

    def added_mm(self, time_ns: Floats, tan: Floats) -> Floats:
        """What is added to v t, float64, for drift times and slopes that go together by numpy's rules."""
        steps = self.steps()
        place = np.clip((time_ns - self.first_ns) / STEP_NS, 0.0, len(steps) - 1.000001)
        low = place.astype(np.int64)
        part = place - low
        added = steps[low] * (1 - part[..., None]) + steps[low + 1] * part[..., None]
        return np.asarray(added[..., 0] + steepness(tan) * added[..., 1], dtype=np.float64)

    def drift_ns(self, distance_mm: Floats, tan: Floats, velocity_mm_per_ns: float) -> Floats:
        """The drift time at which a distance is reached first, float64[n], to about 0.1 ns. Distances are from 0 on.

        Where the relation falls, a later time has the same distance; a cell's hit is its earliest signal.
        """
        times, fields = _inverse(self, velocity_mm_per_ns, float(np.ceil(distance_mm.max(initial=0.0))))
        row, column = steepness(tan) / STEPS_TAN, distance_mm / STEPS_MM
        low, left = (np.minimum(x.astype(np.int64), n - 2) for x, n in ((row, times.shape[0]), (column, fields)))
        up, across = row - low, column - left
        lower = times[low, left] * (1 - across) + times[low, left + 1] * across
        upper = times[low + 1, left] * (1 - across) + times[low + 1, left + 1] * across
        return np.asarray(lower * (1 - up) + upper * up, dtype=np.float64)

    def as_plain(self) -> dict[str, Any]:
        """As the detector file has it."""
        return asdict(self)


def steepness(tan: Floats) -> Floats:
    """|tan| as the relation takes it."""
    return np.asarray(np.minimum(np.abs(tan), MOST_TAN), dtype=np.float64)


@lru_cache(maxsize=64)
def _steps(relation: DriftRelation, n: int | None) -> Floats:
    times = np.asarray(relation.time_ns)
    whole = round((np.ceil(times[-1] / STEP_NS) * STEP_NS - relation.first_ns) / STEP_NS) + 2
    at = relation.first_ns + np.arange(whole if n is None else n) * STEP_NS
    steps = np.stack([np.interp(at, times, relation.add_mm), np.interp(at, times, relation.add_tan_mm)], axis=1)
    steps.setflags(write=False)
    return np.asarray(steps, dtype=np.float64)


@lru_cache(maxsize=64)
def _inverse(relation: DriftRelation, velocity_mm_per_ns: float, farthest_mm: float) -> tuple[Floats, int]:
    """Drift times by slope and distance, float64[a, b], and b."""
    slopes = np.arange(0, MOST_TAN + 1.5 * STEPS_TAN, STEPS_TAN)
    distances = np.arange(0, farthest_mm + 1.5 * STEPS_MM, STEPS_MM)
    # an inclined track may be nearer to the wire than any drift time says: its hit comes at time 0
    at = np.arange(0, 2 * farthest_mm / velocity_mm_per_ns + 200, STEP_NS / 4)
    out = np.empty((len(slopes), len(distances)))
    for row, slope in zip(out, slopes, strict=True):
        reached = np.maximum.accumulate(velocity_mm_per_ns * at + relation.added_mm(at, np.full_like(at, slope)))
        rising = np.flatnonzero(np.diff(reached, prepend=-np.inf) > 0)
        row[:] = np.interp(distances, reached[rising], at[rising])
    return out, len(distances)


def relation_table(value: object) -> DriftRelation | None:
    """The table `drift` of a chamber.

    Raises ValueError, with one line a fault: which key, what was found, what is expected.
    """
    if value is None or isinstance(value, DriftRelation):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"found {shown(value)}, expected a table with {', '.join(KEYS)}")
    faults = list(_faults(value))
    if faults:
        raise ValueError("\n".join(faults))
    times, added, added_tan = (tuple(float(x) for x in value[key]) for key in KEYS[:3])
    return DriftRelation(times, added, added_tan, float(value.get("t0_tan_ns", 0.0)))


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most


def _faults(table: dict[Any, Any]) -> Iterator[str]:
    for key in table:
        if key not in KEYS:
            yield f"{key}: found a key that is not known, expected {', '.join(KEYS)}"
    whole = True
    for key, most in zip(KEYS[:3], (1000.0, MOST_MM, MOST_MM), strict=True):
        values = table.get(key)
        right = isinstance(values, list | tuple) and 2 <= len(values) <= KNOTS
        if not right or not all(_is_number(value, most) for value in values):  # type: ignore[union-attr]
            whole = False
            found = shown(values) if key in table else "nothing"
            yield f"{key}: found {found}, expected 2 to {KNOTS} numbers from -{most:g} to {most:g}"
    if not _is_number(table.get("t0_tan_ns", 0.0), MOST_T0_NS):
        yield f"t0_tan_ns: found {shown(table['t0_tan_ns'])}, expected -{MOST_T0_NS:g} to {MOST_T0_NS:g}"
    if not whole:
        return
    times = table["time_ns"]
    for key in KEYS[1:3]:
        if len(table[key]) != len(times):
            yield f"{key}: found {len(table[key])} numbers, expected one for each of the {len(times)} times"
    for before, after in pairwise(times):
        if after - before < STEP_NS:
            yield f"time_ns: found {after:g} after {before:g}, expected times that rise by {STEP_NS:g} ns or more"


def falls_at(relation: DriftRelation, velocity_mm_per_ns: float) -> float | None:
    """The first of its times after which a vertical track's distance falls, None for a relation that rises."""
    times, added = np.asarray(relation.time_ns), np.asarray(relation.add_mm)
    falling = np.flatnonzero(np.diff(velocity_mm_per_ns * times + added) <= 0)
    return float(times[falling[0]]) if len(falling) else None


def correction_faults(
    cells: int, cell_time_offset_ns: tuple[float, ...], relation: DriftRelation | None, velocity_mm_per_ns: float
) -> Iterator[str]:
    """What is wrong with the corrections of a chamber of so many cells, a line each."""
    if len(cell_time_offset_ns) not in (0, cells):
        yield f"cell_time_offset_ns: found {len(cell_time_offset_ns)} numbers, expected one a cell ({cells}) or none"
    if relation is not None and (at := falls_at(relation, velocity_mm_per_ns)) is not None:
        yield f"drift.add_mm: found a distance that falls after {at:g} ns, expected one that rises with time"
