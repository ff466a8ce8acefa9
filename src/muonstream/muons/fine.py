"""The fine calibration: drift time against distance, places of layers, times of cells, by likelihood.

The misfit of a segment, the one combination of its four hits that vanishes for a straight track, is a normal
distribution for right hits and flat for wrong ones. What is added to distances, wires and times is fitted by maximum
likelihood of both, and taken only where half of the data say so of the other half.

Not observable, and held: the mean of a chamber's layers and their tilt, which are the chamber's; a distance added at
all times, which is t0; and one that grows with time, which is the velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.muons.sample import LAYERS, Corrections, Fitted, Floats, Sample, knots_at, refit, with_gauge
from muonstream.statistics.core import CoreFit, fit_core
from muonstream.words import NS_PER_TDC

KNOTS: Final = (0, 8, 16, 24, 32, 45, 60, 80, 110, 150, 200, 250, 300, 330, 350, 365, 385)
"""ns, for a longest drift time of 368 ns; in proportion for others."""
KNOTS_T_MAX_NS: Final = 368.0
MISFIT_MM: Final = 2.0
EDGES_MM: Final = np.linspace(-MISFIT_MM, MISFIT_MM, 81)
SLOPES: Final = (0.2, 0.5, 1.0)
"""Core and tail are fitted between these slopes by themselves: steep tracks are measured less well."""
STEPS: Final = 7
PRIOR_MM: Final = {"f0": 0.3, "f1": 0.6, "layers": 0.5}
"""How large corrections may be expected to be; data outweigh it where they say anything."""
SPREADS_NS: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.5, 6.5)
LEAST_SPREAD_NS: Final = NS_PER_TDC
"""Times of cells that differ by less than this, a TDC count, are left alone."""
CLEAR: Final = 2.0
"""Standard deviations by which a correction has to make the likelihood of the other half larger."""
FEWEST: Final = 2000
"""Segments with four hits, for a fine calibration."""

PARTS: Final = ("drift", "layers", "cells")


@dataclass(frozen=True, slots=True)
class Shape:
    """Core and tail by slope: sigma_mm, tail: float64[4]."""

    sigma_mm: Floats
    tail: Floats


@dataclass(frozen=True, slots=True)
class Gain:
    """How much larger a part makes the logarithm of the likelihood of data that it was not fitted to, and its error."""

    part: str
    gain: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it is larger for sure."""
        return self.gain > CLEAR * self.error


@dataclass(frozen=True, slots=True)
class Fine:
    """What was found: corrections that are clear, how clear, and the held-out misfits before and after, float64[n].

    spread_ns: of cells' times, as the data have it; slope_mm_per_ns: what f0 had and velocities get
    """

    corrections: Corrections
    slope_mm_per_ns: float
    gains: tuple[Gain, ...]
    spread_ns: float
    before_mm: Floats
    after_mm: Floats

    def has(self, part: str) -> bool:
        """Whether a part is clear."""
        return any(gain.part == part and gain.clear for gain in self.gains)


def knots_of(t_max_ns: float) -> Floats:
    """The relation's knots for a longest drift time, whole ns, float64[17]."""
    return np.round(np.asarray(KNOTS) * t_max_ns / KNOTS_T_MAX_NS)


def fine(sample: Sample, detector: Detector, t_max_ns: float, parts: tuple[str, ...] | None = None) -> Fine:
    """Fit corrections to segments, of chambers of one kind, as far as they are clear, or the parts that are asked for.

    sample: as the detector, with its corrections, found them
    """
    nothing = Corrections.none(knots_of(t_max_ns), detector)
    spread_ns = 0.0
    held_out, gains, taken = _held_out(sample, nothing, (), 0.0), [], list(parts or ())
    before = held_out
    for part in PARTS if parts is None else ():
        if part == "cells":
            spread_ns = _spread_ns(sample, *_fit(sample, nothing, tuple(taken), 0.0))
            if spread_ns < LEAST_SPREAD_NS:
                break
        other = _held_out(sample, nothing, (*taken, part), spread_ns)
        difference = other[1] - held_out[1]
        gains.append(Gain(part, float(difference.sum()), float(np.sqrt((difference**2).sum()))))
        if gains[-1].clear:
            taken.append(part)
            held_out = other
    if parts is not None:
        if "cells" in taken:
            spread_ns = _spread_ns(sample, *_fit(sample, nothing, tuple(p for p in taken if p != "cells"), 0.0))
        held_out = _held_out(sample, nothing, tuple(taken), spread_ns)
    corrections, _ = _fit(sample, nothing, tuple(taken), spread_ns)
    corrections, slope = with_gauge(corrections, refit(sample, corrections).drift_ns)
    return Fine(corrections, slope, tuple(gains), spread_ns, before[0], held_out[0])


def _class_of(sample: Sample) -> NDArray[np.int64]:
    return np.digitize(np.abs(sample.tan), SLOPES)


def _held_out(sample: Sample, nothing: Corrections, parts: tuple[str, ...], spread_ns: float) -> tuple[Floats, Floats]:
    """Misfits of each half with what is fitted to the other, and the logarithms of their likelihoods, float64[n]."""
    misfit, likelihood = np.empty(len(sample)), np.empty(len(sample))
    for half in (sample.odd, ~sample.odd):
        corrections, shape = _fit(sample.chosen(~half), nothing, parts, spread_ns)
        own = sample.chosen(half)
        misfit[half] = refit(own, corrections).misfit_mm
        likelihood[half] = np.log(_density(misfit[half], _class_of(own), shape))
    return misfit, likelihood


def _density(misfit_mm: Floats, klass: NDArray[np.int64], shape: Shape) -> Floats:
    """Of misfits up to the limit; those farther out are at the limit."""
    sigma, tail = shape.sigma_mm[klass], shape.tail[klass]
    inside = np.minimum(np.abs(misfit_mm), MISFIT_MM)
    core = np.exp(-((inside / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    return np.asarray((1 - tail) * core + tail / (2 * MISFIT_MM), dtype=np.float64)


def _shape(misfit_mm: Floats, klass: NDArray[np.int64]) -> Shape:
    """Core and tail by maximum likelihood, a class at a time; of a class with few, a guess."""
    sigma, tail = np.full(len(SLOPES) + 1, 0.4), np.full(len(SLOPES) + 1, 0.2)
    for k in range(len(sigma)):
        fit = core_of_misfit(misfit_mm[klass == k])
        if fit is not None:
            # the mean is 0 but for what is looked for
            sigma[k], tail[k] = float(np.hypot(fit.sigma, fit.mean)), min(max(fit.tail, 1e-4), 0.95)
    return Shape(sigma, tail)


def core_of_misfit(misfit_mm: Floats) -> CoreFit | None:
    """Core and tail of misfits up to the limit, mm; None for too few."""
    return fit_core((EDGES_MM[1:] + EDGES_MM[:-1]) / 2, np.histogram(misfit_mm, EDGES_MM)[0])


def _weights(misfit_mm: Floats, klass: NDArray[np.int64], shape: Shape) -> Floats:
    """What each segment counts for: the chance that it has no wrong hit, over its variance."""
    tail = shape.tail[klass] / (2 * MISFIT_MM)
    chance = 1 - tail / _density(misfit_mm, klass, shape)
    return np.where(np.abs(misfit_mm) < MISFIT_MM, chance, 0.0) / shape.sigma_mm[klass] ** 2


def _fit(sample: Sample, nothing: Corrections, parts: tuple[str, ...], spread_ns: float) -> tuple[Corrections, Shape]:
    """Corrections of some parts by maximum likelihood, and the shape of what is left."""
    chambers, cells = nothing.cell_ns.shape
    knots = len(nothing.knots_ns)
    klass, now = _class_of(sample), nothing
    edges = np.cumsum([0, knots, knots, LAYERS * chambers, cells * chambers])
    used = np.zeros(edges[-1], np.bool_)
    prior = np.ones(edges[-1])
    for low, high, part, sigma in (
        (edges[0], edges[1], "drift", PRIOR_MM["f0"]),
        (edges[1], edges[2], "drift", PRIOR_MM["f1"]),
        (edges[2], edges[3], "layers", PRIOR_MM["layers"]),
        (edges[3], edges[4], "cells", spread_ns),
    ):
        used[low:high] = part in parts
        prior[low:high] = 1 / max(sigma, 1e-3) ** 2
    for step in range(STEPS + 1):
        fitted = refit(sample, now)
        shape = _shape(fitted.misfit_mm, klass)
        if step == STEPS or not parts:
            break
        weights = _weights(fitted.misfit_mm, klass, shape)
        at = np.concatenate([now.add_mm, now.add_tan_mm, now.shift_mm.ravel(), now.cell_ns.ravel()])
        information, gradient = np.diag(prior), prior * at
        for c in range(chambers):
            own = np.flatnonzero(sample.chamber == c)
            layers = edges[2] + LAYERS * c + np.arange(LAYERS)
            of_cells = edges[3] + cells * c + np.arange(cells)
            columns = np.concatenate([np.arange(edges[2]), layers, of_cells if "cells" in parts else []]).astype(int)
            design = _design(sample.chosen(own), _chosen(fitted, own), now.knots_ns, len(columns) - edges[2] - LAYERS)
            # numpy computes half of a product of an array with itself, since the other half is the same
            root = np.sqrt(weights[own])
            design *= root[:, None]
            information[np.ix_(columns, columns)] += design.T @ design
            gradient[columns] += design.T @ (root * fitted.misfit_mm[own])
        at[used] -= np.linalg.solve(information[np.ix_(used, used)], gradient[used])
        now = Corrections(
            now.knots_ns,
            at[: edges[1]],
            at[edges[1] : edges[2]],
            at[edges[2] : edges[3]].reshape(chambers, LAYERS),
            at[edges[3] :].reshape(chambers, cells),
        )
        # what is not observable drifts with the choice of segments alone
        now = replace(with_gauge(now, fitted.drift_ns)[0], add_mm=now.add_mm - float(now.add_mm.mean()))
    return now, shape


def _chosen(fitted: Fitted, which: NDArray[np.int64]) -> Fitted:
    return Fitted(fitted.misfit_mm[which], fitted.tan[which], fitted.t0_ns[which], fitted.drift_ns[which])


def _design(sample: Sample, fitted: Fitted, knots_ns: Floats, cells: int) -> Floats:
    """By how much each correction moves the misfit of a chamber's segments: float64[n, 2 K + 4 + cells]."""
    n, knots = len(sample), len(knots_ns)
    out = np.zeros((n, 2 * knots + LAYERS + cells))
    rows = np.arange(n)[:, None]
    low, part = knots_at(knots_ns, fitted.drift_ns)
    side = sample.normal * sample.sign
    steep = np.minimum(np.abs(fitted.tan), 2.0)[:, None]
    for first, scale in ((0, 1.0), (knots, steep)):
        np.add.at(out, (rows, first + low), side * (1 - part) * scale)
        np.add.at(out, (rows, first + low + 1), side * part * scale)
    out[:, 2 * knots : 2 * knots + LAYERS] = sample.normal
    if cells:
        np.add.at(out, (rows, 2 * knots + LAYERS + sample.cell), side * sample.velocity[:, None])
    return out


def _spread_ns(sample: Sample, corrections: Corrections, shape: Shape) -> float:
    """The spread of cells' times that makes the data most likely, 0 where none does."""
    fitted = refit(sample, corrections)
    weights = _weights(fitted.misfit_mm, _class_of(sample), shape)
    evidence = np.zeros(len(SPREADS_NS))
    cells = corrections.cell_ns.shape[1]
    for c in range(len(corrections.cell_ns)):
        own = np.flatnonzero(sample.chamber == c)
        design = _design(sample.chosen(own), _chosen(fitted, own), corrections.knots_ns, cells)[:, -cells:]
        weighted = design * weights[own][:, None]
        values, vectors = np.linalg.eigh(weighted.T @ design)
        along = vectors.T @ (weighted.T @ fitted.misfit_mm[own])
        for i, spread in enumerate(SPREADS_NS):
            values = np.maximum(values, 0.0)
            evidence[i] += float((along**2 / (values + spread**-2)).sum() - np.log1p(values * spread**2).sum()) / 2
    best = int(evidence.argmax())
    return SPREADS_NS[best] if evidence[best] > 0 else 0.0
