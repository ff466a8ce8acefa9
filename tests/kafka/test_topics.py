from __future__ import annotations

import re
import time
import uuid

import pytest
from confluent_kafka import TopicPartition
from kafka_fixtures import TopicMaker, make_topic
from kafka_messages import RUN, as_frames, as_hits, as_transfers, ends, send, send_in_transactions
from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.kafka import topics
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from tools.kafka_broker import Broker

RUNNER = CliRunner()


@pytest.fixture
def prefix() -> str:
    return f"lab-{uuid.uuid4().hex[:8]}-"


def create(broker: Broker, prefix: str, *options: str) -> list[str]:
    done = RUNNER.invoke(app, ["topics", "create", f"kafka://{broker.address}", "--prefix", prefix, *options])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_topics_are_made_once_and_said_to_be_there(broker: Broker, prefix: str) -> None:
    assert create(broker, prefix) == [
        f"{prefix}Experiment_measurements: made, 16 partitions (loose hits, one JSON object each)",
        f"{prefix}frames: made, 16 partitions (whole windows of words)",
        f"{prefix}results: made, 1 partition (the course's histograms, an object an interval)",
        f"{prefix}snapshots: made, 1 partition (each run's newest snapshot)",
    ]
    assert all(": there, as it should be (" in line for line in create(broker, prefix))


def test_differences_are_said_and_left_alone(broker: Broker, prefix: str) -> None:
    create(broker, prefix)
    for _ in range(2):
        lines = create(broker, prefix, "--retention-hours", "1")
        assert [line.partition(": ")[2] for line in lines[:2]] == [
            "there, but retention.ms 604800000, not 3600000 (loose hits, one JSON object each)",
            "there, but retention.ms 604800000, not 3600000 (whole windows of words)",
        ]


@pytest.mark.parametrize(("replication", "in_sync"), [(-1, None), (1, "1"), (2, "1"), (3, "2"), (5, "3")])
def test_of_several_copies_most_must_be_written(replication: int, in_sync: str | None) -> None:
    assert {spec.config.get("min.insync.replicas") for spec in topics.specs(replication=replication)} == {in_sync}


def test_the_snapshots_are_compacted(broker: Broker, prefix: str) -> None:
    create(broker, prefix)
    connection = Connection(KafkaAddress(broker.address))
    states = {
        state.name.removeprefix(prefix): state for state in topics.states(connection, connection.admin(), prefix=prefix)
    }
    assert states["snapshots"].cleanup == "compact"
    assert states["frames"].retention_ms == 7 * 24 * 3_600_000
    assert (states["frames"].partitions, states["frames"].messages, states["frames"].lag) == (16, 0, None)


def test_the_list_counts_messages_and_lag(broker: Broker, new_topic: TopicMaker) -> None:
    connection = Connection(KafkaAddress(broker.address))
    name, group = new_topic(2), f"group-{uuid.uuid4().hex[:8]}"
    producer = connection.producer()
    for partition, n in ((0, 5), (1, 7)):
        for _ in range(n):
            producer.produce(name, b"x", partition=partition)
    assert producer.flush(30) == 0
    consumer = connection.consumer(group_id=group)
    consumer.commit(offsets=[TopicPartition(name, 0, 4)], asynchronous=False)
    consumer.close()
    (state,) = topics.states(connection, connection.admin(), group=group, prefix=name)
    assert (state.messages, state.lag) == (12, 8)
    done = RUNNER.invoke(app, ["topics", "list", f"kafka://{broker.address}", "--group", group, "--prefix", name])
    assert done.exit_code == 0, done.output
    (row,) = [line.split() for line in done.stdout.splitlines()[1:]]
    assert row == [name, "2", "7", "days", "12", "8"]


def test_the_list_says_which_run_is_in_a_topic(broker: Broker, prefix: str) -> None:
    words = simulate_words(3000, rate_hz=20_000)
    # the list reads every topic that it shows, and the broker has those of all other tests
    ended, running, mirrored = (make_topic(broker.address, n, prefix) for n in (2, 3, 1))
    older = Run(6, "older")
    send(broker.address, ended, [*as_frames(words, 2, older), *ends(2, older)])
    between = time.time()
    send(broker.address, ended, [*as_hits(words, 2), *ends(2, words=len(words))])
    send(broker.address, running, as_hits(words[:900], 2))
    send_in_transactions(broker.address, mirrored, as_transfers(words[:1280]), 3)
    connection = Connection(KafkaAddress(broker.address))
    found = {state.name: state.run for state in topics.states(connection, connection.admin(), prefix=prefix)}
    assert len(found) == 3
    whole = found[ended]
    assert whole is not None
    assert whole.ended is not None
    assert (whole.run, whole.words) == (RUN, len(words))
    assert between - 0.01 <= whole.begun <= whole.ended <= time.time()
    for topic, n_words in ((running, 900), (mirrored, 1280)):
        part = found[topic]
        assert part is not None
        assert (part.run, part.words, part.ended) == (RUN, n_words, None)
    done = RUNNER.invoke(app, ["topics", "list", f"kafka://{broker.address}", "--prefix", prefix])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{ended}: ")]
    assert re.fullmatch(rf"{ended}: run 7 cosmics: 3,000 words, begun \S+ \S+, ended \S+ \S+", line)
    assert f"{running}: run 7 cosmics: 900 words so far, begun " in done.stdout
