"""Faults that begin and end, and the comparison of paces."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.simulation.scenario import SimulationConfig
from muonstream.verdicts.verdicts import Change
from muonstream.words import decode
from tools import paces
from tools.faults import FAULTS, simulated
from tools.night import NIGHT, Episode, night, report, words_of, write

DETECTOR = Detector.default()
CONFIG = SimulationConfig(seed=3, duration_s=12.0, rate_hz=5000.0)


@pytest.mark.parametrize("name", [name for name, _ in NIGHT])
def test_a_fault_that_ends_leaves_the_rest_as_it_was(name: str) -> None:
    fault = FAULTS[name]
    healthy = np.concatenate(list(simulated(CONFIG, 12.0, 5000.0, 3)))
    size = 3.0 if fault.unit == "s" else fault.sizes[3]
    whole = fault.begin(size, 4.0, 1, DETECTOR, 7.0)
    changed = np.concatenate([whole(healthy), whole.end()])
    tail = int(np.searchsorted(np.maximum.accumulate(decode(healthy).orbit), 8.2 * 1e9 / (3564 * 25)))
    np.testing.assert_array_equal(changed[-(len(healthy) - tail) :], healthy[tail:])
    assert not np.array_equal(changed, healthy)
    # however the stream is cut
    pieces = fault.begin(size, 4.0, 1, DETECTOR, 7.0)
    np.testing.assert_array_equal(changed, np.concatenate([*pieces.over(np.array_split(healthy, 37))]))


def test_a_night_has_one_fault_at_a_time(tmp_path: Path) -> None:
    episodes = night()
    assert len(episodes) == len(NIGHT) == 10
    for one, following in pairwise(episodes):
        assert one.begin_s < one.end_s < following.begin_s
    n = write(tmp_path / "words.dat", words_of([Episode("dead board", 5.0, 1.0, 6.0)], 8.0, 1000.0))
    words = np.fromfile(tmp_path / "words.dat", "<u8")
    assert len(words) == n > 0


def test_the_report_says_what_was_found_what_was_missed_and_what_is_of_no_fault() -> None:
    chamber = DETECTOR.chambers[1].name
    episodes = [Episode("t0", 10.0, 60.0, 120.0), Episode("dead cell", 1.0, 240.0, 300.0)]
    changes = [
        Change(0.0, 78.0, "t0", chamber, Level.GOOD, Level.BAD, "late"),
        Change(0.0, 250.0, "noise", DETECTOR.chambers[0].name, Level.GOOD, Level.MEDIUM, "more"),
    ]
    assert list(report(episodes, changes, DETECTOR)) == [
        "1 min: t0, 10 ns, for 60 s",
        f"    +18 s Good to Bad: t0: {chamber}: late",
        "4 min: dead cell, 1 share, for 60 s",
        "  missed",
        "of no fault: 1 changes",
        f"     250 s Good to Medium: noise: {DETECTOR.chambers[0].name}: more",
    ]


def test_a_time_line_that_differs_is_marked() -> None:
    lines: dict[str, dict[str, Any]] = {
        "process": {"changes": 1, "headline": "Good", "history": []},
        "run --pace 1": {"changes": 1, "headline": "Good", "history": []},
        "run --pace max": {"changes": 2, "headline": "Bad", "history": []},
    }
    rows = paces.table(lines, dict.fromkeys(lines, 5.0))
    assert [row.rpartition("| ")[2] for row in rows[2:]] == ["the first |", "equal |", "**differs** |"]


def test_each_pace_has_its_command(tmp_path: Path) -> None:
    found = paces.commands(tmp_path / "words.dat", tmp_path, ["max", "1"])
    assert list(found) == ["process", "run --pace max", "run --pace 1"]
    assert "--no-follow" in found["run --pace max"]
    assert "--no-follow" not in found["run --pace 1"]


def test_a_run_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)process: exit code 3.*no such"):
        paces.watched(
            {"process": [sys.executable, "-c", "import sys; sys.stderr.write('no such'); sys.exit(3)"]}, tmp_path, 1.0
        )
