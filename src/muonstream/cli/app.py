"""The command line: options and help; what the commands do is in `muonstream.commands`, imported when it is run."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from muonstream import __version__
from muonstream.cli.errors import Commands, refuse, refuse_missing, unfit
from muonstream.cli.kafka import kafka_app
from muonstream.cli.options import (
    IDLE_SECONDS,
    WORKERS,
    CheckpointOption,
    DetectorOption,
    EngineName,
    EngineOption,
    FormatOption,
    IdleOption,
    KafkaOption,
    KafkaTimeoutOption,
    MasterOption,
    MostWordsOption,
    NotifyLimitOption,
    NotifyLinkOption,
    NotifyOption,
    ReconstructOption,
    RemindOption,
    RunNumberOption,
    RunOption,
    SparkConfOption,
    SparkLogOption,
    StaleOption,
    StrictOption,
    SummaryOption,
    TriggerOption,
    WebhookOption,
    WorkersOption,
    with_page_options,
)

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    name="muonstream",
    cls=Commands,
    help="Real-time stream processing and live monitoring for drift-tube muon detectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
detector_app = typer.Typer(help="Detector files: chambers, boards and channels of a telescope.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")
app.add_typer(kafka_app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"muonstream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    pass


@app.command()
@with_page_options
def demo(
    duration: Annotated[float | None, typer.Option(min=0.1, help="Seconds after which it ends by itself.")] = None,
    rate_hz: Annotated[float, typer.Option(min=1, max=4e7, help="Words a second.")] = 5000.0,
    reconstruct: ReconstructOption = False,
    *,
    page_options: dict[str, Any],
) -> None:
    """Run a simulated telescope with its live page.

    Example: muonstream demo --duration 20
    """
    from muonstream.commands.page import PageOptions
    from muonstream.commands.run import run_demo

    page = PageOptions(**page_options)
    raise typer.Exit(run_demo(page, duration_s=duration, rate_hz=rate_hz, reconstruct=reconstruct))


@app.command()
@with_page_options
def run(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(help="A file or folder that grows, kafka://host:port/topic, sim:, or - for standard input."),
    ],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    pace: Annotated[
        str, typer.Option(help="max, or how many times as fast as the data were taken (1: at their own pace).")
    ] = "",
    follow: Annotated[
        bool | None, typer.Option(help="Go on as the file or folder grows; of a topic, with the runs to come.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep the run's state in this file: a restarted engine goes on, nothing twice.")
    ] = None,
    store_every: Annotated[float, typer.Option(min=0.01, max=3600, help="Seconds between writes to the store.")] = 1.0,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="Where to begin in a topic, and to go on where messages are gone: earliest, latest, 0:OFFSET,…",
        ),
    ] = "",
    run_number: Annotated[
        int | None, typer.Option(min=0, help="The topic's run to take; without it, the newest.")
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the live page.")] = True,
    stay: Annotated[bool, typer.Option(help="Leave the page open when the source has ended.")] = True,
    interval: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds between snapshots.")] = 0.5,
    summary: SummaryOption = None,
    strict: StrictOption = False,
    run: RunOption = "",
    idle_seconds: IdleOption = IDLE_SECONDS,
    workers: WorkersOption = WORKERS,
    reconstruct: ReconstructOption = False,
    stale_after: StaleOption = 30.0,
    results: Annotated[str, typer.Option(help="Publish the course's results here: kafka://host:port/results.")] = "",
    snapshots: Annotated[str, typer.Option(help="Publish snapshots here: kafka://host:port/snapshots.")] = "",
    results_interval: Annotated[
        float, typer.Option(min=0.09, max=1e6, help="Seconds of data in each of the results, in whole windows.")
    ] = 5.0,
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
    reference: Annotated[
        str, typer.Option(help="Compare with this snapshot of a good run, as its page gives it at /api/snapshot.musn.")
    ] = "",
    webhook: WebhookOption = "",
    notify: NotifyOption = None,
    remind_after: RemindOption = 30.0,
    notify_limit: NotifyLimitOption = 20,
    notify_link: NotifyLinkOption = "",
    engine: EngineOption = EngineName.local,
    master: MasterOption = "",
    trigger: TriggerOption = "",
    checkpoint: CheckpointOption = "",
    max_words_per_trigger: MostWordsOption = None,
    spark_conf: SparkConfOption = None,
    spark_log: SparkLogOption = None,
    *,
    page_options: dict[str, Any],
) -> None:
    """Watch a source live: count, histogram, and show it on a page. Ctrl-C ends the run with its account.

    Example: muonstream run /data/run000123.dat
    """
    on_spark = engine is EngineName.spark
    publishes, notifies = bool(results or snapshots), bool(notify)
    problem = unfit(ctx, source, on_spark=on_spark, publishes=publishes, notifies=notifies, page=page)
    if problem:
        refuse(problem)
    refuse_missing([source], what="file or folder")
    refuse_missing([reference])
    from muonstream.commands.alarms import AlarmOptions
    from muonstream.commands.page import PageOptions
    from muonstream.commands.publish import PublishOptions
    from muonstream.commands.run import LiveOptions, ReadingOptions, run_live

    live = LiveOptions(
        detector_name=detector,
        page=PageOptions(**page_options) if page else None,
        stay=stay,
        interval_s=interval,
        summary_path=summary,
        strict=strict,
        run=run,
        workers=workers,
        reconstruct=reconstruct,
        stale_after_s=stale_after,
        publishing=PublishOptions(results, snapshots, results_interval, kafka_properties, kafka_timeout),
        alarms=AlarmOptions(reference, webhook, tuple(notify or ()), notify_limit, remind_after, notify_link),
    )
    if source.startswith("kafka://"):
        from muonstream.commands.topic import TopicOptions, run_topic

        options = TopicOptions(store, begin, run_number, bool(follow), store_every, kafka_properties, kafka_timeout)
        if on_spark:
            from muonstream.commands.spark import SparkOptions, run_spark

            most, conf = max_words_per_trigger, tuple(spark_conf or ())
            spark = SparkOptions(master, trigger, checkpoint, most, conf, spark_log)
            raise typer.Exit(run_spark(source, spark, options, live))
        raise typer.Exit(run_topic(source, options, live))
    raise typer.Exit(run_live(source, ReadingOptions(format, pace, follow, idle_seconds), live))


@app.command()
def process(
    files: Annotated[list[str], typer.Argument(help="Files in the order they were taken; - is standard input.")],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    summary: SummaryOption = None,
    strict: StrictOption = False,
    run: RunOption = "",
    idle_seconds: IdleOption = IDLE_SECONDS,
    workers: WorkersOption = WORKERS,
    reconstruct: ReconstructOption = False,
    together: Annotated[
        bool, typer.Option("--together", help="The files were written side by side, such as one a board.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="The files are one run, whatever they are called.")] = False,
    run_number: RunNumberOption = None,
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Judge every 3 s of data, as run does, and give the time line.")
    ] = False,
) -> None:
    """Analyse files as fast as they can be read.

    Files are parts of one run, read in the order given, if they are in one folder and only their last number differs,
    if their transfers have the same run word, or if their orbit counter goes on; else they are runs of their own.

    Example: muonstream process Run000591/data_*.dat --summary out.json
    """
    refuse_missing(files)
    from muonstream.commands.process import ProcessOptions, process_files

    options = ProcessOptions(
        detector_name=detector,
        format_name=format,
        summary_path=summary,
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
    raise typer.Exit(process_files(files, options))


@app.command()
def inspect(
    files: Annotated[list[str], typer.Argument(help="Files, each inspected by itself; - is standard input.")],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Say what is in files and what looks wrong: boards, channels, counters, order, repeats, rates, odd stretches.

    Example: muonstream inspect run000123.dat
    """
    from muonstream.commands.inspect import inspect_files

    raise typer.Exit(inspect_files(files, detector_name=detector, format_name=format, as_json=as_json))


@app.command()
def simulate(
    output: Annotated[str, typer.Argument(help="Where to write; - is standard output.")],
    words: Annotated[int | None, typer.Option(min=1, help="How many; without --duration 1,000,000.")] = None,
    duration: Annotated[
        float | None, typer.Option(min=1e-3, help="Seconds of data; --words may end it sooner.")
    ] = None,
    rate_hz: Annotated[float, typer.Option(min=1, max=4e7, help="Words a second, those of muons among them.")] = 5000.0,
    muon_rate_hz: Annotated[float, typer.Option(min=0, max=1e6, help="Muons a second.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same words.")] = 1,
    start_orbit: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The orbit counter at the beginning.")] = 0,
    block_words: Annotated[int, typer.Option(min=1, max=4096, help="Words in a board's packet.")] = 4,
    dead_cell: Annotated[str, typer.Option(help="A cell without hits, as CHAMBER:CELL.")] = "",
    hot_cell: Annotated[str, typer.Option(help="A cell with 20 times the noise, as CHAMBER:CELL.")] = "",
    gap: Annotated[float, typer.Option(min=0, max=3e5, help="Seconds of a pause in the middle.")] = 0.0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Also write what brought each word, and where the muon was, to this Parquet file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Write a course table, not binary words.")] = False,
    detector: DetectorOption = "telescope",
) -> None:
    """Make data: muons, noise, scintillator, boards' packets as real ones come.

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
    raise typer.Exit(simulate_file(output, options))


@app.command()
def calibrate(
    files: Annotated[list[str], typer.Argument(help="Files of a run, in the order they were taken.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new detector file; never one that is there.")],
    detector: DetectorOption = "telescope",
    format: FormatOption = None,
    pictures: Annotated[Path | None, typer.Option(help="Draw each fit as an SVG file in this folder.")] = None,
) -> None:
    """Find drift velocity, time offsets and alignment from a run's muons, and write them to a new detector file.

    Example: muonstream calibrate run*.dat --output mine.toml
    """
    refuse_missing(files)
    from muonstream.commands.calibrate import calibrate_files

    raise typer.Exit(
        calibrate_files(files, output=output, detector_name=detector, format_name=format, pictures=pictures)
    )


@app.command()
def bench(
    words: Annotated[int, typer.Option(min=100_000, max=200_000_000, help="How many words.")] = 20_000_000,
) -> None:
    """Measure this machine: words in memory to a finished monitor, beside copying the same words.

    Example: muonstream bench
    """
    from muonstream.commands.bench import bench_machine

    raise typer.Exit(bench_machine(words))


@detector_app.command("check")
def detector_check(file: Annotated[str, typer.Argument(help="A detector file, or a bundled detector.")]) -> None:
    """Say whether a detector file is right, and if not, which key, what was found, and what is allowed.

    Example: muonstream detector check mydetector.toml
    """
    from muonstream.commands.detector import check_detector

    raise typer.Exit(check_detector(file))


def main() -> None:
    """Entry point."""
    # what numba and pydantic are made of is there to stay: looking through it for garbage costs a third of a second
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        app()
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"muonstream: standard output: cannot be written: {error.strerror}", file=sys.stderr)
        # what waits to be written would be tried again at the end, and complained of
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
