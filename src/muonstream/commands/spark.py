"""`muonstream run kafka://… --engine spark`: a run of a topic, counted by executors of Spark."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from muonstream.commands import common
from muonstream.commands.live import LiveRun
from muonstream.commands.options import RunOptions, SparkOptions
from muonstream.commands.topic import RunSelection, topic_deliveries, topic_pipeline, watch_runs
from muonstream.commands.topics import connect
from muonstream.engines.topic import TopicEngine
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.java import java_properties
from muonstream.kafka.offsets import TopicOffsets
from muonstream.kafka.reader import Begin
from muonstream.kafka.topics import FRAMES
from muonstream.sinks.store import Store
from muonstream.spark.engine import SparkEngine
from muonstream.spark.master import check_master, check_reached, wait_reached
from muonstream.spark.progress import LOGGER
from muonstream.spark.query import Query, QueryOptions
from muonstream.spark.session import (
    SECRET,
    SECRET_VARIABLE,
    SparkError,
    SparkSettings,
    check_java,
    read_conf,
    spark_session,
    spark_version,
)

UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
FRAMES_WORDS: Final = 100_000_000
LOOSE_WORDS: Final = 2_000_000
"""The most words of a micro-batch by default: about two seconds' work."""
RECORD_BATCH_WORDS: Final = 400_000
LOOSE_RECORDS: Final = 50_000
UNKNOWN_RECORDS: Final = 1000
"""Messages of a record batch: some MB, of frames and of loose words; the last where no message tells its words."""
MOST_HELD_WORDS: Final = 1 << 26
"""A micro-batch arrives as a whole, and single partitions cannot be paused: more waits than in the local engine."""
LOG_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def trigger_seconds(text: str) -> float:
    """A trigger such as 1s, 500ms or 2min, in seconds. Raises CommandError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|h)?", text or "1s")
    seconds = float(found[1]) * UNITS_S[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= 24 * 3600:
        raise common.CommandError(f"--trigger: found {text!r}, expected 0s to 24h, such as 1s, 500ms or 2min")
    return seconds


def run_spark(options: RunOptions) -> None:
    """Watch a topic with Spark. Raises CommandError, KafkaAccessError, SourceError, StoreError or SparkError."""
    spark, source, keeping, kafka = options.spark or SparkOptions(), options.source, options.keeping, options.kafka
    settings = _settings(spark, waits=bool(source.follow))
    trigger_s = trigger_seconds(spark.trigger)
    begin = Begin.parse(source.begin)
    with LiveRun(options, source.run or source.name, written=[keeping.store]) as live:
        live.catch_signals()
        connection = connect(source.name, default_topic=FRAMES, properties=kafka.properties, timeout_s=kafka.timeout_s)
        java = java_properties(connection.login)
        store = live.keep(Store(keeping.store)) if keeping.store is not None else None
        live.serve()
        # with --follow a service is started, which waits for what is started beside it
        if source.follow and not wait_reached(settings.master, _secret(settings), live.stop):
            return
        ends = live.keep(closing(TopicOffsets(connection, begin=begin)))
        if not ends.open(live.stop):
            return
        choice = RunSelection(ends, store, str(connection.address), source)
        queries = _Queries(live, settings, ends, trigger_s, java)
        last = watch_runs(live, choice, partial(_engine, live, ends, choice, store, queries))
        live.conclude(last.keep_acts)


def _engine(
    live: LiveRun, ends: TopicOffsets, choice: RunSelection, store: Store | None, queries: _Queries
) -> TopicEngine:
    spark, name = live.options.spark or SparkOptions(), str(ends.connection.address)
    builder = FrameBuilder(live.detector.boards, max_held_words=MOST_HELD_WORDS)
    pipeline = topic_pipeline(live, name, workers=1, builder=builder)
    deliveries = topic_deliveries(live, choice)
    if choice.saved is not None and choice.saved.ended:
        # nothing is left to be read, so Spark is not started
        return TopicEngine(ends, pipeline, deliveries, store=store, name=name)
    limits = partial(_limits, spark.most_words)
    return SparkEngine(ends, pipeline, deliveries, queries.make(), store=store, name=name, limits=limits)


class _Queries:
    """Queries of one topic, one for each run, in a session that is started for the first and lasts as long as `live`.

    java: settings of Kafka's Java clients
    """

    def __init__(
        self, live: LiveRun, settings: SparkSettings, ends: TopicOffsets, trigger_s: float, java: Mapping[str, str]
    ) -> None:
        self._live, self._settings, self._ends, self._trigger_s, self._java = live, settings, ends, trigger_s, java
        self._session: Any = None
        self._folder = ""

    def make(self) -> Query:
        """A query that has not begun."""
        if self._session is None:
            self._start()
        address = self._ends.connection.address
        options = QueryOptions(address.servers, address.topic, self._folder, self._trigger_s, kafka=self._java)
        return Query(self._session, options)

    def _start(self) -> None:
        """Start Spark, for what the topic's messages hold."""
        live, settings = self._live, self._settings
        spark, store = live.options.spark or SparkOptions(), live.options.keeping.store
        starting = f"Starting Spark {spark_version()} on {settings.master}"
        if live.server is not None:
            live.server.feed.say(starting + ".")
        self._folder = live.keep(_folder(spark, store))
        log = live.keep(_log_file(spark, store, self._folder))
        live.keep(_logging(log))
        common.say(f"{starting}; its log is {log}")
        size = self._ends.words_per_message()
        large = size > 1 if size else self._ends.connection.address.topic == FRAMES
        self._session = live.keep(spark_session(replace(settings, log=log, large_messages=large)))


def _limits(most_words: int | None, words_per_message: float) -> tuple[int, int]:
    """The most messages of a micro-batch and of a record batch, which are also reported."""
    messages, record_batch = sizes(words_per_message, most_words)
    words = round(messages * max(words_per_message, 1))
    common.say(f"A micro-batch takes up to {messages:,} messages, about {words:,} words")
    return messages, record_batch


def _settings(spark: SparkOptions, *, waits: bool) -> SparkSettings:
    """Where Spark runs, all that can be wrong with it found before anything is begun. Raises SparkError.

    waits: the master may be started later
    """
    spark_version()
    settings = SparkSettings(spark.master or "local[*]", read_conf(spark.conf))
    check_master(settings.master)
    check_java()
    if not waits:
        check_reached(settings.master, _secret(settings))
    return settings


def _secret(settings: SparkSettings) -> str:
    """The cluster's secret, "" where there is none."""
    return os.environ.get(SECRET_VARIABLE) or settings.conf.get(SECRET, "")


def sizes(words_per_message: float, most_words: int | None = None) -> tuple[int, int]:
    """How many messages a micro-batch may have, and a record batch; 0 words if no message shows it."""
    framed = words_per_message > 1
    most = most_words or (FRAMES_WORDS if framed else LOOSE_WORDS)
    records = LOOSE_RECORDS if words_per_message else UNKNOWN_RECORDS
    if framed:
        records = min(max(round(RECORD_BATCH_WORDS / words_per_message), 1), UNKNOWN_RECORDS)
    return max(round(most / max(words_per_message, 1)), 1), records


@contextmanager
def _folder(spark: SparkOptions, store: Path | None) -> Iterator[str]:
    """The folder of checkpoints: the option's, else beside the store, else a temporary one for the run."""
    if spark.checkpoint:
        yield spark.checkpoint.rstrip("/")
    elif store is not None:
        folder = store.with_name(store.name + ".spark").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield str(folder)
    else:
        with tempfile.TemporaryDirectory(prefix="muonstream-checkpoint-", ignore_cleanup_errors=True) as temporary:
            yield temporary


@contextmanager
def _log_file(spark: SparkOptions, store: Path | None, folder: str) -> Iterator[Path]:
    """The log: the option's file, else beside local checkpoints that are kept, else a file that is kept if Spark
    fails."""
    local = Path(folder.removeprefix("file://"))
    if spark.log:
        yield spark.log
    elif "://" in str(local) or not (spark.checkpoint or store):
        log = Path(tempfile.gettempdir()) / f"muonstream-spark-{os.getpid()}.log"
        yield log
        log.unlink(missing_ok=True)
    else:
        try:
            local.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SparkError(f"--checkpoint: {folder}: cannot be made: {error.strerror}") from None
        yield local / "spark.log"


@contextmanager
def _logging(path: Path) -> Iterator[None]:
    """Have progress written to the log."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise SparkError(f"--spark-log: {path}: cannot be written: {error.strerror}") from None
    handler.setFormatter(logging.Formatter(LOG_LINE))
    LOGGER.setLevel(logging.INFO)
    # messages of pyspark's own libraries when Java ends go there too
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
