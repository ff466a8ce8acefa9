from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import pytest
from kafka_fixtures import TopicMaker, add_partitions, delete_before
from kafka_messages import Sent, as_frames, as_hits, as_transfers, bare, send
from kafka_messages import ends as end_messages

from muonstream.formats.block import SourceError
from muonstream.kafka import offsets as topic_ends
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.offsets import TopicOffsets
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words
from tools.kafka_broker import Broker

WORDS = simulate_words(512, seed=3)
Opened = Callable[[str], TopicOffsets]


@pytest.fixture
def opened(broker: Broker) -> Iterator[Opened]:
    """Opens topics, and closes them in the end."""
    made: list[TopicOffsets] = []

    def open_one(topic: str) -> TopicOffsets:
        ends = TopicOffsets(Connection(KafkaAddress(broker.address, topic), timeout_s=30))
        made.append(ends)
        assert ends.open(Event())
        return ends

    yield open_one
    for ends in made:
        ends.close()


def test_an_empty_topic_has_nothing_that_waits(broker: Broker, new_topic: TopicMaker, opened: Opened) -> None:
    ends = opened(new_topic(2))
    ends.start({})
    assert ends.next == {0: 0, 1: 0}
    assert (ends.lag, ends.caught_up(0), ends.caught_up(1)) == (0, True, True)
    assert ends.words_per_message() == 0.0


def test_what_waits_is_what_nobody_has_taken(broker: Broker, new_topic: TopicMaker, opened: Opened) -> None:
    topic = new_topic(2)
    send(broker.address, topic, [(0, [], b"x")] * 5 + [(1, [], b"x")] * 3)
    ends = opened(topic)
    ends.start({0: 4})
    assert (ends.next, ends.lag) == ({0: 4, 1: 0}, 4)
    ends.next[0] = 5
    assert (ends.lag, ends.caught_up(0), ends.caught_up(1)) == (3, True, False)
    ends.stop_at(1, 2)
    assert (ends.lag, ends.next[1]) == (0, 2)
    # somebody may have taken more than there was when the broker was asked
    ends.next[0] = 9
    assert (ends.lag, ends.caught_up(0)) == (0, True)
    ends.start({0: 0, 1: 0}, ended=[0])
    assert ends.lag == 3


def test_an_offset_that_is_gone_is_an_error(broker: Broker, new_topic: TopicMaker, opened: Opened) -> None:
    ends = opened(new_topic())
    with pytest.raises(SourceError, match=r"partition 0: offset 3: the topic ends at 0"):
        ends.start({0: 3})


def test_a_partition_that_has_ended_may_have_lost_its_messages(
    broker: Broker, new_topic: TopicMaker, opened: Opened
) -> None:
    topic = new_topic(2)
    send(broker.address, topic, [(0, [], b"x")] * 5 + [(1, [], b"x")] * 3)
    delete_before(broker.address, topic, 4)
    ends = opened(topic)
    ends.start({0: 2, 1: 1}, ended=[0])
    assert (ends.next, ends.lag) == ({0: 4, 1: 1}, 2)


@pytest.mark.parametrize("taken", [0, 2])
def test_what_waits_in_partitions_that_come_later_is_known(
    broker: Broker, new_topic: TopicMaker, opened: Opened, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr(topic_ends, "ASK_EVERY_S", 0)
    topic = new_topic(1)
    ends = opened(topic)
    ends.start({})
    add_partitions(broker.address, topic, 2)
    send(broker.address, topic, [(1, [], b"x")] * 5)
    if taken:
        ends.next[1] = taken  # by somebody who found them earlier
        assert not ends.caught_up(1)
    else:
        while not ends.look():
            pass
    while not ends.lag:  # the client has yet to learn of it
        ends.ask()
    assert (ends.partitions, ends.next) == ([0, 1], {0: 0, 1: taken})
    assert (ends.lag, ends.caught_up(0), ends.caught_up(1)) == (5 - taken, True, False)
    ends.next[1] = 5
    assert (ends.lag, ends.caught_up(1)) == (0, True)
    assert not ends.consumer.assignment()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(as_hits, 1.0, id="hits"),
        pytest.param(lambda words, partitions: bare(as_hits(words, partitions)), 1.0, id="bare hits"),
        pytest.param(as_transfers, 128.0, id="transfers"),
        pytest.param(lambda words, partitions: [(0, [], b"\x00x"), (1, [], None)], 0.0, id="neither"),
        pytest.param(lambda words, partitions: end_messages(partitions), 0.0, id="ends"),
    ],
)
def test_a_messages_words_are_told_by_the_first_and_last(
    broker: Broker, new_topic: TopicMaker, opened: Opened, sent: Callable[[Words, int], list[Sent]], expected: float
) -> None:
    topic = new_topic(2)
    send(broker.address, topic, sent(WORDS, 2))
    ends = opened(topic)
    ends.start({})
    assert ends.words_per_message() == expected
    # nothing was taken
    assert ends.next == {0: 0, 1: 0}


def test_of_frames_the_mean_is_told(broker: Broker, new_topic: TopicMaker, opened: Opened) -> None:
    topic = new_topic()
    messages = as_frames(WORDS)
    send(broker.address, topic, messages)
    sizes = [len(value or b"") // 8 for _, _, value in messages]
    ends = opened(topic)
    ends.start({})
    places = {0, max(len(sizes) - 2, 0)}
    assert sum(sizes) == len(WORDS)
    assert len(sizes) > 1
    assert ends.words_per_message() == sum(sizes[at] for at in places) / len(places)


def test_nobody_who_can_be_told_to_wait_reads_here(broker: Broker, new_topic: TopicMaker, opened: Opened) -> None:
    ends = opened(new_topic())
    ends.start({})
    ends.pause([0])
    assert not ends.consumer.assignment()
