"""`muonstream run kafka://… --engine spark`: a run of a topic, counted by executors of Spark."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final

from muonstream.commands import common
from muonstream.commands.alarms import Alarms
from muonstream.commands.publish import Publishing
from muonstream.commands.run import LiveOptions, get_ready, keep_page_open, serve_page, stopping, watch_run
from muonstream.commands.summary_file import summary_file
from muonstream.commands.topic import RunSelection, TopicOptions, topic_feed
from muonstream.commands.topics import connect
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
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


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """What the command line says of Spark; "" and None are what it does not say.

    trigger: as 1s or 500ms; checkpoint: folder, of any of Hadoop's file systems; conf: KEY=VALUE
    """

    master: str = ""
    trigger: str = ""
    checkpoint: str = ""
    most_words: int | None = None
    conf: Sequence[str] = ()
    log: Path | None = None


def trigger_seconds(text: str) -> float:
    """A trigger, as 1s, 500ms, 2min, in seconds. Raises CommandError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|h)?", text or "1s")
    seconds = float(found[1]) * UNITS_S[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= 24 * 3600:
        raise common.CommandError(f"--trigger: found {text!r}, expected 0s to 24h, such as 1s, 500ms or 2min")
    return seconds


def run_spark(
    source: str,
    spark: SparkOptions,
    options: TopicOptions,
    live: LiveOptions,
) -> int:
    """A run of a topic on Spark, live; gives the exit code."""
    status = [common.OK]
    with common.clear_errors(status), ExitStack() as stack:
        page = live.live_page()
        settings = _settings(spark)
        trigger_s = trigger_seconds(spark.trigger)
        detector = common.load_detector(live.detector_name)
        begin = Begin.parse(options.begin)
        stop = Event()
        alarms = stack.enter_context(Alarms(live.alarms, detector, live.run or source))
        summary = stack.enter_context(summary_file(live.summary_path, [options.store]))
        stack.enter_context(stopping(stop))
        connection = connect(source, default_topic=FRAMES, properties=options.properties, timeout_s=options.timeout_s)
        java = java_properties(connection.login)
        store = stack.enter_context(Store(options.store)) if options.store is not None else None
        problems: list[Publishing] = []
        server = stack.enter_context(
            serve_page(
                page,
                alarms,
                problems=lambda: [line for topics in problems for line in topics.problems()],
            )
        )

        def limits(words_per_message: float) -> tuple[int, int]:
            messages, record_batch = sizes(words_per_message, spark.most_words)
            words = round(messages * max(words_per_message, 1))
            common.say(f"A micro-batch takes up to {messages:,} messages, about {words:,} words")
            return messages, record_batch

        engines: list[TopicEngine] = []
        ends = TopicOffsets(connection, begin=begin, on_lost=lambda *what: engines[-1].lost(*what))
        stack.callback(ends.close)
        if not ends.open(stop, common.say):
            return status[0]
        name = str(connection.address)
        choice = RunSelection(ends, store, name, options)
        pipeline = _pipeline(detector, live.run, name, live.reconstruct, alarms)
        pipeline.board = alarms.board
        deliveries = Deliveries(wanted=choice.wanted, named=options.number is not None)
        if choice.saved is not None and choice.saved.ended:
            # nothing is left to be read: Spark would start for nothing
            engine = TopicEngine(ends, pipeline, deliveries, store=store, name=name)
        else:
            starting = f"Starting Spark {spark_version()} on {settings.master}"
            if server is not None:
                server.feed.say(starting + ".")
            query = stack.enter_context(_query(spark, settings, options.store, ends, trigger_s, java, starting))
            engine = SparkEngine(ends, pipeline, deliveries, query, store=store, name=name, limits=limits)
        topics = Publishing(live.publishing, pipeline)
        engines[:], problems[:] = [engine], [topics]
        with pipeline:
            get_ready(pipeline, server)
            feed = topic_feed(engine, choice, options, stop, live.interval_s)
            snapshot, published = watch_run(pipeline, feed, server, alarms, topics, summary)
        if live.stay:
            keep_page_open(server, stop)
        common.check_published(published)
        if live.strict:
            common.fail_if_lossy(snapshot)
    return status[0]


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
    check_reached(settings.master)
    return settings


def _pipeline(detector: Detector, run: str, source: str, reconstruct: bool, alarms: Alarms) -> Pipeline:
    builder = FrameBuilder(detector.boards, max_held_words=MOST_HELD_WORDS)
    return Pipeline(
        detector,
        run=run,
        source=source,
        workers=1,
        builder=builder,
        reconstruct=reconstruct,
        timeline=alarms.timeline,
    )


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
