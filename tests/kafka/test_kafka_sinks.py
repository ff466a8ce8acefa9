from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from kafka_fixtures import TopicMaker, make_topic
from log_lines import heard
from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.kafka.address import KafkaAccessError, KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.publisher import Outlet, ResultsSink, SnapshotsSink
from muonstream.run.intervals import Interval
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import decode
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import Broker, free_ports

RUNNER = CliRunner()
CATALOGUE = Catalogue(Detector.default())


def connection(address: str, topic: str) -> Connection:
    return Connection(KafkaAddress(address, topic), timeout_s=60)


def read(address: str, topic: str) -> list[Message]:
    """Every message of a topic of one partition."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=60)
        consumer.assign([TopicPartition(topic, 0, low)])
        return consumer.consume(high - low, timeout=60) if high > low else []
    finally:
        consumer.close()


def objects(address: str, topic: str) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(message.value() or b"", parse_constant=refuse) for message in read(address, topic)]


def interval(sequence: int) -> Interval:
    counts = CATALOGUE.zeros()
    CATALOGUE.hits_per_cell(counts, 0)[5] = sequence
    return Interval(sequence, counts)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with Pipeline(Detector.default(), run="run 7", workers=0) as pipeline:
        pipeline.push(simulate_words(20_000))
        return pipeline.snapshot()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run000007.dat"
    simulate_words(40_000, rate_hz=4000.0).tofile(path)
    return path


def test_a_run_publishes_results_that_add_up_and_its_last_snapshot(
    broker: Broker, new_topic: TopicMaker, file: Path, tmp_path: Path
) -> None:
    results, snapshots = new_topic(), new_topic(cleanup_policy="compact")
    out = tmp_path / "summary.json"
    command = ["run", str(file), "--no-follow", "--no-page", "--summary", str(out), "--results-interval", "1"]
    topics = [
        "--results",
        f"kafka://{broker.address}/{results}",
        "--snapshots",
        f"kafka://{broker.address}/{snapshots}",
    ]
    done = RUNNER.invoke(app, [*command, *topics])
    assert done.exit_code == 0, done.output
    whole = json.loads(out.read_text("utf-8"))
    found = objects(broker.address, results)
    assert [one["Sequence"] for one in found] == list(range(1, len(found) + 1))
    assert len(found) >= 10
    assert {one["Run"] for one in found} == {"run000007"}
    assert sum(one["Total Count"] for one in found) == whole["hits"]
    for number in range(1, 5):
        for name in ("hist_1", "hist_2", "hist_3", "hist_4"):
            added = np.sum([one[f"Chamber_{number}"][name.capitalize()]["Counts"] for one in found], axis=0)
            assert added.tolist() == whole["chambers"][str(number)][name]
    last = read(broker.address, snapshots)[-1]
    assert last.key() == b"run000007"
    decoded = decode(bytes(last.value() or b""))
    assert decoded.state == "ended"
    assert json.loads(json.dumps(summary(decoded))) == whole


def test_results_survive_a_broker_that_dies_and_come_once_and_in_order(own_broker: Broker) -> None:
    topic = make_topic(own_broker.address)
    delivered: list[int] = []
    sink = ResultsSink(connection(own_broker.address, topic), CATALOGUE, on_delivered=delivered.append)
    for sequence in range(1, 61):
        if sequence == 21:
            own_broker.kill()
        if sequence == 41:
            assert sink.outlet.waiting > 0
            assert 21 not in delivered
            own_broker.start()
        sink.publish("run 7", [interval(sequence)])
    sink.finish(timeout_s=120)
    assert delivered == list(range(1, 61))
    found = objects(own_broker.address, topic)
    assert [one["Sequence"] for one in found] == list(range(1, 61))
    assert [one["Chamber_1"]["Count"] for one in found] == list(range(1, 61))


def test_what_a_paused_broker_did_not_take_is_named(own_broker: Broker, snapshot: Snapshot) -> None:
    topic = make_topic(own_broker.address)
    delivered: list[int] = []
    results = ResultsSink(connection(own_broker.address, topic), CATALOGUE, on_delivered=delivered.append)
    snapshots = SnapshotsSink(connection(own_broker.address, topic))
    said: list[str] = []
    own_broker.pause()
    results.publish("run 7", [interval(1), interval(2)])
    snapshots.publish(snapshot)
    lost = f"/{topic}: 2 messages could not be delivered in 0.5 s and are lost"
    with heard(said.append), pytest.raises(KafkaAccessError, match=lost):
        results.finish(timeout_s=0.5)
    assert said == [f"Waiting for kafka://{own_broker.address}/{topic} to take 2 messages, up to 0.5 s"]
    with pytest.raises(KafkaAccessError, match="1 messages could not be delivered"):
        snapshots.finish(timeout_s=0.5)
    results.outlet.poll()
    assert delivered == []
    own_broker.resume()


def test_a_message_the_topic_refuses_is_a_problem(broker: Broker, new_topic: TopicMaker, snapshot: Snapshot) -> None:
    sink = SnapshotsSink(connection(broker.address, new_topic(max_message_bytes="1000")))
    assert sink.problem() is None
    sink.publish(snapshot)
    with pytest.raises(KafkaAccessError, match=r"1 messages were refused: .*too large"):
        sink.finish()
    assert "refused" in (sink.problem() or "")


def test_a_message_no_topic_can_take_is_a_problem_and_stops_nothing(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic()
    outlet = Outlet(connection(broker.address, topic))
    assert outlet.send("run 7", b"x" * 2_000_000)
    assert outlet.send("run 7", b"small")
    with pytest.raises(KafkaAccessError, match=r"1 messages were refused: .*too large"):
        outlet.finish()
    assert [message.value() for message in read(broker.address, topic)] == [b"small"]


def test_snapshots_are_thinned_by_the_clock_and_the_last_is_always_sent(
    broker: Broker, new_topic: TopicMaker, snapshot: Snapshot
) -> None:
    topic, now = new_topic(), [0.0]
    sink = SnapshotsSink(connection(broker.address, topic), interval_s=1.0, clock=lambda: now[0])
    for sequence in range(1, 41):
        now[0] = sequence * 0.25
        sink.publish(replace(snapshot, sequence=sequence))
        sink.outlet.finish()
    sink.publish(replace(snapshot, sequence=41, state="ended"))
    sink.finish()
    sent = [decode(bytes(message.value() or b"")).sequence for message in read(broker.address, topic)]
    assert sent == [*range(1, 41, 4), 41]


@pytest.mark.parametrize("option", ["--results", "--snapshots"])
def test_a_missing_topic_or_broker_ends_the_run_before_it_begins(broker: Broker, file: Path, option: str) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    for address, wrong in ((f"{broker.address}/nowhere", "/nowhere: no such topic"), (nobody, "no broker answered")):
        arguments = ["run", str(file), "--no-follow", "--no-page", option, f"kafka://{address}", "--kafka-timeout", "2"]
        done = RUNNER.invoke(app, arguments)
        assert done.exit_code == 1
        complaint = [line for line in done.stderr.splitlines() if line.startswith("muonstream: ")]
        assert len(complaint) == 1
        assert wrong in complaint[0]
        assert done.stdout == ""
