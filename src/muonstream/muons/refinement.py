"""Calibration from beginning to end: velocities, offsets and places, then the fine calibration, until nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.model import Chamber, Detector
from muonstream.detector.relation import DriftRelation, falls_at, steepness
from muonstream.muons.calibration import Calibration, calibrate
from muonstream.muons.fine import FEWEST, MISFIT_MM, Fine, core_of_misfit, fine
from muonstream.muons.sample import LAYERS, Floats, Sample, refit
from muonstream.statistics.core import CoreFit

MOST_ROUNDS: Final = 8
MOST_FINE_ROUNDS: Final = 3
NEAR_NS: Final = 20.0
"""Differences of t0 farther from their median than this are of other muons, or of wrong hits."""
FEWEST_PAIRS: Final = 200
CLEAR: Final = 3.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of the data gives: counts of the catalogue, and segments with four hits, some left out."""

    catalogue: Catalogue
    total: Counts
    sample: Sample
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Refined:
    """A calibration with the corrections that are clear, the last look, how many there were, and what was found.

    before, after: core and tail of the misfit, mm, of each half of the data with what the other half says
    """

    calibration: Calibration
    look: Look
    rounds: int
    fines: tuple[Fine, ...]
    before: CoreFit | None
    after: CoreFit | None


def calibrated(look: Callable[[Detector], Look], detector: Detector, *, corrections: bool = True) -> Refined:
    """Calibrate with looks at the data until nothing moves. Raises CalibrationError for too little data.

    With `corrections`, what is clear of drift relation, layers and cells is in the detector that is given.
    """
    for rounds in range(1, MOST_ROUNDS + 1):
        seen = look(detector)
        made = calibrate(seen.catalogue, seen.total)
        if made.moved(detector) < 1 or rounds == MOST_ROUNDS:
            break
        detector = made.detector
    if not corrections:
        return Refined(made, seen, rounds, (), None, None)
    # the corrections belong to the detector that the segments were found with, not to what is calibrated from these
    first = refine(detector, seen.sample, None)
    remarks = list(first.remarks)
    if seen.left_out:
        remarks.append(f"corrections: of the first {len(seen.sample):,} segments; {seen.left_out:,} more were left out")
    fines = first.fines
    if not any(fines_part.has(part) for fines_part in fines for part in ("drift", "layers", "cells")):
        made = replace(made, remarks=(*made.remarks, *remarks))
        return Refined(made, seen, rounds, fines, *_cores(fines))
    now = first
    for _ in range(MOST_FINE_ROUNDS):
        rounds += 1
        seen = look(now.detector)
        made = calibrate(seen.catalogue, seen.total)
        before = now.detector
        # velocities are the corrections' by now
        made = replace(made, detector=_with_velocities(made.detector, before))
        now = refine(before, seen.sample, fines, onto=made.detector)
        if made.moved(before) < 1:
            break
    rows = tuple(
        replace(
            row,
            velocity_um_per_ns=(chamber.drift_velocity_um_per_ns, row.velocity_um_per_ns[1]),
            t_max_ns=(chamber.t_max_ns, row.t_max_ns[1]),
        )
        for row, chamber in zip(made.chambers, now.detector.chambers, strict=True)
    )
    made = Calibration(now.detector, rows, (*made.remarks, *remarks, *now.remarks))
    return Refined(made, seen, rounds, fines, _cores(fines)[0], _cores(now.fines)[1])


@dataclass(frozen=True, slots=True)
class Refinement:
    """A detector with fine corrections, what was found for each kind of chambers, and remarks."""

    detector: Detector
    fines: tuple[Fine, ...]
    remarks: tuple[str, ...]


def _kinds(detector: Detector) -> Iterator[list[int]]:
    """Chambers, by index, whose cells are alike: they share a relation."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for c, chamber in enumerate(detector.chambers):
        if chamber.layers == LAYERS:
            kinds.setdefault((chamber.cell_width_mm, chamber.cell_height_mm), []).append(c)
    yield from kinds.values()


def refine(
    detector: Detector, sample: Sample, known: tuple[Fine, ...] | None, onto: Detector | None = None
) -> Refinement:
    """The fine calibration of all kinds of chambers: of what is clear, or of what was clear before, in `known`.

    detector: with which the sample was found; onto: the detector to change, the same one if not given
    """
    remarks: list[str] = []
    fines: list[Fine] = []
    chambers = list((onto or detector).chambers)
    for chamber in detector.chambers:
        if chamber.layers != LAYERS and known is None:
            remarks.append(f"chamber {chamber.number} has no fine calibration: {chamber.layers} layers, expected 4")
    for kind in _kinds(detector):
        own = sample.chosen(np.isin(sample.chamber, kind))
        numbers = ", ".join(str(detector.chambers[c].number) for c in kind)
        if len(own) < FEWEST:
            if known is None:
                remarks.append(
                    f"no fine calibration of chambers {numbers}: found {len(own)} segments of four hits, "
                    f"expected at least {FEWEST}"
                )
            continue
        t_max_ns = float(np.mean([detector.chambers[c].t_max_ns for c in kind]))
        parts = None if known is None else tuple(g.part for g in known[len(fines)].gains if g.clear)
        found = fine(own, detector, t_max_ns, parts)
        fines.append(found)
        if known is None:
            remarks += _said(found, numbers)
            parts = tuple(gain.part for gain in found.gains if gain.clear)
        if not parts:
            continue
        relation = None
        if "drift" in parts:
            slope = _t0_slope(detector, own, found)
            relation = _relation(found, slope)
            if slope is None:
                remarks.append(
                    f"held: t0_tan_ns of chambers {numbers}, for lack of scintillator times or a second view"
                )
        for c in kind:
            chambers[c] = _corrected(chambers[c], detector.chambers[c], c, found, relation, parts or ())
            if relation is not None and falls_at(relation, chambers[c].drift_velocity_um_per_ns / 1000) is not None:
                remarks.append(
                    f"chamber {chambers[c].number}: no relation of drift time: what was found falls with time"
                )
                chambers[c] = chambers[c].model_copy(update={"drift": None})
    new = (onto or detector).model_copy(update={"chambers": tuple(chambers)})
    return Refinement(new, tuple(fines), tuple(dict.fromkeys(remarks)))


NAMES: Final = {"drift": "relation of drift time and distance", "layers": "places of layers", "cells": "times of cells"}


def _said(found: Fine, numbers: str) -> Iterator[str]:
    for gain in found.gains:
        what = "taken" if gain.clear else "left alone"
        yield (
            f"{NAMES[gain.part]}, chambers {numbers}: {what}; the logarithm of the likelihood of the other half of the "
            f"data is larger by {gain.gain:.1f} ± {gain.error:.1f}"
        )
    if all(gain.part != "cells" for gain in found.gains):
        yield f"times of cells, chambers {numbers}: left alone; their spread is {found.spread_ns:g} ns"
    if found.has("layers"):
        yield f"held: mean and tilt of the layers of chambers {numbers}, which are those of the chamber"


def _relation(found: Fine, slope: tuple[float, float] | None) -> DriftRelation:
    corrections = found.corrections
    times, added, added_tan = (
        tuple(np.round(values, 4).tolist())
        for values in (corrections.knots_ns, corrections.add_mm, corrections.add_tan_mm)
    )
    t0_tan_ns = 0.0 if slope is None or abs(slope[0]) < CLEAR * slope[1] else round(slope[0], 3)
    return DriftRelation(times, added, added_tan, t0_tan_ns)


def _corrected(
    chamber: Chamber, found_with: Chamber, c: int, found: Fine, relation: DriftRelation | None, parts: tuple[str, ...]
) -> Chamber:
    """A chamber with the corrections; those of layers are added to the ones that it was found with."""
    new: dict[str, Any] = {}
    velocity = found_with.drift_velocity_um_per_ns + 1000 * found.slope_mm_per_ns
    new["drift_velocity_um_per_ns"] = velocity
    new["t_max_ns"] = chamber.cell_width_mm * 500 / velocity
    if relation is not None:
        new["drift"] = relation
    if "layers" in parts:
        shift = np.asarray(found_with.layer_shift_mm) + found.corrections.shift_mm[c]
        new["layer_shift_mm"] = tuple(np.round(shift, 4).tolist())
    if "cells" in parts:
        new["cell_time_offset_ns"] = tuple(np.round(found.corrections.cell_ns[c, : chamber.cells], 2).tolist())
    return chamber.model_copy(update=new)


def _with_velocities(detector: Detector, before: Detector) -> Detector:
    keys = ("drift_velocity_um_per_ns", "t_max_ns")
    chambers = tuple(
        new.model_copy(update={key: getattr(old, key) for key in keys})
        for new, old in zip(detector.chambers, before.chambers, strict=True)
    )
    return detector.model_copy(update={"chambers": chambers})


def _t0_slope(detector: Detector, sample: Sample, found: Fine) -> tuple[float, float] | None:
    """How much later a muon passes than the t0 of its hits says, for each unit of |tan|, ns, and its error.

    By the scintillator where there is one, else by the t0 of segments in the other view; None without either.
    """
    fitted = refit(sample, found.corrections)
    steep = steepness(fitted.tan)
    right = np.abs(fitted.misfit_mm) < MISFIT_MM
    passed = np.flatnonzero(right & np.isfinite(sample.passage_ns))
    if len(passed) >= FEWEST:
        return slope_of(steep[passed], sample.passage_ns[passed] - fitted.t0_ns[passed], sample.chamber[passed])
    views = np.array([chamber.view == "y" for chamber in detector.chambers])[sample.chamber]
    sides = [np.flatnonzero(right & (views == view)) for view in (False, True)]
    a, b = pairs(sample.orbit, *sides)
    if len(a) < FEWEST_PAIRS:
        return None
    kind = sample.chamber[a] * len(detector.chambers) + sample.chamber[b]
    return slope_of(steep[a] - steep[b], fitted.t0_ns[b] - fitted.t0_ns[a], kind)


def pairs(
    orbit: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of one of each of two lots that are in one orbit."""
    b = b[np.argsort(orbit[b], kind="stable")]
    low, high = (np.searchsorted(orbit[b], orbit[a], side=side) for side in ("left", "right"))
    many = high - low
    first = np.repeat(a, many)
    steps = np.arange(len(first)) - np.repeat(np.cumsum(many) - many, many)
    return first, b[np.repeat(low, many) + steps]


def slope_of(x: Floats, y: Floats, kind: NDArray[np.int64]) -> tuple[float, float]:
    """The slope of y against x and its error, each kind with a constant of its own; what is far off is left out."""
    x, y, use = x.copy(), y.copy(), np.zeros(len(y), np.bool_)
    for k in np.unique(kind):
        own = np.flatnonzero(kind == k)
        y[own] -= np.median(y[own[np.abs(y[own] - np.median(y[own])) < 2 * NEAR_NS]])
    slope, spread, error = 0.0, 0.0, np.inf
    for _ in range(10):
        left = y - slope * x
        use = np.abs(left) < NEAR_NS if not spread else np.abs(left) < 2.5 * spread
        u, v = x[use].copy(), y[use].copy()
        for k in np.unique(kind[use]):
            own = kind[use] == k
            u[own] -= u[own].mean()
            v[own] -= v[own].mean()
        slope = float((u * v).sum() / (u**2).sum())
        spread = float(np.sqrt(((v - slope * u) ** 2).mean()))
        error = spread / float(np.sqrt((u**2).sum()))
    return slope, error


def _cores(fines: tuple[Fine, ...]) -> tuple[CoreFit | None, CoreFit | None]:
    if not fines:
        return None, None
    before, after = (np.concatenate([getattr(one, name) for one in fines]) for name in ("before_mm", "after_mm"))
    return core_of_misfit(before), core_of_misfit(after)
