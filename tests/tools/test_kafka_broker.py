from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_fixtures import TopicMaker, make_topic

from tools.kafka_broker import USER, Broker, free_ports

ROOT = Path(__file__).parents[2]


def send(address: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": address, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read(address: str, topic: str, n: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        messages = consumer.consume(n, timeout=30)
    finally:
        consumer.close()
    return [message.value() or b"" for message in messages]


def test_the_container_is_of_the_version_that_is_tested() -> None:
    pom = (ROOT / "tools" / "kafka" / "pom.xml").read_text("utf-8")
    tested = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)</version>", pom)
    compose = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    assert tested is not None
    assert f"image: apache/kafka:{tested[1]}\n" in compose


def test_what_was_acknowledged_is_there_after_a_kill(own_broker: Broker) -> None:
    topic = make_topic(own_broker.address)
    address = own_broker.address
    send(address, topic, [b"before"])
    own_broker.kill()
    own_broker.start()
    assert own_broker.address == address
    send(address, topic, [b"after"])
    assert read(address, topic, 2) == [b"before", b"after"]


def test_a_paused_broker_does_not_answer_and_then_goes_on(own_broker: Broker) -> None:
    topic = make_topic(own_broker.address)
    own_broker.pause()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": own_broker.address}).list_topics(timeout=1)
    own_broker.resume()
    send(own_broker.address, topic, [b"on"])
    assert read(own_broker.address, topic, 1) == [b"on"]


def test_topics_are_not_made_by_asking_for_them(broker: Broker, new_topic: TopicMaker) -> None:
    there = new_topic(3, retention_ms="60000")
    admin = AdminClient({"bootstrap.servers": broker.address})
    assert len(admin.list_topics(there, timeout=30).topics[there].partitions) == 3
    assert admin.list_topics("nowhere", timeout=30).topics["nowhere"].error is not None
    assert "nowhere" not in admin.list_topics(timeout=30).topics


@pytest.mark.parametrize("right", [True, False])
def test_the_secure_listener_asks_for_the_password(broker: Broker, right: bool) -> None:
    admin = AdminClient(
        {
            "bootstrap.servers": broker.secure_address,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": broker.password if right else "wrong",
            "ssl.ca.location": str(broker.certificate),
            "log_level": 0,
        }
    )
    if right:
        assert admin.list_topics(timeout=30).brokers
    else:
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=3)


def test_a_developers_broker_says_where_it_is_and_ends_with_ctrl_c(kafka_available: None, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "tools.kafka_broker", "--data", str(tmp_path / "data"), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert f"127.0.0.1:{port}" in process.stdout.readline()
        assert AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}).list_topics(timeout=30).brokers
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
