from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.simulation.readout import DISORDER_TDC, CellNoise, disorder, merged, sent
from muonstream.words import TDC_PER_BX, TDC_PER_ORBIT, Words, decode, encode, time_tdc

NO_RANDOM = np.empty(0, np.uint64)
NO_TIMES = np.empty(0, np.int64)
NO_WORDS = np.empty(0, np.uint64)

weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e3)), min_size=1, max_size=20)
streams = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 7)), max_size=60).map(sorted)


def cells(n: int) -> Words:
    return encode(fpga=0, channel=np.arange(n), orbit=0, bx=0, tdc=0)


def stream(table: list[tuple[int, int]]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Words]:
    """Times, and words of boards whose channels number them."""
    times = np.array([time for time, _ in table], np.int64)
    board = [board for _, board in table]
    return times, encode(fpga=board, channel=np.arange(len(table)), orbit=0, bx=times // 30, tdc=1 + times % 30)


@given(weights)
def test_a_cells_share_of_the_draws_is_its_weight(values: list[float]) -> None:
    n = len(values)
    noise = CellNoise(np.array(values), cells(n))
    assert noise.possible == (sum(values) > 0)
    if not noise.possible:
        return
    share = np.zeros(n)
    for cell in range(n):
        own = int(noise.limit[cell]) / 2**32
        share[cell] += own / n
        share[noise.alias[cell]] += (1 - own) / n
    assert share == pytest.approx(np.array(values) / sum(values), abs=1e-8)
    assert not share[np.array(values) == 0].any()


def test_draws_are_the_tables() -> None:
    noise = CellNoise(np.array([1.0, 3.0, 0.0]), cells(3))
    low = np.array([0, 0, 0], np.uint64)
    high = np.uint64(2**32 - 1)
    upper = (np.arange(3, dtype=np.uint64) * np.uint64(2**32) // np.uint64(3) + np.uint64(1)) << np.uint64(32)
    times = np.arange(3)
    for lower, expected in ((low, [0, 1, 1]), (low + high, noise.alias.tolist())):
        words = merged(times, upper | lower, noise.limit, noise.alias, noise.words, NO_TIMES, NO_WORDS, 0)[1]
        assert decode(words).channel.tolist() == expected


@given(
    st.lists(st.integers(0, 3 * TDC_PER_ORBIT), max_size=20).map(sorted),
    st.lists(st.integers(0, 3 * TDC_PER_ORBIT), max_size=20).map(sorted),
    st.sampled_from([0, 2**32 - 2]),
)
def test_noise_and_signals_are_one_sequence_in_order_of_time(noise: list[int], signals: list[int], start: int) -> None:
    table = CellNoise(np.ones(4), cells(4))
    random = np.arange(len(noise), dtype=np.uint64) << np.uint64(62)
    signal_words = encode(fpga=7, channel=np.arange(len(signals)), orbit=0, bx=0, tdc=0)
    times, words = merged(
        np.array(noise, np.int64),
        random,
        table.limit,
        table.alias,
        table.words,
        np.array(signals, np.int64),
        signal_words,
        start,
    )
    # signals come before noise of the same time
    expected = sorted([(time, 0, i) for i, time in enumerate(signals)] + [(time, 1, i) for i, time in enumerate(noise)])
    assert times.tolist() == [time for time, _, _ in expected]
    for (time, is_noise, i), word in zip(expected, words, strict=True):
        if not is_noise:
            assert word == signal_words[i]
            continue
        orbit, inside = divmod(time, TDC_PER_ORBIT)
        bx, tdc = divmod(inside, TDC_PER_BX)
        assert word == encode(fpga=0, channel=i % 4, orbit=(orbit + start) % 2**32, bx=bx, tdc=tdc + 1)


@given(streams, st.integers(1, 5), st.integers(0, 1000))
def test_packets_leave_when_they_are_full_or_have_waited_enough(
    table: list[tuple[int, int]], block: int, hold: int
) -> None:
    times, words = stream(table)
    out: list[int] = []
    held: dict[int, list[int]] = {}
    due: dict[int, int] = {}
    for time, (_, board), word in zip(times.tolist(), table, words.tolist(), strict=True):
        for late in sorted((one for one in due if due[one] < time), key=lambda one: (due[one], one)):
            out += held.pop(late)
            del due[late]
        held.setdefault(board, []).append(word)
        due.setdefault(board, time + hold)
        if len(held[board]) == block:
            out += held.pop(board)
            del due[board]
    for late in sorted(due, key=lambda one: (due[one], one)):
        out += held[late]
    assert sent(times, words, block, hold).tolist() == out


def test_a_packet_that_is_due_now_still_takes_the_word_of_now() -> None:
    times, words = stream([(0, 0), (5, 1), (10, 0), (11, 1)])
    assert decode(sent(times, words, 4, 10)).channel.tolist() == [0, 2, 1, 3]
    assert decode(sent(times, words, 4, 9)).channel.tolist() == [0, 1, 3, 2]


@given(streams, st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_only_neighbours_of_a_board_change_places(table: list[tuple[int, int]], share: float, seed: int) -> None:
    times, words = stream(table)
    out = words.copy()
    disorder(times, out, np.random.default_rng(seed).random(len(out), np.float32), share)
    assert sorted(out.tolist()) == sorted(words.tolist())
    assert np.array_equal(decode(out).fpga, decode(words).fpga)
    for board in range(8):
        was = decode(words).channel[decode(words).fpga == board].tolist()
        now = decode(out).channel[decode(out).fpga == board].tolist()
        place = 0
        while place < len(was):
            if was[place] != now[place]:
                assert was[place : place + 2] == now[place : place + 2][::-1]
                apart = int(times[was[place + 1]] - times[was[place]])
                assert apart <= DISORDER_TDC
                assert times[was[place + 1]] // TDC_PER_BX != times[was[place]] // TDC_PER_BX
                place += 1
            place += 1


def test_without_disorder_and_without_words_nothing_changes() -> None:
    times, words = stream([(40 * i, 0) for i in range(50)])
    out = words.copy()
    disorder(times, out, np.zeros(50, np.float32), 0.0)
    assert np.array_equal(out, words)
    disorder(NO_TIMES, NO_WORDS, np.empty(0, np.float32), 0.5)
    assert len(sent(NO_TIMES, NO_WORDS, 4, 10)) == 0
    noise = CellNoise(np.ones(1), cells(1))
    assert len(merged(NO_TIMES, NO_RANDOM, noise.limit, noise.alias, noise.words, NO_TIMES, NO_WORDS, 0)[1]) == 0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25])
def test_the_share_of_steps_back_is_as_asked_where_there_is_room(share: float) -> None:
    times, words = stream([(40 * i, 0) for i in range(500)])
    times, words = np.concatenate([times + 20_000 * k for k in range(100)]), np.tile(words, 100)
    words = encode(fpga=0, channel=0, orbit=0, bx=times // 30 % 3564, tdc=0) | (
        (times // TDC_PER_ORBIT).astype(np.uint64) << np.uint64(17)
    )
    disorder(times, words, np.random.default_rng(3).random(len(words), np.float32), share)
    assert np.mean(np.diff(time_tdc(words)) < 0) == pytest.approx(share, abs=0.01)
