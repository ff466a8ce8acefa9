from __future__ import annotations

from dataclasses import replace

import pytest

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.kafka.snapshots import SnapshotFilter
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words


@pytest.fixture(scope="module")
def waiting() -> Snapshot:
    """Of an engine that waits for a run: it has neither a name nor words."""
    with Pipeline(Detector.default(), workers=0) as pipeline:
        return pipeline.snapshot()


@pytest.fixture(scope="module")
def running() -> Snapshot:
    with Pipeline(Detector.default(), run="run 7", workers=0) as pipeline:
        pipeline.push(simulate_words(2000))
        return pipeline.snapshot()


def test_a_run_that_waits_gives_way_to_the_first_that_has_words(waiting: Snapshot, running: Snapshot) -> None:
    choice = SnapshotFilter(clock=lambda: 0.0)
    choice.shown(waiting)
    assert choice.wants(waiting.run)
    assert choice.wants("run 7")
    choice.shown(running)
    # neither another that waits nor another that runs takes its place
    assert [choice.wants(run) for run in ("run 7", "", "run 8")] == [True, False, False]
    # a run without a name keeps its place as any other, once it has words
    nameless = SnapshotFilter(clock=lambda: 0.0)
    nameless.shown(replace(running, run=""))
    assert [nameless.wants(run) for run in ("", "run 7")] == [True, False]
    nameless.shown(replace(running, run="", state="ended"))
    assert nameless.wants("run 7")
