"""python -m tools.resolution [FILE]: what calibration makes of the resolution, in data that it has not seen.

FILE is a run of the telescope that the bundled detector run591 describes: each half is calibrated on the other. Then
simulations of a detector whose cells, layers and relation of drift time and distance are known, and one with nothing to
find. --quick leaves out the long simulation.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.matching import frames_of
from benchmarks.matching import truth_of as simulation_truth
from benchmarks.reconstruction_truth import LIKE_THE_RUN, table
from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import Quality
from muonstream.detector.geometry import depths_mm, half_width_mm
from muonstream.detector.model import Detector
from muonstream.detector.relation import DriftRelation, steepness
from muonstream.frames import Frames
from muonstream.muons.fine import core_of_misfit, knots_of
from muonstream.muons.quality import qualities
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.refinement import Look, Refined, calibrated, pairs, refine, slope_of
from muonstream.muons.sample import Corrections, Fitted, Sample, knots_at, refit, sample_of
from muonstream.muons.segments import Found, SegmentConfig, SegmentFinder, Segments
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth
from muonstream.statistics.core import fit_core

LAYERS: Final = 4
HALF_WINDOWS: Final = 64
"""A run is divided by turns, of so many windows each; its halves are divided again, of fewer, to calibrate on."""
RELATION: Final = DriftRelation(
    time_ns=(0, 8, 16, 24, 32, 45, 60, 80, 110, 150, 200, 250, 300, 330, 350, 365, 385),
    add_mm=(0, 0.053, 0.011, 0.105, 0.05, 0.035, 0.021, -0.019, -0.035, -0.084, 0.039, 0.223, 0.142, 0.162, 0.206,
            -0.199, -0.384),
    add_tan_mm=(0, -0.116, -0.491, -0.518, -0.078, 0.224, 0.563, 0.78, 0.569, 0.359, -0.143, -0.124, -0.288, -0.043,
                -0.424, -0.096, -0.193),
    t0_tan_ns=6.3,
)  # fmt: skip
"""As a run of cosmic muons has it."""
SMEARING_NS: Final = 4.4
CELLS_NS: Final = 3.0
LAYERS_MM: Final = 0.1
SHIFTS: Final = np.array([1, -1, -1, 1])
"""The sum of layers' shifts that neither place nor tilt of a chamber changes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Segments with four hits: misfit_mm, tan: float64[n]; sides, chamber: int64[n]."""

    misfit_mm: NDArray[np.float64]
    tan: NDArray[np.float64]
    sides: NDArray[np.int64]
    chamber: NDArray[np.int64]

    @staticmethod
    def of(detector: Detector, found: Found) -> Measured:
        """Of segments, as the live reconstruction gives them."""
        s = found.segments
        full = s.chosen(s.hits == LAYERS)
        normal = sample_of(detector, found).normal
        misfit = (normal * full.residual_mm[:, :LAYERS]).sum(axis=1)
        return Measured(misfit, full.tan, full.sides, full.chamber)

    @staticmethod
    def joined(parts: list[Measured]) -> Measured:
        """One after another."""
        names = ("misfit_mm", "tan", "sides", "chamber")
        return Measured(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def core(self, which: NDArray[np.bool_] | slice = slice(None)) -> str:
        """Sigma of the core with its error, and the tail's share."""
        fit = core_of_misfit(self.misfit_mm[which])
        if fit is None:
            return "too few"
        return f"{1000 * fit.sigma:.0f} ± {1000 * fit.sigma_error:.0f} um, {fit.tail:.1%}"

    def row(self) -> list[str]:
        """All; steeper than 0.5; less steep, on alternating sides; RMS of those that a chi2 of 16 at 0.5 mm takes."""
        steep, alternating = np.abs(self.tan) > 0.5, np.isin(self.sides, (5, 10))
        inside = self.misfit_mm[np.abs(self.misfit_mm) < 2]
        rms = f"{1000 * np.sqrt((inside**2).mean()):.0f} um"
        return [f"{len(inside):,}", self.core(), self.core(steep), self.core(~steep & alternating), rms]


HEADINGS: Final = ["segments", "core, tail", "slope above 0.5", "below, alternating sides", "RMS at chi2 < 16"]


def look_of(frames: Frames, detector: Detector) -> Look:
    """What calibration sees of frames."""
    samples: list[Sample] = []
    catalogue = Catalogue(detector, muons=True)
    reconstruct = Reconstruction(catalogue)
    reconstruct.keep = lambda found: samples.append(sample_of(detector, found))
    total = reconstruct(frames).total
    return Look(catalogue, total, Sample.joined(samples))


def calibrated_on(frames: Frames, detector: Detector) -> tuple[Refined, Refined]:
    """Calibrated as far as velocity, times and places go, and with corrections."""
    plain = calibrated(lambda one: look_of(frames, one), detector, corrections=False)
    return plain, calibrated(lambda one: look_of(frames, one), plain.calibration.detector)


def sample_in(frames: Frames, detector: Detector) -> Sample:
    """What corrections are fitted to."""
    return sample_of(detector, SegmentFinder(detector)(frames))


def measured(frames: Frames, detector: Detector) -> Measured:
    """Segments of frames."""
    return Measured.of(detector, SegmentFinder(detector)(frames))


def halves(frames: Frames) -> tuple[Frames, Frames]:
    """The windows of a run by turns."""
    parts = [
        frames.part(first, min(first + HALF_WINDOWS, len(frames))) for first in range(0, len(frames), HALF_WINDOWS)
    ]
    return Frames.join(parts[::2]), Frames.join(parts[1::2])


TANS: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
PAIR_NS: Final = 25.0
BUNCH_NS: Final = 25.0


def velocities_of(sample: Sample, corrections: Corrections) -> list[str]:
    """Drift velocity by slope, um/ns: the combination of wires and times that is zero for a straight track."""
    fitted = refit(sample, corrections)
    added = distance_added(corrections, fitted)
    known = (sample.normal * (sample.wire_mm + sample.sign * added)).sum(axis=1)
    times = (sample.normal * sample.sign * fitted.drift_ns).sum(axis=1)
    slope, out = np.abs(fitted.tan), []
    for low, high in pairwise(TANS):
        own = (slope >= low) & (slope < high) & (np.abs(fitted.misfit_mm) < 2) & (known != 0)
        a, b = known[own], times[own]
        ratio = float((a * b).sum() / (a**2).sum())
        error = float(np.sqrt(((b - ratio * a) ** 2).mean() / (a**2).sum())) / ratio**2
        out.append(f"{-1000 / ratio:.2f} ± {1000 * error:.2f}")
    return out


def distance_added(corrections: Corrections, fitted: Fitted) -> NDArray[np.float64]:
    """What the relation adds to each hit, mm."""
    low, part = knots_at(corrections.knots_ns, fitted.drift_ns)
    f0, f1 = (one[low] * (1 - part) + one[low + 1] * part for one in (corrections.add_mm, corrections.add_tan_mm))
    return np.asarray(f0 + steepness(fitted.tan)[:, None] * f1, dtype=np.float64)


def times_row(detector: Detector, found: Found) -> list[str]:
    """t0: its error in a chamber, by parallel chambers; how early inclined tracks are; the share in one crossing."""
    s = found.segments
    full = s.chosen(s.hits == LAYERS)
    view = np.array([chamber.view == "y" for chamber in detector.chambers])[full.chamber]
    cores, inside = [], [0, 0]
    for one in (False, True):
        chambers = [c for c, chamber in enumerate(detector.chambers) if (chamber.view == "y") is one]
        a, b = pairs(full.orbit, *(np.flatnonzero(full.chamber == c) for c in chambers[:2]))
        same = np.abs(full.tan[a] - full.tan[b]) < 0.25
        late = full.t0_ns[b[same]] - full.t0_ns[a[same]]
        late = late[np.abs(late) < 2 * PAIR_NS] - np.median(late[np.abs(late) < 2 * PAIR_NS])
        edges = np.linspace(-PAIR_NS, PAIR_NS, 51)
        fit = fit_core((edges[1:] + edges[:-1]) / 2, np.histogram(late, edges)[0])
        cores.append("too few" if fit is None else f"{fit.sigma / 2**0.5:.1f} ± {fit.sigma_error / 2**0.5:.1f}")
        inside[0] += int((np.abs(late) < BUNCH_NS / 2).sum())
        inside[1] += len(late)
    a, b = pairs(full.orbit, np.flatnonzero(~view), np.flatnonzero(view))
    kind = full.chamber[a] * len(detector.chambers) + full.chamber[b]
    tan = steepness(full.tan)
    slope, error = slope_of(tan[a] - tan[b], full.t0_ns[b] - full.t0_ns[a], kind)
    return [*cores, f"{slope:+.1f} ± {error:.1f}", f"{inside[0] / max(inside[1], 1):.1%} of {inside[1]}"]


def classes() -> None:
    """Segments of a simulation with many wrong hits, by class of quality: how many are right.

    Before other chambers decide on the sides of three hits, and after it.
    """
    detector = Detector.load("run591")
    config = SimulationConfig(seed=21, duration_s=100, **LIKE_THE_RUN)  # type: ignore[arg-type]
    truth = simulation_truth(Simulation(config, detector))
    frames = frames_of(truth.words, detector)
    for title, by_others in (("before other chambers decide", False), ("after it", True)):
        s = SegmentFinder(detector, SegmentConfig(by_others=by_others))(frames).segments
        right, late_ns = _beside(truth, frames, s, detector)
        near = late_ns < 50
        of_class, rows = qualities(s, s.hits == LAYERS), []
        names = ("hits in all layers, confirmed", "one layer missing, confirmed", "hits in all layers, alone",
                 "one layer missing, alone")  # fmt: skip
        cases = [(name, of_class == quality) for name, quality in zip(names, Quality, strict=True)]
        cases += [("all with hits in all layers", s.hits == LAYERS), ("all with one layer missing", s.hits < LAYERS)]
        for name, own in cases:
            shares = (own.mean(), right[own].mean(), (right & near)[own].mean(), near[own].mean())
            rows.append([name, *(f"{share:.1%}" for share in (*shares, (late_ns < 12.5)[own].mean()))])
        headings = [
            "class",
            "share",
            "all sides right",
            "and t0 within 50 ns",
            "t0 within 50 ns",
            "in the right crossing",
        ]
        table(f"Classes of quality, simulation, {title}", headings, rows)


def _beside(
    truth: Truth, frames: Frames, s: Segments, detector: Detector
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which segments have all sides right, of hits farther than 1 mm from their wires, and how far off t0 is, ns."""
    by_truth, by_frames = np.argsort(truth.words, kind="stable"), np.argsort(frames.words, kind="stable")
    row_of = np.empty(len(frames.words), np.int64)
    row_of[by_frames] = by_truth
    has = s.word >= 0
    rows = np.where(has, row_of[s.word], 0)
    muon = np.where(has, truth.muon[rows], -1)
    votes = ((muon[:, :, None] == muon[:, None, :]) & (muon[:, :, None] >= 0)).sum(axis=2)
    first = np.take_along_axis(rows, votes.argmax(axis=1)[:, None], axis=1)[:, 0]
    wires = np.stack([chamber.wire_x_mm() - half_width_mm(chamber) for chamber in detector.chambers])
    line = truth.x_mm[first][:, None] + truth.tan[first][:, None] * depths_mm(detector.chambers[0])
    away = line - wires[s.chamber[:, None], s.cell]
    side = (s.sides[:, None] >> np.arange(LAYERS)) & 1
    right = (~has | (np.abs(away) < 1) | ((away > 0) == (side == 1))).all(axis=1) & (votes.max(axis=1) > 1)
    return right, np.abs(s.t0_ns - truth.passage_ns[first])


def run(file: Path) -> None:
    """A run: each half with what the other half says."""
    start = Detector.load("run591")
    frames = frames_of(np.fromfile(file, "<u8"), start)
    # a half has too few segments for velocities and places, which these figures do not hang on
    plain = calibrated(lambda one: look_of(frames, one), start, corrections=False).calibration.detector
    pair = halves(frames)
    before: list[Measured] = []
    timing: list[list[str]] = []
    speeds: list[list[str]] = []
    after: list[Measured] = []
    shifts: list[list[str]] = []
    for own, other in (pair, pair[::-1]):
        made = first = refine(plain, sample_in(other, plain), None)
        print(*made.remarks, sep="\n")
        for _ in range(2):
            made = refine(made.detector, sample_in(other, made.detector), first.fines)
        of_half = f"half {len(timing) // 2 + 1}"
        for name, one in (("as before", plain), ("corrected", made.detector)):
            seen = SegmentFinder(one)(own)
            timing.append([of_half, name, *times_row(one, seen)])
            nothing = Corrections.none(knots_of(one.chambers[0].t_max_ns), one)
            relation = one.chambers[0].drift
            if relation is not None:
                nothing = replace(nothing, knots_ns=np.asarray(relation.time_ns), add_mm=np.asarray(relation.add_mm),
                                  add_tan_mm=np.asarray(relation.add_tan_mm))  # fmt: skip
            speeds.append([of_half, name, *velocities_of(sample_of(one, seen), nothing)])
        before.append(measured(own, plain))
        after.append(measured(own, made.detector))
        for c, chamber in enumerate(made.detector.chambers):
            moved = np.asarray(chamber.layer_shift_mm) - np.asarray(start.chambers[c].layer_shift_mm)
            shifts.append([f"{len(shifts) // 4 + 1}", str(c + 1), f"{1000 * float(moved @ SHIFTS):+.0f}",
                           "written" if chamber.cell_time_offset_ns else "none",
                           f"{chamber.drift.t0_tan_ns:.1f}" if chamber.drift else "none"])  # fmt: skip
    rows = [[name, *Measured.joined(parts).row()] for name, parts in (("as before", before), ("corrected", after))]
    table("The run, each half with what the other half says", ["", *HEADINGS], rows)
    headings = [
        "t0 error, chambers 1 and 3",
        "2 and 4, ns",
        "passage minus t0 for a slope of 1, ns",
        "pairs within 12.5 ns",
    ]
    table("t0 of the run, four hits", ["", "", *headings], timing)
    table("Velocity by slope, um/ns", ["", "", *(f"{low} to {high}" for low, high in pairwise(TANS))], speeds)
    table("Found in each half", ["half", "chamber", "d1 - d2 - d3 + d4, um", "times of cells", "t0_tan, ns"], shifts)


def truth_of(detector: Detector, seed: int) -> Detector:
    """A detector with the relation, and layers and cells out of place."""
    rng = np.random.default_rng(seed)
    chambers = []
    for chamber in detector.chambers:
        shifts = np.asarray(chamber.layer_shift_mm) + rng.normal(0, LAYERS_MM, chamber.layers)
        cells = rng.normal(0, CELLS_NS, chamber.cells)
        chambers.append(chamber.model_copy(update={"drift": RELATION, "layer_shift_mm": tuple(shifts.tolist()),
                                                   "cell_time_offset_ns": tuple(cells.tolist())}))  # fmt: skip
    return detector.model_copy(update={"chambers": tuple(chambers)})


def simulated(detector: Detector, seed: int, duration_s: float) -> Frames:
    """Words of a telescope as framed."""
    config = SimulationConfig(
        seed=seed, rate_hz=5000, muon_rate_hz=76, duration_s=duration_s, drift_smearing_ns=SMEARING_NS
    )
    return frames_of(np.concatenate(list(Simulation(config, detector).blocks())), detector)


def off(found: Detector, true: Detector) -> tuple[float, float]:
    """RMS of what layers' places, um, and cells' times, ns, are off by, without what is not observable."""
    layers, cells = [], []
    for one, other in zip(found.chambers, true.chambers, strict=True):
        shift = np.asarray(one.layer_shift_mm) - np.asarray(other.layer_shift_mm)
        design = np.stack([np.ones(LAYERS), depths_mm(one)], axis=1)
        layers.append(shift - design @ np.linalg.lstsq(design, shift, rcond=None)[0])
        times = np.zeros(one.cells)
        for sign, times_of in ((1, one.cell_time_offset_ns), (-1, other.cell_time_offset_ns)):
            times += sign * np.asarray(times_of or np.zeros(one.cells))
        cells.append(times - times.mean())
    return tuple(float(np.sqrt(np.mean(np.square(values)))) for values in (layers, cells))  # type: ignore[return-value]


def simulations(durations_s: list[float]) -> None:
    """Simulated detectors of known corrections, and one with none, tested on other data of the same detector."""
    plain, rows = Detector.default(), []
    true = truth_of(plain, 11)
    for name, detector in (("injected", true), ("nothing injected", plain)):
        test = simulated(detector, 99, 70.0)
        ideal = measured(test, detector)
        for duration_s in durations_s:
            first, full = calibrated_on(simulated(detector, 7, duration_s), plain)
            made = full.calibration.detector
            for step, one in (("as before", first.calibration.detector), ("corrected", made), ("the truth", detector)):
                left = off(one, detector)
                seen = ideal if one is detector else measured(test, one)
                rows.append([name, f"{duration_s:.0f} s", step, *seen.row(), f"{1000 * left[0]:.0f}", f"{left[1]:.2f}"])
            print(f"\n{name}, {duration_s:.0f} s", *full.calibration.remarks, sep="\n")
    table("Simulations", ["", "data", "", *HEADINGS, "layers off by, um", "cells off by, ns"], rows)


AS_IT_IS = {
    **LIKE_THE_RUN, "drift_smearing_ns": 4.4, "deltas": 0.25, "delta_range_mm": 1.5, "radiation_lengths": 0.1,
    "wire_ns_per_m": 4.1, "flight_ns_per_m": 3.336,
}  # fmt: skip
"""The same with electrons freed by path, material, wires and the way: a chamber's aluminium is about 0.1 radiation
lengths, and a wire brings its signal at 24.4 cm/ns (CMS software, DTTTrigSyncFromDB, vPropWire)."""


def shapes(file: Path) -> None:
    """The distribution of misfits of a run, and of simulations that leave something out or do not."""
    plain = Detector.load("run591")
    speed = {"drift_velocity_um_per_ns": 57.1, "t_max_ns": 367.8}
    plain = plain.model_copy(update={"chambers": tuple(c.model_copy(update=speed) for c in plain.chambers)})
    rng = np.random.default_rng(11)
    bent = plain.model_copy(update={"chambers": tuple(c.model_copy(update={
        "drift": RELATION, "layer_shift_mm": tuple((c.layer_shift_mm + rng.normal(0, LAYERS_MM, c.layers)).tolist()),
    }) for c in plain.chambers)})  # fmt: skip
    seen = {"the run": frames_of(np.fromfile(file, "<u8"), plain)}
    for name, detector, options in (
        ("5 ns, a fifth of cells with knock-on electrons", plain, LIKE_THE_RUN),
        ("and a relation of drift time, layers", bent, LIKE_THE_RUN),
        ("and electrons by path, scattering, wires, the way", bent, AS_IT_IS),
    ):
        config = SimulationConfig(seed=31, duration_s=95, **options)  # type: ignore[arg-type]
        seen[name] = frames_of(np.concatenate(list(Simulation(config, detector).blocks())), plain)
    rows = []
    edges = np.array([0, 0.125, 0.25, 0.5, 1, 1.5, 2])
    for name, frames in seen.items():
        one = measured(frames, plain)
        counts = np.histogram(np.abs(one.misfit_mm), edges)[0]
        rows.append([name, *one.row(), " / ".join(f"{share:.1%}" for share in counts / counts.sum())])
    headings = ["", *HEADINGS, "share of misfits to 0.125 / 0.25 / 0.5 / 1 / 1.5 / 2 mm"]
    table("Shapes, without corrections", headings, rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="a run of words")
    parser.add_argument("--quick", action="store_true", help="leave out the long simulation")
    parser.add_argument("--classes", action="store_true", help="the classes of quality in simulation, nothing else")
    parser.add_argument("--no-simulation", action="store_true", help="the run alone")
    parser.add_argument(
        "--shapes", action="store_true", help="compare the run's shape with simulations, and nothing else"
    )
    options = parser.parse_args()
    if options.classes:
        classes()
        return
    if options.shapes:
        if options.file is None:
            parser.error("--shapes: found no FILE, expected a run of words")
        shapes(options.file)
        return
    if options.file is not None:
        run(options.file)
    if not options.no_simulation:
        classes()
        simulations([35.0] if options.quick else [35.0, 350.0])


if __name__ == "__main__":
    main()
