"""The page's additions to histograms: fitted edges of time boxes, and remarks on these and on cells' rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.verdicts.timebox import TimeBox, fit_time_box

LAYER_MERGED: int = 1
"""Layers' bins are 6.67 ns wide as they are."""


def edge_arrays(catalogue: Catalogue, data: Counts) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Edges of time boxes and what they imply; data: int64[size] by the catalogue.

    Arrays, float64[1], NaN where there is no box: `begin.C`, `end.C`, and by layer `begin.C.L`, `end.C.L`, in ns with
    the chamber's offset applied. Remarks by plot: `timing.drift.C`, `timing.layers.C`.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    remarks: dict[str, str] = {}
    for c, chamber in enumerate(catalogue.detector.chambers):
        box = fit_time_box(*catalogue.drift_histogram_ns(data, c), chamber.t_max_ns)
        arrays |= _edges(f"{c}", box)
        remarks[f"timing.drift.{c}"] = _box_text(box, chamber.cell_width_mm, chamber.drift_velocity_um_per_ns)
        widths = []
        for layer in range(chamber.layers):
            edges_ns, counts = catalogue.layer_drift_ns(data, c, layer)
            of_layer = fit_time_box(edges_ns, counts, chamber.t_max_ns, merged_bins=LAYER_MERGED)
            arrays |= _edges(f"{c}.{layer}", of_layer)
            widths.append("none" if of_layer is None else f"{of_layer.width_ns:.1f} ± {of_layer.width_error_ns:.1f}")
        fitted = ", ".join(f"layer {layer} {width}" for layer, width in enumerate(widths))
        remarks[f"timing.layers.{c}"] = f"T_max in ns: {fitted}."
    return arrays, remarks


def rate_remarks(catalogue: Catalogue, data: Counts, seconds: float) -> dict[str, str]:
    """Cells' rates in words, by plot: `occupancy.cells.C`; none without live time (seconds)."""
    out: dict[str, str] = {}
    if seconds <= 0:
        return out
    for c, chamber in enumerate(catalogue.detector.chambers):
        hz = catalogue.hits_per_cell(data, c) / seconds
        alive = np.ones(chamber.cells, np.bool_)
        alive[list(chamber.dead_cells)] = False
        median = float(np.median(hz[alive])) if alive.any() else 0.0
        hottest = int(hz.argmax())
        out[f"occupancy.cells.{c}"] = (
            f"All hits: {hz.sum():.4g} Hz, median cell {median:.3g} Hz, cell {hottest} most, {hz[hottest]:.3g} Hz."
        )
    return out


def _edges(name: str, box: TimeBox | None) -> dict[str, NDArray[np.float64]]:
    return {
        f"begin.{name}": np.array([box.begin.position_ns if box else np.nan]),
        f"end.{name}": np.array([box.end.position_ns if box else np.nan]),
    }


def _box_text(box: TimeBox | None, cell_width_mm: float, filed: float) -> str:
    if box is None:
        return "No time box yet: it takes some 500 hits with a passage time."
    velocity = cell_width_mm * 500 / box.width_ns
    error = velocity * box.width_error_ns / box.width_ns
    return (
        f"Dashed: fitted edges, {box.begin.position_ns:+.1f} ± {box.begin.error_ns:.1f} ns and "
        f"{box.end.position_ns:.1f} ± {box.end.error_ns:.1f} ns. "
        f"T_max {box.width_ns:.1f} ± {box.width_error_ns:.1f} ns, "
        f"drift velocity {velocity:.2f} ± {error:.2f} um/ns (file: {filed:g})."
    )
