"""Each fault of the table, when it is large, is found within half a minute, and nothing else is raised."""

from __future__ import annotations

import pytest

from muonstream.analysis.guidance import GUIDANCE
from muonstream.detector import Detector
from tools.faults import FAULTS
from tools.sensitivity import OF_THE_CLOCK, SOON_S, found, smallest

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
    from tools import sensitivity

    fault = FAULTS["dead cell"]
    asked = []

    def by_size(name: str, size: float, rate_hz: float, within_s: float) -> sensitivity.Seen:
        asked.append(size)
        return sensitivity.Seen(5.0 if size >= 0.7 else None)

    monkeypatch.setattr(sensitivity, "found", by_size)
    assert smallest(fault, 5000.0, 30.0)[0] == 0.7
    assert len(asked) <= 4
