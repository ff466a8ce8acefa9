from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_framing import ROW, control, rows

from muonstream.framing.scan import AT_ONCE, scan
from muonstream.framing.state import (
    AGREE,
    BOARD,
    CLOSED,
    HELD,
    IN_CHUNK,
    LATE,
    LINK,
    MAX_HELD,
    MOST_OPEN,
    NEWEST,
    NO_KEY,
    PENDING_AT,
    PENDING_WORDS,
    RUNS,
    S_CURRENT,
    S_INPUT,
    STRAY,
    TABLE_ROWS,
    State,
)
from muonstream.words import Words, encode

BOARDS = (0, 5)
TABLE = 1 << 12
TIMELESS = NO_KEY + ROW


def state() -> State:
    c = control(len(BOARDS), lateness=2)
    c[[AGREE, LINK, MAX_HELD, MOST_OPEN]] = 64, 1 << 12, 1 << 20, TABLE // 2
    c[ROW + S_CURRENT] = TIMELESS
    c[ROW + S_INPUT : ROW + S_INPUT + 8] = -1
    for n, (board, i) in enumerate(zip(BOARDS, rows(c), strict=True)):
        c[[i + BOARD, i + PENDING_AT, ROW + S_INPUT + board]] = board, n, i
    return State(
        c,
        np.full((TABLE_ROWS, TABLE), -1, np.int64),
        np.zeros((2000, 3), np.int64),
        np.zeros((len(BOARDS), PENDING_WORDS), np.uint64),
        np.zeros(2000, np.uint64),
    )


def scanned(words: Words, cuts: list[int]) -> tuple[NDArray[np.int64], State]:
    """The key of each word, -1 where it is in no window; scanned in pieces."""
    made = state()
    edges = [0, *sorted(min(cut, len(words)) for cut in cuts), len(words)]
    for begin, end in pairwise(edges):
        scan(made.control, made.table, made.runs, made.pending, made.log, ROW, words, begin, end)
    found = np.full(len(words), -1, np.int64)
    for offset, length, key in made.runs[: made.control[RUNS]].tolist():
        if offset >= IN_CHUNK:
            found[offset - IN_CHUNK : offset - IN_CHUNK + length] = key
    return found, made


def words_of(table: list[tuple[int, int, int]]) -> Words:
    """Words by head, board and window."""
    head, board, window = np.array(table, np.int64).reshape(-1, 3).T
    return encode(head=head, fpga=board, channel=1, orbit=window << 10 | 5, bx=0, tdc=1)


heads = st.sampled_from([2, 2, 2, 2, 2, 4])
cuts = st.lists(st.integers(0, 150), max_size=5)
steps = st.lists(
    st.tuples(heads, st.sampled_from([*BOARDS, 3]), st.sampled_from([0, 0, 0, 0, -1, 1]), st.integers(1, 2 * AT_ONCE)),
    max_size=12,
)
wild = st.tuples(heads, st.sampled_from([*BOARDS, 3]), st.sampled_from([0, 1, 2, 3, 50, 4000]))


@given(steps, cuts)
def test_words_in_time_are_in_their_own_window(table: list[tuple[int, int, int, int]], at: list[int]) -> None:
    """Hits of our boards by their orbits; what tells no time is where the hit before it is."""
    rows_of: list[tuple[int, int, int]] = []
    window = 3
    for head, board, step, times in table:
        window = max(window + step, 2)
        rows_of += [(head, board, window)] * times
        # time goes on for both boards, so that nothing is set aside
        rows_of += [(2, other, window) for other in BOARDS]
        if step < 0:
            window += 1
    found, made = scanned(words_of(rows_of), at)
    expected, current = [], TIMELESS
    for head, board, own in rows_of:
        current = own if head == 2 and board in BOARDS else current
        expected.append(current)
    first = next((key for key in expected if key < NO_KEY), TIMELESS)
    assert found.tolist() == [min(first, key) if key >= NO_KEY else key for key in expected]
    assert sum(int(made.control[i + LATE]) for i in rows(made.control)) == 0
    assert made.control[STRAY] == 0


@given(st.lists(st.tuples(wild, st.integers(1, AT_ONCE + 3)), max_size=14), cuts)
def test_pieces_of_any_size_give_the_same(table: list[tuple[tuple[int, int, int], int]], at: list[int]) -> None:
    words = words_of([row for row, times in table for _ in range(times)])
    whole, one = scanned(words, [])
    parts, other = scanned(words, at)
    single, last = scanned(words, list(range(len(words))))
    assert whole.tolist() == parts.tolist() == single.tolist()
    for made in (other, last):
        same = np.ones(len(one.control), np.bool_)
        same[RUNS] = False  # more pieces are more runs
        assert np.array_equal(one.control[same], made.control[same])
        assert np.array_equal(one.pending, made.pending)


@given(st.lists(st.tuples(wild, st.integers(1, AT_ONCE + 3)), max_size=14))
def test_every_word_is_somewhere(table: list[tuple[tuple[int, int, int], int]]) -> None:
    words = words_of([row for row, times in table for _ in range(times)])
    _, made = scanned(words, [])
    c = made.control
    runs = made.runs[: c[RUNS]]
    closed = int(runs[runs[:, 2] <= c[CLOSED], 1].sum())
    late = sum(int(c[i + LATE]) for i in rows(c))
    assert c[HELD] + closed + late + c[STRAY] == len(words)


def test_no_words_change_nothing() -> None:
    before = state()
    found, after = scanned(words_of([]), [])
    assert len(found) == 0
    assert np.array_equal(before.control, after.control)


def test_ancillary_words_alone_have_no_time() -> None:
    words = words_of([(4, 0, 7), (0, 5, 9)])
    found, made = scanned(words, [1])
    assert found.tolist() == [TIMELESS, TIMELESS]
    assert made.control[ROW + S_CURRENT] == TIMELESS


def test_words_that_are_looked_at_together_tell_their_own_boards_time() -> None:
    _, made = scanned(words_of([(2, 0, 3)] * 2 + [(2, 5, 3)] * AT_ONCE), [])
    assert [int(made.control[i + NEWEST]) for i in rows(made.control)] == [3, 3]
