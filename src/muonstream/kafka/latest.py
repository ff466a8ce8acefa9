"""The last message of each of a topic's partitions, past what transactions leave at their ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from muonstream.kafka.client import client_library
from muonstream.sources.identity import MOST_DIGITS, Run

if TYPE_CHECKING:
    from confluent_kafka import Consumer

POLL_S: Final = 0.1
LOOK_S: Final = 10.0
"""How long is looked for them at most."""
GROWTH: Final = 16
LOOK_BACK: Final = 1 << 16
"""How many offsets back in a partition: a commit marker or an aborted message takes an offset, too."""


def last_messages(consumer: Consumer, topic: str, ends: Mapping[int, tuple[int, int]]) -> dict[int, Any]:
    """The last message of each partition; none of one that is empty, or has only markers at its end.

    consumer: with `enable.partition.eof`, and nothing assigned afterwards; ends: the first offset of each partition
    and the one behind its last
    """
    library = client_library()
    found: dict[int, Any] = {}
    pending = {p: low for p, (low, high) in ends.items() if high > low}
    span, end = 1, time.monotonic() + LOOK_S
    while pending and time.monotonic() < end:
        begin = {p: max(low, ends[p][1] - span) for p, low in pending.items()}
        consumer.assign([library.TopicPartition(topic, p, at) for p, at in begin.items()])
        reading = set(begin)
        while reading and time.monotonic() < end:
            for message in consumer.consume(1000, POLL_S):
                partition, error = message.partition(), message.error()
                if partition is None or partition not in ends:
                    continue
                if error is None:
                    found[partition] = message
                at_end = error is not None and error.code() == library.KafkaError._PARTITION_EOF
                if at_end or (error is None and (message.offset() or 0) >= ends[partition][1] - 1):
                    reading.discard(partition)
        more = span < LOOK_BACK
        pending = {p: low for p, low in pending.items() if p not in found and begin[p] > low and more}
        span *= GROWTH
    consumer.unassign()
    return found


def run_of(message: Any) -> Run | None:
    """The run that a message's headers name, None where they name none."""
    headers = dict(message.headers() or ())
    number = headers.get("run-number") or b""
    if not number.isdigit() or len(number) > MOST_DIGITS:
        return None
    return Run(int(number), (headers.get("run-name") or b"").decode("utf-8", "replace"))


def newest_run(messages: Iterable[Any]) -> Run | None:
    """The run of the message written last, None where none names one."""
    found = [
        (message.timestamp()[1], message.partition(), run)
        for message in messages
        if (run := run_of(message)) is not None
    ]
    return max(found, key=lambda entry: entry[:2])[2] if found else None
