from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.verdicts.kept import Ends, Kept
from muonstream.verdicts.past import BEFORE_S, Past

STEP_S = 3.0


def past_of(
    wrong: Callable[[int], Set[str]], steps: int, *, held_s: float = 0.0, restarts: Set[int] = frozenset()
) -> tuple[Past, list[bool]]:
    """A past after so many steps, and whether there was something to compare with after each; counts: which steps.

    restarts: before which steps it goes on from its state
    """
    nothing = np.zeros(steps, np.int64)
    past, ends, there = Past(nothing), Ends(nothing), []
    counts = nothing
    for i in range(steps):
        if i in restarts:
            of_past, of_ends = past.state(), ends.state()
            past, ends = Past(nothing), Ends(nothing)
            past.restore(of_past)
            ends.restore(of_ends)
        counts = counts.copy()
        counts[i] = 1
        ends.keep(Kept((i + 1) * STEP_S, counts))
        past.judged(ends, held_s, wrong(i))
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


@pytest.mark.parametrize("held_s", [30.0, 90.0, 300.0])
def test_a_loss_that_takes_long_to_be_seen_is_not_taken_for_what_is_usual(held_s: float) -> None:
    """Words are lost from step 200 on, and it takes as long as the stretch that is compared to see it."""
    seen = 200 + int(held_s / STEP_S)
    past, _ = past_of(lambda i: {"noise: Chamber 2"} if i >= seen else set(), 400, held_s=held_s)
    assert used(past) == list(range(max(used(past)) + 1))
    assert 200 - 60 / STEP_S <= max(used(past)) < 200


@given(
    wrong=st.lists(st.sets(st.sampled_from("abc")), min_size=1, max_size=60),
    restarts=st.sets(st.integers(1, 60), max_size=3),
    held_s=st.sampled_from([0.0, 60.0]),
)
def test_a_restarted_past_is_that_of_one_that_ran_on(wrong: list[set[str]], restarts: set[int], held_s: float) -> None:
    past, there = past_of(lambda i: wrong[i], len(wrong), held_s=held_s)
    again, there_again = past_of(lambda i: wrong[i], len(wrong), held_s=held_s, restarts=restarts)
    assert there_again == there
    for mine, others in zip(past.state().values(), again.state().values(), strict=True):
        assert np.array_equal(mine, others)
