"""Spark's driver, executors and workers killed in mid-run: the run is as it would have been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kafka_fixtures import TopicMaker
from kafka_messages import Sent, as_frames, as_hits, ends, send

from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from tools.kafka_broker import Broker
from tools.restarts import differences, processed, read_summary
from tools.spark_cluster import Cluster

PARTITIONS = 4
WORDS = simulate_words(60_000, rate_hz=20_000, seed=4)
PATIENCE_S = 600.0
"""On a machine with ten times more work than processors Spark alone takes minutes to start."""


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("words")
    WORDS.tofile(folder / "words.dat")
    return processed(folder / "words.dat", folder)


class Driver:
    """`muonstream run --engine spark` as a process, and what its log says."""

    started: ClassVar[list[subprocess.Popen[str]]] = []

    def __init__(
        self, broker: Broker, topic: str, folder: Path, *more: str, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.log = folder / "spark.log"
        # what a driver before this one has said is not of this one
        self._said = self.log.stat().st_size if self.log.exists() else 0
        source = f"kafka://{broker.address}/{topic}"
        options = [
            "--no-page",
            "--store",
            "s.db",
            "--summary",
            "out.json",
            "--spark-log",
            "spark.log",
            "--trigger",
            "0s",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "muonstream", "run", source, "--engine", "spark", *options, *more],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.started.append(self.process)

    def said(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(self._said)
            return stream.read().decode("utf-8", "replace")

    def wait_for(self, text: str) -> None:
        """Wait until the log says it."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.said():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def java(self) -> int:
        """The process of its Java."""
        listing = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
        # names may have spaces
        rows = [line.split(maxsplit=2) for line in listing.splitlines()[1:]]
        (found,) = [
            int(pid) for pid, parent, name in rows if int(parent) == self.process.pid and name.strip() == "java"
        ]
        return found

    def ends_well(self) -> str:
        _, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        return str(err)

    def summary(self) -> dict[str, Any]:
        return read_summary(self.folder / "out.json")

    def summary_of(self, run: str) -> dict[str, Any]:
        """Wait for the summary of this run, and read it."""
        end = time.monotonic() + PATIENCE_S
        written = self.folder / "out.json"
        # made when the driver starts, and empty until a run has ended
        while (
            not written.exists() or not written.stat().st_size or json.loads(written.read_text("utf-8"))["run"] != run
        ):
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        return self.summary()


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """A test that fails leaves no driver behind."""
    yield
    for process in Driver.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    Driver.started.clear()


def gone(process: int) -> bool:
    """Whether a process ends, waiting for it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def messages(form: str) -> list[Sent]:
    return as_frames(WORDS, PARTITIONS, part_words=500) if form == "frames" else as_hits(WORDS, PARTITIONS)


LOCAL = ("--master", "local[2]", "--max-words-per-trigger", str(len(WORDS) // 6))


def killed(broker: Broker, topic: str, folder: Path) -> None:
    """A driver that is killed after some micro-batches; its Java ends with it."""
    driver = Driver(broker, topic, folder, *LOCAL)
    driver.wait_for("batch 1: ")
    java = driver.java()
    driver.process.kill()
    driver.process.communicate()
    assert gone(java)


def test_a_driver_that_was_killed_goes_on_and_takes_the_run_that_follows(
    spark_available: Path, broker: Broker, new_topic: TopicMaker, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    topic = new_topic(PARTITIONS)
    send(broker.address, topic, [*messages("hits"), *ends(PARTITIONS)])
    killed(broker, topic, tmp_path)
    driver = Driver(broker, topic, tmp_path, *LOCAL, "--follow")
    assert differences(driver.summary_of("cosmics"), wanted) == 0
    following = Run(8, "beam")
    send(broker.address, topic, [*as_frames(WORDS[:30_000], PARTITIONS, following), *ends(PARTITIONS, following)])
    assert driver.summary_of("beam")["words"] == 30_000
    driver.process.send_signal(signal.SIGTERM)  # it waits for a third run
    assert driver.ends_well().count("Starting Spark") == 1
    # once more shows what is stored, for which Spark is not needed
    again = Driver(broker, topic, tmp_path, *LOCAL, "--run-number", "7")
    assert "Starting Spark" not in again.ends_well()
    assert again.said() == ""
    assert differences(again.summary(), wanted) == 0


@pytest.mark.long
def test_a_driver_that_is_told_to_end_does_so_with_its_summary(
    spark_available: Path, broker: Broker, new_topic: TopicMaker, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    topic = new_topic(PARTITIONS)
    send(broker.address, topic, messages("frames"))
    killed(broker, topic, tmp_path)
    # without the run's end this one runs until it is told to end
    second = Driver(broker, topic, tmp_path, *LOCAL)
    second.wait_for("lag 0 messages")
    java = second.java()
    second.process.send_signal(signal.SIGTERM)
    said = second.ends_well()
    assert gone(java)
    assert second.summary()["words"] == len(WORDS)
    assert [line for line in said.splitlines() if "WARN" in line or "Exception" in line or "Traceback" in line] == []
    send(broker.address, topic, ends(PARTITIONS))
    third = Driver(broker, topic, tmp_path, *LOCAL)
    third.ends_well()
    assert differences(third.summary(), wanted) == 0


@pytest.fixture(scope="module")
def cluster(spark_available: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2, memory_mib=1024) as started:
        yield started


@pytest.mark.long  # executors and workers are killed in test_spark_cluster.py too
@pytest.mark.parametrize("form", ["frames", "hits"])
def test_executors_and_workers_that_were_killed_cost_nothing(
    cluster: Cluster, broker: Broker, new_topic: TopicMaker, tmp_path: Path, wanted: dict[str, Any], form: str
) -> None:
    topic = new_topic(PARTITIONS)
    sent = messages(form)
    send(broker.address, topic, sent[: len(sent) // 2])
    options = ("--master", cluster.address, "--max-words-per-trigger", str(len(WORDS) // 8))
    memory = ("--spark-conf", "spark.executor.memory=512m", "--spark-conf", "spark.driver.memory=512m")
    driver = Driver(broker, topic, tmp_path, *options, *memory, environment=cluster.environment)
    driver.wait_for("batch 1: ")
    if form == "frames":
        cluster.kill_executor()
    else:
        cluster.kill_worker(0)
    send(broker.address, topic, [*sent[len(sent) // 2 :], *ends(PARTITIONS)])
    driver.ends_well()
    if form == "hits":
        cluster.start_worker(0)
    assert differences(driver.summary(), wanted) == 0
