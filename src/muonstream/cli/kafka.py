"""The commands that need Kafka and nothing else: dashboard, replay, topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from muonstream.cli.errors import refuse_missing
from muonstream.cli.help import Command
from muonstream.cli.options import (
    BrokersArgument,
    DetectorOption,
    FormatOption,
    FormName,
    KafkaOption,
    KafkaTimeoutOption,
    RunNumberOption,
    RunOption,
    StaleOption,
    publishing_option,
    source_option,
    with_general_options,
    with_page_options,
)

kafka_app = typer.Typer()
topics_app = typer.Typer(help="Kafka topics: create muonstream's topics, show their state.", no_args_is_help=True)
kafka_app.add_typer(topics_app, name="topics")


@kafka_app.command(cls=Command)
@with_general_options
@with_page_options
def dashboard(
    source: Annotated[
        str,
        typer.Argument(
            help="Where snapshots are (kafka://host:port/snapshots), an archived run's file, or an archive's folder; "
            "not needed with --archive."
        ),
    ] = "",
    archive: Annotated[
        Path | None, source_option("--archive", help="Show the runs of this archive, too, or alone.")
    ] = None,
    run: Annotated[str, source_option("--run", help="The run to show; by default the newest.")] = "",
    stale_after: StaleOption = 30.0,
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
    *,
    page_options: dict[str, Any],
) -> None:
    """Show the page of a run that is analysed elsewhere (`run --snapshots`), or that an archive has (`--archive`).

    Example: muonstream dashboard kafka://localhost:9092/snapshots
    """
    if not source and archive is None:
        raise typer.BadParameter("found nothing to show, expected SOURCE or --archive", param_hint="SOURCE")
    if source and "://" not in source and archive is not None:
        raise typer.BadParameter("found a file or folder and --archive, expected one of them", param_hint="--archive")
    refuse_missing([source, *([str(archive)] if archive else [])], what="file or folder")
    from muonstream.commands.dashboard import show, show_archive, show_archived
    from muonstream.commands.page import PageOptions

    if not source and archive is not None:
        show_archive(archive, PageOptions(**page_options))
        return
    if "://" not in source:
        show_archived(source, PageOptions(**page_options), run=run)
        return
    show(
        source,
        PageOptions(**page_options),
        run=run,
        stale_after_s=stale_after,
        properties=kafka_properties,
        timeout_s=kafka_timeout,
        archive=archive,
    )


@kafka_app.command(cls=Command)
@with_general_options
def replay(
    files: Annotated[
        list[str], typer.Argument(help="Files of one run in order, a file or folder that grows, sim:, or -.")
    ],
    to: Annotated[
        str,
        publishing_option(
            "--to", help="Where to: kafka://host:port[,host:port][/topic], shm:NAME, or tcp://host:port."
        ),
    ],
    form: Annotated[
        FormName, publishing_option("--as", help="Whole windows of words, loose JSON hits, or raw DMA transfers.")
    ] = FormName.frames,
    fast: Annotated[
        bool, publishing_option("--fast", help="Send as fast as possible instead of at the data's own pace.")
    ] = False,
    rate: Annotated[
        float | None,
        publishing_option(
            "--rate", min=1, max=1e9, help="Send this many words a second instead of at the data's own pace."
        ),
    ] = None,
    follow: Annotated[
        bool, source_option("--follow", help="Keep reading as the file grows; a folder is always followed.")
    ] = False,
    run_number: RunNumberOption = None,
    run_name: RunOption = "",
    format: FormatOption = None,
    detector: DetectorOption = "telescope",
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
) -> None:
    """Send a run to Kafka. Started again after a failure, the same command sends only what is missing.

    Without a topic in the address, frames go to `frames`, hits and transfers to `Experiment_measurements`. Ctrl-C ends
    a source that has no end of its own and sends its end; any other run stays open and is resumed by the same command.

    What the topic has of a run of this name and number is compared with the files first: another run is refused.

    Example: muonstream replay run000123.dat --to kafka://localhost:9092
    """
    from muonstream.commands.replay import replay_files
    from muonstream.commands.replay_source import ReplayOptions

    options = ReplayOptions(
        to=to,
        form=form.value,
        fast=fast,
        rate_hz=rate,
        follow=follow,
        run_number=run_number,
        run_name=run_name,
        format_name=None if format is None else format.value,
        detector_name=detector,
        properties=kafka_properties,
        timeout_s=kafka_timeout,
    )
    replay_files(files, options)


@topics_app.command("create", cls=Command)
def topics_create(
    brokers: BrokersArgument,
    prefix: Annotated[str, typer.Option(help="Prefix of the topics' names, for several telescopes on one Kafka.")] = "",
    retention_hours: Annotated[
        float,
        typer.Option(min=0.01, max=1e6, help="Hours that hits and frames are kept; words at 1 MHz are 29 GB each."),
    ] = 168.0,
    replication: Annotated[
        int, typer.Option(min=-1, max=99, help="Replicas of each topic; -1 is the broker's default.")
    ] = -1,
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
) -> None:
    """Create muonstream's topics where they are missing, and report how existing ones differ. Nothing is changed or
    deleted.

    Example: muonstream topics create kafka://localhost:9092
    """
    from muonstream.commands.topics import create_topics

    create_topics(
        brokers,
        properties=kafka_properties,
        timeout_s=kafka_timeout,
        prefix=prefix,
        retention_hours=retention_hours,
        replication=replication,
    )


@topics_app.command("list", cls=Command)
def topics_list(
    brokers: BrokersArgument,
    group: Annotated[str, typer.Option(help="The consumer group whose lag to show.")] = "muonstream",
    prefix: Annotated[str, typer.Option(help="Show only topics whose names start with this.")] = "",
    kafka_properties: KafkaOption = None,
    kafka_timeout: KafkaTimeoutOption = 60.0,
) -> None:
    """Show the topics: partitions, how long messages are kept, how many there are, and the lag of our consumer.

    Example: muonstream topics list kafka://localhost:9092
    """
    from muonstream.commands.topics import list_topics

    list_topics(brokers, properties=kafka_properties, timeout_s=kafka_timeout, group=group, prefix=prefix)
