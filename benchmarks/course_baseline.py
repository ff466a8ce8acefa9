"""The course's computation in plain Spark, as its notebook has it: what our engines are compared with.

Each micro-batch of loose JSON hits: messages parsed with `from_json`, kept where HEAD is 2 and the channel is known,
given their chamber with `when` and `otherwise`, joined with the passage time of the scintillator in their orbit; then
six actions, one for each number and histogram that is published: all hits, hits by chamber, and the four histograms.
Correct and untuned: plain, each action reads and parses the micro-batch again; persisted, the parsed frame is kept.

An orbit that a micro-batch's edge cuts is analysed in two parts: the notebook loses its drift times, and so does this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

OFFSETS_NS: Final = {1: 93.9, 2: 101.4, 3: 95.5, 4: 92.4}
FIELDS: Final = "HEAD INT, FPGA INT, TDC_CHANNEL INT, ORBIT_CNT BIGINT, BX_COUNTER INT, TDC_MEAS INT"
BINS: Final = {"Hist_1": (26, 0.0, 5.0), "Hist_2": (19, 6e5, 5e5), "Hist_3": (26, 0.0, 5.0), "Hist_4": (100, 0.0, 10.0)}
"""How many bins, the first one's left edge, their width: TDC channel, orbit, TDC channel, drift time in ns."""
SHUFFLE_PARTITIONS: Final = 4
"""Spark's default is 200, with which small micro-batches take seconds: not what is to be compared here."""


@dataclass(frozen=True)
class Found:
    """What one micro-batch holds: hits, hits of each chamber, counts of each histogram by name and chamber."""

    hits: int
    by_chamber: Mapping[int, int]
    histograms: Mapping[str, Mapping[int, NDArray[np.int64]]]

    def message(self) -> bytes:
        """The results with the course's keys, as they are published."""
        out: dict[str, Any] = {"Index": time.time(), "Total Count": self.hits}
        for chamber in OFFSETS_NS:
            out[f"Chamber_{chamber}"] = {
                "Count": self.by_chamber.get(chamber, 0),
                **{
                    name: {"Bins": (first + width * np.arange(n)).tolist(), "Counts": counts[chamber].tolist()}
                    for (name, counts), (n, first, width) in zip(self.histograms.items(), BINS.values(), strict=True)
                },
            }
        return json.dumps(out).encode()


def parsed(messages: Any) -> Any:
    """The six fields of messages whose `value` is JSON."""
    from pyspark.sql.functions import col, from_json

    return messages.select(from_json(col("value").cast("string"), FIELDS).alias("hit")).select("hit.*")


def cleaned(hits: Any) -> Any:
    """Hits of known channels, with their chamber (0: the scintillator) and their time in ns."""
    from pyspark.sql.functions import col, when

    fpga, channel = col("FPGA"), col("TDC_CHANNEL")
    chamber = (
        when((fpga == 0) & (channel >= 0) & (channel <= 63), 1)
        .when((fpga == 0) & (channel >= 64) & (channel <= 127), 2)
        .when((fpga == 1) & (channel >= 0) & (channel <= 63), 3)
        .when((fpga == 1) & (channel >= 64) & (channel <= 127), 4)
        .when((fpga == 1) & (channel == 128), 0)
        .otherwise(-1)
    )
    when_ns = (col("ORBIT_CNT") * 3564 + col("BX_COUNTER") + col("TDC_MEAS") / 30) * 25
    return (
        hits.filter(col("HEAD") == 2)
        .withColumn("CHAMBER", chamber)
        .filter(col("CHAMBER") >= 0)
        .withColumn("TIME", when_ns)
    )


def drift_times(hits: Any) -> Any:
    """Hits of chambers in orbits with a passage time, each with its drift time in ns."""
    from pyspark.sql.functions import col, min, when

    passages = hits.filter(col("CHAMBER") == 0).groupBy("ORBIT_CNT").agg(min("TIME").alias("PASSAGE"))
    offset = when(col("CHAMBER") == 1, OFFSETS_NS[1])
    for chamber in (2, 3, 4):
        offset = offset.when(col("CHAMBER") == chamber, OFFSETS_NS[chamber])
    joined = hits.filter(col("CHAMBER") > 0).join(passages, "ORBIT_CNT")
    return joined.withColumn("DRIFT", col("TIME") - col("PASSAGE") + offset)


def histogram(frame: Any, column: str, weight: Any, name: str) -> dict[int, NDArray[np.int64]]:
    """One action: the sums of a weight by chamber and bin of a column."""
    from pyspark.sql.functions import col, floor

    n, first, width = BINS[name]
    counts = {chamber: np.zeros(n, np.int64) for chamber in OFFSETS_NS}
    inside = frame.filter((col(column) >= first) & (col(column) < first + n * width))
    for row in inside.groupBy("CHAMBER", floor((col(column) - first) / width).alias("BIN")).agg(weight).collect():
        counts[row[0]][row[1]] += row[2]
    return counts


def analyse(messages: Any, *, persist: bool = False) -> Found:
    """All six numbers and histograms of a frame of messages."""
    from pyspark.sql.functions import col, count, countDistinct, sum

    hits = cleaned(parsed(messages))
    if persist:
        hits = hits.persist()
    try:
        of_chambers = hits.filter(col("CHAMBER") > 0)
        drifting = drift_times(hits)
        active = of_chambers.groupBy("CHAMBER", "ORBIT_CNT").agg(countDistinct("TDC_CHANNEL").alias("CELLS"))
        return Found(
            hits=of_chambers.count(),
            by_chamber={row[0]: row[1] for row in of_chambers.groupBy("CHAMBER").count().collect()},
            histograms={
                "Hist_1": histogram(of_chambers, "TDC_CHANNEL", count("*"), "Hist_1"),
                "Hist_2": histogram(active, "ORBIT_CNT", sum("CELLS"), "Hist_2"),
                "Hist_3": histogram(drifting, "TDC_CHANNEL", count("*"), "Hist_3"),
                "Hist_4": histogram(drifting, "DRIFT", count("*"), "Hist_4"),
            },
        )
    finally:
        if persist:
            hits.unpersist()


def drain(
    session: Any,
    servers: str,
    topic: str,
    checkpoint: str,
    *,
    messages: int,
    persist: bool = False,
    results: str = "",
    on_batch: Callable[[Found], None] = lambda found: None,
) -> list[tuple[int, float]]:
    """Read a topic to its end, `messages` a micro-batch, and publish what each holds; (messages, seconds) of each.

    results: topic of the results, "" for none
    """
    from confluent_kafka import Producer

    session.conf.set("spark.sql.shuffle.partitions", str(SHUFFLE_PARTITIONS))
    producer = Producer({"bootstrap.servers": servers}) if results else None

    def take(frame: Any, number: int) -> None:
        found = analyse(frame, persist=persist)
        if producer is not None:
            producer.produce(results, found.message())
            producer.flush()
        on_batch(found)

    options = {"kafka.bootstrap.servers": servers, "subscribe": topic, "startingOffsets": "earliest"}
    query = (
        session.readStream.format("kafka")
        .options(**options, maxOffsetsPerTrigger=str(messages))
        .load()
        .writeStream.foreachBatch(take)
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return [
        (n, int(told["durationMs"]["triggerExecution"]) / 1000)
        for told in query.recentProgress
        if (n := messages_of(told["sources"][0]))
    ]


def messages_of(source: Mapping[str, Any]) -> int:
    """How many messages a micro-batch has, however often they were read: from Spark's account of its source."""
    began, ended = (json.loads(source[name]) or {} for name in ("startOffset", "endOffset"))
    return sum_of(ended) - sum_of(began)


def sum_of(offsets: Mapping[str, Mapping[str, int]]) -> int:
    """All partitions' offsets of all topics, added up."""
    return sum(at for partitions in offsets.values() for at in partitions.values())
