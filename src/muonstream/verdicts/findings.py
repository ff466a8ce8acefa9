"""Findings: the result of a check on a part of the detector, and the rules for levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.level import Level


def worst(levels: Iterable[Level]) -> Level:
    """The highest of them, Null if there are none."""
    return max(levels, default=Level.NULL)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check on one subject.

    check: its name, as `t0`; subject: as `Chamber 3`, or `Chamber 3 cell 40`; part: the chamber it belongs to, or ""
    value, limit: the number and the limit it is compared with, in `unit`, "" for shares and relative changes
    reason: one line for people
    """

    check: str
    subject: str
    level: Level
    reason: str
    part: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Its key: check and subject."""
        return self.check, self.subject

    def as_plain(self) -> dict[str, Any]:
        """The finding as plain JSON types, for `of_plain`."""
        plain = {**asdict(self), "level": int(self.level)}
        for name in ("value", "limit"):
            number = plain[name]
            plain[name] = float(number) if number is not None and isfinite(number) else None
        return plain

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The finding that `as_plain` gave. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(**{**plain, "level": Level(plain["level"])})


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings of a moment, and each chamber's cells: int8[cells] of `Level`, by chamber."""

    findings: tuple[Finding, ...]
    cells: tuple[NDArray[np.int8], ...]
    wrong: frozenset[str] = field(default=frozenset())
    """Reasons not to compare later data with these, by names that stay the same while a problem lasts."""


def median(values: NDArray[Any]) -> float:
    """The median of some numbers, 0 of none: for few of them numpy's own takes thirty times as long."""
    if not len(values):
        return 0.0
    rising, middle = np.sort(values), len(values) // 2
    return float(rising[middle]) if len(rising) % 2 else float(rising[middle - 1] + rising[middle]) / 2


def graded(value: float, limits: tuple[float, float], *, chance: bool = False) -> tuple[Level, float]:
    """The level of a value that should be small, and the limit that it passed or has next.

    chance: whether such a value may be a fluctuation: then it is Good, whatever it is
    """
    medium, bad = limits
    if chance:
        return Level.GOOD, medium
    if value > bad:
        return Level.BAD, bad
    return (Level.MEDIUM, medium) if value > medium else (Level.GOOD, medium)


def spread_between(counts: Sequence[float], seconds: Sequence[float]) -> float:
    """How much the rate of a new run differs from that of some runs together by more than chance, as a share of it.

    counts, seconds: of each run. The variance between runs is what the counts' own (Poisson's) leave over, by moments
    (R. DerSimonian and N. Laird, Controlled Clinical Trials 7 (1986) 177), so that numbers are negative binomial, and
    a run's against the others' beta-binomial; a new run's and that of the others' mean are both in it. 0 for one run.
    """
    total, time_s = sum(counts), sum(seconds)
    if len(counts) < 2 or total <= 0 or time_s <= 0:
        return 0.0
    expected = [total * one / time_s for one in seconds]
    chi2 = sum((n - mean) ** 2 / mean for n, mean in zip(counts, expected, strict=True) if mean > 0)
    together = sum(mean**2 for mean in expected) / total
    between = max(chi2 - (len(counts) - 1), 0.0) / (total - together)
    return sqrt(between * (1 + together / total))


def spread_of_means(means: Sequence[float], variances: Sequence[float]) -> float:
    """The same of means of which each has its variance; 0 for fewer than two."""
    n = len(means)
    if n < 2 or not (centre := sum(means) / n):
        return 0.0
    between = sum((mean - centre) ** 2 for mean in means) / (n - 1) - sum(variances) / n
    return sqrt(max(between, 0.0) * (1 + 1 / n)) / centre


def significant(n: float, expected: float, sigmas: float, scale: float = 0.0) -> bool:
    """Whether a number of hits is that many standard deviations from what was expected.

    scale: what a number of hits was multiplied with to give `expected`, 0 where that is known exactly. Of two Poisson
    numbers the variance of ``n - scale * usual`` is, if they are of one rate, ``scale * (n + usual)`` (Przyborowski and
    Wilenski 1940, for large numbers); the larger of that and of what the single numbers give is taken.
    """
    return abs(n - expected) > sigmas * sqrt(max(n + scale * expected, expected + scale * n, 1.0))


def change(
    n: float, expected: float, limits: tuple[float, float], sigmas: float, scale: float = 0.0, spread: float = 0.0
) -> tuple[Level, float, float]:
    """Level, relative change and limit of a number of hits against what was expected; scale: see `significant`.

    spread: how good runs differ among themselves, see `spread_between`: no limit is below so many sigmas of it
    """
    relative = n / expected - 1 if expected > 0 else 0.0
    limits = widened(limits, sigmas * spread)
    level, limit = graded(abs(relative), limits, chance=not significant(n, expected, sigmas, scale))
    return level, relative, limit


def widened(limits: tuple[float, float], least: float) -> tuple[float, float]:
    """The limits, neither of them below what good runs reach among themselves."""
    return max(limits[0], least), max(limits[1], least)


def kolmogorov(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Kolmogorov's distance of two histograms of the same bins, and in how many times the scale of chance it is."""
    total_a, total_b = float(a.sum()), float(b.sum())
    if not total_a or not total_b:
        return 0.0, 0.0
    distance = float(np.abs(np.cumsum(a) / total_a - np.cumsum(b) / total_b).max())
    return distance, distance * sqrt(total_a * total_b / (total_a + total_b))


def chi_squared(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, int]:
    """Chi squared of two histograms' shapes, and its degrees of freedom; bins that are empty in both do not count."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    used = a + b > 0
    if not a.sum() or not b.sum():
        return 0.0, 0
    scale = sqrt(b.sum() / a.sum())
    terms = (a[used] * scale - b[used] / scale) ** 2 / (a[used] + b[used])
    return float(terms.sum()), int(used.sum()) - 1
