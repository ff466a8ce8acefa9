from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.frames import KEY_WINDOW_BITS
from muonstream.framing.inputs import reach, reached, update_closed, window_of
from muonstream.framing.state import (
    ALL_PROGRESS,
    ALL_TOP,
    CLOSED,
    ENDED,
    EPOCH,
    IDLE,
    INPUT_COLUMNS,
    INPUTS_AT,
    INPUTS_END,
    JUMP,
    LATENESS,
    MARK_ALL,
    MARK_SOURCE,
    NEWEST,
    OWN,
    S_CAUGHT_UP,
    S_PROGRESS,
    S_TOP,
    SAVED,
    SOURCE,
    SOURCE_COLUMNS,
    SOURCES_AT,
    SOURCES_END,
    TABLE_ROWS,
    TOP,
    WHOLE_FIELDS,
)
from muonstream.words import encode

ROW = WHOLE_FIELDS
"""The one source's row."""
TABLE_OF_NOTHING = np.full((TABLE_ROWS, 1 << 12), -1, np.int64)
FIRST_IN_EPOCH = 5 << KEY_WINDOW_BITS


def control(inputs: int, *, lateness: int = 1, idle: int = 1000, jump: int = 11) -> NDArray[np.int64]:
    """The state of one source with so many inputs, none of which has a time."""
    at = ROW + SOURCE_COLUMNS
    c = np.zeros(at + inputs * INPUT_COLUMNS, np.int64)
    c[[CLOSED, ALL_TOP, ROW + S_TOP]] = -1
    c[[LATENESS, IDLE, JUMP]] = lateness, idle, jump
    c[[SOURCES_AT, SOURCES_END, INPUTS_AT, INPUTS_END]] = ROW, at, at, len(c)
    for i in rows(c):
        c[[i + NEWEST, i + TOP, i + SAVED]] = -1
        c[i + SOURCE] = ROW
    return c


def rows(c: NDArray[np.int64]) -> range:
    return range(int(c[INPUTS_AT]), int(c[INPUTS_END]), INPUT_COLUMNS)


def take(c: NDArray[np.int64], i: int, key: int) -> None:
    """What is done for a word of an input that is not late."""
    if key > c[i + NEWEST]:
        reached(c, i, key)


@pytest.mark.parametrize(("orbit", "window"), [(0, 0), (1023, 0), (1024, 1), (2**32 - 1, 2**22 - 1)])
@pytest.mark.parametrize("fpga", [0, 7])
def test_a_words_window_is_of_its_orbit_alone(orbit: int, window: int, fpga: int) -> None:
    word = encode(head=7, fpga=fpga, channel=511, orbit=orbit, bx=4095, tdc=31)
    assert window_of(np.uint64(word)) == window


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=40), st.integers(1, 30))
def test_what_is_confirmed_is_what_two_words_have_reached(table: list[tuple[int, int]], jump: int) -> None:
    c = control(3, jump=jump)
    seen: list[list[int]] = [[], [], []]
    for which, key in table:
        before = [int(c[i + NEWEST]) for i in rows(c)]
        take(c, rows(c)[which], key)
        seen[which].append(key)
        expected = [sorted(one)[-2] if len(one) > 1 else -1 for one in seen]
        assert [int(c[i + NEWEST]) for i in rows(c)] == expected
        assert [int(c[i + TOP]) for i in rows(c)] == [max(one, default=-1) for one in seen]
        assert c[ALL_TOP] == c[ROW + S_TOP] == max(expected)
        if expected != before:
            i = rows(c)[which]
            assert (c[i + MARK_SOURCE], c[i + MARK_ALL]) == (c[ROW + S_PROGRESS], c[ALL_PROGRESS])
    for i in rows(c):
        assert 0 <= c[i + OWN] <= c[i + NEWEST] + 1
    assert c[ALL_PROGRESS] <= max(int(c[ALL_TOP]) + 1, 0)


def test_a_jump_counts_as_progress_only_so_far() -> None:
    c = control(1, jump=11)
    [i] = rows(c)
    for key in (4, 4, 500, 500):
        take(c, i, key)
    assert (c[i + NEWEST], c[i + OWN], c[ALL_PROGRESS], c[ROW + S_PROGRESS]) == (500, 5 + 11, 5 + 11, 5 + 11)


@given(
    st.lists(st.tuples(st.integers(-1, 50), st.booleans(), st.booleans()), min_size=1, max_size=4),
    st.integers(0, 3),
    st.booleans(),
)
def test_closed_is_what_all_inputs_that_hold_are_past(
    inputs: list[tuple[int, bool, bool]], lateness: int, caught_up: bool
) -> None:
    """An input that has ended, or that spoke once and was passed by the idle time, does not hold the others back."""
    c = control(len(inputs), lateness=lateness, idle=100)
    c[ROW + S_CAUGHT_UP] = caught_up
    c[[ROW + S_PROGRESS, ALL_PROGRESS]] = 50, 500
    for i, (newest, ended, passed) in zip(rows(c), inputs, strict=True):
        c[[i + NEWEST, i + ENDED, i + MARK_SOURCE, i + MARK_ALL]] = newest, ended, 50, 399 if passed else 400
    update_closed(c, TABLE_OF_NOTHING)
    holding = [newest for newest, ended, passed in inputs if not ended and not (passed and caught_up and newest >= 0)]
    assert c[CLOSED] == (max(min(holding) - lateness - 1, -1) if holding else -1)


@pytest.mark.parametrize(("mark", "closed"), [(0, 3), (-1, 7)])
def test_an_input_that_its_source_has_passed_by_more_than_the_idle_time_holds_nobody(mark: int, closed: int) -> None:
    c = control(2, lateness=2, idle=100)
    c[ROW + S_PROGRESS] = 100
    slow, fast = rows(c)
    c[[slow + NEWEST, slow + MARK_SOURCE]] = 6, mark
    c[[fast + NEWEST, fast + MARK_SOURCE]] = 10, 100
    update_closed(c, TABLE_OF_NOTHING)
    assert c[CLOSED] == closed


def test_closed_never_falls() -> None:
    c = control(1)
    [i] = rows(c)
    c[CLOSED], c[i + NEWEST] = 20, 5
    update_closed(c, TABLE_OF_NOTHING)
    assert c[CLOSED] == 20


@pytest.mark.parametrize(
    ("epoch", "newest", "top", "expected"),
    [
        (0, 5, 5, 16),
        (0, 5, 30, 41),  # others are ahead
        (4, 5, FIRST_IN_EPOCH, 16),  # but of another epoch
        (5, FIRST_IN_EPOCH + 3, FIRST_IN_EPOCH + 9, FIRST_IN_EPOCH + 20),
    ],
)
def test_a_jump_is_believed_past_its_own_time_or_that_of_all(epoch: int, newest: int, top: int, expected: int) -> None:
    c = control(1, jump=11)
    [i] = rows(c)
    c[ALL_TOP], c[i + EPOCH], c[i + NEWEST] = top, epoch, newest
    assert reach(c, i) == expected
