"""The message: a snapshot's numbers and plot data as bytes, the same for every viewer.

Bytes, once inflated (zlib): the header's length (uint32, little endian), the header (JSON, UTF-8), then the arrays,
each beginning at a multiple of 8 bytes, which the header is padded to. The header holds `numbers`, and in `arrays` for
each array its type (a numpy type string), where it begins behind the header, and how many elements it has.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.rates import RateSeries
from muonstream.dashboard.message.muons import MuonPage, muon_page, muon_times
from muonstream.dashboard.message.timing import edge_arrays, rate_remarks
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.packing import packed, unpacked
from muonstream.run.inputs import inputs_json
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.verdicts import Status, Verdicts, headline

Arrays = dict[str, NDArray[Any]]

DRIFT_REBIN: Final = 6
"""Fine drift bins in one of the page's: 6 TDC counts are 5 ns."""
MAX_TIMES: Final = 1024
"""Points of a time series at most; beyond that, neighbouring bins are shown as their mean."""
PERIODS: Final = ("run", "recent")
ALIGNMENT: Final = 8
COMPRESSION_LEVEL: Final = 5
HISTORY_SHOWN: Final = 50
FAULTS_SHOWN: Final = 40


@lru_cache(maxsize=8)
def detector_key(detector: Detector) -> str:
    """A short text that differs between detectors, and so between sets of plots."""
    return hashlib.sha256(detector.model_dump_json().encode()).hexdigest()[:16]


def numbers(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot's numbers as plain JSON types; rates in Hz, times in seconds, None for unknown values."""
    catalogue, account, rates = snapshot.catalogue, snapshot.account, snapshot.rates.spaced()
    newest = _newest_bin(rates)
    seconds = snapshot.recent_seconds
    orbits = catalogue.view(snapshot.total, "orbits")
    hits, recent_hits = catalogue.chamber_hits(snapshot.total), catalogue.chamber_hits(snapshot.recent)
    chambers = [
        {
            "number": chamber.number,
            "name": chamber.name,
            "hits": int(hits[c]),
            "hit_rate_hz": None if newest is None else _finite(rates.hits_hz[newest, c]),
            "cells": chamber.cells,
            "layers": chamber.layers,
            "layer_of_channel": list(chamber.layer_of_channel),
            "shifts": [shift / chamber.cell_width_mm for shift in chamber.layer_shift_mm],
            "recent_hits": int(recent_hits[c]),
            "recent_hit_rate_hz": _finite(recent_hits[c] / seconds) if seconds > 0 else None,
        }
        for c, chamber in enumerate(snapshot.detector.chambers)
    ]
    return {
        "run": snapshot.run,
        "source": snapshot.source,
        "state": snapshot.state,
        "epoch": snapshot.epoch,
        "sequence": snapshot.sequence,
        "wall_time": snapshot.wall_time,
        "data_wall_time": snapshot.data_wall_time,
        "begun_wall_time": snapshot.begun_wall_time or None,
        "data_time_s": _finite(snapshot.data_time_s),
        "live_time_s": _finite(snapshot.live_time_s),
        "newest_orbit": snapshot.newest_orbit,
        "words_per_second": _finite(snapshot.words_per_second),
        "lag_messages": snapshot.lag_messages,
        "restarts": snapshot.restarts,
        "engine": [list(pair) for pair in snapshot.engine],
        "hit_rate_hz": None if newest is None else _finite(rates.hits_hz[newest].sum()),
        "scintillator_rate_hz": None if newest is None else _finite(rates.scintillator_hz[newest]),
        "recent_seconds": _finite(seconds),
        "orbits_with_hits": int(orbits[0]),
        "orbits_with_scintillator": int(orbits[1]),
        "orbits_with_scintillator_near_the_end": int(orbits[2]),
        "account": {**account.as_dict(), "residual": account.residual, "balanced": account.balanced},
        "gaps": snapshot.gaps,
        "resets": snapshot.resets,
        "forced": snapshot.forced,
        "late_by_input": dict(snapshot.late_by_input),
        "faults": list(snapshot.faults)[-FAULTS_SHOWN:],
        "inputs": inputs_json(snapshot.inputs),
        "chambers": chambers,
        "detector": {"name": snapshot.detector.name, "key": detector_key(snapshot.detector)},
    }


def verdicts_json(verdicts: Verdicts, *, ended: bool) -> dict[str, Any]:
    """The verdicts as plain JSON types; levels are null, good, medium or bad; times are unix seconds."""
    return {
        "level": verdicts.level.name.lower(),
        "reason": verdicts.reason,
        "headline": headline(verdicts, ended=ended),
        "worst": verdicts.worst.name.lower(),
        "chambers": {name: level.name.lower() for name, level in verdicts.chambers.items()},
        "alarms": [_status_json(status) for status in verdicts.alarms],
        "checks": [_status_json(status) for status in verdicts.statuses if status.finding.level <= Level.GOOD],
        "history": [
            {"time": change.time, **change.as_plain()} for change in verdicts.history[: -HISTORY_SHOWN - 1 : -1]
        ],
    }


def _status_json(status: Status) -> dict[str, Any]:
    finding, known = status.finding, status.acknowledged
    return {
        "check": finding.check,
        "subject": finding.subject,
        "part": finding.part,
        "level": finding.level.name.lower(),
        "reason": finding.reason,
        "value": None if finding.value is None else _finite(finding.value),
        "limit": finding.limit,
        "unit": finding.unit,
        "since": status.since,
        "since_data_s": status.since_data_s,
        "acknowledged": None if known is None else {"why": known.why, "time": known.time, "name": known.name},
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _newest_bin(rates: RateSeries) -> int | None:
    """The newest complete bin: the last one is still being filled, unless it is the only one of a stretch."""
    n = len(rates.time_s)
    if n < 2 or rates.time_s[-1] - rates.time_s[-2] > 1.5 * rates.width_s:
        return n - 1 if n else None
    return n - 2


def _whole_bins(snapshot: Snapshot) -> RateSeries:
    """The rates; during a run without the bin that is still being filled, whose rate fluctuates."""
    rates = snapshot.rates.spaced()
    newest = _newest_bin(rates)
    if snapshot.state == "ended" or newest is None or newest == len(rates.time_s) - 1:
        return rates
    return replace(
        rates,
        time_s=rates.time_s[:-1],
        hits_hz=rates.hits_hz[:-1],
        scintillator_hz=rates.scintillator_hz[:-1],
        active_cells=rates.active_cells[:-1],
        muons=None if rates.muons is None else rates.muons.mapped(lambda values: values[:-1]),
    )


def _stepped(rates: RateSeries) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Times at which to draw a step curve, the bin whose value each has, and where the curve is broken.

    Each stretch of bins is closed by its last value at its end, then broken.
    """
    n = len(rates.time_s)
    ends = np.append(np.diff(rates.time_s) > 1.5 * rates.width_s, True)[:n]
    repeats = np.where(ends, 3, 1)
    index = np.repeat(np.arange(n), repeats)
    place = np.arange(len(index)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    time_s = rates.time_s[index] + np.where(place > 0, rates.width_s, 0.0)
    return time_s, index, place == 2


def rebinned(counts: Counts, factor: int) -> Counts:
    """The sums of each `factor` bins along the last axis; the last sum may be of fewer."""
    sums: Counts = np.add.reduceat(counts, np.arange(0, counts.shape[-1], factor), axis=-1)
    return sums


def arrays(snapshot: Snapshot) -> Arrays:
    """Everything the plots show, by name; those of the run end in `.run`, those of the last 30 s in `.recent`.

    time.s, time.hits.C, time.scintillator, time.active.C   step curves in data time, NaN where they break
    cells.C.hits, cells.C.scintillator                      hits by cell, all or in orbits with a passage time
    time.resets                                             where the orbit counter was reset, in data time
    active.n, active.C                                      orbits by number of active cells, from 1 on
    drift.C, layer.C.L                                      drift times, in bins of 5 and 6.67 ns
    course.C.hist_1 to hist_4                               the course's histograms

    `encode` adds those of `muonstream.dashboard.message.timing` as edges.*, and with reconstruction those of
    `muonstream.dashboard.message.muons`.
    """
    out: Arrays = {}
    rates = _whole_bins(snapshot).thinned(MAX_TIMES)
    out["time.s"], index, breaks = _stepped(rates)
    out["time.resets"] = rates.resets_s
    series = {"scintillator": rates.scintillator_hz}
    for c in range(len(snapshot.detector.chambers)):
        series[f"hits.{c}"] = rates.hits_hz[:, c]
        series[f"active.{c}"] = rates.active_cells[:, c]

    def stepped(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(breaks, np.nan, values[index])

    for name, values in series.items():
        out[f"time.{name}"] = stepped(values)
    if rates.muons is not None:
        out |= muon_times(rates.muons, stepped)
    for period, data in zip(PERIODS, (snapshot.total, snapshot.recent), strict=True):
        for name, counts in _histograms(snapshot.catalogue, data).items():
            out[f"{name}.{period}"] = counts
    return out


def _histograms(catalogue: Catalogue, data: Counts) -> dict[str, Counts]:
    out: dict[str, Counts] = {}
    active = catalogue.view(data, "active_cells")
    filled = np.flatnonzero(active.any(axis=0))
    # one bin beyond the last filled one, so that the curve returns to zero
    shown = min(active.shape[1], (int(filled[-1]) if len(filled) else 7) + 2)
    out["active.n"] = np.arange(1, shown)
    drift = rebinned(catalogue.view(data, "drift_tdc")[:, 1:-1], DRIFT_REBIN)
    for c, chamber in enumerate(catalogue.detector.chambers):
        out[f"cells.{c}.hits"] = catalogue.hits_per_cell(data, c)
        out[f"cells.{c}.scintillator"] = catalogue.hits_per_cell_with_scintillator(data, c)
        out[f"active.{c}"] = active[c, 1:shown]
        out[f"drift.{c}"] = drift[c]
        for layer in range(chamber.layers):
            out[f"layer.{c}.{layer}"] = catalogue.layer_drift_ns(data, c, layer)[1]
        for name, (_, counts) in catalogue.course_histograms(data, c).items():
            out[f"course.{c}.{name}"] = counts
    return out


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Integers in the narrowest type that the browser reads and that keeps each value; others as float64."""
    if values.dtype.kind != "i":
        return np.ascontiguousarray(values, dtype="<f8")
    if not values.size or (int(values.min()) >= 0 and int(values.max()) < 1 << 32):
        return np.ascontiguousarray(values, dtype="<u4")
    return np.ascontiguousarray(values, dtype="<f8")


def pack(header: Mapping[str, Any], named: Arrays) -> bytes:
    """The message's bytes: the header with its `arrays`, and the arrays (one-dimensional), compressed."""
    entries: dict[str, tuple[str, int, int]] = {}
    narrowed = {name: _narrowed(values) for name, values in named.items()}
    offset = 0
    for name, values in narrowed.items():
        entries[name] = (values.dtype.str, offset, len(values))
        offset += -(-values.nbytes // ALIGNMENT) * ALIGNMENT
    body = packed({**header, "arrays": entries}, narrowed.values(), alignment=ALIGNMENT)
    return zlib.compress(body, COMPRESSION_LEVEL)


def unpack(message: bytes) -> tuple[dict[str, Any], Arrays]:
    """The header and the arrays of a message, as the page reads them. Raises ValueError for anything else."""
    try:
        header, body = unpacked(zlib.decompress(message))
        named = {
            name: np.frombuffer(body, np.dtype(kind), n, offset)
            for name, (kind, offset, n) in header.pop("arrays").items()
        }
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no message of the dashboard: {error}") from None
    return header, named


def encode(snapshot: Snapshot, verdicts: Verdicts | None = None) -> bytes:
    """The message of a snapshot and of the verdicts on it."""
    verdicts = verdicts or Verdicts()
    levels = {f"levels.{c}": values.astype(np.int64) for c, values in enumerate(verdicts.judgement.cells)}
    muons = muon_page(snapshot, _newest_bin(snapshot.rates.spaced())) if snapshot.catalogue.muon_shapes else MuonPage()
    timing: Arrays = {}
    remarks = {plot: dict(texts) for plot, texts in muons.remarks.items()}
    both = ((snapshot.total, snapshot.live_time_s), (snapshot.recent, snapshot.recent_seconds))
    for period, (data, seconds) in zip(PERIODS, both, strict=True):
        edges, texts = edge_arrays(snapshot.catalogue, data)
        timing |= {f"edges.{name}.{period}": values for name, values in edges.items()}
        for plot, text in (texts | rate_remarks(snapshot.catalogue, data, seconds)).items():
            remarks.setdefault(plot, {})[period] = text
    header = {
        "numbers": {**numbers(snapshot), "muons": muons.numbers},
        "verdicts": verdicts_json(verdicts, ended=snapshot.state == "ended"),
        "remarks": remarks,
    }
    return pack(header, {**arrays(snapshot), **timing, **muons.arrays, **levels})
