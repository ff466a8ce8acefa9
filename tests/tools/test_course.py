from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tools.course import CourseError, Sizes, check
from tools.processes import descendants, gone

ROOT = Path(__file__).parents[2]
QUICK = ("--rate", "2000", "--trigger", "3s", "--interval", "2", "--port", "0")
HISTOGRAMS = ("Hist_1", "Hist_2", "Hist_3", "Hist_4")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(kafka_available: None, tmp_path: Path) -> Iterator[Start]:
    """Start the course's system, with all its files in tmp_path."""
    started: list[subprocess.Popen[str]] = []

    def course(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tools.course", *QUICK, *arguments]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield course
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], pattern: str) -> str:
    """What it says in the first line that has the pattern."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found[1]
    assert process.stderr is not None
    pytest.fail(process.stderr.read())


def first_result(address: str) -> dict[str, Any]:
    """The first message in the topic of the results."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition("results", 0, 0)])
    try:
        message = consumer.consume(1, timeout=300)[0]
    finally:
        consumer.close()
    found: dict[str, Any] = json.loads(message.value() or b"")
    return found


def test_the_courses_system_runs_until_it_is_told_to_stop_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    process = start("--workers", "1")
    kafka = said(process, r"Kafka is at (\S+): hits")
    page = said(process, r"The live page is at (\S+)\.")
    result = first_result(kafka)
    assert set(result) == {
        "Index",
        "Run",
        "Sequence",
        "Total Count",
        "Chamber_1",
        "Chamber_2",
        "Chamber_3",
        "Chamber_4",
    }
    assert (result["Run"], result["Sequence"]) == ("course", 1)
    chambers = [result[f"Chamber_{number}"] for number in (1, 2, 3, 4)]
    assert 0 < result["Total Count"] == sum(chamber["Count"] for chamber in chambers)
    for chamber in chambers:
        assert set(chamber) == {"Count", *HISTOGRAMS}
        assert sum(chamber["Hist_1"]["Counts"]) == chamber["Count"]
        assert all(set(chamber[name]) == {"Bins", "Counts"} for name in HISTOGRAMS)
    with urllib.request.urlopen(page) as answer:
        assert b"muonstream" in answer.read()

    everything = descendants(process.pid)
    assert len(everything) > 6  # broker, master, worker, executor, engine and its Java, producer
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: all of its group hear it
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    counted = re.search(r"messages in results with ([\d,]+) hits of ([\d,]+)", output)
    assert counted is not None
    assert counted[1] == counted[2]
    assert gone(everything, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_courses_system_ends_by_itself_after_a_duration(start: Start, tmp_path: Path) -> None:
    process = start("--duration", "5")
    words = said(process, r"^([\d,]+) words; \d+ messages in results with")
    assert 5 * 1500 < int(words.replace(",", "")) < 5 * 2500
    assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_goes_on_when_the_courses_system_is_killed(start: Start) -> None:
    process = start("--workers", "1")
    said(process, r"Spark's master is (\S+),")
    everything = descendants(process.pid)
    assert len(everything) >= 3  # broker, master, worker
    process.kill()
    assert gone(everything, 60)


def test_it_ends_at_once_while_it_starts(start: Start, tmp_path: Path) -> None:
    process = start()
    said(process, r"(Starting Kafka)")
    everything = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "The live page" not in output
    assert gone(everything, 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        (Sizes(port=0, rate_hz=0), "--rate: found 0, expected more than 0"),
        (Sizes(port=0, rate_hz=float("nan")), "--rate: found nan, "),
        (Sizes(port=0, duration_s=-5), "--duration: found -5, expected more than 0 s"),
        (Sizes(port=0, results_interval_s=0), "--interval: found 0, "),
        (Sizes(port=0, workers=0), "--workers: found 0, expected 1 or more"),
        (Sizes(port=70000), "--port: found 70000, expected 0 to 65535"),
    ],
)
def test_wrong_sizes_are_refused(sizes: Sizes, complaint: str) -> None:
    with pytest.raises(CourseError, match=complaint):
        check(sizes)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CourseError, match=rf"--port: {port} on 127.0.0.1: .* in use; expected a free port"):
            check(Sizes(port=port))
    check(Sizes(port=0))


def test_a_wrong_trigger_is_refused_before_anything_is_started(start: Start, tmp_path: Path) -> None:
    output, errors = start("--trigger", "often").communicate(timeout=300)
    assert errors == "course: --trigger: found 'often', expected 0s to 24h, such as 1s, 500ms or 2min\n"
    assert output == ""
    assert list(tmp_path.iterdir()) == []
