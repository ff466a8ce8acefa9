"""The commands that watch a source live: run and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from muonstream.cli.errors import refuse, refuse_missing, unfit
from muonstream.cli.help import Command
from muonstream.cli.options import (
    IDLE_SECONDS,
    WORKERS,
    ArchiveOption,
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
    ReportOption,
    RunOption,
    SparkConfOption,
    SparkLogOption,
    StaleOption,
    StrictOption,
    SummaryOption,
    TriggerOption,
    WebhookOption,
    WorkersOption,
    alarms_option,
    keeping_option,
    page_option,
    publishing_option,
    source_option,
    with_general_options,
    with_page_options,
)

live_app = typer.Typer()


@live_app.command(cls=Command)
@with_general_options
@with_page_options
def demo(
    duration: Annotated[float | None, source_option(min=0.1, help="Seconds after which the run ends.")] = None,
    rate_hz: Annotated[float, source_option(min=1, max=4e7, help="Words a second.")] = 5000.0,
    reconstruct: ReconstructOption = False,
    archive: ArchiveOption = None,
    report: ReportOption = None,
    *,
    page_options: dict[str, Any],
) -> None:
    """Run a simulated telescope with its live page.

    Example: muonstream demo --duration 20
    """
    from muonstream.commands.options import KeepingOptions
    from muonstream.commands.page import PageOptions
    from muonstream.commands.run import run_demo

    keeping = KeepingOptions(archive=archive, report=report)
    run_demo(
        PageOptions(**page_options), duration_s=duration, rate_hz=rate_hz, reconstruct=reconstruct, keeping=keeping
    )


@live_app.command(cls=Command)
@with_general_options
@with_page_options
def run(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A file or folder that grows, kafka://host:port/topic, shm:NAME, tcp://host:port, sim: or -."
        ),
    ],
    format: FormatOption = None,
    pace: Annotated[
        str, source_option(help="max, or a multiple of the pace at which the data were taken (1: their own pace).")
    ] = "",
    follow: Annotated[
        bool | None,
        source_option(help="Keep reading as the file or folder grows; on a topic, continue with the runs to come."),
    ] = None,
    run: RunOption = "",
    run_number: Annotated[
        int | None,
        source_option(
            min=0,
            max=10**18 - 1,
            help="The run's number; by default that in its name. Of a topic the run to take; by default the newest.",
        ),
    ] = None,
    begin: Annotated[
        str,
        source_option(
            "--from",
            help="Where to begin in a topic, and to continue where messages were deleted: earliest, latest, 0:OFFSET,…",
        ),
    ] = "",
    idle_seconds: IdleOption = IDLE_SECONDS,
    detector: DetectorOption = "telescope",
    reconstruct: ReconstructOption = False,
    workers: WorkersOption = WORKERS,
    strict: StrictOption = False,
    page: Annotated[bool, page_option(help="Serve the live page.")] = True,
    stay: Annotated[bool, page_option(help="Keep serving the page after the source has ended.")] = True,
    interval: Annotated[float, page_option(min=0.05, max=60, help="Seconds between snapshots.")] = 0.5,
    stale_after: StaleOption = 30.0,
    summary: SummaryOption = None,
    archive: ArchiveOption = None,
    report: ReportOption = None,
    store: Annotated[
        Path | None,
        keeping_option(
            help="Keep the run's state in this file: a restarted engine resumes from it and counts nothing twice."
        ),
    ] = None,
    store_every: Annotated[
        float, keeping_option(min=0.01, max=3600, help="Seconds between writes to the store.")
    ] = 1.0,
    results: Annotated[
        str, publishing_option(help="Publish the course's results here: kafka://host:port/results.")
    ] = "",
    snapshots: Annotated[str, publishing_option(help="Publish snapshots here: kafka://host:port/snapshots.")] = "",
    results_interval: Annotated[
        float, publishing_option(min=0.09, max=1e6, help="Seconds of data in each result, in whole windows.")
    ] = 5.0,
    reference: Annotated[
        list[str] | None,
        alarms_option(
            help="Compare with good runs, one or several: a file, or with --archive a run's name, or last:10, the "
            "newest ten flagged good."
        ),
    ] = None,
    webhook: WebhookOption = "",
    notify: NotifyOption = None,
    remind_after: RemindOption = 30.0,
    notify_limit: NotifyLimitOption = 20,
    notify_link: NotifyLinkOption = "",
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
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

    Each option can also be set by a key of the file that --config names (store-every = 2), or by an environment
    variable (MUONSTREAM_STORE_EVERY=2); `muonstream config show run …` prints which values are in force and where each
    was set.

    Example: muonstream run /data/run000123.dat
    """
    on_spark = engine is EngineName.spark
    publishes, notifies = bool(results or snapshots), bool(notify)
    problem = unfit(ctx, source, on_spark=on_spark, publishes=publishes, notifies=notifies, page=page)
    if problem:
        refuse(problem)
    refuse_missing([source], what="file or folder")
    references = tuple(reference or ())
    if archive is None:
        refuse_missing(
            [name for name in references if not name.startswith("last:")],
            what="file for --reference; a run by its name needs --archive",
        )
    from muonstream.commands.alarms import AlarmOptions
    from muonstream.commands.options import (
        AnalysisOptions,
        KeepingOptions,
        RunOptions,
        SourceOptions,
        SparkOptions,
        ViewOptions,
    )
    from muonstream.commands.page import PageOptions
    from muonstream.commands.publish import PublishOptions
    from muonstream.commands.topics import KafkaOptions

    most, conf = max_words_per_trigger, tuple(spark_conf or ())
    options = RunOptions(
        SourceOptions(source, format, pace, follow, idle_seconds, run, run_number, begin),
        AnalysisOptions(detector, reconstruct, workers, strict),
        ViewOptions(PageOptions(**page_options) if page else None, stay, interval, stale_after),
        KeepingOptions(summary, store, store_every, archive, report),
        PublishOptions(results, snapshots, results_interval),
        AlarmOptions(references, webhook, tuple(notify or ()), notify_limit, remind_after, notify_link, archive),
        KafkaOptions(kafka_properties, kafka_timeout),
        SparkOptions(master, trigger, checkpoint, most, conf, spark_log) if on_spark else None,
    )
    if on_spark:
        from muonstream.commands.spark import run_spark as watch
    elif options.source.is_topic:
        from muonstream.commands.topic import run_topic as watch
    else:
        from muonstream.commands.run import run_live as watch
    watch(options)
