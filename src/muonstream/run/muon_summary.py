"""The results of reconstruction in a run, as plain JSON types."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import (
    FULL_SEGMENTS,
    GIVEN_UP,
    GIVEN_UP_KINDS,
    MUONS,
    SEGMENTS,
    TRACKS,
    Quality,
    drift_velocity_um_per_ns,
    wilson,
)
from muonstream.muons.acceptance import aperture_m2_sr, apertures_by_zenith
from muonstream.muons.delays import fitted_decays
from muonstream.run.monitor import Snapshot
from muonstream.statistics.core import fit_core

ZENITH_BINS: Final = 5
"""Bins of 2 degrees that are taken together."""
MOST_APERTURE_ERROR: Final = 0.1
"""Angles at which so few of the drawn muons are seen that the aperture is less sure than this are left out."""


def muon_summary(snapshot: Snapshot) -> dict[str, Any]:
    """Segments, tracks, residuals, velocity and efficiency of a snapshot with muons.

    Shares come with their Wilson interval of one standard deviation; values for which there are too few data are None.
    """
    catalogue, total = snapshot.catalogue, snapshot.total
    counts = catalogue.view(total, "muon_counts")
    expected, found = catalogue.view(total, "chamber_expected"), catalogue.view(total, "chamber_found")
    tagged, tagged_found = catalogue.view(total, "chamber_tagged"), catalogue.view(total, "tagged_found")
    return {
        "segments": int(counts[SEGMENTS]),
        "segments_with_a_hit_in_each_layer": int(counts[FULL_SEGMENTS]),
        "tracks": int(counts[TRACKS]),
        "muons_in_both_views": int(counts[MUONS]),
        "given_up": dict(zip(GIVEN_UP_KINDS, counts[GIVEN_UP:].tolist(), strict=True)),
        "vertical_intensity": _intensity(snapshot, int(counts[MUONS]), aperture_m2_sr(snapshot.detector)),
        "intensity_by_zenith": _by_zenith(snapshot),
        "decays": _decays(catalogue, total),
        "chambers": {
            str(chamber.number): {
                **_chamber(catalogue, snapshot, c),
                # by the line through other chambers of the view, or through the only other one
                "efficiency": _share(int(found[c]), int(expected[c])),
                # of muons that every other chamber saw, in both views
                "efficiency_tagged": _share(int(tagged_found[c]), int(tagged[c])),
            }
            for c, chamber in enumerate(catalogue.detector.chambers)
        },
    }


def _chamber(catalogue: Catalogue, snapshot: Snapshot, c: int) -> dict[str, Any]:
    total, chamber = snapshot.total, catalogue.detector.chambers[c]
    hits = catalogue.view(total, "segment_hits")[c]
    residuals = catalogue.view(total, "residual_count")[c].sum()
    squares = catalogue.view(total, "residual_sum2_um2")[c].sum()
    velocity, error = drift_velocity_um_per_ns(catalogue.view(total, "velocity")[c])
    base = int(catalogue.channel_map.cell_base[c])
    cells = slice(base, base + chamber.cells)
    crossed = int(catalogue.view(total, "cell_expected")[cells].sum())
    qualities = catalogue.view(total, "segment_quality")[c]
    live_s = snapshot.live_time_s
    segments, full = int(hits.sum()), int(hits[chamber.layers]) if chamber.layers < len(hits) else 0
    return {
        "segments": segments,
        "segments_with_a_hit_in_each_layer": full,
        "segments_hz": segments / live_s if live_s else None,
        "segments_with_a_hit_in_each_layer_hz": full / live_s if live_s else None,
        "quality": {quality.name.lower(): int(n) for quality, n in zip(Quality, qualities, strict=True)},
        "resolution": _resolution(catalogue, total, c),
        # as others publish it: of segments with a hit in each layer and a chi2 up to 16 at 0.5 mm a hit
        "biased_residual_rms_um": float(np.sqrt(squares / residuals)) if residuals else None,
        "drift_velocity_um_per_ns": velocity if math.isfinite(velocity) else None,
        "drift_velocity_error_um_per_ns": error if math.isfinite(error) else None,
        "cell_efficiency": _share(int(catalogue.view(total, "cell_found")[cells].sum()), crossed),
    }


def _intensity(snapshot: Snapshot, muons: int, aperture: float, error: float = 0.0) -> dict[str, float | None]:
    """Muons from above, in /m2/s/sr, if all that cross the telescope were found: not corrected for efficiency.

    aperture: in m2 sr, with its error
    """
    exposure = aperture * snapshot.live_time_s
    return {
        "aperture_m2_sr": aperture,
        "per_m2_s_sr": muons / exposure if exposure else None,
        "error_per_m2_s_sr": math.hypot(math.sqrt(muons), muons * error / aperture) / exposure if exposure else None,
    }


def _by_zenith(snapshot: Snapshot) -> list[dict[str, float | None]]:
    """The intensity at each zenith angle that the telescope sees well enough, as `_intensity`."""
    axis = snapshot.catalogue.entries["zenith"].axis
    edges = axis.edges[::ZENITH_BINS]
    counts = snapshot.catalogue.view(snapshot.total, "zenith")[1 : len(axis.edges)]
    muons = np.add.reduceat(counts, np.arange(0, len(counts), ZENITH_BINS))
    apertures, errors = apertures_by_zenith(snapshot.detector, edges)
    return [
        {"from_degrees": begin, "to_degrees": end, "muons": n, **_intensity(snapshot, n, aperture, error)}
        for begin, end, n, aperture, error in zip(
            edges[:-1].tolist(), edges[1:].tolist(), muons.tolist(), apertures.tolist(), errors.tolist(), strict=True
        )
        if aperture and error / aperture < MOST_APERTURE_ERROR
    ]


def _decays(catalogue: Catalogue, total: Counts) -> dict[str, float | None]:
    """Groups of hits 1.5 to 20 us after a segment: the lifetime of the exponential part, if it is clear."""
    _, fit = fitted_decays(catalogue, total)
    clear = fit is not None and fit.clear
    return {
        "segments": int(catalogue.view(total, "decay_starts").sum()),
        "lifetime_ns": fit.lifetime if fit is not None and clear else None,
        "lifetime_error_ns": fit.lifetime_error if fit is not None and clear else None,
        "decays": None if fit is None else fit.decays,
        "decays_error": None if fit is None else fit.decays_error,
        "others": None if fit is None else fit.others,
    }


def _resolution(catalogue: Catalogue, total: Counts, c: int) -> dict[str, float | None]:
    """The resolution of single hits: the width of the misfit's core, and the share of segments with a wrong hit."""
    fit = fit_core(catalogue.entries["misfit"].axis.centres, catalogue.view(total, "misfit")[c, 1:-1])
    return {
        "core_um": None if fit is None else 1000 * fit.sigma,
        "core_error_um": None if fit is None else 1000 * fit.sigma_error,
        "tail": None if fit is None else fit.tail,
        "tail_error": None if fit is None else fit.tail_error,
    }


def _share(found: int, expected: int) -> dict[str, Any]:
    low, high = wilson(found, expected)
    share = found / expected if expected else None
    return {"found": found, "expected": expected, "share": share, "low": low, "high": high}
