from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.framing.state import (
    CLOSED,
    CLOSING,
    FORCED,
    HELD,
    IN_CHUNK,
    LOG,
    MAX_HELD,
    MOST_OPEN,
    NO_KEY,
    OPEN,
    RUNS,
    S_CURRENT,
    SOURCE_COLUMNS,
    SOURCES_AT,
    SOURCES_END,
    T_CLOSING,
    T_COUNT,
    T_KEY,
    T_OPEN,
    TABLE_ROWS,
    WHOLE_FIELDS,
    State,
)
from muonstream.framing.windows import (
    add_run,
    close_all,
    collect,
    compact,
    count_words,
    give_time,
    keep,
    make_room,
    set_closed,
    slot_of,
)

SOURCE = WHOLE_FIELDS
TABLE = 1 << 10

# few keys, of which many have the same place in the table
keys = st.sampled_from([0, 1, 2, TABLE - 1, TABLE, TABLE + 1, 2 * TABLE, 3 * TABLE - 1])
counted = st.lists(st.tuples(keys, st.integers(1, 5)), max_size=30)


def state(most: int = 1 << 20) -> State:
    """The state of one source without any words."""
    control = np.zeros(WHOLE_FIELDS + SOURCE_COLUMNS, np.int64)
    control[CLOSED] = -1
    control[[MAX_HELD, MOST_OPEN]] = most, TABLE // 2
    control[[SOURCES_AT, SOURCES_END]] = SOURCE, SOURCE + SOURCE_COLUMNS
    control[SOURCE + S_CURRENT] = NO_KEY + SOURCE
    return State(
        control,
        np.full((TABLE_ROWS, TABLE), -1, np.int64),
        np.zeros((64, 3), np.int64),
        np.zeros((0, 0), np.uint64),
        np.zeros(256, np.uint64),
    )


def windows(made: State) -> dict[int, int]:
    """Words by open window."""
    found = made.table[T_OPEN, : made.control[OPEN]].tolist()
    assert len(set(found)) == len(found)
    return {key: int(made.table[T_COUNT, slot_of(made.table, key)]) for key in found}


def taken(made: State, words: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> dict[int, list[int]]:
    """The words of closed windows, taken out of the state."""
    c = made.control
    n_closing, n_runs = int(c[CLOSING]), int(c[RUNS])
    made.table[T_CLOSING, :n_closing].sort()
    held = np.zeros(256, np.uint64)
    stretches = np.zeros((n_runs, 2), np.int64)
    ends, found = np.zeros(n_closing, np.int64), np.zeros(n_closing, np.int64)
    k, n, _ = collect(c, made.table, made.runs, made.log, held, 0, stretches, ends, found)
    assert n == (ends[k - 1] if k else 0)
    out: dict[int, list[int]] = {}
    for w in range(k):
        rows = stretches[ends[w - 1] if w else 0 : ends[w]].tolist()
        out[int(found[w])] = [
            int(word)
            for offset, length in rows
            for word in (words[offset : offset + length] if offset >= 0 else held[~offset : ~offset + length])
        ]
    return out


@given(counted)
def test_words_are_counted_by_window_whatever_their_place(table: list[tuple[int, int]]) -> None:
    made = state()
    expected: dict[int, int] = {}
    for key, n in table:
        count_words(made.control, made.table, key, n)
        expected[key] = expected.get(key, 0) + n
    assert windows(made) == expected
    assert made.control[HELD] == sum(expected.values())


@given(counted, st.lists(keys, max_size=3))
def test_what_is_closed_is_held_no_more_and_stays_closed(table: list[tuple[int, int]], closings: list[int]) -> None:
    made = state()
    expected: dict[int, int] = {}
    for key, n in table:
        count_words(made.control, made.table, key, n)
        expected[key] = expected.get(key, 0) + n
    for closed in closings:
        set_closed(made.control, made.table, closed)
    last = max(closings, default=-1)
    assert made.control[CLOSED] == last
    assert windows(made) == {key: n for key, n in expected.items() if key > last}
    assert sorted(made.table[T_CLOSING, : made.control[CLOSING]].tolist()) == sorted(k for k in expected if k <= last)
    assert made.control[HELD] == sum(n for key, n in expected.items() if key > last)


@given(st.lists(st.tuples(keys, st.integers(0, 5), st.booleans()), max_size=20), st.lists(keys, max_size=3).map(sorted))
def test_words_come_out_by_window_in_order_of_arrival(runs: list[tuple[int, int, bool]], closings: list[int]) -> None:
    """Out of what is being pushed and out of the log, over several closings, and what is kept in between."""
    made = state()
    words = np.arange(200, dtype=np.uint64)
    expected: dict[int, list[int]] = {}
    at = 0
    for key, length, logged in runs:
        values = words[at : at + length]
        if logged:
            log = int(made.control[LOG])
            made.log[log : log + length] = values
            made.control[LOG] += length
            add_run(made.control, made.table, made.runs, log, length, key)
        else:
            add_run(made.control, made.table, made.runs, IN_CHUNK + at, length, key)
        if length:
            expected.setdefault(key, []).extend(values.tolist())
        at += length
    found: dict[int, list[int]] = {}
    for closed in closings:
        set_closed(made.control, made.table, closed)
        found |= taken(made, words)
        assert found == {key: values for key, values in expected.items() if key <= closed}
        # what is left is copied, and moved to the front
        keep(made.control, made.runs, made.log, words, 0)
        left = made.runs[: made.control[RUNS]]
        compact(made.control, left, made.log, np.argsort(left[:, 0]))
        assert made.control[LOG] == made.control[HELD] == left[:, 1].sum()
    close_all(made.control, made.table, made.runs)
    found |= taken(made, words)
    assert found == expected
    assert made.control[HELD] == 0
    assert (made.table[T_KEY] == -1).all()


def test_words_without_a_time_wait_for_their_sources_first_window() -> None:
    made = state()
    add_run(made.control, made.table, made.runs, IN_CHUNK, 3, NO_KEY + SOURCE)
    add_run(made.control, made.table, made.runs, IN_CHUNK + 3, 2, NO_KEY + SOURCE + SOURCE_COLUMNS)
    assert (windows(made), made.control[HELD]) == ({}, 5)
    give_time(made.control, made.table, made.runs, NO_KEY + SOURCE, 7)
    assert (windows(made), made.control[HELD]) == ({7: 3}, 5)


def test_at_the_end_words_that_never_had_a_time_are_in_the_first_window() -> None:
    made = state()
    add_run(made.control, made.table, made.runs, IN_CHUNK, 3, NO_KEY + SOURCE)
    close_all(made.control, made.table, made.runs)
    assert taken(made, np.arange(3, dtype=np.uint64)) == {0: [0, 1, 2]}
    assert made.control[SOURCE + S_CURRENT] == NO_KEY + SOURCE


@pytest.mark.parametrize(
    ("most", "left"), [(10, {3: 4, 8: 4}), (8, {3: 4, 8: 4}), (7, {8: 4}), (4, {8: 4}), (3, {}), (1, {})]
)
def test_past_the_limit_the_oldest_windows_close(most: int, left: dict[int, int]) -> None:
    made = state(most)
    for key in (8, 3):
        add_run(made.control, made.table, made.runs, IN_CHUNK, 4, key)
    make_room(made.control, made.table, made.runs)
    assert windows(made) == left
    assert made.control[FORCED] == 2 - len(left)


def test_words_without_a_time_do_not_pile_up() -> None:
    made = state(4)
    add_run(made.control, made.table, made.runs, IN_CHUNK, 5, NO_KEY + SOURCE)
    make_room(made.control, made.table, made.runs)
    assert taken(made, np.arange(5, dtype=np.uint64)) == {0: [0, 1, 2, 3, 4]}
    assert (made.control[CLOSED], made.control[HELD]) == (0, 0)
