"""A topic drained to a finished monitor, beside a bare client that discards the same messages; and how late pages are.

Frames at 1 MHz and at 5 kHz, and loose JSON hits. The bare client has the same settings as ours, and its defaults.
Latency: from `produce` to the snapshot that holds the words, each window sent when it is complete, in its own time.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np

from benchmarks.timing import medians, table
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine
from muonstream.formats.loose_hits import hits_json
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.messages import EndMessage, Kind, frame_messages, loose_headers, loose_partition, position_header
from muonstream.kafka.reader import CONFIG, TopicReader
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.identity import Run
from muonstream.words import WINDOW_SECONDS, Words
from tools.kafka_broker import Broker

RUN: Final = Run(1, "bench")
PARTITIONS: Final = 16
FRAME_WORDS: Final = 30_000_000
HITS: Final = 500_000
INTERVAL_S: Final = 0.25
LATENCY_S: Final = 20.0

Sent = tuple[int, list[tuple[str, bytes]], bytes]


def _frames(words: Words) -> Frames:
    builder = FrameBuilder(Detector.default().boards)
    return Frames.join([builder.push(words), builder.finish()])


def framed(words: Words) -> list[Sent]:
    """The messages of words as frames."""
    return [(m.partition(PARTITIONS), m.headers(), m.value()) for m in frame_messages(_frames(words), RUN)]


def loose(words: Words) -> list[Sent]:
    """The messages of words as loose hits."""
    text, offsets = hits_json(words)
    ends, headers = offsets.tolist(), loose_headers(Kind.JSON, RUN)
    return [
        (loose_partition(i, PARTITIONS), [*headers, position_header(i)], bytes(text[ends[i] : ends[i + 1]]))
        for i in range(len(words))
    ]


def _ends() -> list[Sent]:
    end = EndMessage(RUN)
    return [(partition, end.headers(), end.value()) for partition in range(PARTITIONS)]


def _topic(broker: Broker, name: str, sent: Iterable[Sent]) -> tuple[Connection, int]:
    """A new topic with these messages and the run's end, and how many they are."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    connection = Connection(KafkaAddress(broker.address, name))
    producer = connection.producer(linger_ms=20)
    n = 0
    for partition, headers, value in [*sent, *_ends()]:
        while True:
            try:
                producer.produce(name, value, partition=partition, headers=list(headers))
                break
            except BufferError:
                producer.poll(0.1)
        n += 1
        if n % 256 == 0:
            producer.poll(0)
    while producer.flush(10):
        pass
    return connection, n


def _discard(connection: Connection, messages: int, config: Mapping[str, Any]) -> None:
    from confluent_kafka import TopicPartition

    consumer = connection.consumer(**config)
    consumer.assign([TopicPartition(connection.address.topic, p, 0) for p in range(PARTITIONS)])
    read = 0
    while read < messages:
        read += len(consumer.consume(10_000, 0.1))
    consumer.close()


def _drain(connection: Connection, words: int) -> None:
    reader = TopicReader(connection)
    assert reader.open(Event())
    with Pipeline(Detector.default()) as pipeline:
        engine = TopicEngine(reader, pipeline, Deliveries())
        engine.begin()
        found = engine.run(Event(), publish=lambda snapshot: None).account
    reader.close()
    if found.words != words or found.late or not found.balanced:
        raise AssertionError(f"found {found}, expected {words} words")


def _rates(broker: Broker) -> None:
    forms: tuple[tuple[str, int, float, Callable[[Words], list[Sent]]], ...] = (
        ("frames at 1 MHz", FRAME_WORDS, 1e6, framed),
        ("frames at 5 kHz", FRAME_WORDS // 10, 5e3, framed),
        ("loose JSON hits", HITS, 5e3, loose),
    )
    for number, (name, words, rate_hz, form) in enumerate(forms):
        connection, messages = _topic(broker, f"bench-{number}", form(simulate_words(words, rate_hz=rate_hz)))
        works: dict[str, Callable[[], object]] = {
            "bare client, our settings": partial(_discard, connection, messages, CONFIG),
            "bare client, its defaults": partial(_discard, connection, messages, {}),
            "to a finished monitor": partial(_drain, connection, words),
        }
        seconds = medians(works)
        table(f"A topic drained: {name}, {messages:,} messages", words, "words", seconds, "bare client, our settings")
        for base in ("bare client, our settings", "bare client, its defaults"):
            print(f"rate to a finished monitor / {base}: {seconds[base] / seconds['to a finished monitor']:.0%}")


def produce_live(address: str, topic: str, rate_hz: float, times: Any, duration_s: float = LATENCY_S) -> None:
    """In a process of its own: windows in their own time, each when it is complete; puts (partition, key, time)."""
    frames = _frames(simulate_words(int(rate_hz * duration_s), rate_hz=rate_hz))
    producer = Connection(KafkaAddress(address, topic)).producer()
    sent: list[tuple[int, int, float]] = []
    first, began = int(frames.keys[0]), time.monotonic()
    for message in frame_messages(frames, RUN):
        due = began + (message.key - first + 1) * WINDOW_SECONDS
        while (left := due - time.monotonic()) > 0:
            producer.poll(left)
        partition = message.partition(PARTITIONS)
        if message.part == message.parts - 1:
            sent.append((partition, message.key, time.monotonic()))
        producer.produce(topic, message.value(), partition=partition, headers=list(message.headers()))
    for partition, headers, value in _ends():
        producer.produce(topic, value, partition=partition, headers=list(headers))
    while producer.flush(10):
        pass
    times.put(sent)


def _latency(broker: Broker, rate_hz: float) -> None:
    connection, _ = _topic(broker, f"latency-{rate_hz:.0f}", [])
    # a topic that is at its end: reading begins behind the end that `_topic` has told
    reader = TopicReader(connection, begin=None)
    assert reader.open(Event())
    context = multiprocessing.get_context("spawn")
    times: Any = context.Queue()
    shown: list[tuple[float, dict[int, int]]] = []
    with Pipeline(Detector.default()) as pipeline:
        engine = TopicEngine(reader, pipeline, Deliveries())

        def publish(snapshot: Snapshot) -> None:
            shown.append((time.monotonic(), {p: part.key for p, part in engine.deliveries.parts.items()}))

        engine.begin({p: reader.watermarks(p)[1] for p in reader.partitions})
        sender = context.Process(
            target=produce_live, args=(broker.address, connection.address.topic, rate_hz, times), daemon=True
        )
        sender.start()
        engine.run(Event(), publish=publish, interval_s=INTERVAL_S)
    reader.close()
    latencies = []
    for partition, key, at in times.get():
        latencies.append(next(when for when, keys in shown if when >= at and keys.get(partition, -1) >= key) - at)
    sender.join()
    p50, p99 = np.percentile(latencies, [50, 99])
    print(
        f"produce to snapshot, every {INTERVAL_S} s, {rate_hz:>9,.0f} Hz, {len(latencies)} windows: "
        f"p50 {p50:.3f} s, p99 {p99:.3f} s, highest {max(latencies):.3f} s"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="muonstream-") as folder, Broker(Path(folder)) as broker:
        _rates(broker)
        print("\nLatency")
        for rate_hz in (5e3, 1e6):
            _latency(broker, rate_hz)


if __name__ == "__main__":
    main()
