"""Reconstruction beside the truth, and of a run if one is given: python -m benchmarks.reconstruction_truth [FILE].

Prints the tables of docs/reconstruction.md and draws its pictures into a folder (--pictures). FILE is a run of the
telescope that the bundled detector run591 describes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.matching import Comparison, compare, frames_of, truth_of
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.muons.calibration import Calibration, CalibrationError, calibrate
from muonstream.muons.reconstruction import Reconstruction
from muonstream.muons.refinement import MOST_ROUNDS
from muonstream.muons.segments import SegmentConfig, SegmentFinder, Segments
from muonstream.muons.tracks import TrackFinder
from muonstream.picture import histogram_svg
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation, simulate_words
from muonstream.words import NS_PER_TDC, ORBIT_SECONDS, Words, decode, time_tdc

SMEARING_NS = 4.0
VELOCITY = 0.0538
RESOLUTION_MM = float(np.hypot(SMEARING_NS, NS_PER_TDC / np.sqrt(12)) * VELOCITY)
"""What smearing and TDC make of a distance."""
NOISE_HZ = 4000.0
ROUNDS = 7
LIKE_THE_RUN = {
    "rate_hz": 4970.0,
    "muon_rate_hz": 76.0,
    "drift_smearing_ns": 5.0,
    "hit_efficiency": 0.93,
    "deltas": 0.2,
    "afterpulses": 0.12,
}
"""A simulation as run 591 is; the rates of its chambers differ by their hot cells."""


def table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Print a table as Markdown."""
    print(f"\n### {title}\n\n| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def percent(found: int, n: int) -> str:
    return f"{100 * found / n:.2f} %" if n else "none"


def sides_and_efficiency(clean: Comparison, dirty: Comparison, passage: Comparison) -> None:
    """Muons with four hits in a chamber: found, and on which side of the wires."""
    cases = {
        "no knock-on electrons": clean,
        "as in the data": dirty,
        "as in the data, t0 from the scintillator": passage,
    }
    rows = []
    for name, case in cases.items():
        vertical = np.abs(case.tan) < 1
        rows.append(
            [
                name,
                f"{case.muons:,}",
                percent(int(case.found.sum()), case.muons),
                percent(int(case.found[vertical].sum()), int(vertical.sum())),
                percent(*case.wrong_sides(1.0)),
                percent(*case.wrong_sides(np.inf)),
                percent(*case.wrong_sides(np.inf, with_same_side=False)),
                percent(int(case.same_side.sum()), case.muons),
            ]
        )
    headings = [
        "simulation",
        "muons with 4 hits",
        "found",
        "found, below 45°",
        "wrong side, below 45°",
        "wrong side, all",
    ]
    table("Muons with four hits in a chamber", [*headings, "but those passing all wires on one side", "these"], rows)


def pulls(case: Comparison, finder: SegmentFinder, pictures: Path | None) -> None:
    """Fit less truth over its expected error."""
    rows = []
    for name, values in case.pulls(finder.patterns(0), RESOLUTION_MM).items():
        width, mean = float(np.std(values)), float(np.mean(values))
        rows.append([name, f"{len(values):,}", f"{mean:+.3f}", f"{width:.3f} ± {width / np.sqrt(2 * len(values)):.3f}"])
        if pictures is not None:
            edges = np.linspace(-5, 5, 101)
            counts = np.histogram(values, edges)[0].astype(np.float64)
            middles = (edges[1:] + edges[:-1]) / 2
            curve = len(values) * 0.1 / np.sqrt(2 * np.pi) * np.exp(-(middles**2) / 2)
            text = histogram_svg(f"Pull of {name}", "pull", edges, counts, curve=curve, note=f"width {width:.3f}")
            (pictures / f"pull_{name}.svg").write_text(text, encoding="utf-8")
    title = f"Pulls of segments with four hits, all sides right ({RESOLUTION_MM * 1000:.0f} um)"
    table(title, ["of", "n", "mean", "width"], rows)
    right = case.segments.chosen(case.full[case.right()])
    rms_um = 1000 * float(np.sqrt(np.mean(right.residual_mm[:, :4] ** 2)))
    print(f"\nBiased residuals: RMS {rms_um:.1f} um, expected {RESOLUTION_MM * 500:.1f} um (half the resolution)")


def noise(detector: Detector) -> None:
    """Segments in noise alone."""
    rows = []
    for rate_hz, orbits in ((NOISE_HZ, 5_000_000), (10 * NOISE_HZ, 500_000)):
        simulation = Simulation(
            SimulationConfig(seed=7, rate_hz=rate_hz, muon_rate_hz=0.0, duration_s=orbits * ORBIT_SECONDS), detector
        )
        found = SegmentFinder(detector)(frames_of(np.concatenate(list(simulation.blocks())), detector))
        n = len(found.segments)
        rows.append([f"{rate_hz:,.0f} Hz", f"{orbits:,}", str(n), f"{n / orbits * 1e5:.3f}"])
    table("Segments in noise alone", ["noise", "orbits", "segments", "in 100,000 orbits"], rows)


def calibrated(frames: Frames, detector: Detector) -> Calibration:
    """Calibrate until nothing changes, or as often as the command does."""
    for _ in range(MOST_ROUNDS):
        catalogue = Catalogue(detector, muons=True)
        made = calibrate(catalogue, Reconstruction(catalogue)(frames).total)
        if made.moved(detector) < 1:
            break
        detector = made.detector
    return made


def closure(detector: Detector) -> None:
    """Calibrations of a telescope that is not as its file says."""
    values = {
        "x_mm": (0.0, 0.0, -2.3, 4.1),
        "tilt_deg": (0.0, 0.0, 0.3, -0.4),
        "drift_velocity_um_per_ns": (55.0, 54.0, 56.0, 53.0),
        "time_offset_ns": (85.0, 100.0, 92.0, 95.0),
    }
    chambers = tuple(
        chamber.model_copy(update={name: value[c] for name, value in values.items()})
        for c, chamber in enumerate(detector.chambers)
    )
    true = detector.model_copy(update={"chambers": chambers})
    rows = []
    # the last has enough segments for a tenth of a millimetre
    for seed, duration_s in ((1, 240), (2, 240), (3, 240), (4, 1200)):
        config = SimulationConfig(seed=seed, rate_hz=4000, muon_rate_hz=150, duration_s=duration_s)
        words = np.concatenate(list(Simulation(config, true).blocks()))
        made = calibrated(frames_of(words, detector), detector)
        for row, new, old in zip(made.chambers, made.detector.chambers, true.chambers, strict=True):
            velocity = new.drift_velocity_um_per_ns / old.drift_velocity_um_per_ns - 1
            place = "held" if row.x_mm is None else f"{new.x_mm - old.x_mm:+.3f} ± {row.x_mm[1]:.3f}"
            tilt = "held" if row.tilt_deg is None else f"{17.453 * (new.tilt_deg - old.tilt_deg):+.2f}"
            numbers = [f"{100 * velocity:+.3f} %", f"{new.time_offset_ns - old.time_offset_ns:+.2f}", place, tilt]
            rows.append([str(seed), str(row.number), f"{row.segments:,}", f"{row.pairs:,}", *numbers])
    headings = ["seed", "chamber", "segments", "pairs", "velocity", "offset, ns", "place, mm", "tilt, mrad"]
    table("Calibration less truth", headings, rows)


def stream_of(words: Words, detector: Detector) -> list[str]:
    """What a stream is like, in numbers: hits by chamber, of an orbit, and again in a cell."""
    fields = decode(words)
    hits = []
    for chamber in detector.chambers:
        own = (fields.head == 2) & (fields.fpga == chamber.board)
        own &= (fields.channel >= chamber.first_channel) & (fields.channel < chamber.first_channel + chamber.cells)
        hits.append(own)
    orbit = np.sort(fields.orbit)
    steps = np.diff(orbit)
    live_s = float(steps[steps < 11_000].sum()) * ORBIT_SECONDS
    every = np.any(hits, axis=0)
    _, of_orbit = np.unique(fields.orbit[every], return_counts=True)
    time, channel = time_tdc(words[every]), fields.fpga[every] * 512 + fields.channel[every]
    order = np.lexsort((time, channel))
    again = np.diff(time[order])[np.diff(channel[order]) == 0] * NS_PER_TDC
    near, late = ((again > low) & (again <= high) for low, high in ((0, 80), (80, 500)))
    return [
        f"{live_s:.1f}",
        " / ".join(f"{own.sum() / live_s:,.0f}" for own in hits),
        f"{np.median(of_orbit):.0f} / {np.percentile(of_orbit, 99):.0f} / {of_orbit.max()}",
        f"{100 * near.sum() / every.sum():.2f} % / {100 * late.sum() / every.sum():.2f} %",
    ]


def segments_row(s: Segments, c: int, live_s: float) -> list[str]:
    """Rates and residuals of one chamber."""
    mine = s.chosen(s.chamber == c)
    full = mine.chosen(mine.hits == 4)
    flat = mine.chosen(np.abs(mine.tan) < 1)
    rms_um = 1000 * np.sqrt(np.nanmean(full.residual_mm**2))
    return [
        f"{len(mine) / live_s:.1f}",
        f"{len(flat) / live_s:.1f}",
        f"{len(full) / live_s:.1f}",
        f"{(flat.hits == 4).sum() / live_s:.1f}",
        f"{rms_um:.0f}",
    ]


def run(words: Words, pictures: Path | None) -> None:
    """The run, as it is and beside a simulation."""
    detector = Detector.load("run591")
    frames = frames_of(words, detector)
    try:
        made = calibrated(frames, detector)
    except CalibrationError as error:
        print(f"\nThe run is not reconstructed: {error}")
        return
    simulated = simulate_words(len(words), detector, seed=1, **LIKE_THE_RUN)
    sides = {"run": (words, frames, made.detector), "simulation": (simulated, frames_of(simulated, detector), detector)}
    headings = ["live s", "hits/s of chambers 1 to 4", "hits an orbit: median / p99 / most"]
    streams = {name: stream_of(one, detector) for name, (one, _, _) in sides.items()}
    table(
        "The run and a simulation of it",
        ["", *headings, "hits again in a cell within 80 / 80 to 500 ns"],
        [[name, *row] for name, row in streams.items()],
    )
    rows, found = [], {}
    for name, (_, one, calibrated_detector) in sides.items():
        segments = SegmentFinder(calibrated_detector)(one).segments
        found[name] = segments
        for c in range(4):
            rows.append([name, str(c + 1), *segments_row(segments, c, float(streams[name][0]))])
    headings = ["", "chamber", "segments/s", "below 45°", "4 layers/s", "below 45°", "biased residual RMS, um"]
    table("Segments, chi2 < 16 at 0.5 mm, t0 free", headings, rows)
    velocities(made)
    views(frames, made.detector)
    distances(found, made.detector, pictures)
    angles(found, {name: float(row[0]) for name, row in streams.items()}, pictures)


def velocities(made: Calibration) -> None:
    """Drift velocities of the run."""
    rows = [
        [
            str(row.number),
            f"{row.segments:,}",
            *(
                "held" if value is None else f"{value[0]:.2f} ± {value[1]:.2f}"
                for value in (row.velocity_um_per_ns, row.t_max_ns, row.offset_ns, row.x_mm, row.tilt_deg, row.z_mm)
            ),
        ]
        for row in made.chambers
    ]
    headings = [
        "chamber",
        "segments",
        "velocity, um/ns",
        "T_max, ns",
        "offset, ns",
        "place, mm",
        "tilt, °",
        "height, mm",
    ]
    table("The run calibrated", headings, rows)


def views(frames: Frames, detector: Detector) -> None:
    """Which chambers see the same muons: slopes and positions of segments in one orbit, within 50 ns."""
    finder = SegmentFinder(detector)
    s = finder(frames).segments
    lines = TrackFinder(finder).lines(s)
    rows = []
    for a in range(4):
        for b in range(a + 1, 4):
            one, other = (np.flatnonzero((s.chamber == c) & lines.full & (np.abs(s.tan) < 1)) for c in (a, b))
            _, i, j = np.intersect1d(s.orbit[one], s.orbit[other], return_indices=True)
            i, j = one[i], other[j]
            near = np.abs(s.t0_ns[i] - s.t0_ns[j]) < 50
            i, j = i[near], j[near]
            slope = np.corrcoef(lines.tan[i], lines.tan[j])[0, 1]
            place = np.corrcoef(lines.x_mm[i] + lines.tan[i] * (lines.z_mm[i] - lines.z_mm[j]), lines.x_mm[j])[0, 1]
            late = s.t0_ns[j] - s.t0_ns[i]
            spread = 1.4826 * np.median(np.abs(late - np.median(late)))
            error = 1.25 * spread / np.sqrt(len(late))
            rows.append(
                [
                    f"{a + 1} and {b + 1}",
                    str(len(i)),
                    f"{slope:+.3f}",
                    f"{place:+.3f}",
                    f"{np.median(late):+.2f} ± {error:.2f}",
                    f"{spread:.1f}",
                ]
            )
    headings = ["chambers", "pairs", "correlation of slopes", "of places", "t0 difference, ns", "its spread, ns"]
    table("Pairs of segments in one orbit, offsets as calibrated", headings, rows)


def distances(found: dict[str, Segments], detector: Detector, pictures: Path | None) -> None:
    """Residuals away from the wire against the distance, and where drift times end."""
    mean_um = {}
    edges = np.arange(0.0, 22.0)
    for name, s in found.items():
        full = s.chosen((s.hits == 4) & (np.abs(s.tan) < 1))
        velocity = np.array([c.drift_velocity_um_per_ns for c in detector.chambers])[full.chamber]
        velocity = velocity if name == "run" else np.full(len(full), VELOCITY * 1000)
        distance = full.drift_ns[:, :4] * velocity[:, None] / 1000
        sign = np.where((full.sides[:, None] >> np.arange(4)) & 1, 1, -1)
        away = full.residual_mm[:, :4] * sign * 1000
        bins = np.digitize(distance, edges) - 1
        mean_um[name] = np.array([away[bins == k].mean() for k in range(len(edges) - 1)])
    rows = [[name, *(f"{value:+.0f}" for value in values)] for name, values in mean_um.items()]
    table("Mean biased residual in um, away from the wire, by mm of distance", ["", *map(str, range(21))], rows)
    if pictures is not None:
        text = histogram_svg(
            "Residual against distance", "distance from the wire (mm)", edges, mean_um["run"],
            others={"simulation": mean_um["simulation"]}, note="mean, um",
        )  # fmt: skip
        (pictures / "residual_distance.svg").write_text(text, encoding="utf-8")
        edges = np.linspace(-1.5, 1.5, 76)
        counts = {
            name: np.histogram(s.residual_mm[s.hits == 4].ravel(), edges)[0].astype(np.float64)
            for name, s in found.items()
        }
        scaled = counts["simulation"] * counts["run"].sum() / counts["simulation"].sum()
        text = histogram_svg(
            "Biased residuals, 4 layers", "residual (mm)", edges, counts["run"], others={"simulation": scaled}
        )
        (pictures / "residual_biased.svg").write_text(text, encoding="utf-8")


def angles(found: dict[str, Segments], live_s: dict[str, float], pictures: Path | None) -> None:
    """Slopes of segments, side by side."""
    edges = np.linspace(-2, 2, 41)
    rates = {name: np.histogram(s.tan, edges)[0] / live_s[name] for name, s in found.items()}
    if pictures is not None:
        text = histogram_svg(
            "Slope of segments", "tan", edges, rates["run"], others={"simulation": rates["simulation"]}, note="1/s"
        )
        (pictures / "slopes.svg").write_text(text, encoding="utf-8")
    rows = [[name, *(f"{rate[4 * i : 4 * i + 4].sum():.1f}" for i in range(10))] for name, rate in rates.items()]
    table("Segments a second by slope, 0.4 wide", ["", *(f"from {edges[4 * i]:+.1f}" for i in range(10))], rows)


def speed(words: dict[str, Words], detector: Detector) -> None:
    """Hits a second on one thread."""
    catalogue = Catalogue(detector, muons=True)
    reconstruction = Reconstruction(catalogue)
    rows = []
    for name, one in words.items():
        frames = frames_of(one, detector)
        hits = catalogue.chamber_hits(reconstruction(frames).total).sum()
        segments = reconstruction.find_segments(frames)

        def seconds(work: Callable[[], object]) -> float:
            """The thread's own time, the best of several, since others may be at work on the machine."""
            best = np.inf
            for _ in range(ROUNDS):
                began = time.thread_time()
                work()
                best = min(best, time.thread_time() - began)
            return best

        alone = seconds(lambda frames=frames: reconstruction.find_segments(frames))  # type: ignore[misc]
        whole = seconds(lambda frames=frames: reconstruction(frames))  # type: ignore[misc]
        given_up = " / ".join(str(n) for n in segments.given_up.sum(axis=0))
        rates = (f"{hits / alone / 1e6:.1f}", f"{hits / whole / 1e6:.1f}")
        rows.append([name, f"{hits:,}", f"{len(segments.segments):,}", *rates, given_up])
    headings = ["words", "hits", "segments", "M hits/s, segments", "all reconstruction", "given up: hits/choices/fits"]
    table("Speed on one thread", headings, rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="a run of words")
    parser.add_argument("--pictures", type=Path, help="folder for pictures")
    parser.add_argument("--quick", action="store_true", help="leave out the closure of calibrations")
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    detector = Detector.default()
    free = SegmentFinder(detector)
    clean = compare(
        truth_of(Simulation(SimulationConfig(seed=5, duration_s=300, deltas=0, afterpulses=0), detector)), free
    )
    truth = truth_of(Simulation(SimulationConfig(seed=6, duration_s=300), detector))
    passage = compare(truth, SegmentFinder(detector, SegmentConfig(use_passage=True)))
    sides_and_efficiency(clean, compare(truth, free), passage)
    pulls(clean, free, options.pictures)
    noise(detector)
    if not options.quick:
        closure(detector)
    run_words = None
    if options.file is not None:
        run_words = np.fromfile(options.file, "<u8")
        run(run_words, options.pictures)
    speeds(run_words)


def speeds(run_words: Words | None = None) -> None:
    """Hits a second at the rate of cosmic muons, in heavy noise, and of a run if there is one."""
    detector = Detector.default()
    words = {
        "simulated, 5 kHz": simulate_words(1_000_000, detector),
        "simulated, 100 hits an orbit": simulate_words(3_000_000, detector, rate_hz=100 / ORBIT_SECONDS),
    }
    if run_words is not None:
        words["the run"] = run_words
    speed(words, detector)


if __name__ == "__main__":
    main()
