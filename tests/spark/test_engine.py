"""Runs on Spark itself, from Kafka itself: every summary is that of the local engine, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from kafka_fixtures import TopicMaker, add_partitions, make_topic
from kafka_messages import RUN, Sent, as_frames, as_hits, as_transfers, bare, ends, objects, send, send_in_transactions

from muonstream.detector.model import Detector
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine
from muonstream.formats.loose_hits import hits_json
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka import reader as kafka_source
from muonstream.kafka.address import KafkaAddress, Login
from muonstream.kafka.client import Connection
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.java import java_properties
from muonstream.kafka.messages import loose_partition
from muonstream.kafka.offsets import TopicOffsets
from muonstream.kafka.reader import TopicReader
from muonstream.run.intervals import Intervals
from muonstream.run.monitor import Snapshot
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.sinks.store import Store, StoreError
from muonstream.sources.files import read_blocks
from muonstream.sources.identity import Run
from muonstream.spark.engine import SparkEngine
from muonstream.spark.query import Query, QueryOptions
from muonstream.verdicts.timeline import Timeline
from muonstream.words import Words
from tools.kafka_broker import USER, Broker
from tools.restarts import APART, differences

DETECTOR = Detector.default()
NAME = "the topic"
PARTITIONS = 4
PREVIOUS = Path(__file__).parents[1] / "data" / "previous"
"""What the version before wrote; its README says of what."""
SHORT = simulate_words(30_000, rate_hz=20_000, seed=3)


def counted(snapshot: Snapshot) -> dict[str, Any]:
    """What was counted, without what was asked for, and without the notes of what reads files."""
    return {key: value for key, value in summary(snapshot).items() if key not in (*APART, "faults")}


def processed(words: Words, *, muons: bool = False) -> dict[str, Any]:
    """The same of the words themselves, as `process` counts them."""
    with Pipeline(DETECTOR, reconstruct=muons) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        return counted(pipeline.snapshot("ended"))


def loosely(words: Words, partitions: int) -> list[Sent]:
    """Words as the course's producer sends them, block by block to one partition and another."""
    text, offsets = hits_json(words)
    at = offsets.tolist()
    return [(loose_partition(i, partitions), [], text[at[i] : at[i + 1]]) for i in range(len(words))]


@dataclass
class Spark:
    """Runs of one topic on Spark: each a new engine, with a query and, where there is one, a store of its own."""

    session: Any
    address: str
    topic: str
    folder: Path
    store: bool = True
    messages: int = 0
    wanted: Run | None = RUN
    named: bool = False
    detector: Detector = DETECTOR
    login: Login = field(default_factory=Login)
    windows: int = 0
    muons: bool = False
    judged: bool = False
    limits: Callable[[float], tuple[int, int]] | None = None
    batches: list[int] = field(default_factory=list)
    """How many words the account had at each snapshot that had more than the one before."""

    def run(self, until: Callable[[SparkEngine, Snapshot], bool] = lambda engine, snapshot: False) -> Snapshot:
        """Run to the end, or until what was published says so."""
        connection = Connection(KafkaAddress(self.address, self.topic), self.login)
        ends = TopicOffsets(connection)
        stop = Event()
        assert ends.open(stop)
        self.folder.mkdir(exist_ok=True)
        store = Store(self.folder / "s.db") if self.store else None
        options = QueryOptions(
            self.address,
            self.topic,
            str(self.folder / "checkpoint"),
            trigger_s=0,
            messages=self.messages,
            kafka=java_properties(self.login),
        )
        builder = FrameBuilder(self.detector.boards, max_held_words=1 << 26)
        timeline = Timeline if self.judged else None
        with Pipeline(self.detector, builder=builder, reconstruct=self.muons, timeline=timeline) as pipeline:
            if self.windows:
                pipeline.intervals = Intervals(pipeline.catalogue, windows=self.windows)
            deliveries = Deliveries(wanted=self.wanted, named=self.named)
            query = Query(self.session, options)
            engine = SparkEngine(ends, pipeline, deliveries, query, store=store, name=NAME, limits=self.limits)
            saved = store.load(NAME) if store is not None else None
            if saved is not None:
                engine.restore(saved)

            def publish(snapshot: Snapshot) -> None:
                if not self.batches or snapshot.account.words > self.batches[-1]:
                    self.batches.append(snapshot.account.words)
                if until(engine, snapshot):
                    stop.set()

            try:
                engine.begin()
                last = engine.run(stop, publish=publish, interval_s=0.1)
                self.intervals = pipeline.intervals.take() if pipeline.intervals is not None else []
                return last
            finally:
                ends.close()
                if store is not None:
                    store.close()

    @property
    def checkpoint(self) -> Path:
        """The folder of the checkpoint, of which there must be one."""
        (found,) = (self.folder / "checkpoint").iterdir()
        return found


@pytest.fixture
def new_run(spark: Any, broker: Broker, new_topic: TopicMaker, tmp_path: Path) -> Callable[..., Spark]:
    """Send messages to a topic of their own; gives what runs it."""

    def make(sent: Sequence[Sent], partitions: int = PARTITIONS, **options: Any) -> Spark:
        topic = new_topic(partitions)
        send(broker.address, topic, sent)
        return Spark(spark, broker.address, topic, tmp_path / "run", **options)

    return make


NewRun = Callable[..., Spark]


def in_others(value: object) -> Any:
    """A value of a parameter that other tests here have too, in runs of another kind: left to `make release-test`."""
    return pytest.param(value, marks=pytest.mark.long)


@pytest.fixture(scope="module")
def many() -> tuple[Words, dict[str, Any]]:
    """Words, and what `process` counts of them; `make soak` does the same with 20 million."""
    words = simulate_words(40_000, rate_hz=20_000, seed=5)
    return words, processed(words)


@pytest.mark.parametrize("form", ["frames", "loose"])
def test_words_in_many_partitions_are_counted_as_process_counts_them(
    new_run: NewRun, many: tuple[Words, dict[str, Any]], form: str
) -> None:
    words, wanted = many
    sent = as_frames(words, 16) if form == "frames" else loosely(words, 16)
    run = new_run([*sent, *ends(16)], 16, messages=len(sent) // 3)
    found = run.run()
    assert found.account.late == found.account.stray == 0
    assert differences(counted(found), wanted) == 0


def test_a_topic_that_is_empty_yet_is_read_in_batches_that_fit_its_messages(new_run: NewRun) -> None:
    # most of them in the last partition: sizes are not only looked for in the first ones
    sent = [(PARTITIONS - 1, headers, value) for _, headers, value in as_frames(SHORT, 1)]
    sizes: list[float] = []
    produced = Event()

    def limits(words_per_message: float) -> tuple[int, int]:
        assert produced.is_set()
        sizes.append(words_per_message)
        return max(round(10_000 / words_per_message), 1), 10

    run = new_run([], limits=limits)

    def produce(engine: SparkEngine, snapshot: Snapshot) -> bool:
        if not produced.is_set() and snapshot.sequence >= 3:
            assert dict(snapshot.engine)["Micro-batch"] == "none: no message yet"
            produced.set()
            send(run.address, run.topic, [*sent, *ends(PARTITIONS)])
        return False

    found = run.run(produce)
    assert len(sizes) == 1
    assert 1 < sizes[0] < len(SHORT)
    assert len(run.batches) >= 3
    assert differences(counted(found), processed(SHORT)) == 0


@pytest.mark.parametrize("form", [in_others("frames"), "parts", in_others("hits"), "bare", "transfers"])
def test_orbits_across_micro_batches_are_whole(new_run: NewRun, form: str) -> None:
    sent = {
        "frames": lambda: as_frames(SHORT, PARTITIONS),
        "parts": lambda: as_frames(SHORT, PARTITIONS, part_words=100),
        "hits": lambda: as_hits(SHORT, PARTITIONS),
        "bare": lambda: bare(as_hits(SHORT, PARTITIONS)),
        "transfers": lambda: as_transfers(SHORT, PARTITIONS),
    }[form]()
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 3)
    found = run.run()
    assert len(run.batches) >= 3
    assert found.account.late == found.account.stray == 0
    assert differences(counted(found), processed(SHORT)) == 0


def test_of_transactions_only_what_was_committed_counts(new_run: NewRun) -> None:
    run = new_run([])
    sent = as_transfers(SHORT, 2)
    assert send_in_transactions(run.address, run.topic, sent, len(sent) // 6) > 50
    told = False

    def all_read(engine: SparkEngine, snapshot: Snapshot) -> bool:
        nonlocal told
        if snapshot.account.words == len(SHORT) and engine.ends.lag == 0 and not told:
            # behind the last messages are markers, which no micro-batch takes
            told = True
            send(run.address, run.topic, ends(PARTITIONS))
        return False

    found = run.run(all_read)
    assert told
    assert differences(counted(found), processed(SHORT)) == 0


def test_muons_are_those_of_the_local_engine(new_run: NewRun) -> None:
    run = new_run([*as_frames(SHORT, PARTITIONS), *ends(PARTITIONS)], messages=6, muons=True)
    found, wanted = counted(run.run()), processed(SHORT, muons=True)
    assert found.keys() == wanted.keys()
    assert differences(found, wanted) == 0


@pytest.mark.parametrize("windows", [in_others(0), 5])
def test_verdicts_are_those_of_the_local_engine(new_run: NewRun, windows: int) -> None:
    """Micro-batches span several steps, or parts of one; with the course's intervals too."""
    words = simulate_words(100_000, seed=6, hot_cell=(3, 5), dead_cell=(2, 17))
    sent = [*as_frames(words, PARTITIONS), *ends(PARTITIONS)]
    run = new_run(sent, messages=len(sent) // 3, judged=True, windows=windows)
    found = run.run().verdicts
    with Pipeline(DETECTOR, timeline=Timeline) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        wanted = pipeline.snapshot("ended").verdicts
    assert len(run.batches) > 2
    assert found is not None
    assert len(found.alarms) > 1
    assert found == wanted


def test_what_a_gateway_sent_twice_counts_once(new_run: NewRun) -> None:
    sent = as_frames(SHORT, PARTITIONS)
    again = [*sent[: len(sent) // 2], *sent[len(sent) // 3 :], *ends(PARTITIONS)]
    run = new_run(again, messages=len(sent) // 2)
    found = run.run()
    assert any("duplicate" in line for line in found.faults)
    assert differences(counted(found) | {"faults": []}, processed(SHORT) | {"faults": []}) == 0


def test_what_is_malformed_is_counted_as_the_local_engine_counts_it(new_run: NewRun, tmp_path: Path) -> None:
    poison: list[Sent] = [(p % PARTITIONS, [], value) for p, value in enumerate([b"", None, b"{", b"x" * 40])]
    hits = bare(as_hits(SHORT[:20_000], PARTITIONS))
    run = new_run([*hits[:3000], *poison, *hits[3000:], *ends(PARTITIONS, words=20_000, malformed=2)], messages=4000)
    found = run.run()
    reader = TopicReader(Connection(KafkaAddress(run.address, run.topic)))
    assert reader.open(Event())
    with Pipeline(DETECTOR) as pipeline:
        engine = TopicEngine(reader, pipeline, Deliveries(wanted=RUN))
        engine.begin()
        local = engine.run(Event(), publish=lambda snapshot: None)
    reader.close()
    assert found.account.malformed == 6
    assert found.account.balanced
    assert found.account == local.account
    assert differences(counted(found) | {"faults": []}, counted(local) | {"faults": []}) == 0
    assert sorted(line.split(";")[0] for line in found.faults) == sorted(line.split(";")[0] for line in local.faults)


def test_of_several_runs_the_first_that_comes_is_taken(new_run: NewRun) -> None:
    later = Run(8, "later")
    other = simulate_words(5000, seed=9)
    one, two = as_frames(SHORT, 2), as_frames(other, 2, later)
    run = new_run([*one, *ends(2), *two, *ends(2, later)], 2, wanted=None)
    assert differences(counted(run.run()), processed(SHORT)) == 0


def test_a_partition_that_comes_in_mid_run_is_known_before_it_has_messages(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_source, "NEW_PARTITIONS_S", 0)
    sent = as_frames(SHORT, 1)
    run = new_run(sent, 1)
    told: list[str] = []

    def until(engine: SparkEngine, snapshot: Snapshot) -> bool:
        if snapshot.account.words and not told:
            told.append("added")
            add_partitions(run.address, run.topic, 2)
        elif told == ["added"] and 1 in engine.deliveries.parts:
            told.append("ended")
            send(run.address, run.topic, ends(1))
        return False

    found = run.run(until)
    assert told == ["added", "ended"]
    assert differences(counted(found), processed(SHORT)) == 0


def test_tasks_that_find_different_runs_are_told_which_it_is(new_run: NewRun) -> None:
    early = Run(6, "early")
    other = simulate_words(5000, seed=9)
    mine = [one for one in as_frames(SHORT, 2) if one[0] == 0]
    theirs = [one for one in as_frames(other, 2, early) if one[0] == 1]
    run = new_run([*mine, *ends(1), *theirs, (1, *ends(1)[0][1:])], 2, wanted=None)
    found = run.run()
    assert found.account.words == sum(len(one[2] or b"") // 8 for one in mine)
    assert any("another run" in line for line in found.faults)


def test_intervals_are_those_of_the_local_engine(new_run: NewRun) -> None:
    run = new_run([*as_frames(SHORT, PARTITIONS), *ends(PARTITIONS)], messages=6, windows=2)
    run.run()
    with Pipeline(DETECTOR) as pipeline:
        pipeline.intervals = Intervals(run_catalogue(), windows=2)
        pipeline.push(SHORT)
        pipeline.finish()
        assert pipeline.intervals is not None
        wanted = pipeline.intervals.take()
    assert len(wanted) > 5
    assert [(one.sequence, one.counts.tolist()) for one in run.intervals] == [
        (one.sequence, one.counts.tolist()) for one in wanted
    ]


def run_catalogue() -> Any:
    with Pipeline(DETECTOR) as pipeline:
        return pipeline.catalogue


@pytest.mark.parametrize("form", ["parts", in_others("hits")])
def test_a_run_that_was_stopped_goes_on_where_it_was(new_run: NewRun, form: str) -> None:
    sent = as_frames(SHORT, PARTITIONS, part_words=100) if form == "parts" else as_hits(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 5)
    part = run.run(lambda engine, snapshot: snapshot.account.words > 5_000)
    assert 5_000 < part.account.words < len(SHORT)
    found = run.run()
    assert found.restarts == 1
    assert differences(counted(found), processed(SHORT)) == 0
    shown = run.run()
    assert differences(counted(shown), processed(SHORT)) == 0


def test_a_micro_batch_that_comes_again_changes_nothing(new_run: NewRun) -> None:
    sent = as_hits(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 5)
    run.run(lambda engine, snapshot: snapshot.account.words > 10_000)
    commits = run.checkpoint / "commits"
    newest = max(int(file.name) for file in commits.iterdir() if file.name.isdigit())
    for file in (commits / str(newest), commits / f".{newest}.crc"):
        file.unlink(missing_ok=True)
    # Spark gives it again now, as after a kill between our transaction and its own
    found = run.run()
    assert differences(counted(found), processed(SHORT)) == 0


def test_a_checkpoint_that_is_older_than_the_store_loses_nothing(new_run: NewRun) -> None:
    sent = as_hits(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 8)
    run.run(lambda engine, snapshot: snapshot.account.words > 15_000)
    # as after a power cut, or out of a backup: its newest plans are gone, and are made anew with other offsets
    for folder in ("offsets", "commits"):
        for file in (run.checkpoint / folder).iterdir():
            if int(file.name.strip(".").split(".")[0]) > 0:
                file.unlink()
    run.messages = len(sent) // 3
    found = run.run()
    assert differences(counted(found), processed(SHORT)) == 0


@pytest.mark.parametrize("form", [in_others("frames"), "hits"])
def test_a_run_asked_for_by_its_number_is_taken_whole(new_run: NewRun, form: str) -> None:
    sent = as_frames(SHORT, PARTITIONS) if form == "frames" else as_hits(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 3, wanted=Run(RUN.number), named=True)
    found = run.run()
    assert len(run.batches) >= 3
    assert found.run == RUN.name
    assert differences(counted(found), processed(SHORT)) == 0


def test_a_run_that_has_ended_leaves_no_checkpoint(new_run: NewRun) -> None:
    run = new_run([*as_hits(SHORT[:5000], PARTITIONS), *ends(PARTITIONS)])
    run.run()
    assert list((run.folder / "checkpoint").iterdir()) == []
    assert differences(counted(run.run()), processed(SHORT[:5000])) == 0


def test_without_its_checkpoint_the_run_goes_on_from_the_store(new_run: NewRun) -> None:
    sent = as_frames(SHORT, PARTITIONS, part_words=100)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 5)
    run.run(lambda engine, snapshot: snapshot.account.words > 5_000)
    shutil.rmtree(run.folder / "checkpoint")
    assert differences(counted(run.run()), processed(SHORT)) == 0


@pytest.mark.parametrize("form", ["parts", in_others("hits")])
def test_the_local_engine_goes_on_with_a_run_of_spark(new_run: NewRun, form: str) -> None:
    sent = as_frames(SHORT, PARTITIONS, part_words=100) if form == "parts" else as_hits(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 5)
    run.run(lambda engine, snapshot: snapshot.account.words > 5_000)
    reader = TopicReader(Connection(KafkaAddress(run.address, run.topic)))
    assert reader.open(Event())
    with Pipeline(DETECTOR) as pipeline, Store(run.folder / "s.db") as store:
        engine = TopicEngine(reader, pipeline, Deliveries(wanted=RUN), store=store, name=NAME)
        saved = store.load(NAME)
        assert saved is not None
        engine.restore(saved)
        engine.begin()
        found = engine.run(Event(), publish=lambda snapshot: None)
    reader.close()
    assert differences(counted(found), processed(SHORT)) == 0


def test_a_store_and_a_checkpoint_of_different_times_are_refused(new_run: NewRun) -> None:
    sent = as_frames(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 8)
    run.run(lambda engine, snapshot: snapshot.account.words > 2500)
    shutil.copy(run.folder / "s.db", run.folder / "old.db")
    run.run(lambda engine, snapshot: snapshot.account.words > 20_000)
    shutil.copy(run.folder / "old.db", run.folder / "s.db")
    with pytest.raises(
        StoreError, match=r"^the checkpoint \w+ resumes at micro-batch \d+ but the store at \d+, "
    ) as error:
        run.run()
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_not_the_stores_is_refused(new_run: NewRun) -> None:
    sent = as_frames(SHORT, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], messages=len(sent) // 8)
    run.run(lambda engine, snapshot: snapshot.account.words > 2500)
    name = run.checkpoint.name
    shutil.rmtree(run.folder / "checkpoint")
    other = Spark(run.session, run.address, run.topic, run.folder.with_name("other"), messages=run.messages)
    other.run(lambda engine, snapshot: snapshot.account.words > 2500)
    shutil.copytree(other.checkpoint, run.folder / "checkpoint" / name)
    with pytest.raises(StoreError, match=r"is not the one that the store was written with: found .*, expected "):
        run.run()


def test_a_checkpoint_of_the_version_before_is_resumed(spark: Any, broker: Broker, tmp_path: Path) -> None:
    """Spark had counted its micro-batches 0 and 1, and planned a third, when that version was stopped.

    The store is of this version, since the one before wrote a store that is refused.
    """
    (checkpoint,) = (PREVIOUS / "checkpoint").iterdir()
    ((topic, reached),) = json.loads((checkpoint / "offsets" / "1").read_text().splitlines()[-1]).items()
    identity = json.loads((checkpoint / "metadata").read_text())["id"]
    make_topic(broker.address, len(reached), name=topic)
    sent = as_hits(SHORT[:12_000], len(reached))
    parts = [[one for one in sent if one[0] == p] for p in range(len(reached))]
    for p, part in enumerate(parts):
        send(broker.address, topic, part[: reached[str(p)]])
    run = Spark(spark, broker.address, topic, tmp_path / "run")
    shutil.copytree(checkpoint, run.folder / "checkpoint" / checkpoint.name)
    taken = sum(reached.values())
    reader = TopicReader(Connection(KafkaAddress(run.address, run.topic)))
    stop = Event()
    assert reader.open(stop)
    with Pipeline(DETECTOR) as pipeline, Store(run.folder / "s.db") as store:
        local = TopicEngine(reader, pipeline, Deliveries(wanted=RUN), store=store, name=NAME)
        local.begin()
        local.run(stop, publish=lambda snapshot: stop.set() if snapshot.account.words == taken else None)
        saved = store.load(NAME)
        assert saved is not None
        of_spark = {"batch": 1, "checkpoint": checkpoint.name, "query": identity, "parts": {}}
        store.save(replace(saved, reader={**saved.reader, "spark": of_spark}))
    reader.close()
    for p, part in enumerate(parts):
        send(broker.address, topic, [*part[reached[str(p)] :], ends(len(reached))[p]])

    queries: set[tuple[str, bool]] = set()
    batches: set[int] = set()

    def note(engine: SparkEngine, snapshot: Snapshot) -> bool:
        if engine.query.begun:
            queries.add((engine.query.identity, engine.query.resumed))
            batches.update(int(told["batchId"]) for told in engine.query.progress_since(-1))
        return False

    found = run.run(note)
    assert queries == {(identity, True)}
    assert min(batches, default=2) == 2
    assert min(run.batches) >= taken
    assert differences(counted(found), processed(SHORT[:12_000])) == 0


def test_a_checkpoint_of_the_version_before_is_left_alone_when_its_store_is_refused(new_run: NewRun) -> None:
    run = new_run([*as_hits(SHORT[:5000], 2), *ends(2)], 2)
    shutil.copytree(PREVIOUS / "checkpoint", run.folder / "checkpoint")
    shutil.copy(PREVIOUS / "store.db", run.folder / "s.db")
    with pytest.raises(StoreError, match=r"s\.db: found a store of version 1, expected 2$"):
        run.run()
    (run.folder / "s.db").unlink()
    assert differences(counted(run.run()), processed(SHORT[:5000])) == 0
    before = [path.read_bytes() for path in sorted(PREVIOUS.rglob("checkpoint/**/*")) if path.is_file()]
    assert [path.read_bytes() for path in sorted(run.checkpoint.rglob("*")) if path.is_file()] == before


def test_a_secure_broker_is_read_with_the_same_properties(spark: Any, broker: Broker, tmp_path: Path) -> None:
    topic = make_topic(broker.address, 1)
    send(broker.address, topic, [*as_frames(SHORT[:5000]), *ends()])
    login = Login(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": USER,
            "sasl.password": broker.password,
            "ssl.ca.location": str(broker.certificate),
        }
    )
    found = Spark(spark, broker.secure_address, topic, tmp_path / "run", store=False, login=login).run()
    assert differences(counted(found), processed(SHORT[:5000])) == 0


def test_progress_is_told(new_run: NewRun) -> None:
    told: dict[str, str] = {}
    run = new_run([*as_hits(SHORT, PARTITIONS), *ends(PARTITIONS)], messages=10_000)
    run.run(lambda engine, snapshot: bool(told.update(snapshot.engine)))
    assert told["Engine"].startswith("Spark 4")
    assert told["Engine"].endswith(", local[2]")
    assert set(told) == {"Engine", "Micro-batch", "Trigger", "Batch time", "Input", "State held"}


@pytest.mark.parametrize(
    ("name", "detector", "form"),
    [
        ("run000591.dat", "run591", "frames"),
        ("run000591_derived_scintillator.dat", "run591", "loose"),
        ("course_stream_first74rows.csv", "telescope", "loose"),
        pytest.param("run000591.dat", "run591", "loose", marks=pytest.mark.long),
        pytest.param("run000591_derived_scintillator.dat", "run591", "frames", marks=pytest.mark.long),
        pytest.param("course_stream_first74rows.csv", "telescope", "frames", marks=pytest.mark.long),
    ],
)
def test_the_real_files_are_counted_as_process_counts_them(
    new_run: NewRun, shared_data: Path, name: str, detector: str, form: str
) -> None:
    words = np.concatenate([block.words for block in read_blocks(str(shared_data / name))])
    layout = Detector.load(detector)
    with Pipeline(layout) as pipeline:
        wanted = run_blocks(pipeline, read_blocks(str(shared_data / name)))
    assert wanted.account.malformed == 0
    sent = frames_by(words, layout) if form == "frames" else loosely(words, PARTITIONS)
    run = new_run([*sent, *ends(PARTITIONS)], detector=layout, messages=max(len(sent) // 3, 1))
    found = run.run()
    assert found.account.late == found.account.stray == 0
    assert differences(counted(found), counted(wanted)) == 0


def frames_by(words: Words, detector: Detector) -> list[Sent]:
    from muonstream.frames import Frames
    from muonstream.kafka.messages import frame_messages

    builder = FrameBuilder(detector.boards)
    frames = Frames.join([builder.push(words), builder.finish()])
    return [(one.partition(PARTITIONS), one.headers(), one.value()) for one in frame_messages(frames, RUN)]


def test_objects_and_the_scanner_agree() -> None:
    assert [value for _, _, value in loosely(SHORT[:100], 1)] == objects(SHORT[:100])
