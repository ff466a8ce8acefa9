"""Two runs compared: their quantities in standard deviations, and the shapes of their histograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.archive.quantities import Quantity, quantities
from muonstream.counting.catalogue import Catalogue
from muonstream.errors import MuonstreamError
from muonstream.run.monitor import Snapshot

SHAPES: Final = (
    "counts",
    "hits_with_scintillator",
    "active_cells",
    "drift_tdc",
    "pair_time",
    "segment_chi2",
    "segment_tan",
    "segment_x",
    "residual_biased",
    "residual_unbiased",
    "misfit",
    "t0_passage",
    "t0_between",
    "bend",
    "miss",
    "track_tan",
    "track_chi2",
    "zenith",
)
"""Histograms of the catalogue that hold counts, so that their shapes can be compared; others hold sums."""
FEWEST: Final = 10
"""Bins are merged with their neighbours until both runs together have this many entries in each."""


class CompareError(MuonstreamError):
    """Runs that cannot be compared, in one line."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A quantity in two runs; sigma: their difference over its error, None where an error is not known."""

    name: str
    subject: str
    unit: str
    one: float
    other: float
    sigma: float | None


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """A histogram in two runs, compared as shapes.

    entries: in each; chi2 with its degrees of freedom; sigma: that as standard deviations
    """

    name: str
    subject: str
    entries: tuple[int, int]
    chi2: float
    degrees: int
    sigma: float


def differences(one: Sequence[Quantity], other: Sequence[Quantity]) -> list[Difference]:
    """The quantities that both have; those that differ most in standard deviations come first."""
    others = {quantity.key: quantity for quantity in other}
    found = []
    for a in one:
        b = others.get(a.key)
        if b is not None:
            sigma = None
            if a.error is not None and b.error is not None and (a.error or b.error):
                sigma = (a.value - b.value) / math.hypot(a.error, b.error)
            found.append(Difference(a.name, a.subject, a.unit or b.unit, a.value, b.value, sigma))
    return sorted(found, key=lambda d: -abs(d.sigma) if d.sigma is not None else 0.0)


def shape_differences(one: Snapshot, other: Snapshot) -> list[ShapeDifference]:
    """The histograms of two runs as shapes, those that differ most first.

    chi2 of two unweighted histograms: N. Gagunashvili, arXiv:0905.4221; as standard deviations by Wilson and Hilferty,
    Proc. Natl. Acad. Sci. 17 (1931) 684. Raises CompareError for detectors with other chambers.
    """
    if _chambers(one.catalogue) != _chambers(other.catalogue):
        raise CompareError(
            f"found runs of other chambers, of detector {one.detector.name} and of {other.detector.name}, "
            "expected runs of the same"
        )
    found = []
    for name in SHAPES:
        if name in one.catalogue.entries and name in other.catalogue.entries:
            for subject, a, b in zip(subjects(one, name), rows(one, name), rows(other, name), strict=True):
                if a.sum() and b.sum():
                    chi2, degrees = chi2_of_shapes(a, b)
                    sigma = sigma_of(chi2, degrees)
                    title = title_of(one, name)
                    found.append(ShapeDifference(title, subject, (int(a.sum()), int(b.sum())), chi2, degrees, sigma))
    return sorted(found, key=lambda shape: -shape.sigma)


def chi2_of_shapes(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[float, int]:
    """chi2 and degrees of freedom of two histograms of the same bins, int64[n] each, with their sums set equal.

    Neighbouring bins are joined until each has FEWEST entries in both together.
    """
    together = one + other
    # a bin ends where the sum so far passes the next multiple of FEWEST
    group = np.concatenate(([0], np.cumsum(together)[:-1])) // FEWEST
    first = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
    a = np.add.reduceat(one, first).astype(np.float64)
    b = np.add.reduceat(other, first).astype(np.float64)
    used = a + b > 0
    a, b = a[used], b[used]
    sum_a, sum_b = a.sum(), b.sum()
    chi2 = float(((math.sqrt(sum_b / sum_a) * a - math.sqrt(sum_a / sum_b) * b) ** 2 / (a + b)).sum())
    return chi2, max(len(a) - 1, 0)


def sigma_of(chi2: float, degrees: int) -> float:
    """A chi2 as standard deviations of a normal distribution; 0 without degrees of freedom."""
    if degrees == 0:
        return 0.0
    width = 2 / (9 * degrees)
    return (math.pow(chi2 / degrees, 1 / 3) - (1 - width)) / math.sqrt(width)


def compare(one: Snapshot, other: Snapshot) -> tuple[list[Difference], list[ShapeDifference]]:
    """Quantities and shapes. Raises CompareError."""
    return differences(quantities(one), quantities(other)), shape_differences(one, other)


def title_of(snapshot: Snapshot, name: str) -> str:
    """A histogram's title for people."""
    return "Hits by cell" if name == "counts" else snapshot.catalogue.entries[name].title


def _chambers(catalogue: Catalogue) -> list[tuple[int, int]]:
    return [(chamber.layers, chamber.cells) for chamber in catalogue.detector.chambers]


def rows(snapshot: Snapshot, name: str) -> Iterable[NDArray[np.int64]]:
    """A histogram of the catalogue as one of int64[bins] for each of its `subjects`."""
    catalogue = snapshot.catalogue
    entry = catalogue.entries[name]
    if entry.per == "cell":
        for chamber in range(len(snapshot.detector.chambers)):
            yield catalogue.cells_of(snapshot.total, name, chamber)
    else:
        yield from np.atleast_2d(catalogue.view(snapshot.total, name))


def subjects(snapshot: Snapshot, name: str) -> list[str]:
    """What a histogram has a row of each: chambers by their names, views, or "" for the detector."""
    entry = snapshot.catalogue.entries[name]
    if entry.per in ("cell", "chamber"):
        return [chamber.name for chamber in snapshot.detector.chambers]
    return ["view x", "view y"] if entry.per == "view" else [""]
