from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka_fixtures import TopicMaker

from benchmarks.course_baseline import Found, analyse, drain
from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.loose_hits import hits_json
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words
from tools.kafka_broker import Broker

DETECTOR = Detector.default()


@pytest.fixture(scope="module")
def session(spark: Any) -> Any:
    """A session of its own on the Spark that all tests share."""
    made = spark.newSession()
    made.conf.set("spark.sql.shuffle.partitions", "2")
    return made


@pytest.fixture(scope="module")
def words() -> Words:
    # orbits that the course's second histogram shows, and words that are not hits
    return simulate_words(20_000, rate_hz=20_000, ancillary_hz=100, start_orbit=1_000_000)


def messages_of(words: Words) -> list[bytes]:
    text, offsets = hits_json(words)
    ends = offsets.tolist()
    return [text[ends[i] : ends[i + 1]] for i in range(len(words))]


def counted(words: Words) -> tuple[Catalogue, Counts]:
    with Pipeline(DETECTOR) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        return pipeline.catalogue, pipeline.snapshot("ended").total


def test_the_notebooks_numbers_are_those_of_our_engines(session: Any, words: Words) -> None:
    rows = [(value,) for value in [*messages_of(words), b"no JSON", b'{"HEAD": 2}']]
    found = analyse(session.createDataFrame(rows, "value binary"), persist=True)
    catalogue, counts = counted(words)
    assert found.hits == int(catalogue.chamber_hits(counts).sum()) > 10_000
    assert [found.by_chamber[number] for number in (1, 2, 3, 4)] == catalogue.chamber_hits(counts).tolist()
    for index in range(4):
        ours = catalogue.course_histograms(counts, index)
        for name, (_, values) in ours.items():
            assert values.any()
            np.testing.assert_array_equal(found.histograms[name.capitalize()][index + 1], values)


@pytest.mark.long
def test_the_notebook_drains_a_topic_in_micro_batches(
    session: Any, words: Words, broker: Broker, new_topic: TopicMaker, tmp_path: Path
) -> None:
    topic, results = new_topic(2), new_topic()
    producer = Connection(KafkaAddress(broker.address, topic)).producer()
    for i, value in enumerate(messages_of(words)):
        producer.produce(topic, value, partition=i % 2)
        producer.poll(0)
    assert producer.flush(30) == 0
    found: list[Found] = []
    batches = drain(
        session, broker.address, topic, str(tmp_path), messages=10_000, results=results, on_batch=found.append
    )
    assert [n for n, _ in batches] == [10_000, 10_000]
    assert all(seconds > 0 for _, seconds in batches)
    catalogue, counts = counted(words)
    assert sum(one.hits for one in found) == int(catalogue.chamber_hits(counts).sum())
    for index in range(4):  # what does not depend on where micro-batches are cut
        ours = catalogue.course_histograms(counts, index)["hist_1"][1]
        np.testing.assert_array_equal(sum(one.histograms["Hist_1"][index + 1] for one in found), ours)
