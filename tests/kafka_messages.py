"""Messages for the tests: a run's words as frames, loose hits or transfers, as a gateway sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np

from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.messages import VERSION, EndMessage, frame_messages
from muonstream.sources.identity import Run
from muonstream.words import Words, decode

Sent = tuple[int, Sequence[tuple[str, bytes]], bytes | None]
"""Partition, headers, value."""

RUN = Run(7, "cosmics")
BLOCK_WORDS = 64


def frames_of(words: Words) -> Frames:
    builder = FrameBuilder(Detector.default().boards)
    return Frames.join([builder.push(words), builder.finish()])


def as_frames(words: Words, partitions: int = 1, run: Run = RUN, part_words: int = 1 << 16) -> list[Sent]:
    messages = frame_messages(frames_of(words), run, part_words=part_words)
    return [(message.partition(partitions), message.headers(), message.value()) for message in messages]


def objects(words: Words) -> list[bytes]:
    fields = decode(words)
    columns = (fields.head, fields.fpga, fields.channel, fields.orbit, fields.bx, fields.tdc)
    names = ("HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [json.dumps(dict(zip(names, row, strict=True))).encode() for row in rows]


def loose(kind: str, run: Run, position: int) -> list[tuple[str, bytes]]:
    return [
        ("kind", kind.encode()),
        ("version", b"%d" % VERSION),
        ("run-name", run.name.encode()),
        ("run-number", b"%d" % run.number),
        ("position", b"%d" % position),
    ]


def as_hits(words: Words, partitions: int = 1, run: Run = RUN) -> list[Sent]:
    return [
        (index // BLOCK_WORDS * 7 % partitions, loose("json", run, index), value)
        for index, value in enumerate(objects(words))
    ]


def as_transfers(words: Words, partitions: int = 1, run: Run = RUN) -> list[Sent]:
    return [
        (
            at // 128 % partitions,
            loose("dma", run, at),
            np.concatenate([[np.uint64(run.number)], words[at : at + 128]]).astype("<u8").tobytes(),
        )
        for at in range(0, len(words), 128)
    ]


def ends(partitions: int = 1, run: Run = RUN, words: int = 0, malformed: int = 0) -> list[Sent]:
    end = EndMessage(run, words, malformed=malformed)
    return [(partition, end.headers(), end.value()) for partition in range(partitions)]


def bare(sent: Iterable[Sent]) -> list[Sent]:
    """The same without headers, as the course's producer sends them."""
    return [(partition, [], value) for partition, _, value in sent]


def send(address: str, topic: str, sent: Sequence[Sent]) -> None:
    """Send all in order, and wait until the broker has them."""
    from confluent_kafka import KafkaError, Message, Producer

    failed: list[str] = []

    def told(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    producer = Producer(
        {"bootstrap.servers": address, "acks": "all", "enable.idempotence": True, "message.max.bytes": 8 << 20}
    )
    for partition, headers, value in sent:
        while True:
            try:
                producer.produce(topic, value, partition=partition, headers=list(headers) or None, on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert failed == []


def send_in_transactions(address: str, topic: str, sent: Sequence[Sent], each: int, *, commit_last: bool = True) -> int:
    """Send in transactions of `each` messages, as Flink, Connect and mirrors do; each third is first aborted.

    Gives how many messages were sent in vain. Each transaction leaves a marker in the partitions that it wrote to.
    """
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "transactional.id": f"of {topic}"})
    producer.init_transactions(30)
    pieces = [sent[at : at + each] for at in range(0, len(sent), each)]
    plan = [(piece, commit) for i, piece in enumerate(pieces) for commit in ([False, True] if i % 3 == 0 else [True])]
    if not commit_last:
        plan[-1] = plan[-1][0], False
    for piece, commit in plan:
        producer.begin_transaction()
        for partition, headers, value in piece:
            producer.produce(topic, value, partition=partition, headers=list(headers) or None)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    return sum(len(piece) for piece, commit in plan if not commit)
