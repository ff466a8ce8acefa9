"""Spark's own keyed state, for comparison: windows of loose hits completed by it instead of by the driver's builder.

python -m benchmarks.spark_keyed              2 M hits, both ways, on two cores

Words are parsed by the same code, shuffled by window, kept in the state of `applyInPandasWithState` until the watermark
has passed their window, and given out whole. Nothing is analysed: it is the least that this way can cost.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import spark_keyed  # functions for Spark's workers must not be of a main module
from benchmarks.course_baseline import messages_of
from benchmarks.spark_works import LOOPBACK, PARTITIONS, Drained, fill_bare, fresh, messages_in, spark_drain
from muonstream.formats.hits_json import KEYS, scan_objects
from muonstream.kafka.columns import COLUMNS, Rows
from muonstream.simulation.telescope import simulate_words
from muonstream.spark.query import CONSUMER, FILE_MANAGER, LOCAL_FILES
from muonstream.spark.session import SparkSettings, spark_session
from muonstream.words import ORBIT_SHIFT, WINDOW_ORBIT_BITS, WINDOW_SECONDS
from tools.kafka_broker import Broker

MASTER: Final = "local[2]"
LATENESS: Final = "1 second"
"""Of data: partitions of one micro-batch are that far apart at most."""


def parsed(batches: Iterator[Any]) -> Iterator[Any]:
    """Record batches of messages as (window, word, time): for `mapInArrow`."""
    import pyarrow

    for batch in batches:
        rows = Rows(batch)
        n = batch.num_rows
        words = np.empty(n, np.uint64)
        unusual = np.empty((n, 2), np.int64)
        starts = rows.values.starts
        found = words[: scan_objects(rows.values.data, starts[:-1], starts[1:], KEYS, words, unusual)]
        windows = (found >> np.uint64(ORBIT_SHIFT) & np.uint64(0xFFFFFFFF)) >> np.uint64(WINDOW_ORBIT_BITS)
        times = (windows * (WINDOW_SECONDS * 1e6)).astype("datetime64[us]")
        columns = [pyarrow.array(windows.astype(np.int64)), pyarrow.array(found.astype(np.int64)), pyarrow.array(times)]
        columns[2] = columns[2].cast(pyarrow.timestamp("us", "UTC"))
        yield pyarrow.RecordBatch.from_arrays(columns, ["window", "word", "time"])


def completed(key: tuple[int], frames: Iterator[Any], state: Any) -> Iterator[Any]:
    """A window's words kept until it times out: for `applyInPandasWithState`."""
    import pandas as pd

    if state.hasTimedOut:
        (words,) = state.get
        state.remove()
        yield pd.DataFrame({"window": [key[0]], "words": [words]})
        return
    parts = [state.get[0]] if state.exists else []
    parts += [frame["word"].to_numpy().tobytes() for frame in frames]
    state.update((b"".join(parts),))
    ends = int((key[0] + 2) * WINDOW_SECONDS * 1000)
    state.setTimeoutTimestamp(max(ends, state.getCurrentWatermarkMs()) + 1)


def keyed_drain(address: str, topic: str, *, messages: int) -> Drained:
    """A topic of loose hits to whole windows, by Spark's keyed state; words are those given out."""
    given = 0

    def take(batch: Any, number: int) -> None:
        nonlocal given
        given += sum(len(row.words) // 8 for row in batch.collect())

    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        spark_session(SparkSettings(MASTER, LOOPBACK, Path(folder) / "spark.log")) as session,
    ):
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.conf.set(FILE_MANAGER, LOCAL_FILES)
        session.conf.set("spark.sql.shuffle.partitions", "2")
        options = {
            "kafka.bootstrap.servers": address,
            "subscribe": topic,
            "includeHeaders": "true",
            "startingOffsets": json.dumps({topic: {str(p): 0 for p in range(PARTITIONS)}}),
            "maxOffsetsPerTrigger": str(messages),
            **{f"kafka.{key}": value for key, value in CONSUMER.items()},
        }
        words = session.readStream.format("kafka").options(**options).load().select(*COLUMNS).coalesce(2)
        windows = (
            words.mapInArrow(parsed, "window bigint, word bigint, time timestamp")
            .withWatermark("time", LATENESS)
            .groupBy("window")
            .applyInPandasWithState(
                completed, "window bigint, words binary", "words binary", "append", "EventTimeTimeout"
            )
        )
        began = time.perf_counter()
        query = windows.writeStream.foreachBatch(take).option("checkpointLocation", f"{folder}/query").start()
        query.processAllAvailable()
        seconds = time.perf_counter() - began
        told = [one for one in query.recentProgress if messages_of(one["sources"][0])]
        query.stop()
    batches = [(messages_of(one["sources"][0]), one["durationMs"]["triggerExecution"] / 1000) for one in told]
    return Drained(given, seconds, batches)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spark_keyed", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--words", type=int, default=2_000_000)
    words = parser.parse_args().words
    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        Broker(Path(folder) / "kafka", quick_start=False, heap_mib=1024) as broker,
    ):
        fill_bare(broker.address, "hits", simulate_words(words, rate_hz=5e3))
        messages = messages_in(broker.address, "hits") // 4
        ways: dict[str, Callable[[], Drained]] = {
            "driver's builder, with all analysis": lambda: fresh(
                spark_drain, broker.address, "hits", master=MASTER, messages=messages
            ),
            "Spark's keyed state, without": lambda: fresh(
                spark_keyed.keyed_drain, broker.address, "hits", messages=messages
            ),
        }
        print(f"{words:,} loose hits in {PARTITIONS} partitions, {messages:,} a micro-batch")
        for name, way in ways.items():
            found = way()
            rest = sum(seconds for _, seconds in found.batches[1:])
            rate = sum(n for n, _ in found.batches[1:]) / rest
            print(
                f"{name:36} {rate / 1e6:8.3f} M hits/s without the first micro-batch, in which {found.cold_s:.1f} s; "
                f"{found.words:,} words given out",
                flush=True,
            )


if __name__ == "__main__":
    main()
