"""The newest run of each topic: its name, how many words, when it began and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from muonstream.kafka.client import Connection
from muonstream.kafka.latest import Ends, Place, last_messages, messages_at, newest_run, run_of
from muonstream.kafka.messages import EndMessage, Kind, MessageError, kind_of
from muonstream.sources.identity import MOST_DIGITS, Run
from muonstream.words import DMA_WORDS

FETCHED_BYTES: Final = 1 << 16
"""Of a partition at once: one message is enough, and larger ones come all the same."""


@dataclass(frozen=True, slots=True)
class RunInTopic:
    """A run as its messages describe it; begun and ended: unix time in s by the messages' time stamps.

    words: as its gateway said at the end, before that as far as was sent, None where no message says
    begun: of the first message that is kept; ended: None while it goes on
    """

    run: Run
    words: int | None
    begun: float
    ended: float | None

    def line(self) -> str:
        """The run in one line of text."""
        name = f"{self.run.number} {self.run.name}".rstrip()
        words = "words not known" if self.words is None else f"{self.words:,} words"
        ended = "not ended" if self.ended is None else f"ended {_at(self.ended)}"
        return f"run {name}: {words}{'' if self.ended else ' so far'}, begun {_at(self.begun)}, {ended}"


def _at(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def newest_runs(connection: Connection, ends: Ends) -> dict[str, RunInTopic]:
    """The newest run of each topic whose messages name one; ends: of all partitions. Raises KafkaAccessError."""
    consumer = connection.consumer(enable_partition_eof=True, fetch_message_max_bytes=FETCHED_BYTES)
    try:
        with connection.faults():
            last = last_messages(consumer, ends)
            newest = {topic: newest_run(m for (name, _), m in last.items() if name == topic) for topic, _ in ends}
            ours = {place: m for place, m in last.items() if run_of(m) is not None and run_of(m) == newest[place[0]]}
            first = _first(consumer, {place: (ends[place][0], message) for place, message in ours.items()})
    finally:
        consumer.close()
    found = {}
    for topic, run in newest.items():
        if run is None:
            continue
        tails = [(_words_of(message), _seconds(message)) for place, message in ours.items() if place[0] == topic]
        words = [n for (n, _), _ in tails if n is not None]
        ended = [seconds for (_, is_end), seconds in tails if is_end]
        begun = min(_seconds(message) for place, message in first.items() if place[0] == topic)
        found[topic] = RunInTopic(run, max(words, default=None), begun, max(ended, default=None))
    return found


def _seconds(message: Any) -> float:
    """The time stamp of a message, as unix time in s."""
    return float(message.timestamp()[1] / 1000)


def _words_of(message: Any) -> tuple[int | None, bool]:
    """How many words of its run had been sent with a message, and whether it is the run's end."""
    headers, value = message.headers() or (), message.value()
    try:
        kind = kind_of(headers, value)
        if kind is Kind.END:
            return EndMessage.decode(headers, value).words, True
    except MessageError:
        return None, False
    place = dict(headers).get("position") or b""
    if not place.isdigit() or len(place) > MOST_DIGITS:
        return None, False
    return int(place) + {Kind.JSON: 1, Kind.DMA: DMA_WORDS - 1}.get(kind, 0), False


def _first(consumer: Any, runs: Mapping[Place, tuple[int, Any]]) -> dict[Place, Any]:
    """The first message of a run in each partition, of which are given the begin and the run's last message.

    Runs follow one another: halving the offsets finds it, in all partitions together.
    """
    first = {place: last for place, (_, last) in runs.items()}
    low = {place: at for place, (at, _) in runs.items()}
    high = {place: int(last.offset()) for place, (_, last) in runs.items()}
    while middle := {place: (low[place] + high[place]) // 2 for place in first if low[place] < high[place]}:
        found = messages_at(consumer, middle)
        for place, offset in middle.items():
            message = found.get(place)
            if message is None or message.offset() >= high[place]:
                high[place] = offset  # only markers, which are not messages
            elif run_of(message) == run_of(first[place]):
                first[place], high[place] = message, offset
            else:
                low[place] = message.offset() + 1
    return first
