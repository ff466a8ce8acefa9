from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.verdicts.judge import Exposure
from muonstream.verdicts.past import BEFORE_S, Past

STEP_S = 3.0


def past_of(wrong: Callable[[int], Set[str]], steps: int) -> tuple[Past, list[bool]]:
    """A past after so many steps, and whether there was something to compare with after each; counts: which steps."""
    past, there = Past(np.zeros(steps, np.int64)), []
    for i in range(steps):
        counts = np.zeros(steps, np.int64)
        counts[i] = 1
        past.add((i + 1) * STEP_S, Exposure(counts, STEP_S))
        past.judged((i + 1) * STEP_S, wrong(i))
        there.append(past.exposure is not None)
    return past, there


def used(past: Past) -> list[int]:
    assert past.exposure is not None
    return np.flatnonzero(past.exposure.counts).tolist()


def test_good_data_are_compared_with_when_they_are_old_and_long_enough() -> None:
    past, there = past_of(lambda i: set(), 40)
    assert there.index(True) == 2 * BEFORE_S / STEP_S - 1
    assert used(past) == list(range(40 - int(BEFORE_S / STEP_S)))


def test_a_fault_and_the_time_before_it_are_left_out() -> None:
    past, there = past_of(lambda i: {"dead: cell 3"} if 40 <= i < 50 else set(), 80)
    assert all(there[20:])
    assert used(past) == [*range(30), *range(50, 70)]


def test_what_is_wrong_from_the_beginning_does_not_keep_a_run_from_being_compared() -> None:
    past, there = past_of(lambda i: {"dead: cell 3"}, 40)
    assert there[20:] == [True] * 20
    past, _ = past_of(lambda i: {"dead: cell 3"} | ({"rate: Chamber 2"} if 40 <= i < 50 else set()), 80)
    assert used(past) == [*range(30), *range(50, 70)]


def test_when_that_is_over_collecting_starts_again() -> None:
    past, there = past_of(lambda i: {"silent: Chamber 2"} if i < 40 else set(), 90)
    over = 40 + int(BEFORE_S / STEP_S)
    assert there[20:over] == [True] * (over - 20)
    assert not any(there[over : over + 9])
    assert there[-1]
    assert used(past) == list(range(40, 80))


@given(wrong=st.lists(st.sets(st.sampled_from("abc")), min_size=1, max_size=60), cut=st.integers(0, 60))
def test_a_restarted_past_is_compared_with_as_far_as_it_had_been(wrong: list[set[str]], cut: int) -> None:
    cut = min(cut, len(wrong))
    past, _ = past_of(lambda i: wrong[i], cut)
    again = Past(np.zeros(cut, np.int64))
    again.restore(past.state())
    assert (again.exposure is None) == (past.exposure is None)
    if past.exposure is not None and again.exposure is not None:
        assert again.exposure.seconds == pytest.approx(past.exposure.seconds)
        assert (again.exposure.counts == past.exposure.counts).all()
    assert again.state()["excused"] == past.state()["excused"]
