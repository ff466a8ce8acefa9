"""A run into a real broker: what arrives, and what arrives when the gateway or the broker is killed on the way."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from kafka_fixtures import TopicMaker, make_topic
from typer.testing import CliRunner, Result

from muonstream.cli.app import app
from muonstream.detector.model import Detector
from muonstream.formats.hits_json import JsonDecoder
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.messages import (
    PART_WORDS,
    EndMessage,
    FrameMessage,
    Kind,
    dma_words,
    frame_messages,
    kind_of,
    loose_place,
)
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation, simulate_words
from muonstream.sources.identity import Run
from muonstream.words import ORBIT_SHIFT, Words
from tools.kafka_broker import Broker

RUNNER = CliRunner()
DETECTOR = Detector.default()
PATIENCE_S = 120.0
PARTITIONS = 4


@dataclass(frozen=True)
class Sent:
    """One message as a consumer sees it: its order in its partition and run, its value, how it says it is whole."""

    kind: Kind
    order: tuple[int, int]
    value: bytes
    parts: int = 1


@pytest.fixture(scope="module")
def words() -> Words:
    return simulate_words(24_000, rate_hz=5_000.0)


@pytest.fixture
def file(words: Words, tmp_path: Path) -> Path:
    path = tmp_path / "run7.dat"
    words.tofile(path)
    return path


def marks(address: str, topic: str) -> list[tuple[int, int]]:
    """First and next offset of each partition."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "log_level": 0})
    end = time.monotonic() + PATIENCE_S
    try:
        while True:
            try:
                partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
                return [
                    consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60) for p in sorted(partitions)
                ]
            except KafkaException:  # made a moment ago, or of a broker that has just come back: no leader yet
                assert time.monotonic() < end
                consumer.poll(0.1)
    finally:
        consumer.close()


def read(address: str, topic: str) -> list[list[tuple[list[tuple[str, bytes]], bytes]]]:
    """Headers and values of all messages by partition, in order."""
    there = marks(address, topic)
    got: list[list[tuple[list[tuple[str, bytes]], bytes]]] = [[] for _ in there]
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in enumerate(there)])
        end = time.monotonic() + PATIENCE_S
        while left := sum(high - low for low, high in there) - sum(map(len, got)):
            assert time.monotonic() < end, "messages that the broker has do not come"
            # asked for more than there are, the client would wait for the whole second
            for message in consumer.consume(min(left, 10_000), timeout=1.0):
                assert message.error() is None, message.error()
                partition = message.partition()
                assert partition is not None
                got[partition].append((message.headers() or [], message.value() or b""))  # type: ignore[arg-type]
    finally:
        consumer.close()
    return got


def consumed(address: str, topic: str, run: Run) -> list[list[Sent]]:
    """What a consumer of a run keeps of each partition, by the rule: nothing that is not above the last."""
    kept = []
    for messages in read(address, topic):
        last, ended = (-1, 0), False
        mine: list[Sent] = []
        for headers, value in messages:
            kind = kind_of(headers, value)
            if kind is Kind.END:
                if not ended and EndMessage.decode(headers, value).run == run:
                    mine.append(Sent(kind, (0, 0), value))
                    ended = True
                continue
            if kind is Kind.FRAME:
                frame = FrameMessage.decode(headers, value)
                found, order, parts = frame.run, frame.order, frame.parts
            else:
                found, place = loose_place(headers)
                order, parts = (place, 0), 1
            if found == run and order > last:
                assert not ended, "words after the end of their run"
                mine.append(Sent(kind, order, value, parts))
                last = order
        kept.append(mine)
    return kept


def replay(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return RUNNER.invoke(app, ["replay", *map(str, arguments)], input=stdin)


def kafka(broker: Broker, topic: str) -> str:
    return f"kafka://{broker.address}/{topic}"


def words_of(partitions: list[list[Sent]]) -> Words:
    """The words of all messages, in the order of their places."""
    messages = sorted(
        (sent for sent in chain.from_iterable(partitions) if sent.kind is not Kind.END), key=lambda sent: sent.order
    )
    if messages[0].kind is Kind.JSON:
        decoder = JsonDecoder("topic")
        return decoder.feed(b"\n".join(sent.value for sent in messages) + b"\n", last=True).words
    if messages[0].kind is Kind.DMA:
        return np.concatenate([dma_words(sent.value) for sent in messages])
    return np.concatenate([np.frombuffer(sent.value, "<u8") for sent in messages])


def comparable(headers: Iterable[tuple[str, bytes]], value: bytes) -> tuple[dict[str, bytes], Any]:
    """A message; of a run's end all but the offsets, which others' messages move."""
    if b'"offsets"' not in value:
        return dict(headers), value
    return dict(headers), {key: number for key, number in json.loads(value).items() if key != "offsets"}


def ends(partitions: list[list[Sent]], run: Run) -> list[EndMessage]:
    """The run's ends without the offsets that they carry, below which all its messages with words must lie."""
    found = [
        EndMessage.decode(EndMessage(run).headers(), sent.value)
        for partition in partitions
        for sent in partition
        if sent.kind is Kind.END
    ]
    for end in found:
        for offset, partition in zip(end.offsets, partitions, strict=True):
            assert offset >= sum(sent.kind is not Kind.END for sent in partition)
    return [replace(end, offsets=()) for end in found]


def test_frames_are_those_of_the_builder(broker: Broker, new_topic: TopicMaker, file: Path, words: Words) -> None:
    topic = new_topic(PARTITIONS)
    done = replay(file, "--to", kafka(broker, topic), "--fast", "--run-number", "7")
    assert done.exit_code == 0, done.output
    builder = FrameBuilder(DETECTOR.boards)
    whole = Frames.join([builder.push(words), builder.finish()])
    run = Run(7, "run7")
    expected: list[list[Sent]] = [[] for _ in range(PARTITIONS)]
    for message in frame_messages(whole, run):
        place = expected[message.partition(PARTITIONS)]
        place.append(Sent(Kind.FRAME, message.order, message.value(), message.parts))
    found = consumed(broker.address, topic, run)
    assert [[sent for sent in partition if sent.kind is Kind.FRAME] for partition in found] == expected
    account = EndMessage(run, words=len(words), partitions=PARTITIONS)
    assert ends(found, run) == [account] * PARTITIONS
    assert [partition[-1].kind for partition in found] == [Kind.END] * PARTITIONS


@pytest.mark.parametrize("form", ["json", "dma"])
def test_loose_words_come_whole_and_in_order(
    broker: Broker, new_topic: TopicMaker, file: Path, words: Words, form: str
) -> None:
    topic = new_topic(PARTITIONS)
    assert replay(file, "--to", kafka(broker, topic), "--fast", "--as", form).exit_code == 0
    found = consumed(broker.address, topic, Run(7, "run7"))
    assert np.array_equal(words_of(found), words)
    assert min(map(len, found)) > 1, "all partitions take part"
    end = EndMessage(Run(7, "run7"), words=len(words), partitions=PARTITIONS)
    assert ends(found, end.run) == [end] * PARTITIONS


def test_the_end_has_the_account(broker: Broker, new_topic: TopicMaker, file: Path, words: Words) -> None:
    late = words[2_000:2_006]  # by four seconds, and too few for a reset of the counter
    file.write_bytes(np.concatenate([words[:22_000], late, words[22_000:]]).tobytes() + b"abc")
    topic = new_topic(PARTITIONS)
    assert replay(file, "--to", kafka(broker, topic), "--fast").exit_code == 0
    run = Run(7, "run7")
    found = consumed(broker.address, topic, run)
    end, *others = ends(found, run)
    assert others == [end] * (PARTITIONS - 1)
    assert end.words == len(words) + 7
    assert end.malformed == 1
    assert "3 bytes at the end" in end.faults[0]
    assert end.late + end.stray == 6
    assert len(words_of(found)) == len(words)


def test_a_run_that_is_whole_is_not_sent_again(broker: Broker, new_topic: TopicMaker, file: Path) -> None:
    topic = new_topic(PARTITIONS)
    assert replay(file, "--to", kafka(broker, topic), "--fast").exit_code == 0
    before = marks(broker.address, topic)
    again = replay(file, "--to", kafka(broker, topic), "--fast")
    assert again.exit_code == 0
    assert "has been sent whole" in again.output
    assert marks(broker.address, topic) == before
    other = replay(file, "--to", kafka(broker, topic), "--fast", "--run-name", "other")
    assert other.exit_code == 0
    assert [high for _, high in marks(broker.address, topic)] == [2 * high for _, high in before]


@pytest.mark.parametrize(
    ("form", "cut"),
    [
        ("frames", False),
        ("frames", True),
        ("json", True),
        ("dma", False),
        pytest.param("json", False, marks=pytest.mark.long),
        pytest.param("dma", True, marks=pytest.mark.long),
    ],
    ids=lambda value: value if isinstance(value, str) else "begun" if value else "whole",
)
def test_another_run_of_the_same_name_is_refused_and_of_another_folder_is_sent(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path, form: str, cut: bool
) -> None:
    files = []
    for number, seed in ((591, 1), (637, 2)):
        files.append(tmp_path / f"Run000{number}" / "data_000000.dat")
        files[-1].parent.mkdir()
        simulate_words(4000, seed=seed).tofile(files[-1])
    topic = new_topic(PARTITIONS)
    to = ("--to", kafka(broker, topic), "--fast", "--as", form)
    named = ("--run-name", "cosmics", "--run-number", "7")
    assert replay(files[0], *to, *named).exit_code == 0
    if cut:
        whole, topic = topic, new_topic(PARTITIONS)
        to = ("--to", kafka(broker, topic), "--fast", "--as", form)
        producer = Producer({"bootstrap.servers": broker.address})
        for partition, messages in enumerate(read(broker.address, whole)):
            for headers, value in messages[: len(messages) // 2]:
                producer.produce(topic, value, partition=partition, headers=[*headers])
        producer.flush()
    before = marks(broker.address, topic)
    done = replay(files[1], *to, *named)
    lines = [line for line in done.output.splitlines() if line.startswith("muonstream: ")]
    assert (done.exit_code, len(lines)) == (1, 1)
    assert f"run 7 'cosmics' is another run than {files[1]}: " in lines[0]
    assert marks(broker.address, topic) == before
    for file, number in zip(files, (591, 637), strict=True):
        assert replay(file, *to).exit_code == 0
        found = consumed(broker.address, topic, Run(number, f"Run000{number}"))
        assert np.array_equal(np.sort(words_of(found)), np.sort(np.fromfile(file, "<u8")))
    longer = np.concatenate([np.fromfile(files[0], "<u8"), simulate_words(1000, start_orbit=10**6)])
    longer.tofile(files[0])
    done = replay(files[0], *to)
    assert done.exit_code == 1
    # the last transfer of a run is not full
    said = "its words differ" if form == "dma" else "it has 4,000 words and has ended, its source has 5,000"
    assert said in done.output


@pytest.mark.parametrize(
    ("form", "others"),
    [
        ("frames", 0),
        ("frames", 40),
        ("json", 40),
        ("dma", 40),
        pytest.param("json", 0, marks=pytest.mark.long),
        pytest.param("dma", 0, marks=pytest.mark.long),
    ],
)
def test_only_what_is_missing_is_sent(
    broker: Broker, new_topic: TopicMaker, file: Path, form: str, others: int
) -> None:
    """Each partition has some of the run, one its end as well, and others have written there since."""
    whole, cut = new_topic(PARTITIONS), new_topic(PARTITIONS)
    assert replay(file, "--to", kafka(broker, whole), "--fast", "--as", form).exit_code == 0
    producer = Producer({"bootstrap.servers": broker.address})
    for partition, messages in enumerate(read(broker.address, whole)):
        kept = [0, len(messages) // 3, len(messages) - 1, len(messages)][partition]
        for headers, value in messages[:kept]:
            producer.produce(cut, value, partition=partition, headers=[*headers])
        for _ in range(others):
            producer.produce(cut, b'{"HEAD": 2}', partition=partition)
        producer.flush()
    done = replay(file, "--to", kafka(broker, cut), "--fast", "--as", form)
    assert done.exit_code == 0, done.output
    assert "only what is missing" in done.output
    found = read(broker.address, cut)
    mine = [[comparable(headers, value) for headers, value in messages if headers] for messages in found]
    expected = [[comparable(headers, value) for headers, value in messages] for messages in read(broker.address, whole)]
    assert mine == expected


def test_a_large_window_goes_on_within_its_parts(broker: Broker, new_topic: TopicMaker, tmp_path: Path) -> None:
    file = tmp_path / "fast.dat"
    simulate_words(600_000, rate_hz=2e6).tofile(file)
    whole, cut = new_topic(1), new_topic(1)
    assert replay(file, "--to", kafka(broker, whole), "--fast").exit_code == 0
    (messages,) = read(broker.address, whole)
    frames = [FrameMessage.decode(headers, value) for headers, value in messages if len(headers) > 4]
    assert max(frame.parts for frame in frames) > 1
    assert all(len(frame.words) == PART_WORDS for frame in frames if frame.part < frame.parts - 1)
    at = next(index for index, frame in enumerate(frames) if frame.parts > 1)
    producer = Producer({"bootstrap.servers": broker.address})
    for headers, value in messages[: at + 1]:
        producer.produce(cut, value, partition=0, headers=[*headers])
    producer.flush()
    assert replay(file, "--to", kafka(broker, cut), "--fast").exit_code == 0
    assert [value for _, value in read(broker.address, cut)[0]] == [value for _, value in messages]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("form", "as json: it cannot go on as frame"),
        ("partitions", "another number of partitions"),
        ("source", "its source has only 8,000"),
    ],
)
def test_what_does_not_go_with_the_run_so_far_is_refused(
    broker: Broker, new_topic: TopicMaker, file: Path, words: Words, change: str, named: str
) -> None:
    topic, cut = new_topic(PARTITIONS), new_topic(PARTITIONS)
    form = "json" if change == "form" else "frames"
    assert replay(file, "--to", kafka(broker, topic), "--fast", "--as", form).exit_code == 0
    producer = Producer({"bootstrap.servers": broker.address})
    for partition, messages in enumerate(read(broker.address, topic)):
        for headers, value in messages[:-1]:
            producer.produce(cut, value, partition=partition, headers=[*headers])
    producer.flush()
    if change == "partitions":
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_partitions([NewPartitions(cut, 7)])[cut].result(30)
        while len(marks(broker.address, cut)) < 7:
            pass
    if change == "source":
        words[:8_000].tofile(file)
    done = replay(file, "--to", kafka(broker, cut), "--fast")
    assert done.exit_code == 1
    assert named in done.output
    assert done.output.strip().count("\n") <= 1


def test_a_message_that_is_refused_ends_it_and_leaves_no_hole(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path
) -> None:
    small, large = simulate_words(30_000, rate_hz=5_000.0), simulate_words(300_000, rate_hz=1e6)
    file = tmp_path / "grows.dat"
    later = [np.uint64(orbit << ORBIT_SHIFT) for orbit in (70_000, 80_000)]
    np.concatenate([small, large + later[0], small + later[1]]).tofile(file)
    topic = new_topic(PARTITIONS, max_message_bytes="20000")
    properties = tmp_path / "kafka.properties"
    properties.write_text("batch.num.messages=1\n")  # each message is refused or not by its own size
    to = ("--to", kafka(broker, topic), "--kafka-properties", properties)
    done = replay(file, *to, "--fast", "--run-name", "r")
    assert done.exit_code == 1
    assert "refused" in done.output
    whole = new_topic(PARTITIONS)
    assert replay(file, "--to", kafka(broker, whole), "--fast", "--run-name", "r").exit_code == 0
    for got, expected in zip(
        consumed(broker.address, topic, Run(0, "r")), consumed(broker.address, whole, Run(0, "r")), strict=True
    ):
        assert 0 < len(got) < len(expected)
        assert got == expected[: len(got)]


def test_standard_input_is_sent_once(broker: Broker, new_topic: TopicMaker, words: Words) -> None:
    topic = new_topic(PARTITIONS)
    command = [sys.executable, "-m", "muonstream", "replay", "-", "--to", kafka(broker, topic)]
    done = subprocess.run(command, input=words.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    run = Run(0, "stdin")
    assert len(words_of(consumed(broker.address, topic, run))) == len(words)
    again = subprocess.run(command, input=words.tobytes(), capture_output=True, check=False)
    assert again.returncode == 1
    assert b"has been sent whole" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a.dat", "--to", "kafka://127.0.0.1:1/t", "--fast", "--rate", "5"], "--fast: found beside --rate"),
        (["a.dat", "sim:", "--to", "kafka://127.0.0.1:1/t"], "expected one with sim:"),
        (["sim:", "--follow", "--to", "kafka://127.0.0.1:1/t"], "--follow: found sim:"),
        (["a.dat", "--to", "localhost"], "expected kafka://"),
        (
            ["a/data_0.dat", "b/data_0.dat", "--to", "kafka://127.0.0.1:1/t"],
            "files of several runs, a and b among them",
        ),
        (["a.dat", "--to", "kafka://127.0.0.1:1/t", "--kafka-timeout", "0.1"], "no broker answered"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(kafka_available: None, arguments: list[str], named: str) -> None:
    done = replay(*arguments)
    assert done.exit_code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("muonstream: ")]
    assert len(lines) == 1
    assert named in lines[0]


def test_a_topic_that_is_not_there_is_named(broker: Broker, file: Path) -> None:
    done = replay(file, "--to", kafka(broker, "nowhere"), "--fast")
    assert done.exit_code == 1
    assert "nowhere: no such topic" in done.output


class Gone:
    """A gateway in a process of its own."""

    def __init__(self, broker: Broker, topic: str, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "muonstream", "replay", *map(str, arguments), "--to", kafka(broker, topic)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._broker, self._topic = broker, topic

    def until(self, n: int) -> bool:
        """Wait until the topic has n messages; False when the gateway ended before."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            if sum(high for _, high in marks(self._broker.address, self._topic)) >= n:
                return True
            assert time.monotonic() < end, f"no {n} messages"
        return False

    def end(self) -> int:
        self.output = self.process.communicate(timeout=PATIENCE_S)[0]
        return self.process.returncode


@contextmanager
def gateway(broker: Broker, topic: str, *arguments: str | Path) -> Iterator[Gone]:
    started = Gone(broker, topic, *arguments)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate()


def gateway_killed(gone: Gone, broker: Broker) -> None:
    gone.process.kill()


def gateway_terminated(gone: Gone, broker: Broker) -> None:
    gone.process.terminate()


def broker_killed(gone: Gone, broker: Broker) -> None:
    broker.kill()
    broker.start()


def broker_restarted(gone: Gone, broker: Broker) -> None:
    broker.restart()


def broker_held(gone: Gone, broker: Broker) -> None:
    broker.pause()
    time.sleep(10.0)  # this is the fault, nothing waits for it
    broker.resume()


def both_killed(gone: Gone, broker: Broker) -> None:
    gone.process.kill()
    broker_killed(gone, broker)


Fault = Callable[[Gone, Broker], None]


@pytest.fixture(scope="module")
def mortal(kafka_available: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that is killed and held again and again."""
    with Broker(tmp_path_factory.mktemp("mortal")) as started:
        yield started


@pytest.mark.parametrize(
    ("form", "faults"),
    [
        ("frames", [broker_restarted, gateway_killed, broker_killed]),
        ("json", [broker_held, gateway_terminated, both_killed]),
        # the same faults in another order and form
        pytest.param("frames", [gateway_killed] * 3, marks=pytest.mark.long),
        pytest.param("json", [gateway_killed, broker_killed], marks=pytest.mark.long),
        pytest.param("dma", [gateway_killed, gateway_killed], marks=pytest.mark.long),
        pytest.param("frames", [broker_held], marks=pytest.mark.long),
    ],
    ids=lambda item: item if isinstance(item, str) else "+".join(fault.__name__ for fault in item),
)
def test_after_any_fault_the_topic_is_as_if_there_was_none(
    mortal: Broker, tmp_path: Path, form: str, faults: list[Fault]
) -> None:
    file = tmp_path / "run7.dat"
    simulate_words(60_000, rate_hz=5_000.0).tofile(file)
    whole = make_topic(mortal.address, PARTITIONS)
    topic = make_topic(mortal.address, PARTITIONS)
    assert replay(file, "--to", kafka(mortal, whole), "--fast", "--as", form).exit_code == 0
    messages = sum(high for _, high in marks(mortal.address, whole))
    moments = sorted(random.sample(range(1, messages - PARTITIONS), len(faults)))
    print("faults at messages", moments, "of", messages)
    left = list(zip(moments, faults, strict=True))
    hit = 0
    while True:
        # 60,000 words in 6 s and no faster: the faults come in between
        with gateway(mortal, topic, file, "--as", form, "--rate", "10000") as gone:
            while left and gone.until(left[0][0]):
                left.pop(0)[1](gone, mortal)
                hit += 1
            status = gone.end()
        if status == 0:
            break
        # SIGTERM itself where it came before the command listens to it, or after
        assert status in (-signal.SIGKILL, -signal.SIGTERM, 143), gone.output
    assert hit, "no fault came before the end"
    run = Run(7, "run7")
    assert consumed(mortal.address, topic, run) == consumed(mortal.address, whole, run)


def test_a_file_that_grows_is_sent_to_its_end(
    broker: Broker, new_topic: TopicMaker, tmp_path: Path, words: Words
) -> None:
    """Interrupted, it is ended: what was held is sent, and the end told. Terminated before, it goes on."""
    topic = new_topic(PARTITIONS)
    path = tmp_path / "grows.dat"
    words[:12_000].tofile(path)
    with gateway(broker, topic, path, "--follow") as gone:
        assert gone.until(10)
        gone.process.send_signal(signal.SIGTERM)
        assert gone.end() == 143, gone.output
    assert "stays open" in gone.output
    with gateway(broker, topic, path, "--follow") as gone:
        seen = sum(high for _, high in marks(broker.address, topic))
        with path.open("ab") as handle:
            words[12_000:].tofile(handle)
        assert gone.until(seen + 10)
        gone.process.send_signal(signal.SIGINT)
        assert gone.end() == 0, gone.output
    run = Run(0, "grows")
    found = consumed(broker.address, topic, run)
    assert np.array_equal(np.sort(words_of(found)), np.sort(words))
    assert ends(found, run) == [EndMessage(run, words=len(words), partitions=PARTITIONS)] * PARTITIONS


def test_an_endless_simulation_ends_at_ctrl_c(broker: Broker, new_topic: TopicMaker) -> None:
    topic = new_topic(PARTITIONS)
    with gateway(broker, topic, "sim:rate=20000,seed=4", "--as", "dma") as gone:
        assert gone.until(50)
        gone.process.send_signal(signal.SIGINT)
        assert gone.end() == 0, gone.output
    run = Run(0, "sim")
    found = consumed(broker.address, topic, run)
    sent = words_of(found)
    assert {end.words for end in ends(found, run)} == {len(sent)}
    expected = np.empty(0, np.uint64)
    for block in Simulation(SimulationConfig(rate_hz=20_000.0, seed=4), DETECTOR).blocks():
        expected = np.concatenate([expected, block])
        if len(expected) >= len(sent):
            break
    assert np.array_equal(sent, expected[: len(sent)])
