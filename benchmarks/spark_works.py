"""What the benchmarks with Spark run, each in a process of its own: a topic drained by an engine, and filled before."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any, Final, ParamSpec, TypeVar

from benchmarks.course_baseline import drain, messages_of
from muonstream.commands.spark import MOST_HELD_WORDS, sizes
from muonstream.counting.kernel import Accumulator
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline, warm_up
from muonstream.engines.topic import TopicEngine
from muonstream.formats.loose_hits import hits_json
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.messages import EndMessage, loose_partition
from muonstream.kafka.offsets import TopicOffsets
from muonstream.kafka.reader import TopicReader
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from muonstream.spark.engine import SparkEngine
from muonstream.spark.query import Query, QueryOptions
from muonstream.spark.session import JARS_VARIABLE, SparkSettings, spark_session
from muonstream.spark.share import TaskResult, read_shares
from muonstream.words import Words
from tools.spark_jars import fetch

PARTITIONS: Final = 16
LOOPBACK: Final = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Drained:
    """A topic drained: words in it, seconds in all without starting Spark, and (messages, seconds) of micro-batches."""

    words: int
    seconds: float
    batches: Sequence[tuple[int, float]] = ()

    @property
    def cold_s(self) -> float:
        """Seconds of the first micro-batch, in which Java and Python warm up."""
        return self.batches[0][1]

    @property
    def warm_rate(self) -> float:
        """Words a second of all micro-batches but the first."""
        messages, seconds = (sum(values) for values in zip(*self.batches[1:], strict=True))
        everything = sum(n for n, _ in self.batches)
        return float(self.words * messages / everything / seconds)

    @property
    def typical_s(self) -> float:
        """Median seconds of a micro-batch, the first three left out."""
        return statistics.median(seconds for _, seconds in self.batches[3:])


def fresh(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """What a function of a module gives, computed in a new process: so no Java and no setting is left from another."""
    os.environ[JARS_VARIABLE] = str(fetch())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def make_topic(address: str, topic: str) -> None:
    """Make a topic for all that we send."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address})
    config = {"max.message.bytes": str(2 << 20)}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(30)


def fill(address: str, topic: str, words: int, *, form: str, rate_hz: float = 1e6) -> None:
    """Make a topic and send so many simulated words to it, in this form, with the run's end."""
    make_topic(address, topic)
    source = f"sim:words={words},rate_hz={rate_hz}"
    command = ["replay", source, "--to", f"kafka://{address}/{topic}", "--as", form, "--fast", "--run-number", "1"]
    subprocess.run([sys.executable, "-m", "muonstream", *command], check=True, capture_output=True)


def fill_bare(address: str, topic: str, words: Words) -> None:
    """Make a topic and send words as loose hits without headers, as the course's producer does, and the run's end."""
    make_topic(address, topic)
    producer = Connection(KafkaAddress(address, topic)).producer(linger_ms=20)
    text, offsets = hits_json(words)
    ends = offsets.tolist()
    for i in range(len(words)):
        while True:
            try:
                producer.produce(topic, text[ends[i] : ends[i + 1]], partition=loose_partition(i, PARTITIONS))
                break
            except BufferError:
                producer.poll(0.1)
        if i % 256 == 0:
            producer.poll(0)
    end = EndMessage(Run(1))
    for partition in range(PARTITIONS):
        producer.produce(topic, end.value(), partition=partition, headers=list(end.headers()))
    while producer.flush(10):
        pass


def messages_in(address: str, topic: str) -> int:
    """How many messages a topic holds, but for the run's end."""
    connection = Connection(KafkaAddress(address, topic))
    ends = TopicOffsets(connection)
    assert ends.open(Event())
    n = sum(high - low for low, high in ends.all_watermarks().values())
    ends.close()
    return n - PARTITIONS


def local_drain(address: str, topic: str) -> Drained:
    """By the local engine, to a finished monitor."""
    reader = TopicReader(Connection(KafkaAddress(address, topic)))
    warm_up(Detector.default())
    began = time.perf_counter()
    assert reader.open(Event())
    with Pipeline(Detector.default()) as pipeline:
        engine = TopicEngine(reader, pipeline, Deliveries())
        engine.begin()
        found = engine.run(Event(), publish=lambda snapshot: None)
    seconds = time.perf_counter() - began
    reader.close()
    return Drained(_checked(found), seconds)


def spark_drain(
    address: str,
    topic: str,
    *,
    master: str,
    messages: int,
    trigger_s: float = 0.0,
    conf: Mapping[str, str] | None = None,
    cores: int | None = None,
) -> Drained:
    """By the engine on Spark, so many messages a micro-batch, to a finished monitor.

    cores: all that it starts gets so many of the machine's, for the rest of this process
    """
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    ends = TopicOffsets(Connection(KafkaAddress(address, topic)))
    assert ends.open(Event())
    size = ends.words_per_message()
    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        spark_session(
            SparkSettings(master, {**LOOPBACK, **(conf or {})}, Path(folder) / "spark.log", size > 1)
        ) as session,
        Pipeline(Detector.default(), workers=1, builder=_builder()) as pipeline,
    ):
        warm_up(Detector.default())
        asked = QueryOptions(ends.connection.address.servers, topic, folder, trigger_s, messages, sizes(size)[1])
        query = Query(session, asked)
        began = time.perf_counter()
        engine = SparkEngine(ends, pipeline, Deliveries(), query)
        engine.begin()
        found = engine.run(Event(), publish=lambda snapshot: None)
        seconds = time.perf_counter() - began
        ends.close()
        return Drained(_checked(found), seconds, _batches(query))


def driver_seconds(tasks: int = 200, words: int = 200_000) -> float:
    """What each task costs the driver, which has them one after another: to start it, and to add up what it found."""
    detector = Detector.default()
    frames = FrameBuilder(detector.boards).push(simulate_words(words, rate_hz=1e6))
    with Pipeline(detector, workers=1) as pipeline:
        share = TaskResult(contributions=[Accumulator(pipeline.catalogue)(frames)], frames=len(frames.words))
        rows = list(share.rows())
        began = time.perf_counter()
        for _ in range(tasks):
            for one in read_shares(rows):
                pipeline.add(one.contributions, one.frames)
        adding = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="muonstream-") as folder:
        settings = SparkSettings("local[2]", LOOPBACK, Path(folder) / "spark.log")
        with spark_session(settings) as session:
            starting = []
            for _ in range(10):
                began = time.perf_counter()
                session.range(0, tasks, 1, tasks).write.format("noop").mode("overwrite").save()
                starting.append(time.perf_counter() - began)
    return (adding + statistics.median(starting[3:])) / tasks


def baseline_drain(address: str, topic: str, *, master: str, words: int, messages: int, persist: bool) -> Drained:
    """By the notebook's computation; the words are those of the topic."""
    found = 0
    with tempfile.TemporaryDirectory(prefix="muonstream-") as folder:
        settings = SparkSettings(master, LOOPBACK, Path(folder) / "spark.log")
        with spark_session(settings) as session:

            def count(one: Any) -> None:
                nonlocal found
                found += one.hits

            began = time.perf_counter()
            batches = drain(
                session, address, topic, f"{folder}/query", messages=messages, persist=persist, on_batch=count
            )
            seconds = time.perf_counter() - began
    if not 0.9 * words < found <= words:
        raise AssertionError(f"found {found} hits in {words} words")
    return Drained(words, seconds, batches)


def process_file(path: Path) -> float:
    """Seconds of `muonstream process` of a file, from its start to its summary."""
    command = [sys.executable, "-m", "muonstream", "process", str(path), "--summary", f"{path}.summary.json"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _builder() -> FrameBuilder:
    return FrameBuilder(Detector.default().boards, max_held_words=MOST_HELD_WORDS)


def _batches(query: Query) -> list[tuple[int, float]]:
    told = [progress for progress in query._query.recentProgress if messages_of(progress["sources"][0])]
    return [(messages_of(one["sources"][0]), int(one["durationMs"]["triggerExecution"]) / 1000) for one in told]


def _checked(found: Snapshot) -> int:
    """How many words were counted. Raises AssertionError when some are late, or do not add up."""
    account = found.account
    if account.late or account.stray or not account.balanced:
        raise AssertionError(f"found {account}")
    return account.words
