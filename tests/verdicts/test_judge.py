"""Faults put into the simulation are found, soon, by their right names, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import faults
import numpy as np
import pytest
from faults import Outcome, simulated, watched

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.words import Words

FAULT_S = 120.0
AFTER_S = 50.0
WITHIN_S = {"velocity": 45.0}
"""A drift velocity takes longer: it needs some thousand hits with a passage time, and time boxes that stand still."""
DETECTOR = Detector.default()
NAME = DETECTOR.chambers[faults.CHAMBER].name


@cache
def healthy() -> Words:
    return simulated(FAULT_S)


def with_fault(fault: faults.Fault) -> Words:
    return fault(simulated(AFTER_S, start_s=FAULT_S), DETECTOR)


def slower() -> Words:
    return simulated(AFTER_S, start_s=FAULT_S, detector=faults.slower(DETECTOR))


def noisier() -> Words:
    return simulated(AFTER_S, start_s=FAULT_S, rate_hz=9300.0)


EVERYWHERE = {("noise", chamber.name) for chamber in DETECTOR.chambers}
CELLS = {("dead cell", f"{NAME} cell {n}") for n in range(64)}


@pytest.mark.parametrize(
    ("words", "key", "also"),
    [
        pytest.param(
            lambda: with_fault(faults.dead_cell),
            ("dead cell", f"{NAME} cell {faults.CELL}"),
            {("dead cells", NAME)},
            id="dead cell",
        ),
        pytest.param(
            lambda: with_fault(faults.hot_cell),
            ("noisy cell", f"{NAME} cell {faults.CELL}"),
            set(),
            id="cell at ten times its rate",
        ),
        pytest.param(
            lambda: with_fault(faults.dead_layer),
            ("dead layer", f"{NAME} layer 2"),
            CELLS | {("dead cells", NAME)},
            id="dead layer",
        ),
        pytest.param(lambda: with_fault(faults.silent_board), ("silent", "Board 0"), set(), id="silent board"),
        pytest.param(lambda: with_fault(faults.shifted_t0), ("t0", NAME), set(), id="t0 by 5 ns"),
        pytest.param(slower, ("velocity", NAME), set(), id="velocity by 2 %"),
        pytest.param(
            lambda: with_fault(faults.boards_out_of_step), ("board step", "Board 0"), set(), id="boards out of step"
        ),
        pytest.param(
            lambda: with_fault(faults.afterpulsing_cell),
            ("afterpulsing cell", f"{NAME} cell {faults.CELL}"),
            set(),
            id="afterpulsing cell",
        ),
        pytest.param(
            lambda: with_fault(faults.crosstalking_cells),
            ("crosstalking cells", f"{NAME} cells {faults.CELL} and {faults.CELL + 1}"),
            set(),
            id="crosstalking cells",
        ),
        pytest.param(noisier, ("noise", NAME), EVERYWHERE, id="noise doubled"),
    ],
)
def test_a_fault_is_found_soon_and_named(
    words: Callable[[], Words], key: tuple[str, str], also: set[tuple[str, str]]
) -> None:
    outcome = watched(np.concatenate([healthy(), words()]), FAULT_S)
    seconds = outcome.first(*key)
    assert seconds is not None
    assert seconds <= WITHIN_S.get(key[0], 30.0)
    assert outcome.wrong({key, *also}) == []
    assert outcome.level > Level.GOOD


def test_a_stream_that_stalls_is_found_and_nothing_is_raised_before() -> None:
    outcome = watched(healthy(), FAULT_S, stall_s=30)
    assert [(change.check, change.after) for change in outcome.changes] == [("stalled", Level.MEDIUM)]
    assert outcome.after[0][0] <= 30


def test_healthy_data_is_good(healthy_outcome: Outcome) -> None:
    assert healthy_outcome.changes == ()
    assert healthy_outcome.level is Level.GOOD


@pytest.fixture(scope="module")
def healthy_outcome() -> Outcome:
    return watched(simulated(240.0), 0.0)
