"""How an engine's time is measured."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from muonstream.dashboard.feed import Feed
from muonstream.dashboard.metrics import metrics
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.engine_times import BOUNDS_S, EngineTimes, Spread, Stopwatch
from muonstream.simulation.telescope import simulate_words


class Clock:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_within_another_counts_for_itself_and_the_sum_is_all_the_time() -> None:
    clock = Clock()
    stopwatch = Stopwatch(clock)
    clock.now += 1
    with stopwatch.lasting("snapshot"):
        clock.now += 2
        with stopwatch.phase("merging"), stopwatch.phase("judging"):
            clock.now += 4
        clock.now += 8
    clock.now += 16
    found = stopwatch.times()
    spent = {name: seconds for name, seconds in found.phases.items() if seconds}
    assert spent == {"reading": 17, "snapshot": 10, "judging": 4}
    assert sum(found.phases.values()) == clock.now - 100
    assert found.spreads["snapshot"].sum_s == 14


def test_what_fails_is_no_longer_under_way() -> None:
    clock = Clock()
    stopwatch = Stopwatch(clock)

    def interrupted() -> None:
        with stopwatch.lasting("publishing"), stopwatch.kernel():
            clock.now += 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    clock.now += 5
    found = stopwatch.times()
    assert (found.phases["publishing"], found.phases["reading"], found.kernels_s) == (3, 5, 3)


def test_the_delay_is_that_of_the_oldest_words_that_a_snapshot_is_the_first_to_have() -> None:
    clock = Clock()
    stopwatch = Stopwatch(clock)
    stopwatch.shown()  # without any words
    stopwatch.came()
    clock.now += 0.25
    stopwatch.came()
    clock.now += 0.25
    stopwatch.shown()
    clock.now += 100
    stopwatch.came()
    clock.now += 60
    stopwatch.shown()
    delay = stopwatch.times().spreads["delay"]
    assert sum(delay.counts) == 2
    assert delay.counts[BOUNDS_S.index(0.5)] == 1
    assert delay.counts[-1] == 1
    assert delay.sum_s == 60.5


def test_times_come_back_from_plain_types() -> None:
    times = EngineTimes({"reading": 1.5}, 2.5, {"delay": Spread((1, *[0] * len(BOUNDS_S)), 0.0005)})
    assert EngineTimes.of_plain(times.as_plain()) == times
    with pytest.raises(ValueError, match="found 2 bins, expected 15"):
        EngineTimes.of_plain({"phases": {}, "kernels_s": 0, "spreads": {"delay": [[1, 2], 0]}})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_says_in_its_metrics_what_its_time_went_to(workers: int) -> None:
    feed = Feed()
    with Pipeline(Detector.default(), workers=workers) as pipeline:
        for _ in range(2):
            pipeline.push(simulate_words(20_000, seed=5))
            feed.publish(pipeline.snapshot())
        pipeline.finish()
        with pipeline.stopwatch.lasting("publishing"):
            feed.publish(pipeline.snapshot("ended"))
        feed.publish(pipeline.snapshot("ended"))
    found = {family.name: family for family in text_string_to_metric_families(metrics(feed).decode())}  # type: ignore[no-untyped-call]
    phases = {one.labels["phase"]: one.value for one in found["muonstream_engine_seconds"].samples}
    assert all(phases[name] > 0 for name in ("reading", "building", "counting", "merging", "snapshot", "publishing"))
    [kernels] = found["muonstream_kernel_seconds"].samples
    assert kernels.value > 0
    for name, times in (("snapshot", 4), ("publishing", 1), ("delay", 2)):
        samples = found[f"muonstream_{name}_seconds"].samples
        counts = [one.value for one in samples if one.name.endswith("_bucket")]
        assert counts == sorted(counts)
        assert counts[-1] == times
        assert [one.value for one in samples if one.name.endswith("_count")] == [times]
