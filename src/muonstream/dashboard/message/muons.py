"""The page's data on muons: arrays for its plots, numbers, remarks below plots, and muons hit by hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import (
    FULL_SEGMENTS,
    GIVEN_UP,
    MISFIT_TAN_BINS,
    MISFIT_TAN_STEP,
    MUONS,
    SEGMENTS,
    TAN_BINS,
    TRACKS,
    wilson,
    wilson_limits,
)
from muonstream.counting.muon_rates import MuonSeries
from muonstream.dashboard.message.delays import delay_arrays, delay_remarks
from muonstream.detector.geometry import VIEWS, middle_mm
from muonstream.detector.model import Detector
from muonstream.frames import KEY_WINDOW_BITS
from muonstream.muons.acceptance import expected_azimuth, expected_zenith
from muonstream.muons.events import EventLine, MuonEvent, cell_places_mm
from muonstream.run.monitor import Snapshot
from muonstream.statistics.core import CoreFit, fit_core
from muonstream.words import ORBIT_SECONDS

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]

FEWEST_CROSSED: Final = 10
"""Segments that crossed a cell, for its efficiency to be shown."""
FEWEST_TAGGED: Final = 20
"""Muons that all other chambers saw, for the efficiency by them to be shown."""
FEWEST_HITS: Final = 30
"""Hits at a distance from the wire, for their mean residual to be shown."""
MOST_STRETCHES: Final = 256
MEDIAN_TO_SIGMA: Final = 1.4826
FEWEST_EXPECTED: Final = 5.0
"""In a bin of the zenith angle, for it to count in chi squared."""
FITTED: Final = {"biased": "residual_biased", "unbiased": "residual_unbiased", "misfit": "misfit"}
"""Entries of the catalogue that a core and a tail are fitted to."""
BITS: Final = 12
"""Bits of the mantissa of curves: more would not be visible, and would compress badly."""


@dataclass(frozen=True, slots=True)
class MuonPage:
    """A message's part on muons: numbers (None without reconstruction), arrays, and remarks by plot and period."""

    numbers: dict[str, Any] | None = None
    arrays: Arrays = field(default_factory=dict)
    remarks: dict[str, dict[str, str]] = field(default_factory=dict)


def muon_page(snapshot: Snapshot, newest: int | None) -> MuonPage:
    """All of it, for a snapshot with muons; newest: the bin of the rates that is now. See `muon_histograms`."""
    arrays: Arrays = {}
    said: dict[str, dict[str, str]] = {}
    catalogue, periods = snapshot.catalogue, {"run": snapshot.total, "recent": snapshot.recent}
    peaks = dict(zip(periods, residual_peaks(catalogue, *periods.values()), strict=True))
    for period, data in periods.items():
        for name, values in muon_histograms(catalogue, data, peaks[period]).items():
            arrays[f"{name}.{period}"] = values
        for plot, text in remarks(catalogue, data, peaks[period]).items():
            said.setdefault(plot, {})[period] = text
    return MuonPage(muon_numbers(snapshot, newest, peaks["run"]), arrays, said)


def muon_times(rates: MuonSeries, stepped: Callable[[Floats], Floats]) -> Arrays:
    """Rates against data time as step curves (`stepped` makes them of a value a bin), and drift velocities.

    time.segments.C, time.tracks.V, time.muons
    velocity.s, velocity.C, velocity.low.C, velocity.high.C: the middles of stretches; velocity, less and more its error
    """
    out = {"time.muons": stepped(rates.muons_hz)}
    for v in range(rates.tracks_hz.shape[1]):
        out[f"time.tracks.{v}"] = stepped(rates.tracks_hz[:, v])
    for c in range(rates.segments_hz.shape[1]):
        out[f"time.segments.{c}"] = stepped(rates.segments_hz[:, c])
    rates = rates.thinned_velocity(MOST_STRETCHES)
    out["velocity.s"] = rates.velocity_time_s + rates.velocity_width_s / 2
    velocity, error = rates.velocity_um_per_ns()
    for c in range(velocity.shape[1]):
        out[f"velocity.{c}"] = velocity[:, c]
        out[f"velocity.low.{c}"] = velocity[:, c] - error[:, c]
        out[f"velocity.high.{c}"] = velocity[:, c] + error[:, c]
    return {name: _coarse(values) for name, values in out.items()}


def muon_histograms(catalogue: Catalogue, data: Counts, peaks: Mapping[str, CoreFit | None]) -> Arrays:
    """Everything the plots of muons show of one period, by name.

    muon.hits.C, muon.chi2.C, muon.tan.C, muon.t0.C, muon.between.C, muon.zenith   counts
    muon.expected           expected zenith angles, scaled to the same number
    muon.azimuth, muon.expected_azimuth      the same of azimuth angles
    muon.timer.C, muon.trigger.C             counts
    muon.relation.C         mean distance of lines from wires less velocity times drift time, by drift time, um
    muon.by_tan.C           width of misfits by slope, from their median, um
    muon.biased.C, muon.unbiased.C, muon.misfit.C; muon.fit_biased.C, ...      residuals, and the peaks fitted to them
    muon.away.C, muon.error.C                mean residual away from the wire by distance, and its error, um
    muon.efficiency.C, muon.low.C, muon.high.C, muon.crossed.C       of cells
    """
    out: Arrays = {
        name: _coarse(values) if values.dtype.kind == "f" else values
        for name, values in delay_arrays(catalogue, data).items()
    }
    out["muon.zenith"] = _inside(catalogue, data, "zenith")
    out["muon.expected"] = _coarse(expected_counts(catalogue, data))
    out["muon.azimuth"] = _inside(catalogue, data, "azimuth")
    out["muon.expected_azimuth"] = _coarse(_azimuth_share(catalogue.detector) * out["muon.azimuth"].sum())
    names = {
        "chi2": "segment_chi2",
        "tan": "segment_tan",
        "t0": "t0_passage",
        "between": "t0_between",
        "timer": "mean_timer",
    }
    names |= {"trigger": "trigger_late"}
    names |= FITTED
    for c, chamber in enumerate(catalogue.detector.chambers):
        out[f"muon.relation.{c}"] = _coarse(_relation_um(catalogue, data, c))
        out[f"muon.by_tan.{c}"] = _coarse(_width_by_tan_um(catalogue.view(data, "misfit_tan")[c]))
        out[f"muon.hits.{c}"] = catalogue.view(data, "segment_hits")[c]
        for short, name in names.items():
            out[f"muon.{short}.{c}"] = _inside(catalogue, data, name)[c]
        for kind, name in FITTED.items():
            at, peak = catalogue.entries[name].axis.centres, peaks[f"{kind}.{c}"]
            total = float(_inside(catalogue, data, name)[c].sum())
            curve = np.full(len(at), np.nan) if peak is None else peak.counts(at, total)
            out[f"muon.fit_{kind}.{c}"] = _coarse(curve)
        in_cell = int(chamber.cell_width_mm / 2)  # farther hits exist only because their times are wrong
        n = catalogue.view(data, "residual_count")[c].astype(np.float64)
        n[in_cell:] = np.nan
        n[n < FEWEST_HITS] = np.nan
        mean = catalogue.view(data, "residual_sum_um")[c] / n
        square = catalogue.view(data, "residual_sum2_um2")[c] / n
        out[f"muon.away.{c}"] = _coarse(mean)
        out[f"muon.error.{c}"] = _coarse(np.sqrt(np.maximum(square - mean**2, 0) / n))
        base = int(catalogue.channel_map.cell_base[c])
        cells = slice(base, base + chamber.cells)
        crossed, found = (catalogue.view(data, name)[cells] for name in ("cell_expected", "cell_found"))
        enough = crossed >= FEWEST_CROSSED
        out[f"muon.crossed.{c}"] = crossed
        out[f"muon.efficiency.{c}"] = _coarse(np.where(enough, found / np.maximum(crossed, 1), np.nan))
        for name, limit in zip(("low", "high"), wilson_limits(found, crossed), strict=True):
            out[f"muon.{name}.{c}"] = _coarse(np.where(enough, limit, np.nan))
    return out


def _relation_um(catalogue: Catalogue, data: Counts, c: int) -> Floats:
    """Mean distance of lines less velocity times drift time, by drift time, NaN with few hits."""
    count, total = (_inside(catalogue, data, name)[c].astype(np.float64) for name in ("drift_count", "drift_sum_um"))
    straight = catalogue.entries["drift_count"].axis.centres * catalogue.detector.chambers[c].drift_velocity_um_per_ns
    count[count < FEWEST_HITS] = np.nan
    return np.asarray(total / count - straight, dtype=np.float64)


def _width_by_tan_um(counts: Counts) -> Floats:
    """What a normal distribution with the same median of its absolute values has for a width, by slope."""
    by_tan = counts.reshape(TAN_BINS, MISFIT_TAN_BINS)
    sums = np.cumsum(by_tan, axis=1)
    total = sums[:, -1]
    first = (2 * sums < total[:, None]).sum(axis=1)
    before = np.where(first > 0, np.take_along_axis(sums, np.maximum(first - 1, 0)[:, None], axis=1)[:, 0], 0)
    own = np.maximum(np.take_along_axis(by_tan, first[:, None], axis=1)[:, 0], 1)
    median_mm = (first + (total / 2 - before) / own) * MISFIT_TAN_STEP
    return np.where(total < FEWEST_HITS, np.nan, 1000 * MEDIAN_TO_SIGMA * median_mm)


def _inside(catalogue: Catalogue, data: Counts, name: str) -> Counts:
    """An entry without its flow bins."""
    return catalogue.view(data, name)[..., 1:-1]


def _coarse(values: Floats) -> Floats:
    """The values, rounded to the visible bits of their mantissa."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * (1 << BITS)), exponent - BITS), dtype=np.float64)


@lru_cache(maxsize=8)
def _expected_share(detector: Detector) -> Floats:
    return expected_zenith(detector, Catalogue(detector, muons=True).entries["zenith"].axis.edges)


@lru_cache(maxsize=8)
def _azimuth_share(detector: Detector) -> Floats:
    return expected_azimuth(detector, Catalogue(detector, muons=True).entries["azimuth"].axis.edges)


def expected_counts(catalogue: Catalogue, data: Counts) -> Floats:
    """Zenith angles as cosmic muons' and the chambers' acceptance make them, scaled to as many as there are."""
    return np.asarray(_expected_share(catalogue.detector) * _inside(catalogue, data, "zenith").sum(), dtype=np.float64)


def residual_peaks(catalogue: Catalogue, *data: Counts) -> list[dict[str, CoreFit | None]]:
    """Core and tail of residuals and misfits, in mm, by `biased.C`, `unbiased.C` and `misfit.C`, of each data."""
    return [
        {
            f"{kind}.{c}": fit_core(catalogue.entries[name].axis.centres, counts)
            for kind, name in FITTED.items()
            for c, counts in enumerate(_inside(catalogue, one, name))
        }
        for one in data
    ]


def remarks(catalogue: Catalogue, data: Counts, peaks: Mapping[str, CoreFit | None]) -> dict[str, str]:
    """Remarks below plots, by the plots' names."""
    out = {}
    for c in range(len(catalogue.detector.chambers)):
        out[f"muons.residual.{c}"] = "; ".join(
            f"{kind}: {_peak_text(peaks[f'{kind}.{c}'])}" for kind in ("biased", "unbiased")
        )
    chambers = enumerate(catalogue.detector.chambers)
    out["muons.misfit"] = "; ".join(f"{chamber.name}: {_peak_text(peaks[f'misfit.{c}'])}" for c, chamber in chambers)
    coincidences = _coincidences_text(catalogue, data)
    if coincidences:
        out["timing.coincidences"] = coincidences
    out |= delay_remarks(catalogue, data)
    if not catalogue.view(data, "t0_passage").any():
        out["muons.t0"] = "No segment has come in an orbit with a scintillator word."
    expected = expected_counts(catalogue, data)
    enough = expected >= FEWEST_EXPECTED
    if enough.sum() > 1:
        counts = _inside(catalogue, data, "zenith")
        chi2 = float(((counts - expected) ** 2 / np.where(enough, expected, 1))[enough].sum())
        out["muons.zenith"] = f"chi2 {chi2:.0f} for {int(enough.sum()) - 1} degrees of freedom."
    return out


def _coincidences_text(catalogue: Catalogue, data: Counts) -> str:
    """Pairs of segments within 25 ns, of two chambers, and of one: muons side by side, or a shower."""
    pairs, chambers = catalogue.view(data, "coincidences"), catalogue.detector.chambers
    if not pairs.any():
        return ""
    several = [
        f"{one.number} and {other.number} {pairs[a, b]:,}"
        for a, one in enumerate(chambers)
        for b, other in enumerate(chambers)
        if a < b and pairs[a, b]
    ]
    beside = [f"{chamber.number} {pairs[c, c]:,}" for c, chamber in enumerate(chambers) if pairs[c, c]]
    parts = [f"Pairs of segments within 25 ns, chambers {', '.join(several)}"] if several else []
    parts += [f"two in one chamber, {', '.join(beside)}"] if beside else []
    return "; ".join(parts) + "."


def _peak_text(peak: CoreFit | None) -> str:
    if peak is None:
        return "too few for a fit"
    sigma, error = 1000 * peak.sigma, 1000 * peak.sigma_error
    return f"core {sigma:.0f} ± {error:.0f} um, tail {100 * peak.tail:.1f} ± {100 * peak.tail_error:.1f} %"


def _tagged(found: int, expected: int) -> dict[str, float | None]:
    """Efficiency by muons that every other chamber saw, None with too few of them."""
    low, high = wilson(found, expected)
    return {"share": found / expected if expected >= FEWEST_TAGGED else None, "low": low, "high": high}


def muon_numbers(snapshot: Snapshot, newest: int | None, peaks: Mapping[str, CoreFit | None]) -> dict[str, Any]:
    """The numbers of muons as plain JSON types; newest: the bin of the rates that is now."""
    catalogue, total, rates = snapshot.catalogue, snapshot.total, snapshot.rates.muons
    counts = catalogue.view(total, "muon_counts")
    expected, found = (catalogue.view(total, name) for name in ("chamber_expected", "chamber_found"))
    tagged, tagged_found = (catalogue.view(total, name) for name in ("chamber_tagged", "tagged_found"))

    def now(hz: Floats | None) -> float | None:
        return None if hz is None or newest is None else float(hz[newest].sum())

    chambers = []
    for c, chamber in enumerate(catalogue.detector.chambers):
        hits = catalogue.view(total, "segment_hits")[c]
        peak = peaks[f"misfit.{c}"]
        low, high = wilson(int(found[c]), int(expected[c]))
        chambers.append(
            {
                "segments": int(hits.sum()),
                "full": int(hits[chamber.layers]) if chamber.layers < len(hits) else 0,
                "segments_hz": now(None if rates is None else rates.segments_hz[:, c]),
                "full_hz": now(None if rates is None else rates.full_hz[:, c]),
                "expected": int(expected[c]),
                "efficiency": int(found[c]) / int(expected[c]) if expected[c] else None,
                "efficiency_low": low,
                "efficiency_high": high,
                "tagged": _tagged(int(tagged_found[c]), int(tagged[c])),
                "quality": catalogue.view(total, "segment_quality")[c].tolist(),
                "sigma_um": None if peak is None else 1000 * peak.sigma,
                "sigma_error_um": None if peak is None else 1000 * peak.sigma_error,
                "tail": None if peak is None else peak.tail,
                "tail_error": None if peak is None else peak.tail_error,
            }
        )
    last = snapshot.muons[-1] if snapshot.muons else None
    return {
        "segments": int(counts[SEGMENTS]),
        "full": int(counts[FULL_SEGMENTS]),
        "tracks": int(counts[TRACKS]),
        "muons": int(counts[MUONS]),
        "given_up": int(counts[GIVEN_UP:].sum()),
        "segments_hz": now(None if rates is None else rates.segments_hz),
        "tracks_hz": now(None if rates is None else rates.tracks_hz),
        "muons_hz": now(None if rates is None else rates.muons_hz),
        "chambers": chambers,
        "last": None if last is None else event_json(last, snapshot),
    }


def event_json(event: MuonEvent, snapshot: Snapshot) -> dict[str, Any]:
    """A muon hit by hit as plain JSON types, lengths to 0.01 mm; its data time is None in an earlier epoch.

    id: a text that no other muon of the run has; zenith_deg: None unless both views have a track
    """
    data_time_s = None
    if event.key >> KEY_WINDOW_BITS == snapshot.epoch:
        data_time_s = snapshot.data_time_s - (snapshot.newest_orbit - event.orbit) * ORBIT_SECONDS
    zenith = event.zenith_deg
    return {
        "id": f"{event.key}.{event.orbit}.{event.t0_ns:.1f}",
        "orbit": event.orbit,
        "epoch": event.key >> KEY_WINDOW_BITS,
        "t0_ns": round(event.t0_ns, 1),
        "data_time_s": None if data_time_s is None else round(data_time_s, 4),
        "zenith_deg": None if zenith is None else round(zenith, 2),
        "hits": [
            [
                h.chamber,
                h.cell,
                round(h.drift_ns, 1),
                round(h.low_x_mm, 2),
                round(h.high_x_mm, 2),
                round(h.z_mm, 2),
                h.side,
            ]
            for h in event.hits
        ],
        "hits_left_out": event.hits_left_out,
        "segments": [_line_json(line) for line in event.segments],
        "tracks": [_line_json(line) for line in event.tracks],
    }


def _line_json(line: EventLine) -> list[int | str | float]:
    return [
        line.chamber,
        line.view,
        round(line.x_mm, 2),
        round(line.z_mm, 2),
        round(line.tan, 5),
        round(line.chi2, 2),
    ]


def telescope_json(detector: Detector) -> list[dict[str, Any]]:
    """Each chamber for the event display: its view, and the places of its cells in it, in mm."""
    out = []
    for chamber in sorted(detector.chambers, key=lambda one: (VIEWS.index(one.view), -one.z_mm)):
        x_mm, z_mm = cell_places_mm(chamber)
        out.append(
            {
                "number": chamber.number,
                "name": chamber.name,
                "view": chamber.view,
                "middle": round(middle_mm(chamber), 2),
                "width": chamber.cell_width_mm,
                "height": chamber.cell_height_mm,
                "layers": chamber.layers,
                "x": [round(float(value), 2) for value in x_mm],
                "z": [round(float(value), 2) for value in z_mm],
            }
        )
    return out
