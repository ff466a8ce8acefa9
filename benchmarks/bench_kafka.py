"""Kafka: a run replayed as frames as fast as possible, beside a bare producer that sends the same bytes."""

from __future__ import annotations

import itertools
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.timing import medians, table
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.gateway import Gateway
from muonstream.kafka.messages import Kind, frame_messages
from muonstream.kafka.progress import SentSoFar
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.files import read_blocks
from muonstream.sources.identity import Run
from muonstream.words import Words
from tools.kafka_broker import Broker

PARTITIONS: Final = 16
WORDS: Final = 8_000_000
RATES_HZ: Final = (1e5, 1e6)
BARE, REPLAY = "bare producer, the same messages", "replay --as frames --fast"
DETECTOR: Final = Detector.default()


class Topic:
    """A topic of which little is kept, so that the disk does not fill, and a run's number for each replay."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.address = broker.address
        config = {"retention.bytes": str(1 << 24), "segment.bytes": str(1 << 24), "max.message.bytes": str(2 << 20)}
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.create_topics([NewTopic(name, PARTITIONS, 1, config=config)])[name].result(60)
        self.connection = Connection(KafkaAddress(self.address, name))
        self.numbers = itertools.count()


Prepared = tuple[int, bytes, Any]


def messages(words: Words) -> list[Prepared]:
    """Partition, value and headers of all frames of a run."""
    builder = FrameBuilder(DETECTOR.boards)
    frames = Frames.join([builder.push(words), builder.finish()])
    return [
        (message.partition(PARTITIONS), message.value(), message.headers()) for message in frame_messages(frames, Run())
    ]


def bare(topic: Topic, prepared: list[Prepared]) -> None:
    """The client library alone, with the guarantees that we ask for, until all is acknowledged."""
    producer = Producer(
        {"bootstrap.servers": topic.address, "acks": "all", "enable.idempotence": True, "linger.ms": 5, "log_level": 0}
    )
    name = topic.connection.address.topic
    for partition, value, headers in prepared:
        producer.produce(name, value, partition=partition, headers=headers)
        producer.poll(0)
    producer.flush()


def replay(topic: Topic, file: Path) -> None:
    """What `muonstream replay` does once it has seen that the run is new: file, builder, producer, the run's end."""
    run = Run(next(topic.numbers))
    gateway = Gateway(topic.connection, run, Kind.FRAME, [SentSoFar()] * PARTITIONS, boards=DETECTOR.boards)
    for block in read_blocks(str(file)):
        gateway.push(block.words)
    gateway.finish()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "kafka", quick_start=False) as broker:
        for index, rate_hz in enumerate(RATES_HZ):
            words = simulate_words(WORDS, rate_hz=rate_hz)
            file = Path(folder) / "words.dat"
            words.tofile(file)
            prepared, topic = messages(words), Topic(broker, f"frames-{index}")
            del words
            seconds = medians({BARE: partial(bare, topic, prepared), REPLAY: partial(replay, topic, file)})
            table(f"Kafka, frames of {rate_hz:,.0f} words/s, {len(prepared):,} messages", WORDS, "words", seconds, BARE)
            print(f"{'rate of replay / of the bare producer':44} {seconds[BARE] / seconds[REPLAY]:14.2f}")


if __name__ == "__main__":
    main()
