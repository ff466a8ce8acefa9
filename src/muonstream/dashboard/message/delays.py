"""The page's data on TDC codes, delays, coincidences, side patterns and bundles: arrays for plots, and remarks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import AT_ONCE, SIDES
from muonstream.detector.model import Chamber, Detector
from muonstream.muons.delays import fitted_decays
from muonstream.words import TDC_PER_BX

Floats = NDArray[np.float64]

FEWEST_MISFITS: Final = 30
"""Segments with a choice of sides, for the RMS of their misfits to be shown."""
FEWEST_CODES: Final = 3000
"""Hits of a board, for its TDC codes to be shown: statistics alone then spread them by 10 % or less."""
MOST_PATTERNS: Final = 16


def chamber_pairs(detector: Detector) -> list[tuple[int, int, str]]:
    """Two chambers, by index, and what they are called together; each also with itself."""
    numbers = [chamber.number for chamber in detector.chambers]
    return [
        (a, b, f"{numbers[a]}+{numbers[b]}")
        for a, b in sorted(
            ((a, b) for a in range(len(numbers)) for b in range(a, len(numbers))), key=lambda pair: pair[0] == pair[1]
        )
    ]


def side_names(chamber: Chamber) -> list[str]:
    """The choices of sides of a chamber, as L and R from the top layer down; none where they are too many to show."""
    patterns = 1 << chamber.layers
    if patterns > MOST_PATTERNS:
        return []
    return [
        "".join("R" if (sides >> layer) & 1 else "L" for layer in range(chamber.layers)) for sides in range(patterns)
    ]


def codes_by_board(catalogue: Catalogue, data: Counts) -> Counts:
    """Hits of each board by TDC code, int64[boards, 32]."""
    detector, by_chamber = catalogue.detector, catalogue.view(data, "tdc_codes")
    out = np.zeros((len(detector.boards), by_chamber.shape[1]), np.int64)
    for c, chamber in enumerate(detector.chambers):
        out[detector.boards.index(chamber.board)] += by_chamber[c]
    return out


def delay_arrays(catalogue: Catalogue, data: Counts) -> dict[str, NDArray[Any]]:
    """What plots show of one period, by name.

    muon.codes.B            of each board, its codes' hits less their mean, in per cent of it, codes 1 to 30
    muon.gap.C, muon.decay, muon.fit_decay, muon.coincidences, muon.at_once.C, muon.apart         counts
    muon.by_side.C          RMS of misfits up to 2 mm by sides, um
    """
    out: dict[str, NDArray[Any]] = {}
    for b, codes in enumerate(codes_by_board(catalogue, data)):
        own = codes[1 : TDC_PER_BX + 1].astype(np.float64)
        mean = own.mean() if own.sum() >= FEWEST_CODES else np.nan
        out[f"muon.codes.{b}"] = 100 * (own / mean - 1)
    for c, chamber in enumerate(catalogue.detector.chambers):
        out[f"muon.gap.{c}"] = catalogue.view(data, "hit_gap")[c]
        out[f"muon.at_once.{c}"] = catalogue.view(data, "at_once")[c, 1:]
        names = side_names(chamber)
        if names:
            n, _, squares = catalogue.view(data, "misfit_side")[c].reshape(SIDES, 3)[: len(names)].T.astype(np.float64)
            rms = np.sqrt(squares / np.where(n < FEWEST_MISFITS, np.nan, n))
            most = max(1 << one.layers for one in catalogue.detector.chambers if side_names(one))
            out[f"muon.by_side.{c}"] = np.pad(rms, (0, most - len(rms)), constant_values=np.nan)
    out["muon.apart"] = catalogue.view(data, "parallel_apart").sum(axis=0)
    decay = catalogue.view(data, "decay_time").sum(axis=0)
    edges, fit = fitted_decays(catalogue, data)
    curve = np.full(len(decay), np.nan)
    if fit is not None and fit.clear:
        curve[len(decay) - len(edges) + 1 :] = fit.counts(edges)
    out["muon.decay"], out["muon.fit_decay"] = decay, curve
    pairs = catalogue.view(data, "coincidences")
    out["muon.coincidences"] = np.array([pairs[a, b] for a, b, _ in chamber_pairs(catalogue.detector)], np.int64)
    return out


def delay_remarks(catalogue: Catalogue, data: Counts) -> dict[str, str]:
    """Remarks below these plots, by the plots' names."""
    out = {"timing.codes": _codes_text(catalogue, data), "timing.decay": _decay_text(catalogue, data)}
    left_out = int(catalogue.view(data, "hit_gap_hits")[:, 1].sum())
    if left_out:
        out["timing.gap"] = f"Left out: {left_out:,} hits of chambers with more than 256 in one orbit."
    if catalogue.detector.triggers and not catalogue.view(data, "trigger_late").any():
        out["timing.trigger"] = "No segment has come in an orbit with a trigger word."
    at_once = catalogue.view(data, "at_once")
    out["muons.at_once"] = (
        f"{at_once[:, 2:].sum():,} of {at_once.sum():,} times with more than one segment; "
        f"{at_once[:, -1].sum():,} with {AT_ONCE - 1} or more."
    )
    return out


def _codes_text(catalogue: Catalogue, data: Counts) -> str:
    parts = []
    for board, codes in zip(catalogue.detector.boards, codes_by_board(catalogue, data), strict=True):
        own = codes[1 : TDC_PER_BX + 1].astype(np.float64)
        if own.sum() < FEWEST_CODES:
            parts.append(f"board {board}: {int(own.sum()):,} hits, {FEWEST_CODES:,} are needed")
            continue
        rms, chance = own.std() / own.mean(), own.mean() ** -0.5
        text = f"board {board}: RMS {100 * rms:.1f} %, of which {100 * chance:.1f} % by chance"
        odd = int(codes.sum() - own.sum())
        parts.append(text + (f", {odd:,} hits with other codes" if odd else ""))
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _decay_text(catalogue: Catalogue, data: Counts) -> str:
    starts = int(catalogue.view(data, "decay_starts").sum())
    _, fit = fitted_decays(catalogue, data)
    if fit is None:
        return f"Of {starts:,} segments; too few for a fit."
    if not fit.clear:
        return f"Of {starts:,} segments; no decays are clear: {fit.decays:.0f} ± {fit.decays_error:.0f}."
    lifetime, error = fit.lifetime / 1000, fit.lifetime_error / 1000
    return (
        f"Of {starts:,} segments: {fit.decays:.0f} ± {fit.decays_error:.0f} decays with a lifetime of {lifetime:.2f} ± "
        f"{error:.2f} us, and {fit.others:.0f} others, from 1.5 us on."
    )
