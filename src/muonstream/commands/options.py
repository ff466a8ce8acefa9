"""The options of a live run, in the groups under which `run --help` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muonstream.commands.alarms import AlarmOptions
from muonstream.commands.publish import PublishOptions
from muonstream.commands.topics import KafkaOptions
from muonstream.dashboard.access.options import PageOptions
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.engines.topic import STORE_EVERY_S


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The source, and how it is read.

    run: the run's name, "" for that of its source; pace: "" for that of the source
    follow: None for what suits the source; number: the topic's run to take, None for the newest
    begin: where to begin in a topic, see `Begin.parse`
    """

    name: str
    format_name: str | None = None
    pace: str = ""
    follow: bool | None = None
    idle_seconds: float = 5.0
    run: str = ""
    number: int | None = None
    begin: str = ""

    @property
    def is_topic(self) -> bool:
        """Whether the source is a topic of Kafka."""
        return self.name.startswith("kafka://")


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """How the words are counted; strict: whether anything lost is an error."""

    detector_name: str = "telescope"
    reconstruct: bool = False
    workers: int = 1
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """The live page, and how often it gets a snapshot; access: None for no page."""

    access: PageOptions | None = None
    stay: bool = True
    interval_s: float = 0.5
    stale_after_s: float = STALE_AFTER_S


@dataclass(frozen=True, slots=True)
class KeepingOptions:
    """What is kept after the run: its summary, its file in an archive, its report in a folder, and the state from which
    a restarted engine goes on."""

    summary: Path | None = None
    store: Path | None = None
    store_every_s: float = STORE_EVERY_S
    archive: Path | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """How Spark counts a topic; "" and None stand for options that are not given.

    trigger: as 1s or 500ms; checkpoint: folder, of any of Hadoop's file systems; conf: KEY=VALUE
    """

    master: str = ""
    trigger: str = ""
    checkpoint: str = ""
    most_words: int | None = None
    conf: Sequence[str] = ()
    log: Path | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All options of a live run; spark: None for the local engine."""

    source: SourceOptions
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    view: ViewOptions = field(default_factory=ViewOptions)
    keeping: KeepingOptions = field(default_factory=KeepingOptions)
    publishing: PublishOptions = field(default_factory=PublishOptions)
    alarms: AlarmOptions = field(default_factory=AlarmOptions)
    kafka: KafkaOptions = field(default_factory=KafkaOptions)
    spark: SparkOptions | None = None
