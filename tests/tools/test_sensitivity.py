"""Each fault of the table, when it is large, is found within half a minute, and nothing else is raised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.steps import Step
from muonstream.detector.guidance import GUIDANCE
from muonstream.detector.model import Detector
from muonstream.verdicts.kept import Ends
from muonstream.verdicts.timeline import Timeline
from tools import sensitivity
from tools.faults import FAULTS
from tools.faults.checks import FOR_CHECK
from tools.sensitivity import OF_THE_CLOCK, SOON_S, Seen, Thinned, Trial, Trials, cells, found, smallest

SIZES = {
    "dying cell": 3.0,
    "noisy cell": 5000.0,
    "oscillating cell": 5000.0,
    "noise up": 5000.0,
    "dead chamber": 60.0,
    "dead board": 60.0,
    "rate down": 0.9,
    "late scintillator": 10.0,
    "t0": 10.0,
    "board step": 25.0,
    "drift velocity": 5.0,
    "layer shift": 1.0,
    "crosstalk everywhere": 0.5,
}
"""Sizes in the fault's unit; of others the largest of its ladder."""
NEVER_TRIPPED = {
    "account",  # a fault of the program itself
    "forced windows",  # for want of memory: see test_builder
    "inputs",  # of files, not of words: see test_board
    "malformed input",
    "occupancy",  # needs a reference
    "stalled",  # needs a clock: see test_quality
    "hits",  # see test_timeline
    "crosstalk",  # says which pair shares most; its alarms are those of crosstalking cells
    "efficiency",
    "cell efficiency",  # of cells that still have hits enough
}


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in OF_THE_CLOCK])
def test_a_large_fault_is_found_soon_and_nothing_else(name: str) -> None:
    seen = found(name, SIZES.get(name, FAULTS[name].sizes[-1]), 5000.0, SOON_S)
    assert seen.after_s is not None
    assert seen.others == ()


def test_the_table_of_faults_has_one_for_each_check() -> None:
    may = {check for fault in FAULTS.values() for check, _ in fault.checks(Detector.default())}
    assert set(GUIDANCE) - may - NEVER_TRIPPED == set()


def test_the_smallest_fault_is_found_by_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = FAULTS["dead cell"]
    asked = []

    def by_size(
        name: str, size: float, rate_hz: float, within_s: float, check: str | None = None, every: int = 1
    ) -> Trial:
        asked.append(size)
        return Trial(name, size, rate_hz, within_s, every, {"dead cell": (5.0, "Bad")} if size >= 0.7 else {})

    monkeypatch.setattr(sensitivity, "tried", by_size)
    place, seen = smallest(fault, 5000.0, 30.0)
    assert place is not None
    assert (fault.sizes[place], seen.check) == (0.7, "dead cell (Bad)")
    assert len(asked) <= 4


def test_each_cell_of_the_table_says_what_is_found_or_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of which a share of 0.95 shows after 400 s, all of it after 200 s, and less of it never."""
    times_s = {0.95: 400.0, 1.0: 200.0}
    asked = []

    def by_size(
        name: str, size: float, rate_hz: float, within_s: float, check: str | None = None, every: int = 1
    ) -> Trial:
        asked.append((size, within_s))
        after_s = times_s.get(size, 1e9)
        first = {"dead cell": (after_s, "Medium")} if after_s <= within_s else {}
        return Trial(name, size, rate_hz, within_s, every, first, ((20.0, "t0: Chamber 1"),) if size == 1.0 else ())

    monkeypatch.setattr(sensitivity, "tried", by_size)
    early, late = cells(("dead cell", 100.0), [30.0, 3600.0])
    assert len(asked) == len(set(asked))
    # a trial of the whole run tells of its first half minute too
    assert {within_s for _, within_s in asked} == {3600.0}
    assert early == "none: 1 share takes 3 min"
    assert late == "0.95 share: dead cell (Medium), 7 min"
    assert cells(("dead cell", 100.0), [30.0, 100.0]) == ["not found", "not found"]
    assert cells(("dead cell", 100.0), [300.0]) == ["1 share: dead cell (Medium), 3 min; also t0: Chamber 1"]
    assert cells(("dead cells", 100.0), [3600.0], by_check=True) == ["not found"]


def test_nothing_is_tried_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def by_size(
        name: str, size: float, rate_hz: float, within_s: float, check: str | None = None, every: int = 1
    ) -> Trial:
        asked.append((size, within_s))
        first = {"dead cell": (50.0, "Bad")} if within_s > 50 else {}
        return Trial(name, size, rate_hz, within_s, every, first, ((40.0, "t0: Chamber 1"),))

    monkeypatch.setattr(sensitivity, "tried", by_size)
    trials = Trials(tmp_path / "trials")
    assert trials.seen("dead cell", 1.0, 5000.0, 30.0) == Seen(None)
    assert trials.seen("dead cell", 1.0, 5000.0, 100.0) == Seen(50.0, "dead cell (Bad)", ("t0: Chamber 1",))
    for again in (trials, Trials(tmp_path / "trials")):
        assert again.seen("dead cell", 1.0, 5000.0, 100.0).after_s == 50.0
        assert again.seen("dead cell", 1.0, 5000.0, 20.0) == Seen(None)
        assert again.seen("dead cell", 1.0, 5000.0, 100.0, "dead cells") == Seen(None, "", ("t0: Chamber 1",))
    assert asked == [(1.0, 30.0), (1.0, 100.0)]


def test_trials_of_another_source_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = Trial("dead cell", 1.0, 5000.0, 30.0, 1, {"dead cell": (5.0, "Bad")})
    monkeypatch.setattr(sensitivity, "tried", lambda *_: made)
    Trials(tmp_path / "trials").seen("dead cell", 1.0, 5000.0, 30.0)
    monkeypatch.setattr(sensitivity, "_source", lambda: "another")
    monkeypatch.setattr(sensitivity, "tried", lambda *_: replace(made, first={}))
    assert Trials(tmp_path / "trials").seen("dead cell", 1.0, 5000.0, 30.0).after_s is None


def test_each_check_that_words_decide_has_its_fault() -> None:
    """The table of checks is whole: all but those that no fault trips, with a fault that may trip it."""
    assert set(FOR_CHECK) | NEVER_TRIPPED >= set(GUIDANCE)
    for check, (name, _) in FOR_CHECK.items():
        assert check in GUIDANCE
        assert check in {of for of, _ in FAULTS[name].checks(Detector.default())}


def test_steps_taken_together_are_the_same_run() -> None:
    detector = Detector.default()
    catalogue = Catalogue(detector)
    counts = np.random.default_rng(1).poisson(3.0, (7, catalogue.size)).astype(np.int64)
    steps = [Step(n, counts[n], 3.0 * (n + 1), 3.0 * (n + 1)) for n in range(7)]
    whole, thinned = Timeline(catalogue), Thinned(catalogue, 3)
    for step in steps:
        whole.add(step)
        thinned.add(step)
    assert thinned.verdicts.judged_s == 18.0
    for timeline in (whole, thinned):
        timeline.finish()
    assert thinned.verdicts.judged_s == whole.verdicts.judged_s == 21.0
    found_at_end = []
    for timeline in (whole, thinned):
        ends = Ends(catalogue.zeros())
        ends.restore(timeline.state()["ends"])
        found_at_end.append(ends.last.counts)
    np.testing.assert_array_equal(found_at_end[1], found_at_end[0])
    np.testing.assert_array_equal(found_at_end[0], counts.sum(axis=0))
