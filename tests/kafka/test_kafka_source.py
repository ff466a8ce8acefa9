from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from kafka_fixtures import TopicMaker, delete_before
from kafka_messages import (
    RUN,
    Sent,
    as_frames,
    as_hits,
    as_transfers,
    bare,
    ends,
    loose,
    objects,
    send,
    send_in_transactions,
)

from muonstream.commands.options import SourceOptions
from muonstream.commands.topic import RunSelection
from muonstream.detector.model import Detector
from muonstream.engines import topic as topic_engine
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine
from muonstream.formats.block import SourceError
from muonstream.kafka import reader as kafka_source
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.reader import Begin, TopicReader
from muonstream.kafka.topics import states
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.sinks.store import Store
from muonstream.sources.identity import Run
from muonstream.verdicts.timeline import Timeline
from muonstream.words import Words
from tools.kafka_broker import Broker

DETECTOR = Detector.default()
WORDS = simulate_words(312 * 128, rate_hz=20_000, seed=3)


def reader(address: str, topic: str, begin: str = "") -> TopicReader:
    made = TopicReader(Connection(KafkaAddress(address, topic), timeout_s=30), begin=Begin.parse(begin))
    assert made.open(Event())
    return made


def engine(made: TopicReader, *, store: Store | None = None, wanted: Run | None = None) -> TopicEngine:
    pipeline = Pipeline(DETECTOR, source="topic", workers=0)
    return TopicEngine(made, pipeline, Deliveries(wanted=wanted), store=store, name="topic")


def taken(address: str, topic: str, *, stop_at: int | None = None, begin: str = "") -> dict[str, Any]:
    """The summary of a topic's run; without an end of it, of the first `stop_at` words."""
    made = reader(address, topic, begin)
    stop = Event()
    try:
        run = engine(made)
        made.on_lost = run.lost
        run.begin()

        def publish(snapshot: Any) -> None:
            if stop_at is not None and snapshot.account.words >= stop_at:
                stop.set()

        snapshot = run.run(stop, publish=publish, interval_s=0)
        assert snapshot.account.balanced
        return summary(snapshot)
    finally:
        made.close()


def expected(words: Words, malformed: int = 0) -> dict[str, Any]:
    """The same of the words themselves."""
    with Pipeline(DETECTOR, run="cosmics", source="topic", workers=0) as pipeline:
        pipeline.push(words)
        pipeline.malformed = malformed
        pipeline.finish()
        return summary(pipeline.snapshot("ended"))


@pytest.mark.parametrize("form", ["frames", "json"])
def test_verdicts_are_those_of_the_words(broker: Broker, new_topic: TopicMaker, form: str) -> None:
    words = simulate_words(100_000, seed=6, hot_cell=(3, 5), dead_cell=(2, 17))
    topic = new_topic(3)
    send(broker.address, topic, [*(as_frames if form == "frames" else as_hits)(words, 3), *ends(3)])
    made = reader(broker.address, topic)
    with Pipeline(DETECTOR, timeline=Timeline) as pipeline:
        run = TopicEngine(made, pipeline, Deliveries(), name="topic")
        run.begin()
        of_topic = run.run(Event(), publish=lambda snapshot: None, interval_s=0).verdicts
    made.close()
    with Pipeline(DETECTOR, workers=0, timeline=Timeline) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        of_words = pipeline.snapshot("ended").verdicts
    assert of_topic is not None
    assert len(of_topic.alarms) > 1
    assert of_topic == of_words


@pytest.mark.parametrize("partitions", [1, 5])
@pytest.mark.parametrize("form", [as_frames, as_hits, as_transfers])
def test_a_run_in_every_form_is_counted_as_its_words_are(
    broker: Broker, new_topic: TopicMaker, form: Any, partitions: int
) -> None:
    topic = new_topic(partitions)
    send(broker.address, topic, [*form(WORDS, partitions), *ends(partitions)])
    assert taken(broker.address, topic) == expected(WORDS)


@pytest.mark.parametrize("form", [as_hits, as_transfers])
def test_messages_without_headers_are_told_by_what_they_hold(broker: Broker, new_topic: TopicMaker, form: Any) -> None:
    topic = new_topic(3)
    words = WORDS[: 128 * 150]
    send(broker.address, topic, bare(form(words, 3)))
    found = taken(broker.address, topic, stop_at=len(words))
    assert {**found, "run": "cosmics"} == expected(words)


def test_windows_in_parts_are_put_together(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(2)
    sent = as_frames(WORDS, 2, part_words=500)
    assert max(int(dict(headers)["parts"]) for _, headers, _ in sent) > 3
    send(broker.address, topic, [*sent, *ends(2)])
    assert taken(broker.address, topic) == expected(WORDS)


@pytest.mark.parametrize("form", [as_frames, as_hits, as_transfers])
def test_what_comes_again_is_dropped_and_counted(broker: Broker, new_topic: TopicMaker, form: Any) -> None:
    topic = new_topic(2)
    sent = form(WORDS, 2)
    cut = len(sent) // 2
    again = sent[:cut] + sent[cut - 8 : cut] + sent[cut - 3 :]
    send(broker.address, topic, [*again, *ends(2)])
    found = taken(broker.address, topic)
    (fault,) = found.pop("faults")
    assert fault.startswith("duplicate: 11 messages; the last: partition")
    wanted = expected(WORDS)
    del wanted["faults"]
    assert found == wanted


def test_what_the_gateway_left_out_is_in_the_account(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic()
    send(broker.address, topic, [*as_frames(WORDS), *ends(words=len(WORDS) + 5, malformed=5)])
    assert taken(broker.address, topic) == expected(WORDS, malformed=5)


@pytest.mark.parametrize("second", [Run(8, "noise"), Run(0, "no number")])
def test_runs_one_after_another_are_kept_apart(broker: Broker, new_topic: TopicMaker, second: Run) -> None:
    topic = new_topic(2)
    first_words, second_words = WORDS[:15_000], WORDS[15_000:]
    send(broker.address, topic, [*as_frames(first_words, 2), *ends(2)])
    send(broker.address, topic, [*as_frames(second_words, 2, second), *ends(2, second)])
    made = reader(broker.address, topic)
    try:
        assert made.newest_run() == second
        newest = engine(made, wanted=second)
        newest.begin(newest_to=made.newest_to)
        assert newest.run(Event(), publish=lambda snapshot: None).account.words == len(second_words)
        one = engine(made)
        one.begin()
        assert one.run(Event(), publish=lambda snapshot: None).account.words == len(first_words)
        two = engine(made)
        two.begin(made.next)
        last = two.run(Event(), publish=lambda snapshot: None)
        assert (last.run, last.account.words, last.faults) == (second.name, len(second_words), ())
    finally:
        made.close()


@pytest.mark.parametrize("form", [as_frames, as_transfers])
def test_of_transactions_only_what_was_committed_counts(broker: Broker, new_topic: TopicMaker, form: Any) -> None:
    topic = new_topic(3)  # the third stays empty
    sent = form(WORDS, 2)
    assert send_in_transactions(broker.address, topic, [*sent, *ends(3)], len(sent) // 6) > len(sent) // 4
    assert taken(broker.address, topic) == expected(WORDS)


def test_the_ends_of_partitions_are_known_behind_markers(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(3)
    newest = Run(8, "noise")
    words = WORDS[:2000]
    send_in_transactions(broker.address, topic, as_hits(words, 2), 900)
    send_in_transactions(broker.address, topic, as_hits(words[:300], 2, newest), 100)
    # the last of all is of a run that was never committed
    send_in_transactions(broker.address, topic, as_hits(words[:90], 2, Run(9)), 90, commit_last=False)
    made = reader(broker.address, topic)
    try:
        assert made.newest_run() == newest
        made.start({})
        found = 0
        while made.lag or not all(map(made.caught_up, range(3))):
            found += sum(map(len, made.read().values()))
        assert found == 2300
        assert all(map(made.confirm, range(3)))
    finally:
        made.close()
    connection = Connection(KafkaAddress(broker.address))
    (state,) = states(connection, connection.admin(), prefix=topic)
    assert state.lag == 0  # as Kafka's own tools see it


def test_a_run_without_an_end_ends_where_the_next_begins(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic()
    second = Run(8, "noise")
    send(broker.address, topic, [*as_frames(WORDS), *as_frames(WORDS[:20_000], run=second), *ends(run=second)])
    made = reader(broker.address, topic)
    try:
        one = engine(made)
        one.begin()
        snapshot = one.run(Event(), publish=lambda snapshot: None)
        assert (snapshot.run, snapshot.account.words) == ("cosmics", len(WORDS))
        assert snapshot.faults[0].startswith("run cut off: 1 message;")
        two = engine(made)
        two.begin(made.next)
        assert two.run(Event(), publish=lambda snapshot: None).account.words == 20_000
    finally:
        made.close()


BIG = 5_000_000
HIT = objects(WORDS[:1])[0]
FRAME = as_frames(WORDS)[0]


def headers(**changes: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of a frame, changed; None takes one away."""
    new = {**dict(FRAME[1]), **{key.replace("_", "-"): value for key, value in changes.items()}}
    return [(key, value) for key, value in new.items() if value is not None]


POISON: dict[str, tuple[str, Sequence[tuple[str, bytes]], bytes | None]] = {
    "bad JSON": ("bad JSON", [], HIT[:-3]),
    "bad JSON, of ours": ("bad JSON", loose("json", RUN, 0)[:-1], b"\xff{}"),
    "not an object": ("no object", loose("json", RUN, 0)[:-1], b"[1, 2]"),
    "wrong type": ("wrong type", [], HIT.replace(b'"HEAD": 2', b'"HEAD": true')),
    "missing field": ("missing field", [], HIT.replace(b'"HEAD": 2, ', b"")),
    "row of five": ("bad row", [], b"2,1,17,123456,3563"),
    "Avro": ("Avro or Protobuf", [], b"\0\0\0\0\x07\x02\x04\x06\x08"),
    "float": ("fraction", [], HIT.replace(b'"HEAD": 2', b'"HEAD": 2.5')),
    "NaN": ("no number", [], HIT.replace(b'"HEAD": 2', b'"HEAD": NaN')),
    "out of range": ("out of range", [], HIT.replace(b'"HEAD": 2', b'"HEAD": 9')),
    "empty value": ("empty value", [], b""),
    "tombstone": ("tombstone", [], None),
    "other bytes": ("unknown kind", [], b"\x00\x01\x02"),
    "5 MB": ("oversized value", [], b"{" + b" " * BIG),
    "5 MB of JSON": ("oversized value", [], HIT[:-1] + b" " * BIG + b", }"),
    "5 MB frame": ("oversized value", headers(words=b"%d" % (BIG // 8)), bytes(BIG)),
    "wrong version": ("wrong version", headers(version=b"2"), FRAME[2]),
    "no version": ("wrong version", headers(version=None), FRAME[2]),
    "truncated frame": ("truncated value", FRAME[1], (FRAME[2] or b"")[:-4]),
    "frame without value": ("tombstone", FRAME[1], None),
    "missing header": ("missing header", headers(window=None), FRAME[2]),
    "wrong header": ("wrong header", headers(part=b"one"), FRAME[2]),
    "unknown kind": ("unknown kind", headers(kind=b"sausage"), FRAME[2]),
    "truncated transfer": ("truncated value", loose("dma", RUN, 0)[:-1], bytes(9)),
    "end without account": ("truncated value", ends()[0][1], b"{}"),
}


@pytest.mark.parametrize("what", POISON)
def test_poison_is_counted_by_name_and_blocks_nothing(broker: Broker, new_topic: TopicMaker, what: str) -> None:
    name, poison_headers, value = POISON[what]
    topic = new_topic(max_message_bytes="8000000")
    poison: Sent = (0, poison_headers, value)
    form = as_frames if "frame" in what or what in ("wrong version", "no version") else as_hits
    words = WORDS[:3000]
    sent = form(words)
    cut = len(sent) // 2
    # a good message behind it in the same partition, and the end behind that
    send(broker.address, topic, [*sent[:cut], poison, *sent[cut:], *ends()])
    found = taken(broker.address, topic)
    (fault,) = found.pop("faults")
    assert fault.startswith(f"{name}: 1 message; the last: partition 0, offset {cut}: ")
    wanted = expected(words, malformed=1)
    del wanted["faults"]
    assert found == wanted


def test_the_whole_corpus_in_one_partition(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(max_message_bytes="8000000")
    hits = as_hits(WORDS[:1000])
    sent: list[Sent] = []
    for (name, poison_headers, value), hit in zip(
        POISON.values(), np.array_split(np.arange(1000), len(POISON)), strict=True
    ):
        assert name
        sent += [(0, poison_headers, value), *(hits[index] for index in hit)]
    send(broker.address, topic, [*sent, *ends()])
    found = taken(broker.address, topic)
    assert found["account"]["malformed"] == len(POISON)
    assert found["words"] == 1000 + len(POISON)
    assert found["account"]["late"] == found["account"]["stray"] == 0
    assert len(found["faults"]) == len({name for name, _, _ in POISON.values()})


def test_an_offset_that_is_gone_is_said_and_gone_on_from_only_when_told(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path
) -> None:
    topic = new_topic()
    send(broker.address, topic, as_hits(WORDS))
    with Store(tmp_path / "store.db") as store:
        made = reader(broker.address, topic)
        stop = Event()
        first = engine(made, store=store)
        first.begin()
        first.run(stop, publish=lambda snapshot: stop.set() if snapshot.account.words >= 1000 else None, interval_s=0)
        made.close()
        saved = store.load("topic")
        assert saved is not None
        taken_before = saved.positions[0].next
        delete_before(broker.address, topic, 39_000)
        made = reader(broker.address, topic)
        again = engine(made, store=store)
        again.restore(saved)
        with pytest.raises(
            SourceError, match=rf"offset {taken_before}: no longer retained, the oldest is 39000"
        ) as gone:
            again.begin()
        assert f"the oldest is 39000: {39_000 - taken_before} messages are lost" in str(gone.value)
        assert "--from earliest" in str(gone.value)
        assert "\n" not in str(gone.value)
        made.close()
        send(broker.address, topic, ends())
        made = reader(broker.address, topic, "earliest")
        third = engine(made, store=store)
        made.on_lost = third.lost
        third.restore(saved)
        third.begin()
        last = third.run(Event(), publish=lambda snapshot: None)
        made.close()
        lost = 39_000 - taken_before
        assert last.account.words == len(WORDS) - lost
        assert last.faults[0].startswith(
            f"lost: {lost:,} messages; the last: partition 0, offsets {taken_before} to 38999"
        )
        assert last.restarts == 1


def test_what_is_gone_in_the_middle_of_a_run_is_lost_once(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the client holds two record batches, of 50 messages, and fetches the third when less than 60 are left
    monkeypatch.setattr(
        kafka_source, "CONFIG", {**kafka_source.CONFIG, "queued_min_messages": 60, "fetch_message_max_bytes": 1}
    )
    topic = new_topic()
    hits = as_hits(WORDS[:500])
    for at in range(0, 500, 50):
        send(broker.address, topic, hits[at : at + 50])
    with Store(tmp_path / "store.db") as store:
        made = reader(broker.address, topic, "earliest")
        run = engine(made, store=store)
        made.on_lost = run.lost
        run.begin()
        made._most = 45
        run._take(made.read())
        before = made.next[0]
        delete_before(broker.address, topic, 400)
        for _ in range(50):  # until the client has been told, behind what it holds
            made.watermarks(0)
        made._most = 256
        while made.next[0] < 400:
            run._take(made.read())
            if made.next[0] < 400:
                before = made.next[0]
        run.save()
        made.close()
        saved = store.load("topic")
        assert saved is not None
        lost = f"lost: {400 - before} messages; the last: partition 0, offsets {before} to 399 were not read"
        assert before < 400
        assert saved.positions[0].next >= 400
        send(broker.address, topic, ends())
        made = reader(broker.address, topic, "earliest")
        again = engine(made, store=store)
        made.on_lost = again.lost
        again.restore(saved)
        again.begin()
        last = again.run(Event(), publish=lambda snapshot: None)
        made.close()
        assert last.faults == (lost,)
        assert last.account.words == 100 + before


@pytest.mark.parametrize("begin", ["", "earliest", "latest"])
def test_a_run_that_has_ended_is_shown_again_though_its_messages_are_gone(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path, begin: str
) -> None:
    topic = new_topic()
    second = Run(8, "noise")
    send(broker.address, topic, [*as_hits(WORDS[:1000]), *ends(), *as_hits(WORDS[:400], run=second)])
    with Store(tmp_path / "store.db") as store:
        made = reader(broker.address, topic)
        first = engine(made, store=store)
        first.begin()
        snapshot = first.run(Event(), publish=lambda snapshot: None)
        made.close()
        delete_before(broker.address, topic, 1200)
        saved = store.load("topic")
        assert saved is not None
        made = reader(broker.address, topic, begin)
        again = engine(made, store=store)
        made.on_lost = again.lost
        again.restore(saved)
        again.begin()
        found = again.run(Event(), publish=lambda snapshot: None)
        assert made.next == {0: 1001}  # what is gone is missing in the next run, not in this one
        made.close()
        assert (found.account, found.faults) == (snapshot.account, ())


def test_where_to_begin_is_told_by_offsets(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(2)
    send(broker.address, topic, [*as_hits(WORDS[:6400], 2), *ends(2)])
    found = taken(broker.address, topic, begin="0:100,1:0")
    assert found["words"] == 6300
    with pytest.raises(SourceError, match="offset 999999: the topic ends at"):
        taken(broker.address, topic, begin="1:999999")
    for bad in ("first", "0:1,0:2", "0", "-1:3", "0:x"):
        with pytest.raises(SourceError, match="--from: found"):
            Begin.parse(bad)


def test_offsets_to_begin_at_are_for_the_first_start(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(2)
    send(broker.address, topic, as_hits(WORDS[:6400], 2))
    made = reader(broker.address, topic, "0:100")
    try:
        made.start({})
        assert made.next == {0: 100, 1: 0}
        made.start({0: 2000, 1: 1500})  # the next run
        assert made.next == {0: 2000, 1: 1500}
    finally:
        made.close()


def test_latest_passes_over_only_what_nobody_has_begun_to_read(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic()
    send(broker.address, topic, as_hits(WORDS[:500]))
    made = reader(broker.address, topic, "latest")
    lost: list[tuple[int, int, int]] = []
    made.on_lost = lambda *what: lost.append(what)
    try:
        made.start({})
        assert made.next == {0: 500}
        send(broker.address, topic, as_hits(WORDS[:300]))
        made.start(made.next)  # the next run, some of which is waiting
        assert (made.next, lost) == ({0: 500}, [])
        delete_before(broker.address, topic, 600)
        made.start({0: 700})
        assert (made.next, lost) == ({0: 700}, [])
        made.start({0: 500})
        assert (made.next, lost) == ({0: 800}, [(0, 500, 800)])
    finally:
        made.close()


def test_a_run_that_is_stored_whole_is_followed_by_the_next_wherever_it_began(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path
) -> None:
    topic = new_topic()
    second = Run(8, "noise")
    send(broker.address, topic, [*as_hits(WORDS[:1000]), *ends(), *as_hits(WORDS[:400], run=second), *ends(run=second)])
    with Store(tmp_path / "store.db") as store:
        made = reader(broker.address, topic)
        one = engine(made, store=store)
        one.begin()
        one.run(Event(), publish=lambda snapshot: None)
        made.close()
        made = reader(broker.address, topic, "latest")
        choice = RunSelection(made, store, "topic", SourceOptions("topic", begin="latest", follow=True))
        assert choice.saved is None
        two = engine(made, store=store)
        two.begin(choice.positions)
        snapshot = two.run(Event(), publish=lambda snapshot: None)
        made.close()
        assert (snapshot.run, snapshot.account.words) == ("noise", 400)


def test_new_partitions_are_noticed(broker: Broker, new_topic: TopicMaker) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    topic = new_topic(1)
    send(broker.address, topic, as_hits(WORDS[:1000]))
    made = reader(broker.address, topic)
    try:
        run = engine(made)
        run.begin()
        seen: list[int] = []

        def publish(snapshot: Any) -> None:
            seen.append(snapshot.account.words)
            if snapshot.account.words == 1000 and made.partitions == [0]:
                admin = AdminClient({"bootstrap.servers": broker.address})
                admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
                while not made.look():
                    pass
                run.adopt()
                send(broker.address, topic, [(1, h, v) for _, h, v in as_hits(WORDS[:2000])[1000:]] + ends(2))

        snapshot = run.run(Event(), publish=publish, interval_s=0)
        assert snapshot.account.words == 2000
        assert snapshot.account.balanced
    finally:
        made.close()


def test_partitions_that_run_ahead_are_paused_and_nothing_is_late(
    broker: Broker, new_topic: TopicMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_engine, "HELD_HIGH", 3000)
    monkeypatch.setattr(topic_engine, "HELD_LOW", 1500)
    monkeypatch.setattr(topic_engine, "AHEAD_WINDOWS", 3)
    topic = new_topic(4)
    words = simulate_words(60_000, rate_hz=5_000)
    send(broker.address, topic, [*as_hits(words, 4), *ends(4)])
    made = reader(broker.address, topic)
    paused: set[int] = set()
    try:
        run = engine(made)
        run.begin()
        made._most = 500
        snapshot = run.run(Event(), publish=lambda snapshot: paused.update(made.paused), interval_s=0)
    finally:
        made.close()
    assert paused
    assert {**summary(snapshot), "run": "cosmics"} == expected(words)


def test_a_partition_without_messages_holds_nobody_back_for_ever(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(3)
    words = simulate_words(60_000, rate_hz=5_000)
    send(broker.address, topic, as_hits(words, 2))  # the third has none, and no end is told
    made = reader(broker.address, topic)
    stop = Event()
    held: list[int] = []
    try:
        run = engine(made)
        run.begin()

        def publish(snapshot: Any) -> None:
            held.append(run.pipeline.builder.held_words)
            if snapshot.account.words == len(words) and held[-1] < 2000:
                stop.set()

        snapshot = run.run(stop, publish=publish, interval_s=0)
    finally:
        made.close()
    assert max(held) > 20_000  # 5 s of data are waited for
    assert {**summary(snapshot), "run": "cosmics"} == expected(words)
