"""Calibration: drift velocity, time offsets and alignment of a detector, from the muons of a run.

All is read from the muon part of the catalogue, so a run may be taken in parts. The result is applied, and the data
analysed again with the corrected file, until no change matters.

What is held fixed: the cells' width, since free mean-timers alone fix only t0 + T_max/2; with scintillator times,
nothing else in time. Without them the time offset of one chamber is held, and the others' are relative to it, as far as
tracks, or muons with tracks in both views, link them. In space the first chamber of each view stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import HEIGHT_TAN, drift_velocity_um_per_ns
from muonstream.detector.geometry import Numbers, middle_mm
from muonstream.detector.model import Chamber, Detector
from muonstream.errors import MuonstreamError

FEWEST_SEGMENTS: Final = 500
FEWEST_PAIRS: Final = 50
CORE_SIGMAS: Final = 2.0
CORE_SHARE: Final = 0.7737413
"""Variance of a normal distribution cut at two standard deviations, relative to the uncut one's."""


class CalibrationError(MuonstreamError, ValueError):
    """Too little data to calibrate a detector: one line a reason."""


@dataclass(frozen=True, slots=True)
class Core:
    """The core of a distribution: mean and its error, standard deviation, and how many are within two of these."""

    mean: float
    error: float
    sigma: float
    n: int


@dataclass(frozen=True, slots=True)
class ChamberCalibration:
    """The results for one chamber: values with their errors, None for those held fixed or not found.

    segments: with hits in all layers; pairs: with such a one in the view's first chamber
    offset_is_absolute: against the scintillator, not against another chamber
    """

    number: int
    segments: int
    pairs: int
    velocity_um_per_ns: tuple[float, float]
    t_max_ns: tuple[float, float]
    offset_ns: tuple[float, float] | None
    offset_is_absolute: bool
    x_mm: tuple[float, float] | None
    tilt_deg: tuple[float, float] | None
    z_mm: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated detector, the results for each chamber, and remarks on what was held fixed or left out."""

    detector: Detector
    chambers: tuple[ChamberCalibration, ...]
    remarks: tuple[str, ...]

    def moved(self, before: Detector) -> float:
        """How far it is from a detector: 1 is 0.05 um/ns, 0.2 ns, 0.05 mm, 0.03 degrees, or a fifth of the error.

        Of velocity, time offset, place and tilt of each chamber, the one that moved most counts.
        """
        far = 0.0
        for row, new, old in zip(self.chambers, self.detector.chambers, before.chambers, strict=True):
            steps = [
                (new.drift_velocity_um_per_ns - old.drift_velocity_um_per_ns, row.velocity_um_per_ns, 0.05),
                (new.time_offset_ns - old.time_offset_ns, row.offset_ns, 0.2),
                (new.x_mm - old.x_mm, row.x_mm, 0.05),
                (new.tilt_deg - old.tilt_deg, row.tilt_deg, 0.03),
            ]
            for step, found, least in steps:
                far = max(far, abs(step) / max(least, 0.2 * found[1] if found else 0.0))
        return float(far)


def core_of(centres: Numbers, counts: NDArray[np.int64]) -> Core | None:
    """The core of a histogram (flow bins left out), None for fewer than ten entries."""
    if counts.sum() < 10:
        return None
    cumulated = np.cumsum(counts) / counts.sum()
    low, mean, high = (float(centres[np.searchsorted(cumulated, share)]) for share in (0.16, 0.5, 0.84))
    step = float(centres[1] - centres[0])
    sigma = max((high - low) / 2, step)
    n = 0.0
    for _ in range(50):
        low, high = mean - CORE_SIGMAS * sigma, mean + CORE_SIGMAS * sigma
        # bins at the edges count by the fraction that is inside
        begin, end = np.maximum(centres - step / 2, low), np.minimum(centres + step / 2, high)
        part = counts * np.maximum(end - begin, 0.0) / step
        middle = (begin + end) / 2
        n = float(part.sum())
        if n < 10:
            return None
        mean = float((part * middle).sum() / n)
        variance = float((part * (middle - mean) ** 2).sum() / n)
        sigma = max(float(np.sqrt(variance / CORE_SHARE)), step / 2)
    # with the cut around the mean itself, the mean follows the middle more slowly than that of the uncut distribution
    return Core(mean, float(sigma / np.sqrt(n * CORE_SHARE)), sigma, round(n))


def core_in(catalogue: Catalogue, data: Counts, name: str, row: int | None) -> Core | None:
    """The core of one row of a catalogue's entry, in the unit of its axis."""
    axis = catalogue.entries[name].axis
    counts = catalogue.view(data, name) if row is None else catalogue.view(data, name)[row]
    centres = np.asarray(axis.start + (np.arange(axis.bins) + 0.5) * axis.step, dtype=np.float64)
    return core_of(centres, counts[1:-1] if axis.flow else counts)


def calibrate(catalogue: Catalogue, data: Counts) -> Calibration:
    """Calibrate the catalogue's detector from a run's counts, with muons.

    Raises CalibrationError when a chamber has too few segments, with one line for each that has.
    """
    detector = catalogue.detector
    segments = [_full_segments(catalogue, data, c) for c in range(len(detector.chambers))]
    reasons = [
        f"chamber {chamber.number}: found {n} segments with hits in all layers, expected at least {FEWEST_SEGMENTS}"
        for chamber, n in zip(detector.chambers, segments, strict=True)
        if n < FEWEST_SEGMENTS
    ]
    if reasons:
        raise CalibrationError("\n".join(reasons))
    remarks = ["held: the width of the cells, which gives lengths their scale"]
    first = {view: next(c for c, one in enumerate(detector.chambers) if one.view == view) for view in _views(detector)}
    offsets = _offsets(catalogue, data, first, remarks)
    for view, c in first.items():
        remarks.append(f"held: place and tilt of chamber {detector.chambers[c].number}, the first of view {view}")
    rows, chambers = [], []
    for c, chamber in enumerate(detector.chambers):
        velocity, error = drift_velocity_um_per_ns(catalogue.view(data, "velocity")[c])
        if not np.isfinite(velocity) or error > 0.02 * velocity:
            raise CalibrationError(f"chamber {chamber.number}: too few segments cross wires to give the drift velocity")
        half_um = chamber.cell_width_mm * 500
        row = ChamberCalibration(
            number=chamber.number,
            segments=segments[c],
            pairs=int(catalogue.view(data, "height")[c, 0]),
            velocity_um_per_ns=(velocity, error),
            t_max_ns=(half_um / velocity, half_um / velocity**2 * error),
            offset_ns=offsets[c][0],
            offset_is_absolute=offsets[c][1],
            x_mm=None,
            tilt_deg=None,
            z_mm=None,
        )
        if c not in first.values():
            row = _aligned(catalogue, data, c, row)
            if row.x_mm is None:
                remarks.append(
                    f"chamber {chamber.number} not aligned: found {row.pairs} pairs, expected at least {FEWEST_PAIRS}"
                )
        rows.append(row)
        chambers.append(_changed(detector, c, row))
    estimated = tuple(key for key in detector.estimated if not _measured(key, rows))
    new = detector.model_copy(update={"chambers": tuple(chambers), "estimated": estimated})
    return Calibration(new, tuple(rows), tuple(remarks))


def _views(detector: Detector) -> list[str]:
    return list(dict.fromkeys(chamber.view for chamber in detector.chambers))


def _full_segments(catalogue: Catalogue, data: Counts, c: int) -> int:
    layers = catalogue.detector.chambers[c].layers
    hits = catalogue.view(data, "segment_hits")[c]
    return int(hits[layers]) if layers < len(hits) else 0


def _offsets(
    catalogue: Catalogue, data: Counts, first: dict[str, int], remarks: list[str]
) -> list[tuple[tuple[float, float] | None, bool]]:
    """Each chamber's time offset with its error, and whether it is absolute; None for one held fixed."""
    chambers = catalogue.detector.chambers
    passage = [core_in(catalogue, data, "t0_passage", c) for c in range(len(chambers))]
    if all(core is not None and core.n >= FEWEST_PAIRS for core in passage):
        return [
            ((chamber.time_offset_ns - core.mean, core.error), True)
            for chamber, core in zip(chambers, passage, strict=True)
            if core is not None
        ]
    out: list[tuple[tuple[float, float] | None, bool]] = [(None, False)] * len(chambers)
    between_views = core_in(catalogue, data, "t0_views", None)
    reference = next(iter(first.values()))
    remarks.append(
        f"held: the time offset of chamber {chambers[reference].number}, for lack of scintillator times; the others' "
        "are relative to it"
    )
    for c, chamber in enumerate(chambers):
        mean, error = 0.0, 0.0
        if c != first[chamber.view]:
            core = core_in(catalogue, data, "t0_between", c)
            if core is None or core.n < FEWEST_PAIRS:
                remarks.append(f"held: the time offset of chamber {chamber.number}, which has too few pairs")
                continue
            mean, error = core.mean, core.error
        if first[chamber.view] != reference:
            if between_views is None or between_views.n < FEWEST_PAIRS:
                if c == first[chamber.view]:
                    remarks.append(
                        f"held: the time offset of chamber {chamber.number}, the first of view {chamber.view}"
                    )
                    continue
            elif c == first[chamber.view]:
                mean, error = between_views.mean, between_views.error
            else:
                mean, error = mean + between_views.mean, float(np.hypot(error, between_views.error))
        elif c == reference:
            continue
        out[c] = ((chamber.time_offset_ns - mean, error), False)
    return out


def _aligned(catalogue: Catalogue, data: Counts, c: int, row: ChamberCalibration) -> ChamberCalibration:
    """The row with place, tilt and height of a chamber against its view's first, where there are pairs enough."""
    chamber = catalogue.detector.chambers[c]
    miss, bend = core_in(catalogue, data, "miss", c), core_in(catalogue, data, "bend", c)
    if row.pairs < FEWEST_PAIRS or miss is None or bend is None:
        return row
    angle = np.radians(chamber.rotation_deg)
    way = float(np.sign(np.sin(angle) if chamber.view == "y" else np.cos(angle)))
    n, tan, off, tan2, tan_off = catalogue.view(data, "height")[c].astype(float)
    tan, tan2, off, tan_off = tan / HEIGHT_TAN, tan2 / HEIGHT_TAN**2, off / 1000, tan_off / HEIGHT_TAN / 1000
    spread = tan2 / n - (tan / n) ** 2
    lower = (tan_off / n - tan / n * off / n) / spread  # the chamber is lower than its file says
    height_error = miss.sigma / np.sqrt(n * spread)
    # at the mean slope the height does not matter
    at_mean = miss.mean - (lower * tan / n if _is_estimated(catalogue.detector, c) else 0.0)
    cos2 = 1 / (1 + tan2 / n)
    # the place depends on the first chamber's slopes alone, since the tilt makes the others agree with them
    first = next(one for one in catalogue.detector.chambers if one.view == chamber.view)
    lever_mm = abs(middle_mm(first) - middle_mm(chamber)) / 2
    tilt = chamber.tilt_deg - way * float(np.degrees(bend.mean * cos2))
    return replace(
        row,
        x_mm=(chamber.x_mm - way * at_mean, float(np.hypot(miss.error, lever_mm * bend.error))),
        tilt_deg=(tilt, float(np.degrees(bend.error * cos2))),
        z_mm=(chamber.z_mm - lower, float(height_error)),
    )


def _is_estimated(detector: Detector, c: int) -> bool:
    return f"chambers[{c}].z_mm" in detector.estimated


def _changed(detector: Detector, c: int, row: ChamberCalibration) -> Chamber:
    """The chamber with its results; its height changes only where the file calls it an estimate."""
    new: dict[str, Any] = {
        "drift_velocity_um_per_ns": row.velocity_um_per_ns[0],
        "t_max_ns": row.t_max_ns[0],
    }
    if row.offset_ns is not None:
        new["time_offset_ns"] = row.offset_ns[0]
    if row.x_mm is not None and row.tilt_deg is not None and row.z_mm is not None:
        new["x_mm"], new["tilt_deg"] = row.x_mm[0], row.tilt_deg[0]
        if _is_estimated(detector, c):
            new["z_mm"] = row.z_mm[0]
    return detector.chambers[c].model_copy(update=new)


def _measured(key: str, rows: list[ChamberCalibration]) -> bool:
    """Whether an estimate in the old file has become a measurement."""
    for c, row in enumerate(rows):
        found = {"time_offset_ns": row.offset_ns, "x_mm": row.x_mm, "tilt_deg": row.tilt_deg}
        for name, value in found.items():
            if key == f"chambers[{c}].{name}" and value is not None:
                return True
    return False
