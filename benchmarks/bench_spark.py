"""Spark: our engines beside the notebook's computation on the same messages, the drain of frames, and latency.

python -m benchmarks.bench_spark                     all of it: about half an hour on two cores
python -m benchmarks.bench_spark --quick             small topics, one round: whether it works
python -m benchmarks.bench_spark --words 500000000   more frames to drain
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np

from benchmarks import bench_kafka_drain
from benchmarks.spark_works import (
    LOOPBACK,
    PARTITIONS,
    Drained,
    baseline_drain,
    fill,
    fill_bare,
    fresh,
    local_drain,
    make_topic,
    messages_in,
    process_file,
    spark_drain,
)
from muonstream.commands.spark import FRAMES_WORDS
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline, warm_up
from muonstream.formats.loose_hits import hits_json
from muonstream.kafka.address import KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.offsets import TopicOffsets
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.spark.engine import SparkEngine
from muonstream.spark.query import Query, QueryOptions
from muonstream.spark.session import SparkSettings, spark_session
from tools.kafka_broker import Broker

MASTER: Final = "local[2]"
PLAIN, PERSISTED = "notebook, plain", "notebook, parsed frame persisted"
SPARK, LOCAL, FILE = "our engine on Spark", "our local engine", "process, the same JSON as a file"
LATENCY_S: Final = 30.0


def loose(broker: Broker, folder: Path, *, batch: int, batches: int, rounds: int) -> None:
    """The same loose hits by all, interleaved, without headers; the first micro-batch of those on Spark apart."""
    words = batch * batches
    simulated = simulate_words(words, rate_hz=5e3)
    fill_bare(broker.address, "hits", simulated)
    file = folder / "hits.json"
    with file.open("wb") as handle:
        text, ends = hits_json(simulated)
        offsets = ends.tolist()
        for i in range(words):
            handle.write(text[offsets[i] : offsets[i + 1]])
            handle.write(b"\n")
    of_notebook = partial(baseline_drain, broker.address, "hits", master=MASTER, words=words, messages=batch)
    rates: dict[str, list[float]] = {}
    cold: dict[str, list[float]] = {}
    works: dict[str, Callable[[], Drained]] = {
        PLAIN: lambda: fresh(of_notebook, persist=False),
        PERSISTED: lambda: fresh(of_notebook, persist=True),
        SPARK: lambda: fresh(spark_drain, broker.address, "hits", master=MASTER, messages=batch),
        LOCAL: lambda: fresh(local_drain, broker.address, "hits"),
        FILE: lambda: Drained(words, process_file(file)),
    }
    for _ in range(rounds):
        for name, drained in works.items():
            found = drained()
            rates.setdefault(name, []).append(found.warm_rate if found.batches else found.words / found.seconds)
            if found.batches:
                cold.setdefault(name, []).append(found.cold_s)
    print(f"\nLoose JSON hits: {words:,} in {PARTITIONS} partitions, {batch:,} a micro-batch, median of {rounds}")
    print(f"{'':36} {'M hits/s':>10} {'/ plain':>9} {'/ persisted':>12} {'first batch, s':>15}")
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        first = f"{statistics.median(cold[name]):15.1f}" if name in cold else ""
        print(
            f"{name:36} {rate / 1e6:10.3f} {rate / medians[PLAIN]:9.1f} {rate / medians[PERSISTED]:12.1f} {first}",
            flush=True,
        )


def framed(broker: Broker, *, words: int, rounds: int) -> None:
    """Frames drained by both engines, interleaved."""
    fill(broker.address, "frames", words, form="frames")
    per_message = words / messages_in(broker.address, "frames")
    messages = max(round(min(FRAMES_WORDS, words / 3) / per_message), 1)
    found: dict[str, list[Drained]] = {SPARK: [], LOCAL: []}
    for _ in range(rounds):
        found[SPARK].append(fresh(spark_drain, broker.address, "frames", master=MASTER, messages=messages))
        found[LOCAL].append(fresh(local_drain, broker.address, "frames"))
    warm = statistics.median(one.warm_rate for one in found[SPARK])
    whole = statistics.median(one.words / one.seconds for one in found[SPARK])
    local = statistics.median(one.words / one.seconds for one in found[LOCAL])
    print(f"\nFrames of 1 MHz: {words:,} words drained, median of {rounds}")
    print(f"{LOCAL:44} {local / 1e6:8.1f} M words/s")
    print(f"{SPARK + ', without the first micro-batch':44} {warm / 1e6:8.1f} M words/s, {warm / local:.0%}")
    print(f"{SPARK + ', all of it':44} {whole / 1e6:8.1f} M words/s, {whole / local:.0%}")
    cold = statistics.median(one.cold_s for one in found[SPARK])
    print(f"{'first micro-batch':44} {cold:8.2f} s of about {messages * per_message:,.0f} words", flush=True)


def small_batches(broker: Broker, rounds: int) -> None:
    """What a micro-batch costs that has hardly any data."""
    fill(broker.address, "few", 150_000, form="frames", rate_hz=1e3)
    works = [
        fresh(spark_drain, broker.address, "few", master=MASTER, messages=PARTITIONS).typical_s for _ in range(rounds)
    ]
    print(
        f"\nA micro-batch of {PARTITIONS} small frames, median of {rounds}: {statistics.median(works):.3f} s",
        flush=True,
    )


def latencies(address: str, topic: str, rate_hz: float, trigger_s: float) -> list[float]:
    """Seconds from `produce` of each window, sent when it is complete, to the snapshot that holds it.

    The first third, in which Java and Python warm up, is left out.
    """
    shown: list[tuple[float, dict[int, int]]] = []
    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        spark_session(SparkSettings(MASTER, LOOPBACK, Path(folder) / "spark.log")) as session,
        Pipeline(Detector.default(), workers=1) as pipeline,
    ):
        warm_up(Detector.default())
        ends = TopicOffsets(Connection(KafkaAddress(address, topic)))
        assert ends.open(Event())
        query = Query(session, QueryOptions(ends.connection.address.servers, topic, folder, trigger_s))
        engine = SparkEngine(ends, pipeline, Deliveries(), query)
        engine.begin()

        def publish(snapshot: Snapshot) -> None:
            shown.append((time.monotonic(), {p: part.key for p, part in engine.deliveries.parts.items()}))

        times: Any = get_context("spawn").Queue()
        sender = get_context("spawn").Process(
            target=bench_kafka_drain.produce_live, args=(address, topic, rate_hz, times, LATENCY_S)
        )
        sender.start()
        engine.run(Event(), publish=publish)
        ends.close()
    found = []
    for partition, key, at in times.get():
        found.append(next(when for when, keys in shown if when >= at and keys.get(partition, -1) >= key) - at)
    sender.join()
    return found[len(found) // 3 :]


def latency(broker: Broker, rate_hz: float = 1e5, trigger_s: float = 1.0) -> None:
    """Print how late snapshots are."""
    make_topic(broker.address, "latency")
    found = fresh(latencies, broker.address, "latency", rate_hz, trigger_s)
    p50, p99 = np.percentile(found, [50, 99])
    print(
        f"\nproduce to snapshot, a trigger of {trigger_s:g} s, {rate_hz:,.0f} Hz, {len(found)} windows once warm: "
        f"p50 {p50:.2f} s, p99 {p99:.2f} s, highest {max(found):.2f} s",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_spark", description="Benchmarks with Spark.")
    parser.add_argument("--quick", action="store_true", help="small and once")
    parser.add_argument("--words", type=int, default=100_000_000, help="frames to drain (default 100 M words)")
    parser.add_argument("--batch", type=int, default=1_000_000, help="loose hits in a micro-batch (default 1 M)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["loose", "frames", "small", "latency"])
    asked = parser.parse_args()
    rounds, batch, words = asked.rounds, asked.batch, asked.words
    if asked.quick:
        rounds, batch, words = 1, 100_000, 5_000_000
    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        Broker(Path(folder) / "kafka", quick_start=False, heap_mib=1024) as broker,
    ):
        if asked.only in (None, "loose"):
            loose(broker, Path(folder), batch=batch, batches=3, rounds=rounds)
        if asked.only in (None, "frames"):
            framed(broker, words=words, rounds=rounds)
        if asked.only in (None, "small"):
            small_batches(broker, rounds)
        if asked.only in (None, "latency"):
            latency(broker)


if __name__ == "__main__":
    main()
