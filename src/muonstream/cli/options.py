"""Options and arguments that several commands have."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from muonstream.cli.config import use_config
from muonstream.cli.help import HEADINGS
from muonstream.cli.logs import LogFormat, LogLevel, begin_logging


class FormatName(StrEnum):
    """The formats that an option can name."""

    words = "words"
    dma = "dma"
    course = "course"
    firmware2019 = "firmware2019"
    head1 = "head1"
    json = "json"


class FormName(StrEnum):
    """The forms in which words travel through Kafka."""

    frames = "frames"
    json = "json"
    dma = "dma"


def _spare_processors() -> int:
    """Processors besides the one of the thread that builds frames, from 1 to 3: more were not measured."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(processors - 1, 1), 3)


WORKERS: Final = _spare_processors()

(
    source_option,
    analysis_option,
    page_option,
    keeping_option,
    publishing_option,
    alarms_option,
    kafka_option,
    spark_option,
) = (partial(typer.Option, rich_help_panel=heading) for heading in HEADINGS[:-1])
"""Options under the headings of `help.HEADINGS`."""

DetectorOption = Annotated[
    str, analysis_option("--detector", "-d", help="A detector file, or a bundled detector: telescope, run591.")
]
FormatOption = Annotated[
    FormatName | None,
    source_option("--format", "-f", help="Format of the files; recognised from their content by default."),
]
SummaryOption = Annotated[
    Path | None,
    keeping_option("--summary", "-s", help="Write all counts to this JSON file; - writes to standard output."),
]
ArchiveOption = Annotated[
    Path | None, keeping_option("--archive", help="Keep the run in this folder, for `muonstream runs` and reports.")
]
ReportOption = Annotated[
    Path | None, keeping_option("--report", help="Write the run's report, one HTML file, into this folder at its end.")
]
StrictOption = Annotated[bool, analysis_option("--strict", help="Malformed, late or stray words are an error.")]
PAGE_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "host": (
        Annotated[str, page_option(help="Address to serve the page on; a token is required on any but loopback.")],
        "127.0.0.1",
    ),
    "port": (Annotated[int, page_option(min=0, max=65535, help="Port of the page; 0 chooses a free one.")], 8765),
    "token_file": (
        Annotated[
            Path | None,
            page_option(
                help="Require the token in this file, created if missing; by default that of $MUONSTREAM_TOKEN, if set."
            ),
        ],
        None,
    ),
    "operator_token_file": (
        Annotated[
            Path | None,
            page_option(help="Require this file's token for actions, such as acknowledging an alarm."),
        ],
        None,
    ),
    "public_url": (
        Annotated[str, page_option("--public-url", help="The page's address behind a proxy: https://lab.it/muon/.")],
        "",
    ),
    "allow_host": (
        Annotated[list[str] | None, page_option(help="Another name by which the page may be called; repeatable.")],
        None,
    ),
    "allow_frame": (
        Annotated[
            list[str] | None,
            page_option(help="A site that may show the page in a frame: https://wall.lab.it; repeatable."),
        ],
        None,
    ),
    "user_header": (
        Annotated[str, page_option(help="The header in which a proxy names its user: X-Remote-User.")],
        "",
    ),
    "trusted_proxy": (
        Annotated[
            list[str] | None,
            page_option(help="Address or network of a proxy whose user header is believed; repeatable."),
        ],
        None,
    ),
    "operator": (
        Annotated[list[str] | None, page_option(help="A user, by that header, who may act; repeatable.")],
        None,
    ),
    "tls_cert": (Annotated[Path | None, page_option(help="Serve TLS with this certificate, in PEM.")], None),
    "tls_key": (Annotated[Path | None, page_option(help="The private key of --tls-cert, in PEM.")], None),
}
"""The options of a page's address and access, with their defaults: the fields of `dashboard.access.PageOptions`."""
IDLE_SECONDS: Final = 5.0
IdleOption = Annotated[
    float,
    source_option(
        "--idle-seconds",
        min=0.1,
        max=1e6,
        help="Seconds of data after which a silent board is no longer waited for, unless it has lagged more before.",
    ),
]
RunOption = Annotated[
    str,
    source_option(
        "--run", "--run-name", help="The run's name; by default that of its file or folder.", show_default=False
    ),
]
RunNumberOption = Annotated[
    int | None,
    source_option(min=0, max=10**18 - 1, help="The run's number; by default that of its transfers or in its name."),
]
ReconstructOption = Annotated[
    bool,
    analysis_option(
        "--reconstruct/--no-reconstruct", help="Reconstruct muons: segments, tracks, residuals, efficiency."
    ),
]
WorkersOption = Annotated[
    int,
    analysis_option(
        min=0,
        max=64,
        help="Threads that count hits, besides the one that builds frames, which helps them.",
        show_default="as many as there are processors to spare, up to 3",
    ),
]
KafkaOption = Annotated[
    Path | None,
    kafka_option("--kafka-properties", help="File of librdkafka's keys (TLS, SASL), key=value a line; keep it secret."),
]
KafkaTimeoutOption = Annotated[
    float, kafka_option("--kafka-timeout", min=0, max=1e6, help="Seconds to wait for a broker that does not answer.")
]
StaleOption = Annotated[
    float, page_option("--stale-after", min=1, max=1e6, help="Seconds without data after which /healthz is unhealthy.")
]


class EngineName(StrEnum):
    """The engines that can count a topic's run."""

    local = "local"
    spark = "spark"


EngineOption = Annotated[
    EngineName,
    spark_option("--engine", help="Engine that counts a topic: this process, or Apache Spark (extra spark)."),
]
MasterOption = Annotated[
    str,
    spark_option("--master", help="Spark's master: local[2], spark://host:port, yarn, k8s://…; by default local[*]."),
]
TriggerOption = Annotated[str, spark_option("--trigger", help="Time between Spark's micro-batches; by default 1s.")]
CheckpointOption = Annotated[
    str, spark_option("--checkpoint", help="Folder of Spark's checkpoints; by default beside the store.")
]
MostWordsOption = Annotated[
    int | None,
    spark_option("--max-words-per-trigger", min=1, help="Largest number of words in a micro-batch, approximately."),
]
SparkConfOption = Annotated[
    list[str] | None, spark_option("--spark-conf", help="A Spark setting, KEY=VALUE; repeatable.")
]
SparkLogOption = Annotated[
    Path | None, spark_option("--spark-log", help="Spark's log file; by default in the folder of checkpoints.")
]
WebhookOption = Annotated[str, alarms_option(help="Post changes of verdicts here as JSON: https://...")]
NotifyOption = Annotated[
    list[str] | None,
    alarms_option(
        "--notify",
        help="Send alarms to people: an address of apprise (extra notify), such as mailto://…, slack://…; repeatable.",
    ),
]
RemindOption = Annotated[
    float,
    alarms_option(
        "--remind-after", min=0, max=1e5, help="Minutes until an unacknowledged alarm is sent again; 0 for never."
    ),
]
NotifyLimitOption = Annotated[
    int,
    alarms_option(
        "--notify-limit", min=1, max=1000, help="Largest number of messages an hour; further alarms share one."
    ),
]
NotifyLinkOption = Annotated[
    str, alarms_option("--notify-link", help="Address of the page to put in messages, if not the one printed.")
]
BrokersArgument = Annotated[str, typer.Argument(help="Kafka's brokers: kafka://host:port[,host:port].")]


GENERAL_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "config": (
        Annotated[
            Path | None,
            typer.Option(
                "--config",
                is_eager=True,
                callback=use_config,
                help="Read options from this TOML file, by their names; the command line and environment override it.",
            ),
        ],
        None,
    ),
    "log_level": (
        Annotated[LogLevel, typer.Option(help="Lowest level of messages on standard error.")],
        LogLevel.info,
    ),
    "log_format": (
        Annotated[
            LogFormat,
            typer.Option(help="plain for a terminal, stamped with time and zone, or json, one object a line."),
        ],
        LogFormat.plain,
    ),
}
"""The options that all long commands have."""


def with_page_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has all PAGE_OPTIONS; they reach the function together, as its parameter `page_options`."""

    def call(given: dict[str, Any]) -> None:
        page = {name: given.pop(name) for name in PAGE_OPTIONS}
        command(**given, page_options={name: value for name, value in page.items() if value is not None})

    return _with_options(command, PAGE_OPTIONS, call, instead_of="page_options")


def with_general_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has all GENERAL_OPTIONS, which hold before its function is called; it does not see them."""

    def call(given: dict[str, Any]) -> None:
        general = {name: given.pop(name) for name in GENERAL_OPTIONS}
        begin_logging(general["log_level"], general["log_format"])
        command(**given)

    return _with_options(command, GENERAL_OPTIONS, call)


def _with_options(
    command: Callable[..., None],
    options: dict[str, tuple[Any, Any]],
    call: Callable[[dict[str, Any]], None],
    *,
    instead_of: str = "",
) -> Callable[..., None]:
    """What typer takes for a command that has these options too, and calls `call` with all that was given."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    kept = [one.replace(annotation=hints[n]) for n, one in signature.parameters.items() if n != instead_of]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        call(given)

    with_options.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in (*kept, *added)}
    return with_options
