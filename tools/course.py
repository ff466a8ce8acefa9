"""The course's system as it is described, on this machine: one command starts it all, and stops it all.

python -m tools.course                      until Ctrl-C
python -m tools.course --duration 60 --rate 20000 --trigger 2s

A Kafka broker; a Spark cluster, standalone, with a master and two workers; the topics; a producer that sends simulated
loose hits at their own rate; the engine on Spark; its live page; the results in their topic.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Final

from muonstream.commands.common import CommandError
from muonstream.commands.spark import trigger_seconds
from tools.kafka_broker import HOST, Broker, BrokerError
from tools.maven import MavenError
from tools.processes import descendants, gone, guarded, kill
from tools.spark_cluster import Cluster, ClusterError
from tools.spark_jars import fetch

RUN: Final = ("--run-number", "1", "--run-name", "course")
HITS, RESULTS = "Experiment_measurements", "results"
START_TIMEOUT_S: Final = 120.0
END_TIMEOUT_S: Final = 120.0
LOOK_EVERY_S: Final = 0.1
SAY_EVERY_S: Final = 10.0
MOST_HZ: Final = 1e7
WORDS: Final = re.compile(r"^muonstream_words_total(?:\{[^}]*\})? (\S+)", re.MULTILINE)
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


class Stop(Event):
    """Set by Ctrl-C, SIGTERM and a closed terminal; a second signal, and one while `starting`, ends at once."""

    starting = False


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """What signals set as long as the context lasts."""
    stop = Stop()

    def handler(number: int, frame: FrameType | None) -> None:
        if stop.is_set() or stop.starting:
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


def check(sizes: Sizes) -> None:
    """Raise CourseError or CommandError for what would be found wrong only when much has been started."""
    trigger_seconds(sizes.trigger)
    if sizes.duration_s is not None and not 0 < sizes.duration_s < math.inf:
        raise CourseError(f"--duration: found {sizes.duration_s:g}, expected more than 0 s")
    if not 0 < sizes.rate_hz <= MOST_HZ:
        raise CourseError(f"--rate: found {sizes.rate_hz:g}, expected more than 0 and at most {MOST_HZ:g} words/s")
    if not 0 < sizes.results_interval_s < math.inf:
        raise CourseError(f"--interval: found {sizes.results_interval_s:g}, expected more than 0 s")
    if sizes.workers < 1:
        raise CourseError(f"--workers: found {sizes.workers}, expected 1 or more")
    if not 0 <= sizes.port <= 65535:
        raise CourseError(f"--port: found {sizes.port}, expected 0 to 65535")
    try:
        socket.create_server((HOST, sizes.port)).close()
    except OSError as error:
        raise CourseError(
            f"--port: {sizes.port} on {HOST}: {os.strerror(error.errno or 0)}; expected a free port, or 0 for any"
        ) from None


def hold(sizes: Sizes, stop: Stop) -> None:
    """Start all, wait until it is over or `stop` is set, and stop all. Raises CourseError and what the parts raise."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muonstream-course-")))
        jars = fetch()
        say("Starting Kafka and a Spark cluster")
        stop.starting = True  # nothing has to end in order yet
        broker = stack.enter_context(Broker(folder / "kafka"))
        cluster = stack.enter_context(Cluster(folder / "spark", workers=sizes.workers))
        stop.starting = False
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
        follow(engine, producer, stop, url)
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


def counted_so_far(url: str) -> str:
    """How many words the engine has counted, as its page tells Prometheus; "" when it does not answer."""
    with suppress(OSError), urllib.request.urlopen(f"{url.rstrip('/')}/metrics", timeout=2) as answer:
        found = WORDS.findall(answer.read().decode("utf-8", "replace"))
        return f"{sum(map(float, found)):,.0f} words"
    return ""


def follow(engine: Part, producer: Part, stop: Event, url: str) -> None:
    """Wait for the run's end, which Ctrl-C brings too: then the producer tells it, and the engine finishes."""
    begin = said = time.monotonic()
    while not stop.wait(LOOK_EVERY_S):
        producer.check()
        engine.check()
        if engine.ended:
            return
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            say(f"after {said - begin:.0f} s: {counted_so_far(url) or 'the page does not answer'}")
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
        check(sizes)
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
