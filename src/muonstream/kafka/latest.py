"""The last message of each of a topic's partitions, past what transactions leave at their ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from muonstream.kafka.client import client_library
from muonstream.kafka.patience import Patience
from muonstream.sources.identity import MOST_DIGITS, Run

if TYPE_CHECKING:
    from confluent_kafka import Consumer

LOGGER: Final = logging.getLogger(__name__)
POLL_S: Final = 0.1
LOOK_S: Final = 10.0
"""The longest time to search for them."""
GROWTH: Final = 16
NAMED: Final = 5
"""Partitions that a line names."""
LOOK_BACK: Final = 1 << 16
"""How many offsets back in a partition: a commit marker or an aborted message takes an offset, and is not read."""


Place = tuple[str, int]
"""A topic and a partition of it."""
Ends = Mapping[Place, tuple[int, int]]
"""The first offset of each partition and the one behind its last."""


def last_messages(consumer: Consumer, ends: Ends) -> dict[Place, Any]:
    """The last message of each partition; none of one that is empty, or has only markers at its end.

    consumer: with `enable.partition.eof`, and nothing assigned afterwards
    Partitions whose message does not come in `LOOK_S` are missing, and one line of the log says which.
    """
    found: dict[Place, Any] = {}
    pending = {place: low for place, (low, high) in ends.items() if high > low}
    span, patience, unread = 1, Patience(LOOK_S), set(pending)
    while pending and not patience.over():
        begin = {place: max(low, ends[place][1] - span) for place, low in pending.items()}
        unread = set(begin)
        until = {place: ends[place][1] - 1 for place in begin}
        for place, message in _read(consumer, begin, until, patience, unread):
            found[place] = message
        more = span < LOOK_BACK
        pending = {place: low for place, low in pending.items() if place not in found and begin[place] > low and more}
        span *= GROWTH
    if unread := unread - found.keys():
        names = ", ".join(f"{topic} {partition}" for topic, partition in sorted(unread)[:NAMED])
        LOGGER.warning(
            "No last message of %d of %d partitions came in %g s, and these are taken for empty: %s%s",
            len(unread),
            len(ends),
            LOOK_S,
            names,
            " and others" * (len(unread) > NAMED),
        )
    consumer.unassign()
    return found


def messages_at(consumer: Consumer, offsets: Mapping[Place, int]) -> dict[Place, Any]:
    """The first message of each partition from an offset on; none where there is none, or it does not come."""
    found: dict[Place, Any] = {}
    for place, message in _read(consumer, offsets, offsets, Patience(LOOK_S), set(offsets)):
        found.setdefault(place, message)
    return found


def _read(
    consumer: Consumer,
    begin: Mapping[Place, int],
    until: Mapping[Place, int],
    patience: Patience,
    reading: set[Place],
) -> Iterator[tuple[Place, Any]]:
    """The messages of partitions from an offset to another, or to their end.

    reading: the partitions; afterwards those whose end was not reached in time
    """
    library = client_library()
    consumer.assign([library.TopicPartition(topic, partition, at) for (topic, partition), at in begin.items()])
    while reading and not patience.over():
        for message in consumer.consume(1000, POLL_S):
            place, error = (message.topic() or "", -1 if (at := message.partition()) is None else at), message.error()
            if error is None and place in begin:
                yield place, message
                if (message.offset() or 0) >= until[place]:
                    reading.discard(place)
            elif error is not None:  # its end, or it may not be read
                reading.discard(place)


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
