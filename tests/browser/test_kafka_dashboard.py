from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from kafka_fixtures import TopicMaker, make_topic
from log_lines import heard

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.kafka.address import KafkaAccessError, KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.snapshots import SnapshotFilter, follow_snapshots
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import encode
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import USER, Broker

SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with Pipeline(Detector.default(), run="run 7", workers=0) as pipeline:
        pipeline.push(simulate_words(20_000))
        return pipeline.snapshot()


def connection(address: str, topic: str, errors: list[str] | None = None) -> Connection:
    heard = [] if errors is None else errors
    return Connection(KafkaAddress(address, topic), timeout_s=60, on_error=lambda error: heard.append(str(error)))


def send(address: str, topic: str, *messages: tuple[str, bytes | None]) -> None:
    producer = connection(address, topic).producer()
    for key, value in messages:
        producer.produce(topic, value, key=key.encode())
    assert producer.flush(60) == 0


def next_snapshot(snapshots: Iterator[Snapshot | None]) -> Snapshot:
    return next(found for found in snapshots if found is not None)


def message(snapshot: Snapshot, sequence: int, run: str = "run 7") -> tuple[str, bytes]:
    return run, encode(replace(snapshot, sequence=sequence, run=run))


def test_who_comes_late_sees_the_present_first(broker: Broker, new_topic: TopicMaker, snapshot: Snapshot) -> None:
    topic = new_topic(cleanup_policy="compact")
    send(broker.address, topic, *(message(snapshot, sequence) for sequence in range(1, 101)))
    snapshots = follow_snapshots(connection(broker.address, topic), Event())
    with heard(pytest.fail):
        assert next_snapshot(snapshots).sequence == 100
        send(broker.address, topic, message(snapshot, 101))
        assert next_snapshot(snapshots).sequence == 101


def test_a_run_can_be_named_though_others_are_newer(broker: Broker, new_topic: TopicMaker, snapshot: Snapshot) -> None:
    topic = new_topic()
    send(broker.address, topic, message(snapshot, 1), message(snapshot, 2), message(snapshot, 9, "run 8"))
    for run, sequence in (("run 7", 2), ("", 9)):
        stop = Event()
        snapshots = follow_snapshots(connection(broker.address, topic), stop, run=run)
        assert next_snapshot(snapshots).sequence == sequence
        stop.set()
        assert list(snapshots) == []


def test_what_is_no_snapshot_is_said_and_blocks_nothing(
    broker: Broker, new_topic: TopicMaker, snapshot: Snapshot
) -> None:
    topic = new_topic()
    said: list[str] = []
    send(broker.address, topic, message(snapshot, 1))
    snapshots = follow_snapshots(connection(broker.address, topic), Event())
    assert next_snapshot(snapshots).sequence == 1
    poison: list[bytes | None] = [None, b"", b"{}", encode(snapshot)[:-9], b"MUSN\x09", b"\x00" * 500_000]
    for value in poison:
        send(broker.address, topic, ("run 7", value), ("\udcff".encode("utf-8", "replace").decode(), value))
    send(broker.address, topic, message(snapshot, 2))
    with heard(said.append):
        assert next_snapshot(snapshots).sequence == 2
    assert [line.split("offset ")[1] for line in said] == [
        "3: found 0 bytes that are not a snapshot",
        "5: found 2 bytes that are not a snapshot",
        "7: found a snapshot that is cut short or too large",
        "9: found a snapshot of version 9, expected 1",
        "11: found 500000 bytes that are not a snapshot",
    ]


def test_a_topic_of_something_else_fills_no_screen(broker: Broker, new_topic: TopicMaker, snapshot: Snapshot) -> None:
    topic, said, now = new_topic(), list[str](), [0.0]
    send(broker.address, topic, message(snapshot, 1))
    snapshots = follow_snapshots(connection(broker.address, topic), Event(), clock=lambda: now[0])
    assert next_snapshot(snapshots).sequence == 1
    send(broker.address, topic, *[("run 7", b"{}")] * 100, message(snapshot, 2))
    with heard(said.append):
        assert next_snapshot(snapshots).sequence == 2
    assert len(said) == 5
    now[0] += 61
    send(broker.address, topic, ("run 7", b"{}"), message(snapshot, 3))
    with heard(said.append):
        assert next_snapshot(snapshots).sequence == 3
    assert said[5] == "and 95 more that are not snapshots: is this a topic of snapshots?"
    assert len(said) == 7


def test_a_broker_that_dies_is_a_problem_until_it_is_back(own_broker: Broker, snapshot: Snapshot) -> None:
    topic, errors = make_topic(own_broker.address), list[str]()
    send(own_broker.address, topic, message(snapshot, 1))
    snapshots = follow_snapshots(connection(own_broker.address, topic, errors), Event())
    assert next_snapshot(snapshots).sequence == 1
    own_broker.kill()
    while not errors:
        assert next(snapshots) is None
    assert f"{own_broker.address}: no broker can be reached" in errors[0]
    own_broker.start()
    send(own_broker.address, topic, message(snapshot, 2))
    assert next_snapshot(snapshots).sequence == 2


def test_a_missing_topic_is_named(broker: Broker) -> None:
    with pytest.raises(KafkaAccessError, match="/nowhere: no such topic"):
        next(follow_snapshots(connection(broker.address, "nowhere"), Event()))


def test_the_shown_run_is_kept_while_it_goes_on(snapshot: Snapshot) -> None:
    now = [0.0]
    choice = SnapshotFilter(clock=lambda: now[0])
    assert choice.wants("run 7")
    choice.shown(snapshot)
    assert (choice.wants("run 7"), choice.wants("run 8")) == (True, False)
    now[0] = 11
    assert choice.wants("run 8")  # run 7 has said nothing for 11 s
    choice.shown(replace(snapshot, state="ended"))
    assert choice.wants("run 8")  # run 7 has ended
    assert not SnapshotFilter("run 7").wants("run 8")


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves a page, and the page's address once it is said."""
    program = [sys.executable, "-m", "muonstream", *arguments, "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next((line for line in process.stderr if "http://" in line), "")
            assert line, "the command ended without a page"
            yield process, "http://" + line.split("http://")[1].split("/")[0]
        finally:
            process.kill()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def get_until(url: str, *, status: int) -> Any:
    """Ask until the answer is this one; a test that waits for ever is ended from outside."""
    while True:
        found, body = get(url)
        if found == status:
            return json.loads(body)


def test_the_page_of_a_topic_shows_what_the_engine_published(
    broker: Broker, new_topic: TopicMaker, snapshot: Snapshot
) -> None:
    topic = new_topic()
    send(broker.address, topic, message(snapshot, 5))
    with command("dashboard", f"kafka://{broker.address}/{topic}", "--stale-after", "1e6") as (process, url):
        assert get_until(f"{url}/api/snapshot", status=200) == json.loads(json.dumps(summary(snapshot)))
        health = get_until(f"{url}/healthz", status=503)  # the engine that made it is long gone
        assert health["reasons"][0].startswith("the engine has published nothing for")
        send(broker.address, topic, ("run 7", encode(replace(snapshot, state="ended"))))
        assert get_until(f"{url}/healthz", status=200)["state"] == "ended"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_the_page_of_a_topic_is_unhealthy_while_the_broker_is_away(own_broker: Broker, snapshot: Snapshot) -> None:
    topic = make_topic(own_broker.address)
    send(own_broker.address, topic, ("run 7", encode(replace(snapshot, state="ended"))))
    with command("dashboard", f"kafka://{own_broker.address}/{topic}") as (_, url):
        get_until(f"{url}/api/snapshot", status=200)
        own_broker.kill()
        assert "no broker can be reached" in get_until(f"{url}/healthz", status=503)["reasons"][0]
        own_broker.start()
        # the run has ended, so no message will come: the page asks the broker itself
        assert get_until(f"{url}/healthz", status=200)["state"] == "ended"


def test_a_secret_is_in_no_page_log_summary_or_message(broker: Broker, new_topic: TopicMaker, tmp_path: Path) -> None:
    properties = tmp_path / "kafka.properties"
    login = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": broker.password,
        "ssl.ca.location": str(broker.certificate),
        "ssl.key.password": SECRET,
    }
    properties.write_text("".join(f"{key}={value}\n" for key, value in login.items()), "utf-8")
    results, snapshots, out = new_topic(), new_topic(), tmp_path / "summary.json"
    run = ["run", "sim:rate=5000", "--summary", str(out), "--kafka-properties", str(properties)]
    for option, topic in (("--results", results), ("--snapshots", snapshots)):
        run += [option, f"kafka://{broker.secure_address}/{topic}"]
    with command(*run, "--results-interval", "0.2") as (process, url):
        seen = [get(url + path)[1] for path in ("/", "/healthz", "/api/snapshot", "/plots.json")]
        stop = Event()
        published = follow_snapshots(connection(broker.address, snapshots), stop)
        seen.append(encode(next_snapshot(published)))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    for topic in (results, snapshots):
        consumer = connection(broker.address, topic).consumer(auto_offset_reset="earliest", group_id=topic)
        consumer.subscribe([topic])
        messages = consumer.consume(1, timeout=60)
        assert len(messages) == 1
        seen += [bytes(one.value() or b"") for one in messages]
        consumer.close()
    seen += [stdout.encode(), stderr.encode(), out.read_bytes()]
    for secret in (broker.password, SECRET):
        assert [data for data in seen if secret.encode() in data] == []
        assert secret in properties.read_text("utf-8")
