"""Where a topic is begun and gone on with, by a client that has what it is told to have."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaException

from muonstream.formats.block import SourceError
from muonstream.kafka.reader import BATCH_BYTES, COLLECT_AFTER, Begin, TopicReader

GONE, END = 1, -191


class Reader(TopicReader):
    """A reader with no broker: `watermarks` of each partition are given, and what its client consumes."""

    def __init__(self, begin: str, ends: dict[int, tuple[int, int]], found: list[Any] | None = None) -> None:
        self.lost: list[tuple[int, int, int]] = []
        self.begin = Begin.parse(begin)
        self.partitions = sorted(ends)
        self.next = {}
        self.ends = ends
        self.assigned: list[Any] = []
        self.connection = SimpleNamespace(
            address="kafka://b:1/t", check=lambda: None, timeout_s=1.0, faults=nullcontext, reachable=lambda: True
        )  # type: ignore[assignment]
        self._stopped = set()
        self._errors, self._unanswered = [], {}
        self._paused = frozenset()
        self._most, self._batch_bytes = 256, BATCH_BYTES
        self._thresholds, self._told, self._tell_due = None, {}, 0.0
        self.committed: list[Any] = []
        self.on_lost = lambda *lost: self.lost.append(lost)
        self._library = SimpleNamespace(
            KafkaException=KafkaException,
            KafkaError=SimpleNamespace(
                _AUTO_OFFSET_RESET=-140,
                _PARTITION_EOF=END,
                OFFSET_OUT_OF_RANGE=GONE,
                UNKNOWN_TOPIC_OR_PART=3,
                TOPIC_AUTHORIZATION_FAILED=29,
            ),
        )
        given = [found or []]
        self._consumer = SimpleNamespace(  # type: ignore[assignment]
            consume=lambda n, timeout_s: given.pop() if given else [],
            assign=self.assigned.extend,
            commit=self._commit,
            close=lambda: None,
            incremental_assign=self.assigned.extend,
            incremental_unassign=lambda partitions: None,
        )

    def _commit(self, *, offsets: list[Any], asynchronous: bool) -> None:
        self.committed.append(sorted(offsets))
        raise KafkaException("may not")

    def all_watermarks(self) -> dict[int, tuple[int, int]]:
        return self.ends

    def watermarks(self, partition: int, timeout_s: float = 1.0) -> tuple[int, int]:
        return self.ends[partition]

    def _at(self, partition: int, offset: int | None = None) -> Any:
        return partition, offset


class Message:
    def __init__(self, offset: int, code: int | None = None) -> None:
        self._offset, self._code = offset, code

    def error(self) -> Any:
        code = self._code
        return None if code is None else SimpleNamespace(code=lambda: code, fatal=lambda: False, str=lambda: "gone")

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def __len__(self) -> int:
        return 8


@pytest.mark.parametrize(
    ("begin", "stored", "ends", "wanted", "lost"),
    [
        ("", None, (10, 90), 10, 0),
        ("latest", None, (10, 90), 90, 0),
        ("0:50", None, (10, 90), 50, 0),
        # what is stored is gone on with, as long as it is there
        ("", 40, (10, 90), 40, 0),
        ("latest", 40, (10, 90), 40, 0),
        ("earliest", 40, (10, 90), 40, 0),
        ("0:50", 40, (10, 90), 50, 10),
        # and where it is gone, one is told where to go on
        ("earliest", 5, (10, 90), 10, 5),
        ("latest", 5, (10, 90), 90, 85),
    ],
)
def test_where_a_partition_is_begun(
    begin: str, stored: int | None, ends: tuple[int, int], wanted: int, lost: int
) -> None:
    reader = Reader(begin, {0: ends})
    reader.start({} if stored is None else {0: stored})
    assert reader.next == {0: wanted}
    assert reader.assigned == [(0, wanted)]
    assert sum(last - first for _, first, last in reader.lost) == lost


@pytest.mark.parametrize("begin", ["latest", "earliest", "0:50"])
def test_the_next_run_begins_where_the_last_one_ended(begin: str) -> None:
    reader = Reader(begin, {0: (0, 90)})
    reader.start({})
    reader.ends = {0: (0, 500)}
    reader.start({0: 90})
    assert reader.next == {0: 90}
    assert reader.lost == []


@pytest.mark.parametrize("begin", ["", "earliest", "latest"])
def test_what_has_ended_need_not_be_retained(begin: str) -> None:
    reader = Reader(begin, {0: (6000, 7000), 1: (0, 50)})
    reader.start({0: 5000, 1: 7}, [0])
    assert reader.next == {0: 5000, 1: 7}
    assert reader.assigned == [(1, 7)]
    assert reader.lost == []
    with pytest.raises(SourceError, match="partition 0: offset 5000: "):
        Reader("", {0: (6000, 7000)}).start({0: 5000})


def test_a_partition_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="--from: found partition 9, expected the topic's: 0 to 1"):
        Reader("9:1", {0: (0, 1), 1: (0, 1)}).start({})


def test_partitions_without_a_leader_for_a_moment_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.kafka.reader.POLL_S", 0.0)
    reader = Reader("", {0: (3, 9)})
    answers: list[dict[int, tuple[int, int]] | None] = [{0: (3, 9)}, None, None]

    def asked() -> dict[int, tuple[int, int]]:
        answer = answers.pop()
        if answer is None:
            raise SourceError("no leader")
        return answer

    monkeypatch.setattr(reader, "all_watermarks", asked)
    reader.start({})
    assert reader.next == {0: 3}
    reader.connection.timeout_s = -1.0
    answers[:] = [None]
    with pytest.raises(SourceError, match="no leader"):
        reader.start({})


def test_an_offset_that_is_gone_in_mid_batch_loses_what_is_between() -> None:
    messages = [Message(100), Message(101), Message(102), Message(103, GONE)]
    reader = Reader("earliest", {0: (500, 900)}, messages)
    reader.next = {0: 100}
    assert [message.offset() for message in reader.read()[0]] == [100, 101, 102]
    # what came before is taken before it is told
    assert (reader.lost, reader.next) == ([], {0: 103})
    assert reader.read() == {}
    assert reader.lost == [(0, 103, 500)]
    assert reader.assigned == [(0, 500)]
    assert reader.next == {0: 500}


def test_a_deleted_offset_of_a_partition_without_a_leader_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are read meanwhile, and the run ends only when no leader comes in the time allowed."""
    reader = Reader("earliest", {0: (500, 900)}, [Message(103, GONE)])
    reader.next = {0: 103}
    answers: list[tuple[int, int] | None] = [(500, 900), None, None]

    def asked(partition: int, timeout_s: float = 1.0) -> tuple[int, int]:
        answer = answers.pop()
        if answer is None:
            raise SourceError("no leader")
        return answer

    monkeypatch.setattr(reader, "watermarks", asked)
    for _ in range(3):
        assert (reader.read(), reader.lost) == ({}, [])
    reader.read()
    assert (reader.lost, reader.assigned, reader.next) == ([(0, 103, 500)], [(0, 500)], {0: 500})
    late = Reader("earliest", {0: (500, 900)}, [Message(103, GONE)])
    late.next, late.connection.timeout_s = {0: 103}, 0.0
    monkeypatch.setattr(late, "watermarks", asked)
    answers[:] = [None]
    late.read()
    with pytest.raises(SourceError, match="no leader"):
        late.read()


def test_behind_the_last_message_may_be_what_is_none() -> None:
    """Commit markers and aborted messages have offsets; the client says where the end is."""
    reader = Reader("", {0: (0, 103), 1: (0, 9)}, [Message(100), Message(102, END)])
    reader.next = {0: 100, 1: 0}
    assert [message.offset() for message in reader.read()[0]] == [100]
    assert reader.next == {0: 102, 1: 0}
    assert reader.read() == {}
    # an end that was reached before the last message says nothing
    again = Reader("", {0: (0, 103)}, [Message(100, END), Message(100), Message(101)])
    again.next = {0: 100}
    again.read()
    assert again.next == {0: 102}
    # and none of a partition that is not read any more
    ended = Reader("", {0: (0, 103)}, [Message(102, END)])
    ended.next, ended._stopped = {0: 50}, {0}
    assert (ended.read(), ended.next) == ({}, {0: 50})


def test_how_far_was_read_is_told_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("muonstream.kafka.reader.time.monotonic", lambda: now[0])
    reader = Reader("", {0: (0, 103)}, [Message(100), Message(102, END)])
    reader.next = {0: 100}
    reader.read()
    reader.read()
    assert reader.committed == [[(0, 100)]]  # no right to it: nothing is raised
    now[0] += 6
    reader.read()
    assert reader.committed == [[(0, 100)], [(0, 102)]]
    now[0] += 6
    reader.read()
    reader.close()
    assert len(reader.committed) == 2  # nothing new
    again = Reader("", {0: (0, 103)}, [Message(100)])
    again.next = {0: 100}
    again.read()
    again.close()
    assert again.committed[-1] == [(0, 101)]


def test_the_collector_is_as_it_was_when_reading_ends() -> None:
    before = gc.get_threshold()
    reader = Reader("", {0: (0, 3)})
    reader._collect_seldom()
    assert gc.get_threshold() == COLLECT_AFTER
    assert gc.get_freeze_count() > 0
    reader.close()
    # whoever froze something before has nothing frozen any more, which costs time and no more
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
