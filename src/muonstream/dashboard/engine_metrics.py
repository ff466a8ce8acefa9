"""How the engine spends its time, for Prometheus: phases, kernels, and histograms of durations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from muonstream.run.engine_times import BOUNDS_S, EngineTimes, Spread

SPREADS: Final = {
    "snapshot": ("snapshot_seconds", "How long making a snapshot took"),
    "publishing": ("publishing_seconds", "How long handing a snapshot to the page, alarms and topics took"),
    "delay": ("delay_seconds", "How long the oldest of the new words of a snapshot waited for it"),
}


def engine_metrics(times: EngineTimes | None) -> Iterator[Metric]:
    """Metrics of an engine that reports its times; none for one that does not."""
    if times is None:
        return
    phases = CounterMetricFamily(
        "muonstream_engine_seconds", "Time of the engine's own thread by phase", labels=["phase"], unit="seconds"
    )
    for phase, seconds in times.phases.items():
        phases.add_metric([phase], seconds)
    yield phases
    yield CounterMetricFamily(
        "muonstream_kernel_seconds", "Time of all threads in kernels", times.kernels_s, unit="seconds"
    )
    for name, (metric, text) in SPREADS.items():
        spread = times.spreads.get(name, Spread())
        edges = [*map(str, BOUNDS_S), "+Inf"]
        buckets = list(zip(edges, accumulate(spread.counts), strict=True))
        yield HistogramMetricFamily(f"muonstream_{metric}", text, buckets, spread.sum_s, unit="seconds")
