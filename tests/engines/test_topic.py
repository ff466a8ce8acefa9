"""The engine on a topic with a reader that gives what it is told to, in the worst order there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from kafka_messages import RUN, Sent, as_hits, ends

from muonstream.detector.model import Detector
from muonstream.engines import topic as topic_engine
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.messages import EndMessage
from muonstream.run.board import Board
from muonstream.run.intervals import Intervals
from muonstream.run.monitor import Snapshot
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.sinks.store import Store
from muonstream.sources.identity import Run
from muonstream.verdicts.verdicts import Acknowledgement

WORDS = simulate_words(20_000, rate_hz=5000, seed=6)


@dataclass
class Message:
    place: int
    said: Sequence[tuple[str, bytes]]
    content: bytes | None

    def offset(self) -> int:
        return self.place

    def headers(self) -> Sequence[tuple[str, bytes]]:
        return self.said

    def value(self) -> bytes | None:
        return self.content


@dataclass
class Reader:
    """Gives the messages of the last partition that may be read, so many at a time.

    added: partitions that the topic gets when there is nothing to read for the first time
    never: partitions whose end cannot be reached, as behind a transaction's marker
    """

    waiting: dict[int, deque[Message]]
    at_once: int
    never: frozenset[int] = frozenset()
    paused: frozenset[int] = frozenset()
    ever_paused: set[int] = field(default_factory=set)
    added: dict[int, deque[Message]] = field(default_factory=dict)
    empty: int = 0
    low: dict[int, int] = field(default_factory=dict)
    """the oldest offset kept of partitions that have nothing else"""

    def __post_init__(self) -> None:
        self.next = dict.fromkeys(self.waiting, 0) | self.low

    def start(self, stored: Mapping[int, int], ended: Iterable[int] = ()) -> None:
        pass

    def read(self) -> dict[int, list[Message]]:
        for partition in reversed(self.waiting):
            if self.waiting[partition] and partition not in self.paused:
                several = [self.waiting[partition].popleft() for _ in range(self.at_once) if self.waiting[partition]]
                self.next[partition] = several[-1].offset() + 1
                return {partition: several}
        self.empty += 1
        assert self.empty < 100, "nothing is read any more"
        return {}

    def pause(self, partitions: Iterable[int]) -> None:
        self.paused = frozenset(partitions)
        self.ever_paused |= self.paused

    def caught_up(self, partition: int) -> bool:
        return not self.waiting[partition] and partition not in self.never

    def confirm(self, partition: int) -> bool:
        return self.caught_up(partition)

    def watermarks(self, partition: int, timeout_s: float = 0.0) -> tuple[int, int]:
        low = self.low.get(partition, 0)
        return low, max(low, self.next[partition] + len(self.waiting[partition]))

    def stop_at(self, partition: int, offset: int) -> None:
        pass

    def new_partitions(self) -> list[int]:
        new = [p for p in self.added if p not in self.waiting and self.empty]
        for partition in new:
            self.waiting[partition] = self.added[partition]
            self.next[partition] = 0
        return new

    @property
    def lag(self) -> int:
        return sum(map(len, self.waiting.values()))


def parted(sent: Iterable[Sent], partitions: int) -> dict[int, deque[Message]]:
    found: dict[int, deque[Message]] = {p: deque() for p in range(partitions)}
    for partition, headers, value in sent:
        found[partition].append(Message(len(found[partition]), headers, value))
    return found


@pytest.mark.parametrize("asked", [None, Run(RUN.number), RUN])
@pytest.mark.parametrize("killed_at", [[7], [3, 8, 7]])
def test_results_count_once_by_run_and_sequence_wherever_the_engine_is_killed(
    tmp_path: Path, asked: Run | None, killed_at: list[int]
) -> None:
    """Asked for before it begins, it has a name only when its first message comes."""
    other = as_hits(WORDS[:700], 1, Run(3, "before")) if asked is not None else []
    sent = parted([*other, *as_hits(WORDS), *ends()], 1)[0]
    received: dict[tuple[str, int], int] = {}
    for steps in [*killed_at, 100]:
        with Store(tmp_path / "s.db") as store, Pipeline(Detector.default(), workers=0) as pipeline:
            pipeline.intervals = Intervals(pipeline.catalogue, windows=3)
            reader = Reader({0: deque(sent)}, 1500)
            named = asked is not None
            engine = TopicEngine(
                cast(Any, reader), pipeline, Deliveries(wanted=asked, named=named), store=store, name="t"
            )
            saved = store.load("t")
            if saved is not None:
                engine.restore(saved)
            engine.begin()
            next_one = engine.deliveries.parts[0].next
            reader.waiting[0] = deque(message for message in sent if message.place >= next_one)
            engine._take({})  # nothing has come yet
            for step in range(steps):
                if engine.over:
                    break
                engine._take(reader.read())
                if step % 2:
                    engine.save()
                for interval in pipeline.intervals.take():
                    total = int(pipeline.catalogue.chamber_hits(interval.counts).sum())
                    # what a consumer does that drops what it has had
                    received.setdefault((engine._snapshot().run, interval.sequence), total)
            if engine.over:
                pipeline.finish()
                for interval in pipeline.intervals.take():
                    total = int(pipeline.catalogue.chamber_hits(interval.counts).sum())
                    received.setdefault((engine._snapshot("ended").run, interval.sequence), total)
            assert [source for source, _, _ in store.runs()] in ([], ["t"])
    assert {run for run, _ in received} == {RUN.name}
    with Pipeline(Detector.default(), workers=0) as pipeline:
        pipeline.push(WORDS)
        pipeline.finish()
        assert sum(received.values()) == summary(pipeline.snapshot("ended"))["hits"]


def forced(board: Board, snapshot: Snapshot, number: int = 3) -> None:
    """Have the board find that windows were forced, for long enough."""
    for second in range(0, 20, 2):
        later_s = snapshot.data_time_s + second
        board.update(replace(snapshot, state="running", forced=number, data_time_s=later_s))
    assert [status.finding.check for status in board.verdicts.alarms] == ["forced windows"]


@contextmanager
def engine_of(store: Store, waiting: dict[int, deque[Message]]) -> Iterator[tuple[TopicEngine, Board]]:
    """An engine that goes on from its store, and the board of its alarms."""
    with Pipeline(Detector.default(), workers=0) as pipeline:
        pipeline.board = board = Board(live=False)
        engine = TopicEngine(cast(Any, Reader(waiting, 1500)), pipeline, Deliveries(wanted=RUN), store=store, name="t")
        saved = store.load("t")
        if saved is not None:
            engine.restore(saved)
        engine.begin()
        yield engine, board


def acknowledged(board: Board) -> list[Acknowledgement | None]:
    return [status.acknowledged for status in board.verdicts.alarms]


KNOWN = Acknowledgement("connector", 7.0, "Ada")


def test_what_people_do_is_stored_though_no_words_come_and_nothing_is_due(tmp_path: Path) -> None:
    stop, stored = Event(), list[bool]()
    with Store(tmp_path / "s.db") as store:
        with engine_of(store, parted(as_hits(WORDS), 1)) as (engine, board):
            reader = cast(Any, engine.reader)

            def publish(snapshot: Snapshot) -> None:
                if snapshot.state == "ended":
                    return
                if reader.empty == 3:
                    forced(board, snapshot)
                    assert board.acknowledge_all(KNOWN.why, KNOWN.time, KNOWN.name) == 1
                elif reader.empty == 5:
                    # SIGKILL would come here: nothing else is written
                    saved = store.load("t")
                    assert saved is not None
                    stored.append(
                        asdict(KNOWN) in [known for *_, known in saved.state["board"]["verdicts"]["statuses"]]
                    )
                    assert board.retract("forced windows", "Stream")
                elif reader.empty == 7:
                    saved = store.load("t")
                    assert saved is not None
                    stored.append(saved.state["board"]["withdrawn"] == [["forced windows", "Stream"]])
                    assert board.acknowledge_all(KNOWN.why, KNOWN.time, KNOWN.name) == 1
                    stop.set()

            engine.run(stop, publish=publish, interval_s=0, store_every_s=1e9)
        assert stored == [True, True]
        with engine_of(store, parted(as_hits(WORDS), 1)) as (_, board):
            assert acknowledged(board) == [KNOWN]


def test_what_people_do_after_the_runs_end_is_stored(tmp_path: Path) -> None:
    sent = [*as_hits(WORDS), *ends()]
    with Store(tmp_path / "s.db") as store:
        with engine_of(store, parted(sent, 1)) as (engine, board):
            forced(board, engine.run(Event(), publish=lambda snapshot: None))
            engine.keep_acts()
            assert board.acknowledge_all(KNOWN.why, KNOWN.time, KNOWN.name) == 1
        engine.keep_acts()
        saved = store.load("t")
        assert saved is not None
        assert saved.ended
        with engine_of(store, parted(sent, 1)) as (engine, board):
            assert acknowledged(board) == [KNOWN]
            assert engine.over
            assert engine.run(Event(), publish=lambda snapshot: None).account.words == len(WORDS)


def counted(reader: Reader) -> Snapshot:
    """What the engine makes of it, each look of it a second after the one before."""
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    with Pipeline(Detector.default(), workers=0) as pipeline:
        engine = TopicEngine(cast(Any, reader), pipeline, Deliveries(wanted=RUN), clock=clock)
        engine.begin()
        return engine.run(Event(), publish=lambda snapshot: None)


@pytest.mark.parametrize("at_once", [100, 700, 4000])
@pytest.mark.parametrize("never", [frozenset[int](), frozenset({0})])
def test_partitions_that_were_paused_are_read_when_nothing_else_is_left(
    monkeypatch: pytest.MonkeyPatch, at_once: int, never: frozenset[int]
) -> None:
    monkeypatch.setattr(topic_engine, "HELD_HIGH", 3000)
    monkeypatch.setattr(topic_engine, "HELD_LOW", 500)
    monkeypatch.setattr(topic_engine, "AHEAD_WINDOWS", 3)
    reader = Reader(parted([*as_hits(WORDS, 3), *ends(3)], 3), at_once, never)
    found = counted(reader)
    assert reader.ever_paused
    assert found.account.words == len(WORDS)
    assert found.account.late == 0
    assert found.account.balanced


@pytest.mark.parametrize("others", [False, True])
def test_a_partition_that_is_added_in_mid_run_need_not_have_the_runs_end(others: bool) -> None:
    sent = as_hits(WORDS, 2)
    last = parted([*sent[-1000:], *ends(2)], 2)
    waiting = parted(sent[:-1000], 2)
    # another run begins where this one's gateway never sends anything
    foreign = parted(as_hits(WORDS[:50], 1, run=Run(8, "next")), 1)[0] if others else deque[Message]()
    reader = Reader(waiting, 500, added={2: foreign})
    read = reader.read

    def and_on() -> dict[int, list[Message]]:
        found = read()
        if not found and 2 in reader.waiting:
            for partition in (0, 1):
                begin = reader.next[partition]
                waiting[partition].extend(Message(begin + m.place, m.said, m.content) for m in last[partition])
            last[0].clear()
            last[1].clear()
        return found

    reader.read = and_on  # type: ignore[method-assign]
    found = counted(reader)
    assert 2 in reader.waiting
    assert found.account.words == len(WORDS)
    assert found.account.balanced


def an_end(partition: int, partitions: int, offsets: tuple[int, ...] = ()) -> Sent:
    end = EndMessage(RUN, words=len(WORDS), forced=3, partitions=partitions, offsets=offsets)
    return partition, end.headers(), end.value()


def test_a_partition_that_was_added_while_no_engine_ran_need_not_have_the_runs_end() -> None:
    """The end says to how many partitions the run was sent."""
    found = counted(Reader(parted([*as_hits(WORDS, 2), an_end(0, 2), an_end(1, 2)], 3), 500))
    assert found.account.words == len(WORDS)
    assert found.forced == 3
    assert not any(line.startswith("incomplete") for line in found.faults)


def test_words_that_never_came_are_reported_at_the_end() -> None:
    """Such as those that were deleted before anybody read them."""
    found = counted(Reader(parted([*as_hits(WORDS)[300:], an_end(0, 1)], 1), 500))
    assert found.account.words == len(WORDS) - 300
    said = f"incomplete: the run's end says {len(WORDS):,} words, 300 of them did not come"
    assert said in found.faults


def test_an_end_that_was_deleted_unread_is_lost_and_the_run_ends() -> None:
    """The end of another partition says below which offset the words are, and the broker that all of those are gone."""
    reader = Reader(parted([*as_hits(WORDS[:700]), an_end(0, 2, (700, 41))], 2), 500, low={1: 42})
    found = counted(reader)
    assert any(line.startswith("lost: 1 message; the last: partition 1: the run's end") for line in found.faults)
    assert (
        f"incomplete: the run's end says {len(WORDS):,} words, {len(WORDS) - 700:,} of them did not come"
        in found.faults
    )


@pytest.mark.parametrize("offsets", [(700, 42), ()])
def test_an_end_that_may_still_come_is_awaited_and_this_is_said(offsets: tuple[int, ...]) -> None:
    """Nothing from the offset on was deleted where the end may be, or an older gateway has not said where that is."""
    stop, said = Event(), list[str]()

    def seen(snapshot: Snapshot) -> None:
        said.extend(line for line in snapshot.faults if line.startswith("waiting"))
        if said:
            stop.set()

    reader = Reader(parted([*as_hits(WORDS[:700]), an_end(0, 2, offsets)], 2), 500, low={1: 42})
    with Pipeline(Detector.default(), workers=0) as pipeline:
        engine = TopicEngine(cast(Any, reader), pipeline, Deliveries(wanted=RUN))
        engine.begin()
        engine.run(stop, publish=seen, interval_s=0.0)
        assert not engine.over
    assert said[0] == "waiting for the run's end in partition 1: others have ended, and this one is drained"
