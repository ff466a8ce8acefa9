"""The course's system as it is described, on this machine: one command starts it all, and stops it all.

python -m tools.course                      until Ctrl-C
python -m tools.course --duration 60 --rate 20000 --trigger 2s

A Kafka broker; a Spark cluster, standalone, with a master and two workers; the topics; a producer that sends simulated
loose hits at their own rate; the engine on Spark; its live page; the results in their topic.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Final

from muonstream.commands.common import CommandError
from muonstream.commands.spark import trigger_seconds
from tools.kafka_broker import Broker, BrokerError
from tools.maven import MavenError
from tools.processes import descendants, gone, guarded, kill
from tools.spark_cluster import Cluster, ClusterError
from tools.spark_jars import fetch

RUN: Final = ("--run-number", "1", "--run-name", "course")
HITS, RESULTS = "Experiment_measurements", "results"
START_TIMEOUT_S: Final = 120.0
END_TIMEOUT_S: Final = 120.0
LOOK_EVERY_S: Final = 0.1
PAGE: Final = re.compile(r"The live page is at (http\S+)")


class CourseError(Exception):
    """What does not work; the message says why."""


@dataclass(frozen=True)
class Sizes:
    """What is asked for: duration_s None until Ctrl-C; port 0 takes a free one."""

    duration_s: float | None = None
    rate_hz: float = 5000.0
    trigger: str = "5s"
    results_interval_s: float = 5.0
    workers: int = 2
    port: int = 8765


class Part:
    """One of our own programs, with its output in a file."""

    def __init__(self, name: str, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                guarded([sys.executable, "-m", "muonstream", *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C is for us alone: we stop all in its order
            )

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def check(self) -> None:
        """Raise CourseError when it has ended, and not well."""
        if self.ended and self.process.returncode != 0:
            lines = self.said.strip().splitlines() or ["it said nothing"]
            raise CourseError(f"the {self.name} ended with {self.process.returncode}: {lines[-1]}")

    def stop(self) -> None:
        """End it and what it started, in order if it can be."""
        below = descendants(self.process.pid)
        if not self.ended:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not gone(below, 5):
            kill(below)


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile does not hear Ctrl-C: it is stopped by us, when its turn has come."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second signal ends at once."""
    stop = Event()

    def handler(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def say(text: str) -> None:
    print(text, flush=True)


def hold(sizes: Sizes, stop: Event) -> None:
    """Start all, wait until it is over or `stop` is set, and stop all. Raises CourseError and what the parts raise."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muonstream-course-")))
        jars = fetch()
        say("Starting Kafka and a Spark cluster")
        with deaf_to_ctrl_c():
            broker = stack.enter_context(Broker(folder / "kafka"))
            cluster = stack.enter_context(Cluster(folder / "spark", workers=sizes.workers))
        environment = {"TMPDIR": str(folder), "MUONSTREAM_SPARK_JARS": str(jars), **cluster.environment}
        kafka = f"kafka://{broker.address}"
        topics = Part("topics", folder, ["topics", "create", kafka], environment)
        stack.callback(topics.stop)
        while not topics.ended:
            if stop.wait(LOOK_EVERY_S):
                return
        topics.check()
        say(f"Kafka is at {broker.address}: hits in {HITS}, results in {RESULTS}")
        say(f"Spark's master is {cluster.address}, its own page {cluster.page}")
        if stop.is_set():
            return
        summary = folder / "summary.json"
        engine = Part("engine", folder, engine_command(kafka, cluster.address, sizes, summary), environment)
        stack.callback(engine.stop)
        url = page_of(engine, stop)
        if url is None:
            return
        duration = f",duration_s={sizes.duration_s}" if sizes.duration_s is not None else ""
        source = f"sim:rate_hz={sizes.rate_hz}{duration}"
        producer = Part("producer", folder, ["replay", source, "--to", kafka, "--as", "json", *RUN], environment)
        stack.callback(producer.stop)
        say(f"The live page is at {url}. Ctrl-C stops all.")
        follow(engine, producer, stop)
        report(engine, broker, summary)


def engine_command(kafka: str, master: str, sizes: Sizes, summary: Path) -> list[str]:
    """How the engine is called."""
    loopback = ("spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1")
    return [
        *("run", f"{kafka}/{HITS}", "--engine", "spark", "--master", master, "--trigger", sizes.trigger),
        *(part for pair in loopback for part in ("--spark-conf", pair)),
        *("--results", f"{kafka}/{RESULTS}", "--results-interval", str(sizes.results_interval_s)),
        *("--summary", str(summary), "--port", str(sizes.port), "--no-stay", "--run", RUN[3]),
    ]


def page_of(engine: Part, stop: Event) -> str | None:
    """The page's address, once the engine has told it; None when it is to stop. Raises CourseError."""
    end = time.monotonic() + START_TIMEOUT_S
    while not stop.wait(LOOK_EVERY_S):
        engine.check()
        found = PAGE.search(engine.said)
        if found:
            return found[1]
        if time.monotonic() > end:
            raise CourseError(f"the engine's page is not there after {START_TIMEOUT_S:.0f} s")
    return None


def follow(engine: Part, producer: Part, stop: Event) -> None:
    """Wait for the run's end, which Ctrl-C brings too: then the producer tells it, and the engine finishes."""
    while not stop.wait(LOOK_EVERY_S):
        producer.check()
        engine.check()
        if engine.ended:
            return
    say("Stopping")
    if not producer.ended:
        producer.process.send_signal(signal.SIGINT)
    end = time.monotonic() + END_TIMEOUT_S
    while not engine.ended:
        producer.check()
        engine.check()
        if time.monotonic() > end:
            raise CourseError(f"the engine has not ended {END_TIMEOUT_S:.0f} s after the run")
        time.sleep(LOOK_EVERY_S)


def report(engine: Part, broker: Broker, summary: Path) -> None:
    """Say what was counted, and that the results are all of it. Raises CourseError when they are not."""
    engine.check()
    if not summary.exists() or not summary.stat().st_size:
        say("No hits were counted")
        return
    counted = json.loads(summary.read_text("utf-8"))
    found = read_results(broker.address)
    hits = sum(message["Total Count"] for message in found)
    say(f"{counted['words']:,} words; {len(found)} messages in {RESULTS} with {hits:,} hits of {counted['hits']:,}")
    if hits != counted["hits"]:
        raise CourseError(f"{RESULTS}: found {hits:,} hits, the engine counted {counted['hits']:,}")


def read_results(address: str) -> list[dict[str, Any]]:
    """All that is in the topic of the results."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": address, "group.id": "course", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(RESULTS, 0), timeout=30)
        consumer.assign([TopicPartition(RESULTS, 0, 0)])
        found: list[dict[str, Any]] = []
        give_up = time.monotonic() + 30
        while len(found) < end and time.monotonic() < give_up:
            found += [json.loads(message.value() or b"") for message in consumer.consume(end - len(found), 1)]
    finally:
        consumer.close()
    return found


def main(arguments: list[str]) -> int:
    """Run it until its end, Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tools.course", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--duration", type=float, help="seconds of data; without it, until Ctrl-C")
    parser.add_argument("--rate", type=float, default=5000.0, help="words a second (default 5000)")
    parser.add_argument("--trigger", default="5s", help="time between micro-batches (default 5s)")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds of data in each result (default 5)")
    parser.add_argument("--workers", type=int, default=2, help="of the cluster, a core each (default 2)")
    parser.add_argument("--port", type=int, default=8765, help="of the page; 0 takes a free one (default 8765)")
    asked = parser.parse_args(arguments)
    sizes = Sizes(asked.duration, asked.rate, asked.trigger, asked.interval, asked.workers, asked.port)
    try:
        trigger_seconds(sizes.trigger)
        with stopped_by_signals() as stop:
            hold(sizes, stop)
    except (CommandError, CourseError, BrokerError, ClusterError, MavenError) as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
