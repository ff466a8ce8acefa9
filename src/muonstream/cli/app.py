"""The command line: options and help; what the commands do is in `muonstream.commands`, imported when it is run."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from muonstream import __version__
from muonstream.cli.archived import report_app, runs_app
from muonstream.cli.config import unknown_variables
from muonstream.cli.configuration import config_app
from muonstream.cli.errors import Commands, refuse_missing
from muonstream.cli.export import export_app
from muonstream.cli.help import Command
from muonstream.cli.kafka import kafka_app
from muonstream.cli.live import live_app
from muonstream.cli.logs import LOGGER, begin_logging
from muonstream.cli.options import (
    IDLE_SECONDS,
    WORKERS,
    ArchiveOption,
    DetectorOption,
    FormatOption,
    IdleOption,
    ReconstructOption,
    ReportOption,
    RunNumberOption,
    RunOption,
    StrictOption,
    SummaryOption,
    WorkersOption,
    analysis_option,
    source_option,
    with_general_options,
)

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="muonstream",
    cls=Commands,
    help="Real-time stream processing and live monitoring for drift-tube muon detectors.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
detector_app = typer.Typer(help="Detector files: chambers, boards and channels of a telescope.", no_args_is_help=True)
app.add_typer(live_app)
app.add_typer(detector_app, name="detector")
app.add_typer(kafka_app)
app.add_typer(runs_app, name="runs")
app.add_typer(report_app)
app.add_typer(export_app)
app.add_typer(config_app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"muonstream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    begin_logging()
    for name in unknown_variables(ctx.command):
        LOGGER.warning("%s: found no option of this name, so this environment variable sets nothing", name)


@app.command(cls=Command)
@with_general_options
def process(
    files: Annotated[list[str], typer.Argument(help="Files, in the order they were taken; - reads standard input.")],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    summary: SummaryOption = None,
    archive: ArchiveOption = None,
    report: ReportOption = None,
    strict: StrictOption = False,
    run: RunOption = "",
    idle_seconds: IdleOption = IDLE_SECONDS,
    workers: WorkersOption = WORKERS,
    reconstruct: ReconstructOption = False,
    together: Annotated[
        bool, source_option("--together", help="The files were written side by side, such as one a board.")
    ] = False,
    merge: Annotated[bool, source_option("--merge", help="The files are one run, whatever they are called.")] = False,
    run_number: RunNumberOption = None,
    verdicts: Annotated[
        bool, analysis_option("--verdicts", help="Judge every 3 s of data, as run does, and print the time line.")
    ] = False,
) -> None:
    """Analyse files as fast as they can be read.

    Files are parts of one run, read in the order given, if they are in one folder and only their last number differs,
    if their transfers have the same run word, or if their orbit counter continues; otherwise each file is a run.

    Example: muonstream process Run000591/data_*.dat --summary out.json
    """
    refuse_missing(files)
    from muonstream.commands.process import ProcessOptions, process_files

    options = ProcessOptions(
        detector_name=detector,
        format_name=format,
        summary_path=summary,
        archive=archive,
        report=report,
        strict=strict,
        run=run,
        run_number=run_number,
        workers=workers,
        reconstruct=reconstruct,
        together=together,
        merge=merge,
        idle_seconds=idle_seconds,
        verdicts=verdicts,
    )
    process_files(files, options)


@app.command(cls=Command)
def inspect(
    files: Annotated[list[str], typer.Argument(help="Files, each inspected separately; - reads standard input.")],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Show what files contain and what looks wrong: boards, channels, counters, order, repeats, rates, odd stretches.

    Example: muonstream inspect run000123.dat
    """
    from muonstream.commands.inspect import inspect_files

    inspect_files(files, detector_name=detector, format_name=format, as_json=as_json)


@app.command(cls=Command)
def simulate(
    output: Annotated[str, typer.Argument(help="Output file; - writes to standard output.")],
    words: Annotated[
        int | None, typer.Option(min=1, help="Number of words; 1,000,000 if --duration is not given either.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=1e-3, help="Seconds of data; --words may end it sooner.")
    ] = None,
    rate_hz: Annotated[float, typer.Option(min=1, max=4e7, help="Words a second, including those of muons.")] = 5000.0,
    muon_rate_hz: Annotated[float, typer.Option(min=0, max=1e6, help="Muons a second.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same words.")] = 1,
    start_orbit: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The orbit counter at the beginning.")] = 0,
    block_words: Annotated[int, typer.Option(min=1, max=4096, help="Words in a board's packet.")] = 4,
    dead_cell: Annotated[str, typer.Option(help="A cell without hits, given as CHAMBER:CELL.")] = "",
    hot_cell: Annotated[str, typer.Option(help="A cell with 20 times the noise, given as CHAMBER:CELL.")] = "",
    gap: Annotated[float, typer.Option(min=0, max=3e5, help="Length in seconds of a pause in the middle.")] = 0.0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Also write the origin of each word, and the path of its muon, to this Parquet file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    text: Annotated[
        bool, typer.Option("--text", help="Write a table in the course's format instead of binary words.")
    ] = False,
    detector: DetectorOption = "telescope",
) -> None:
    """Simulate data: muons, noise, scintillator, in packets of the boards as in real data.

    Example: muonstream simulate sim.dat --words 1000000 --hot-cell 2:17
    """
    from muonstream.commands.simulate import SimulateOptions, simulate_file

    options = SimulateOptions(
        words=words,
        duration_s=duration,
        rate_hz=rate_hz,
        muon_rate_hz=muon_rate_hz,
        seed=seed,
        start_orbit=start_orbit,
        block_words=block_words,
        dead_cell=dead_cell,
        hot_cell=hot_cell,
        gap_s=gap,
        text=text,
        detector=detector,
        truth_path=truth,
        force=force,
    )
    simulate_file(output, options)


@app.command(cls=Command)
def calibrate(
    files: Annotated[list[str], typer.Argument(help="Files of one run, in the order they were taken.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The new detector file; an existing file is never overwritten.")
    ],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    pictures: Annotated[Path | None, typer.Option(help="Draw each fit as an SVG file in this folder.")] = None,
) -> None:
    """Find drift velocity, time offsets and alignment from a run's muons, and write them to a new detector file.

    Example: muonstream calibrate run*.dat --output mine.toml
    """
    refuse_missing(files)
    from muonstream.commands.calibrate import calibrate_files

    calibrate_files(files, output=output, detector_name=detector, format_name=format, pictures=pictures)


@app.command(cls=Command)
def bench(
    words: Annotated[int, typer.Option(min=100_000, max=200_000_000, help="How many words.")] = 20_000_000,
) -> None:
    """Measure this machine's speed: words in memory to finished histograms, compared with copying the same words.

    Example: muonstream bench
    """
    from muonstream.commands.bench import bench_machine

    bench_machine(words)


@detector_app.command("check", cls=Command)
def detector_check(file: Annotated[str, typer.Argument(help="A detector file, or a bundled detector.")]) -> None:
    """Check a detector file; an error names the key, what was found and what is expected.

    Example: muonstream detector check mydetector.toml
    """
    from muonstream.commands.detector import check_detector

    check_detector(file)


def main() -> None:
    """Entry point."""
    # the objects of numba and pydantic live until the end: searching them for garbage costs a third of a second
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        app()
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"muonstream: standard output: cannot be written: {error.strerror}", file=sys.stderr)
        # Python would try to flush the buffered output again at exit, and print another error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
