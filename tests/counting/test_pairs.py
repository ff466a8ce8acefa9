from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_kernel import DETECTORS, framed, words_of

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator
from muonstream.counting.pairs import ALL_BELOW_WORDS, MOST_IN_CELL, accidental_pairs
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.simulation.telescope import simulate_words
from muonstream.words import ORBIT_SECONDS, Words, decode, encode

ACCUMULATORS = {name: Accumulator(Catalogue(detector)) for name, detector in DETECTORS.items()}
TELESCOPE = ACCUMULATORS["telescope"]


def oracle(catalogue: Catalogue, words: Words) -> dict[str, Any]:
    """All pairs of words of an orbit, one by one."""
    fields, chambers = decode(words), catalogue.detector.chambers
    out = {
        name: np.zeros(entry.shape, np.int64) for name, entry in catalogue.entries.items() if name.startswith("pair")
    }
    hits: list[tuple[int, int, int, int]] = []
    for head, board, channel, orbit, bx, tdc in zip(
        *(x.tolist() for x in (fields.head, fields.fpga, fields.channel, fields.orbit, fields.bx, fields.tdc)),
        strict=True,
    ):
        for c, chamber in enumerate(chambers):
            cell = channel - chamber.first_channel
            if head == 2 and bx < 3564 and board == chamber.board and 0 <= cell < chamber.cells:
                hits.append((orbit, c, cell, bx * 30 + tdc))
                out["pair_hits"][catalogue.channel_map.cell_base[c] + cell] += 1
    for (orbit, c, cell, time), (other_orbit, d, other, other_time) in combinations(sorted(hits), 2):
        if orbit != other_orbit or c != d:
            continue
        apart, code = abs(other_time - time), int(catalogue.channel_map.cell_base[c]) + cell
        if cell == other and apart < 2400:
            out["pair_time"][c, apart // 12] += 1
            out["pair_after"][code] += apart <= 720
        for kind, distance in enumerate((1, chambers[c].layers)):
            out["pair_next"][kind, code] += other - cell == distance and apart <= 12
    out["pair_orbits"][0] = 1024 * len({orbit >> 10 for orbit in fields.orbit.tolist()})
    return out


def paired(catalogue: Catalogue, data: Any) -> dict[str, Any]:
    return {name: catalogue.view(data, name) for name in catalogue.entries if name.startswith("pair")}


close = st.tuples(
    st.sampled_from([2, 2, 2, 2, 2, 0]),
    st.sampled_from([0, 1, 5]),
    st.sampled_from([0, 1, 3, 4, 9, 10, 11, 14, 15, 20, 59, 60, 63, 64, 67, 68, 109, 110, 128]),
    st.sampled_from([0, 1023, 1024, 2**32 - 1]),
    st.one_of(st.integers(0, 90), st.sampled_from([3563, 3600])),
    st.integers(0, 31),
)


@given(st.sampled_from(sorted(DETECTORS)), st.lists(close, max_size=60), st.randoms(use_true_random=False))
def test_pairs_are_those_of_the_oracle_in_any_order_of_words(
    name: str, table: list[tuple[int, ...]], random: Any
) -> None:
    accumulate = ACCUMULATORS[name]
    expected = oracle(accumulate.catalogue, words_of(table))
    for _ in range(2):
        found = paired(accumulate.catalogue, accumulate(framed(words_of(table))).total)
        for entry, counts in expected.items():
            assert np.array_equal(found[entry], counts), entry
        random.shuffle(table)


@pytest.mark.parametrize(("times", "step"), [(1, 1), (2, 2), (16, 16), (40, 64)])
def test_of_windows_with_many_words_one_orbit_in_some_is_looked_at(times: int, step: int) -> None:
    words = simulate_words(30_000)
    fields = decode(words)
    # windows of ALL_BELOW_WORDS * times words, 64 of them, over which all orbits come equally often
    n = ALL_BELOW_WORDS * times
    orbit = np.repeat(np.arange(64) << 10, n) + np.tile(np.arange(n) % 1024, 64)
    pick = np.arange(64 * n) % len(words)
    many = encode(fpga=0, channel=fields.channel[pick] % 64, orbit=orbit, bx=fields.bx[pick], tdc=fields.tdc[pick])
    found = paired(TELESCOPE.catalogue, TELESCOPE(framed(many)).total)
    windows, orbits = min(step, 16), max(step // 16, 1)
    taken = many[((orbit >> 10) % windows == 0) & (orbit % orbits == 0)]
    assert found["pair_orbits"][0] == 65536 // step
    assert found["pair_hits"].sum() == len(taken) == len(many) // step
    cell = np.bincount(decode(taken).channel, minlength=64)
    assert np.array_equal(found["pair_hits"][:64], cell)


def test_parts_add_up_whatever_the_lumps() -> None:
    frames = framed(simulate_words(100_000))
    whole = paired(TELESCOPE.catalogue, TELESCOPE(frames).total)
    total = sum(TELESCOPE(part).total for part in frames.split(5000))
    assert whole["pair_hits"].sum() > 0
    for entry, counts in paired(TELESCOPE.catalogue, total).items():
        assert np.array_equal(whole[entry], counts), entry


def test_what_chance_brings_is_what_even_noise_has() -> None:
    rng = np.random.default_rng(5)
    orbits, n = 16384, 60_000
    words = encode(
        fpga=0,
        channel=rng.integers(0, 2, n),
        orbit=rng.integers(0, orbits, n),
        bx=rng.integers(0, 3564, n),
        tdc=rng.integers(1, 31, n),
    )
    data = TELESCOPE(framed(words)).total
    found = paired(TELESCOPE.catalogue, data)
    assert found["pair_orbits"][0] * ORBIT_SECONDS < orbits * ORBIT_SECONDS
    seen = found["pair_hits"][:2]
    within = accidental_pairs(seen, seen, 720, int(found["pair_orbits"][0])) / 2
    # five standard deviations of a number of pairs
    assert np.abs(found["pair_after"][:2] - within).max() < 5 * within.max() ** 0.5
    beside = accidental_pairs(seen[:1], seen[1:], 12, int(found["pair_orbits"][0]))[0]
    assert abs(found["pair_next"][0, 0] - beside) < 5 * beside**0.5


def test_nothing_gives_nothing() -> None:
    assert not TELESCOPE(Frames.empty()).total.any()
    assert Detector.default() == TELESCOPE.catalogue.detector


@pytest.mark.parametrize("more", [0, 1, 1000])
def test_cells_with_too_many_hits_in_an_orbit_are_given_up_and_others_are_not(more: int) -> None:
    """Whatever the order of words; the hits of the crowded cell are counted, and no longer looked at."""
    random = np.random.default_rng(3)
    crowd: list[tuple[int, ...]] = [(2, 0, 9, 5, int(bx), 3) for bx in random.integers(0, 3564, MOST_IN_CELL + more)]
    crowd += [(2, 0, 9, 6, 40, 3)] * MOST_IN_CELL
    others: list[tuple[int, ...]] = [
        (2, 0, cell, orbit, 100 + orbit, 7) for cell in (8, 10, 10, 60) for orbit in (5, 6)
    ]
    left = others + (crowd[-MOST_IN_CELL:] if more else crowd)
    expected = oracle(TELESCOPE.catalogue, words_of(left))
    expected["pair_given_up"] = np.array([[MOST_IN_CELL + more if more else 0], [0], [0], [0]])
    for _ in range(2):
        table = crowd + others
        random.shuffle(table)
        found = paired(TELESCOPE.catalogue, TELESCOPE(framed(words_of(table))).total)
        if len(table) <= ALL_BELOW_WORDS:
            for entry, counts in expected.items():
                assert np.array_equal(found[entry], counts), entry
        else:
            assert found["pair_time"].sum() + found["pair_given_up"].sum() < len(table) * MOST_IN_CELL
