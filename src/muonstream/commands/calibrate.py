"""`muonstream calibrate`: drift velocity, time offsets and alignment from a run's muons, into a new detector file."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from muonstream.commands import common
from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.edit import EditError, edited_toml
from muonstream.detector.file import detector_toml, source_text
from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.evidence import Expected
from muonstream.muons.calibration import Calibration, CalibrationError, core_in
from muonstream.muons.refinement import Look, Refined, calibrated
from muonstream.muons.sample import Samples
from muonstream.offline.counting import check_there
from muonstream.picture import histogram_svg
from muonstream.sources.files import is_stream, read_parts

FEW = 5000
"""With fewer entries bins are drawn five together."""
PICTURES = (
    ("t0_passage", "t0 less passage time, chamber {}"),
    ("t0_between", "t0 less that of the view's first chamber, chamber {}"),
    ("miss", "position less the line from the view's first chamber, chamber {}"),
    ("bend", "slope less that in the view's first chamber, chamber {}"),
    ("residual_biased", "hit less its own segment, chamber {}"),
)


def calibrate_files(
    files: list[str], *, output: Path, detector_name: str, format_name: str | None, pictures: Path | None
) -> None:
    """Calibrate, and write the new detector file. Raises CommandError; with too little data nothing is written."""
    if output.exists():
        raise common.CommandError(f"{output}: already exists; expected a new file, since none is overwritten")
    if not output.parent.is_dir():
        raise common.CommandError(f"{output}: cannot be written: {output.parent} is not a folder")
    try:
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise common.CommandError(f"--pictures: {pictures}: cannot be made: {error.strerror or error}") from None
    if streams := [file for file in files if is_stream(file)]:
        raise common.CommandError(f"FILES: found {streams[0]}, expected files, which are read several times")
    check_there(files)
    before = common.load_detector(detector_name)
    try:
        refined = _converged(files, before, format_name)
    except CalibrationError as error:
        raise common.CommandError(f"too little data, nothing was written\n{error}") from None
    calibration, counts = refined.calibration, refined.look.total
    remarks = [f"Calibrated from {', '.join(files)}, beginning with {detector_name}.", *calibration.remarks]
    text = _detector_file(detector_name, calibration, remarks)
    _report(calibration)
    _say_resolution(refined)
    with common.named_output(output), output.open("x", encoding="utf-8") as handle:
        handle.write(text)
    common.say(f"{output} written after {refined.rounds} rounds")
    if pictures is not None:
        with common.named_output(pictures):
            _draw(pictures, Catalogue(calibration.detector, muons=True), counts)


def _detector_file(name: str, calibration: Calibration, remarks: list[str]) -> str:
    """The original detector file with its comments, edited; a new file where it cannot be edited."""
    try:
        return edited_toml(
            source_text(name), calibration.detector, remarks=remarks, chamber_remarks=_remarks(calibration)
        )
    except (EditError, OSError) as error:
        common.say(f"{name}: its comments are not in the new file: {error}")
        return detector_toml(calibration.detector, remarks=remarks, chamber_remarks=_remarks(calibration))


def _converged(files: list[str], detector: Detector, format_name: str | None) -> Refined:
    """The calibration, repeated until another round changes nothing."""
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} words"), TimeElapsedColumn())
    with Progress(*columns, console=common.err, transient=True, disable=not common.err.is_terminal) as bar:
        rounds = count(1)

        def look(detector: Detector) -> Look:
            task = bar.add_task(f"round {next(rounds)}", total=None)
            samples = Samples(detector)
            with Pipeline(detector, reconstruct=True) as pipeline:
                assert pipeline.reconstruction is not None
                pipeline.reconstruction.keep = samples.keep
                blocks = read_parts(files, common.format_of(format_name), expected=Expected.of(detector.channel_map()))
                snapshot = run_blocks(pipeline, blocks, progress=lambda n: bar.advance(task, n))
            bar.remove_task(task)
            return Look(snapshot.catalogue, snapshot.total, samples.joined(), samples.left_out)

        return calibrated(look, detector)


def _shown(value: tuple[float, float] | None, digits: int, unit: str = "") -> str:
    return "held" if value is None else f"{value[0]:.{digits}f} ± {value[1]:.{digits}f} {unit}".rstrip()


def _remarks(calibration: Calibration) -> dict[int, list[str]]:
    return {
        row.number: [
            f"drift velocity {_shown(row.velocity_um_per_ns, 3, 'um/ns')}, time offset {_shown(row.offset_ns, 2, 'ns')}"
            + (" (absolute)" if row.offset_is_absolute else " (relative)" if row.offset_ns else ""),
            f"place {_shown(row.x_mm, 3, 'mm')}, tilt {_shown(row.tilt_deg, 4, 'degrees')}, from {row.pairs} pairs",
        ]
        for row in calibration.chambers
    }


def _report(calibration: Calibration) -> None:
    headings = "chamber", "segments", "velocity um/ns", "T_max ns", "offset ns", "place mm", "tilt deg", "height mm"
    rows = [
        (
            str(row.number),
            f"{row.segments:,}",
            _shown(row.velocity_um_per_ns, 2),
            _shown(row.t_max_ns, 1),
            _shown(row.offset_ns, 2) + (" abs" if row.offset_is_absolute else ""),
            _shown(row.x_mm, 2),
            _shown(row.tilt_deg, 3),
            _shown(row.z_mm, 1),
        )
        for row in calibration.chambers
    ]
    # aligned here, since a table would truncate numbers on a narrow terminal
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        common.out.print(line, markup=False, highlight=False, soft_wrap=True)
    for remark in calibration.remarks:
        common.out.print(remark, markup=False)


def _say_resolution(refined: Refined) -> None:
    """Core and tail of the misfit, each half of the data with the relation from the other half."""
    for name, fit in (("as found", refined.before), ("corrected", refined.after)):
        if fit is not None and (name == "as found" or refined.after != refined.before):
            common.out.print(
                f"resolution of a hit, {name}: {1000 * fit.sigma:.0f} ± {1000 * fit.sigma_error:.0f} um, "
                f"{fit.tail:.1%} ± {fit.tail_error:.1%} of the segments have a wrong hit",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip


def _draw(folder: Path, catalogue: Catalogue, counts: Counts) -> None:
    """A picture of each fit."""
    for name, title in PICTURES:
        axis = catalogue.entries[name].axis
        edges = np.asarray(axis.start + np.arange(axis.bins + 1) * axis.step, dtype=np.float64)
        for c, chamber in enumerate(catalogue.detector.chambers):
            values = catalogue.view(counts, name)[c, 1:-1].astype(np.float64)
            few = 5 if values.sum() < FEW else 1
            core = core_in(catalogue, counts, name, c)
            if core is None:
                continue
            values, coarse = values.reshape(-1, few).sum(axis=1), edges[::few]
            middles = (coarse[1:] + coarse[:-1]) / 2
            height = core.n / 0.9545 * axis.step * few / (core.sigma * np.sqrt(2 * np.pi))
            curve = height * np.exp(-(((middles - core.mean) / core.sigma) ** 2) / 2)
            note = f"mean {core.mean:.3g} ± {core.error:.2g}, sigma {core.sigma:.3g} {axis.unit}"
            label = f"{axis.label} ({axis.unit})" if axis.unit else axis.label
            text = histogram_svg(title.format(chamber.number), label, coarse, values, curve=curve, note=note)
            (folder / f"{name}_{chamber.number}.svg").write_text(text, encoding="utf-8")
