"""A real broker for the tests, and topics of their own for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.kafka_broker import Broker, BrokerError
from tools.machine import JAVA_HINT, MAVEN_HINT, find_java, find_maven, in_ci

TopicMaker = Callable[..., str]
"""new_topic(partitions=1, **config): makes a topic, gives its name; in config, _ stands for ."""


def lacking(reason: str) -> None:
    """Skip; with CI=true, fail."""
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_available() -> None:
    """Java, Maven and the client are there; without them the test is skipped, and fails with CI=true."""
    if find_java() is None:
        lacking(f"needs Java: {JAVA_HINT}")
    if find_maven() is None:
        lacking(f"needs Maven: {MAVEN_HINT}")
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        lacking("needs confluent-kafka: pip install '.[kafka]'")


@pytest.fixture(scope="session")
def broker(kafka_available: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Kafka itself, running, for all tests: one that stops, kills or pauses it takes `own_broker` instead."""
    try:
        started = Broker(tmp_path_factory.mktemp("kafka"), secure=True)
        started.start()
    except BrokerError as error:
        lacking(str(error))
        raise
    yield started
    started.stop()


@pytest.fixture
def own_broker(kafka_available: None, tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, running, to be stopped, killed, paused and restarted."""
    with Broker(tmp_path / "kafka") as started:
        yield started


def make_topic(address: str, partitions: int = 1, prefix: str = "test", *, name: str = "", **config: str) -> str:
    """Make a topic and give its name, a new one unless given; in config, _ stands for the dots of Kafka's keys."""
    from confluent_kafka.admin import AdminClient, NewTopic

    name = name or f"{prefix}-{uuid.uuid4().hex[:12]}"
    keys = {key.replace("_", "."): value for key, value in config.items()}
    admin = AdminClient({"bootstrap.servers": address})
    made = admin.create_topics([NewTopic(name, partitions, 1, config=keys)])
    made[name].result(30)
    return name


def delete_before(address: str, topic: str, offset: int) -> None:
    """Have the broker forget what is in partition 0 before an offset."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        future.result(30)


def add_partitions(address: str, topic: str, total: int) -> None:
    """Give a topic more partitions, so that there are `total`."""
    from confluent_kafka.admin import AdminClient, NewPartitions

    admin = AdminClient({"bootstrap.servers": address})
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(30)


@pytest.fixture
def new_topic(broker: Broker) -> TopicMaker:
    """Make topics of the test's own on the broker that all tests share."""
    return lambda partitions=1, **config: make_topic(broker.address, partitions, **config)
