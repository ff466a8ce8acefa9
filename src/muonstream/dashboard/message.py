"""The message of a snapshot to its viewers: a JSON header with the numbers, then float32 arrays.

Layout: uint32 length of the header (little endian), the header padded with spaces to a multiple of 4, the arrays one
after another. The header's `arrays` give each one's place and length in elements. All viewers get the same bytes.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.histograms import DRIFT_FIRST_TDC, Catalogue, Counts
from muonstream.analysis.monitor import Snapshot
from muonstream.detector import Detector
from muonstream.words import NS_PER_TDC

SHOWN_RATE_BINS: Final = 600
DRIFT_MERGED: Final = 6
"""Drift times are shown in bins of 6 TDC counts, 5 ns."""
DRIFT_SHOWN_NS: Final = (-50.0, 700.0)
ACTIVE_SHOWN: Final = 24
"""Active cells are shown up to this number; the last bin holds what is above."""


def drift_bins(detector: Detector, chamber: int) -> tuple[slice, NDArray[np.floating[Any]]]:
    """Which fine bins (from the first of the axis) are shown for a chamber, and the 5 ns edges (float64) over them."""
    offset_ns = detector.chambers[chamber].time_offset_ns
    first = round((DRIFT_SHOWN_NS[0] - offset_ns) / NS_PER_TDC) - DRIFT_FIRST_TDC
    n = round((DRIFT_SHOWN_NS[1] - DRIFT_SHOWN_NS[0]) / (NS_PER_TDC * DRIFT_MERGED))
    edges_ns = (first + DRIFT_FIRST_TDC + DRIFT_MERGED * np.arange(n + 1)) * NS_PER_TDC + offset_ns
    return slice(first, first + n * DRIFT_MERGED), edges_ns


def _scope(catalogue: Catalogue, data: Counts) -> dict[str, Any]:
    """The arrays of the run or of its recent part, by name."""
    out: dict[str, Any] = {}
    first_layer = 0
    for c, chamber in enumerate(catalogue.detector.chambers):
        out[f"cells_{c}"] = catalogue.hits_per_cell(data, c)
        out[f"cells_scintillator_{c}"] = catalogue.hits_per_cell_with_scintillator(data, c)
        active = catalogue.view(data, "active_cells")[c, 1:]
        shown = active[:ACTIVE_SHOWN].copy()
        shown[-1] += active[ACTIVE_SHOWN:].sum()
        out[f"active_{c}"] = shown
        bins, _ = drift_bins(catalogue.detector, c)
        out[f"drift_{c}"] = catalogue.view(data, "drift_tdc")[c, 1:-1][bins].reshape(-1, DRIFT_MERGED).sum(axis=1)
        for layer in range(chamber.layers):
            out[f"layer_{c}_{layer}"] = catalogue.view(data, "drift_layer")[first_layer + layer, 1:-1]
        first_layer += chamber.layers
        for name, (_, counts) in catalogue.course_histograms(data, c).items():
            out[f"{name}_{c}"] = counts
    return out


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The message of a snapshot."""
    catalogue = snapshot.catalogue
    arrays: dict[str, Any] = {}
    for scope, data in (("run", snapshot.total), ("recent", snapshot.recent)):
        for name, values in _scope(catalogue, data).items():
            arrays[f"{scope}/{name}"] = values
    rates = snapshot.rates.thinned(SHOWN_RATE_BINS)
    arrays["time"] = rates.time_s
    for c in range(len(snapshot.detector.chambers)):
        arrays[f"rate_{c}"] = rates.hits_hz[:, c]
        arrays[f"mean_active_{c}"] = rates.active_cells[:, c]
    arrays["rate_scintillator"] = rates.scintillator_hz
    places, at = {}, 0
    for name, values in arrays.items():
        places[name] = [at, len(values)]
        at += len(values)
    header = json.dumps({**numbers(snapshot), "arrays": places}, allow_nan=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 4)
    body = [np.ascontiguousarray(values, dtype="<f4").tobytes() for values in arrays.values()]
    return struct.pack("<I", len(header)) + header + b"".join(body)


def numbers(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot's numbers, as plain types."""
    catalogue, rates = snapshot.catalogue, snapshot.rates
    orbits = catalogue.view(snapshot.total, "orbits")
    seconds = max(snapshot.recent_seconds, 1e-9)
    recent_hits = catalogue.chamber_hits(snapshot.recent)
    recent = catalogue.words_by_kind(snapshot.recent)
    return {
        "run": snapshot.run,
        "source": snapshot.source,
        "detector": snapshot.detector.name,
        "state": snapshot.state,
        "sequence": snapshot.sequence,
        "epoch": snapshot.epoch,
        "wall_time": snapshot.wall_time,
        "data_wall_time": snapshot.data_wall_time,
        "data_time_s": snapshot.data_time_s,
        "live_time_s": snapshot.live_time_s,
        "recent_s": snapshot.recent_seconds,
        "newest_orbit": snapshot.newest_orbit,
        "words_per_second": snapshot.words_per_second,
        "lag_messages": snapshot.lag_messages,
        "restarts": snapshot.restarts,
        "gaps": snapshot.gaps,
        "resets": snapshot.resets,
        "account": snapshot.account.as_dict(),
        "residual": snapshot.account.residual,
        "late_by_input": dict(snapshot.late_by_input),
        "faults": list(snapshot.faults)[-5:],
        "orbits_with_hits": int(orbits[0]),
        "orbits_with_scintillator": int(orbits[1]),
        "hit_rate_hz": float(recent_hits.sum() / seconds) if snapshot.recent_seconds else 0.0,
        "scintillator_rate_hz": recent["scintillator"] / seconds if snapshot.recent_seconds else 0.0,
        "rate_bin_s": rates.width_s,
        "chambers": [
            {
                "name": chamber.name,
                "hits": int(hits),
                "hits_with_scintillator": int(catalogue.hits_per_cell_with_scintillator(snapshot.total, c).sum()),
                "rate_hz": float(recent_hits[c] / seconds) if snapshot.recent_seconds else 0.0,
            }
            for c, (chamber, hits) in enumerate(
                zip(snapshot.detector.chambers, catalogue.chamber_hits(snapshot.total), strict=True)
            )
        ],
    }
