"""`muonstream run kafka://… --engine spark`: a run of a topic, counted by executors of Spark."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from muonstream.commands import common
from muonstream.commands.live import LiveRun
from muonstream.commands.options import RunOptions, SparkOptions
from muonstream.commands.topic import RunSelection, topic_feed
from muonstream.commands.topics import connect
from muonstream.engines.topic import TopicEngine
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.java import java_properties
from muonstream.kafka.offsets import TopicOffsets
from muonstream.kafka.reader import Begin
from muonstream.kafka.topics import FRAMES
from muonstream.sinks.store import Store
from muonstream.spark.engine import SparkEngine
from muonstream.spark.progress import LOGGER
from muonstream.spark.query import Query, QueryOptions
from muonstream.spark.session import (
    SECRET,
    SECRET_VARIABLE,
    SparkError,
    SparkSettings,
    check_java,
    check_master,
    check_reached,
    read_conf,
    spark_session,
    spark_version,
)

UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
FRAMES_WORDS: Final = 100_000_000
LOOSE_WORDS: Final = 2_000_000
"""Of a micro-batch at most, unless told otherwise: about two seconds' work."""
RECORD_BATCH_WORDS: Final = 400_000
LOOSE_RECORDS: Final = 50_000
UNKNOWN_RECORDS: Final = 1000
"""Messages of a record batch: some MB, of frames and of loose words; the last where no message tells its words."""
MOST_HELD_WORDS: Final = 1 << 26
"""A whole micro-batch comes at once, and partitions cannot be told to wait: more is held than by the local engine."""
LOG_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def trigger_seconds(text: str) -> float:
    """A trigger, as 1s, 500ms, 2min, in seconds. Raises CommandError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|h)?", text or "1s")
    seconds = float(found[1]) * UNITS_S[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= 24 * 3600:
        raise common.CommandError(f"--trigger: found {text!r}, expected 0s to 24h, such as 1s, 500ms or 2min")
    return seconds


def run_spark(options: RunOptions) -> None:
    """Watch a topic with Spark. Raises CommandError, KafkaAccessError, SourceError, StoreError or SparkError."""
    spark, source, keeping, kafka = options.spark or SparkOptions(), options.source, options.keeping, options.kafka
    settings = _settings(spark)
    trigger_s = trigger_seconds(spark.trigger)
    begin = Begin.parse(source.begin)
    with LiveRun(options, source.run or source.name, written=[keeping.store]) as live:
        live.catch_signals()
        connection = connect(source.name, default_topic=FRAMES, properties=kafka.properties, timeout_s=kafka.timeout_s)
        java = java_properties(connection.login)
        store = live.keep(Store(keeping.store)) if keeping.store is not None else None
        live.serve()
        ends = live.keep(closing(TopicOffsets(connection, begin=begin)))
        if not ends.open(live.stop, common.say):
            return
        name = str(connection.address)
        choice = RunSelection(ends, store, name, source)
        builder = FrameBuilder(live.detector.boards, max_held_words=MOST_HELD_WORDS)
        pipeline = live.pipeline(name, workers=1, builder=builder)
        pipeline.board = live.alarms.board
        deliveries = Deliveries(wanted=choice.wanted, named=source.number is not None)
        if choice.saved is not None and choice.saved.ended:
            # nothing is left to be read: Spark would start for nothing
            engine = TopicEngine(ends, pipeline, deliveries, store=store, name=name)
        else:
            starting = f"Starting Spark {spark_version()} on {settings.master}"
            if live.server is not None:
                live.server.feed.say(starting + ".")
            query = live.keep(_query(spark, settings, keeping.store, ends, trigger_s, java, starting))
            limits = partial(_limits, spark.most_words)
            engine = SparkEngine(ends, pipeline, deliveries, query, store=store, name=name, limits=limits)
        live.compile(pipeline)
        live.watch(pipeline, topic_feed(live, engine, choice))
        live.conclude()


def _limits(most_words: int | None, words_per_message: float) -> tuple[int, int]:
    """The messages of a micro-batch and of a record batch at most, which are said."""
    messages, record_batch = sizes(words_per_message, most_words)
    words = round(messages * max(words_per_message, 1))
    common.say(f"A micro-batch takes up to {messages:,} messages, about {words:,} words")
    return messages, record_batch


@contextmanager
def _query(
    spark: SparkOptions,
    settings: SparkSettings,
    store: Path | None,
    ends: TopicOffsets,
    trigger_s: float,
    java: Mapping[str, str],
    starting: str,
) -> Iterator[Query]:
    """A query of the topic in a session of its own, for what the topic's messages hold."""
    address = ends.connection.address
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(spark, store))
        log = stack.enter_context(_log_file(spark, store, folder))
        stack.enter_context(_logging(log))
        common.say(f"{starting}; its log is {log}")
        size = ends.words_per_message()
        large = size > 1 if size else address.topic == FRAMES
        session = stack.enter_context(spark_session(replace(settings, log=log, large_messages=large)))
        yield Query(session, QueryOptions(address.servers, address.topic, folder, trigger_s, kafka=java))


def _settings(spark: SparkOptions) -> SparkSettings:
    """Where Spark runs, all that can be wrong with it found before anything is begun. Raises SparkError."""
    spark_version()
    settings = SparkSettings(spark.master or "local[*]", read_conf(spark.conf))
    check_master(settings.master)
    check_java()
    check_reached(settings.master, os.environ.get(SECRET_VARIABLE) or settings.conf.get(SECRET, ""))
    return settings


def sizes(words_per_message: float, most_words: int | None = None) -> tuple[int, int]:
    """How many messages a micro-batch may have, and a record batch; 0 words where no message says."""
    framed = words_per_message > 1
    most = most_words or (FRAMES_WORDS if framed else LOOSE_WORDS)
    records = LOOSE_RECORDS if words_per_message else UNKNOWN_RECORDS
    if framed:
        records = min(max(round(RECORD_BATCH_WORDS / words_per_message), 1), UNKNOWN_RECORDS)
    return max(round(most / max(words_per_message, 1)), 1), records


@contextmanager
def _folder(spark: SparkOptions, store: Path | None) -> Iterator[str]:
    """Where checkpoints are kept: as told, else beside the store, else only while the run lasts."""
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
    """The log: where it was told, beside checkpoints that stay on this machine, else one that stays if Spark fails."""
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
    # what pyspark's own libraries say when Java ends goes there too
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
