from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.counting.passages import NEAR_BITS, choose, time_tdc
from muonstream.words import TDC_PER_BX, WINDOW_ORBITS, decode, encode

orbits = st.one_of(st.integers(0, WINDOW_ORBITS - 1), st.integers(500, 520), st.sampled_from([0, WINDOW_ORBITS - 1]))


@compiled
def chosen_of(
    words: NDArray[np.uint64], first: int, n: int, crossed: NDArray[np.uint8], near: np.uint64
) -> NDArray[np.uint64]:
    chosen = np.zeros(len(words) + 1, np.uint64)
    n_chosen = choose(words, first, n, crossed, near, chosen, np.uint64(0))
    return chosen[:n_chosen]


@given(st.lists(orbits, max_size=60), st.integers(0, 20), st.sets(orbits, max_size=5), st.integers(0, 2**22 - 1))
def test_the_words_of_crossed_orbits_are_chosen_in_their_order(
    of_words: list[int], first: int, of_passages: set[int], window: int
) -> None:
    words = encode(
        head=2,
        fpga=0,
        channel=0,
        orbit=[window << 10 | orbit for orbit in of_words],
        bx=np.arange(len(of_words)),
        tdc=0,
    )
    crossed = np.zeros(WINDOW_ORBITS, np.uint8)
    crossed[list(of_passages)] = 1
    near = np.uint64(sum({1 << (orbit >> NEAR_BITS) for orbit in of_passages}))
    first = min(first, len(words))
    expected = [bx for bx, orbit in enumerate(of_words) if bx >= first and orbit in of_passages]
    assert decode(chosen_of(words, first, len(words) - first, crossed, near)).bx.tolist() == expected


@compiled
def time_of(inside: np.uint64) -> int:
    return int(time_tdc(inside))


@given(st.integers(0, 4095), st.integers(0, TDC_PER_BX + 1))
def test_a_words_lowest_bits_are_its_time_in_the_orbit(bx: int, tdc: int) -> None:
    assert time_of(np.uint64(bx << 5 | tdc)) == 30 * bx + tdc
