from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_segments import DETECTOR, as_fits, framed, words_of

from muonstream.muons.grouping import SPARSE_WORDS, sort_keys
from muonstream.muons.search import (
    GIVEN_UP_CANDIDATES,
    GIVEN_UP_CHOICES,
    GIVEN_UP_HITS,
    MOST_CHOICES,
    MOST_IN_LAYER,
    MOST_WINDOW_WORDS,
)
from muonstream.muons.segments import SegmentConfig, SegmentFinder
from muonstream.words import NS_PER_TDC, encode

CHAMBER = DETECTOR.chambers[0]
FIND = SegmentFinder(DETECTOR)
MUON = [(16, 1112), (18, 1357), (17, 1110), (19, 1357)]
"""A vertical muon, as cells and TDC counts."""
COLUMN = {layer: int(np.flatnonzero(CHAMBER.layer_of_cell() == layer)[4]) for layer in range(4)}
"""A cell of each layer, one below the other."""
EDGE = int(np.flatnonzero(CHAMBER.layer_of_cell() == 2)[-1])
OTHERS = encode(fpga=CHAMBER.board, channel=CHAMBER.first_channel, orbit=np.arange(500, 600), bx=5, tdc=1)
"""Words of the same window that are in no segment: the search may take so many steps for each of them too."""
EMPTY = encode(fpga=[], channel=[], orbit=[], bx=[], tdc=[])


def test_no_words_have_no_segments() -> None:
    assert len(FIND(framed(EMPTY)).segments) == 0
    assert len(FIND(framed(words_of(CHAMBER, MUON[:2]))).segments) == 0


@pytest.mark.parametrize("orbit", [0, 1023, 1024, 2**32 - 1])
def test_orbits_are_found_at_the_edges_of_windows(orbit: int) -> None:
    segments = FIND(framed(words_of(CHAMBER, MUON, orbit))).segments
    assert segments.orbit.tolist() == [orbit]
    assert segments.cell[0].tolist() == [16, 18, 17, 19]


def test_hits_of_other_orbits_and_chambers_do_not_go_together() -> None:
    apart = np.concatenate([words_of(CHAMBER, MUON[:2], 7), words_of(CHAMBER, MUON[2:], 8)])
    assert len(FIND(framed(apart)).segments) == 0
    other = np.concatenate([words_of(CHAMBER, MUON[:2], 7), words_of(DETECTOR.chambers[1], MUON[2:], 7)])
    assert len(FIND(framed(other)).segments) == 0
    both = np.concatenate([words_of(CHAMBER, MUON, 7), words_of(DETECTOR.chambers[2], MUON, 7)])
    assert FIND(framed(both)).segments.chamber.tolist() == [0, 2]


def test_words_that_are_no_hits_change_nothing() -> None:
    muon = words_of(CHAMBER, MUON)
    first = CHAMBER.first_channel
    ancillary = encode(fpga=CHAMBER.board, channel=first + np.arange(16, 20), orbit=7, bx=37, tdc=2, head=4)
    impossible = encode(fpga=CHAMBER.board, channel=first + np.arange(16, 20), orbit=7, bx=3564, tdc=2)
    found = FIND(framed(np.concatenate([ancillary, muon, impossible])))
    assert as_fits(found) == as_fits(FIND(framed(muon)))
    assert found.segments.word.tolist() == [[4, 5, 6, 7]]


@given(st.permutations(range(8)))
def test_the_order_of_words_does_not_matter(order: list[int]) -> None:
    words = words_of(CHAMBER, [*MUON, *[(cell + 24, time + 40) for cell, time in MUON]])
    straight, mixed = FIND(framed(words)).segments, FIND(framed(words[order])).segments
    for name in ("orbit", "chamber", "cell", "sides", "x_mm", "tan", "t0_ns", "chi2"):
        assert np.array_equal(getattr(straight, name), getattr(mixed, name)), name
    assert np.array_equal(words[straight.word], words[order][mixed.word])
    assert len(straight) == 2


@pytest.mark.parametrize("times", [[900], [1200, 900, 905]])
def test_the_passage_is_the_earliest_of_its_orbit(times: list[int]) -> None:
    at = np.array(times)
    passage = encode(fpga=1, channel=128, orbit=7, bx=(at - 1) // 30, tdc=1 + (at - 1) % 30)
    found = FIND(framed(np.concatenate([words_of(CHAMBER, MUON), words_of(CHAMBER, MUON, 8), passage])))
    assert found.segments.orbit.tolist() == [7, 8]
    np.testing.assert_allclose(found.passage_ns, [900 * NS_PER_TDC, np.nan])


def test_a_passage_lasts_no_longer_than_its_window() -> None:
    passage = encode(fpga=1, channel=128, orbit=[7], bx=10, tdc=1)
    found = FIND(framed(np.concatenate([passage, words_of(CHAMBER, MUON, 7 + 1024)])))
    assert np.isnan(found.passage_ns).tolist() == [True]


@pytest.mark.parametrize("more", [0, 1, 5])
def test_hits_of_a_layer_past_the_limit_are_given_up_one_by_one(more: int) -> None:
    hits = [(COLUMN[0], 1000)] + [(COLUMN[1], 1010 + i) for i in range(MOST_IN_LAYER + more)] + [(EDGE, 1005)]
    found = FIND(framed(words_of(CHAMBER, hits)))
    assert found.given_up.tolist() == [[more, 0, 0]]
    assert len(found.segments) == 0


@pytest.mark.parametrize(("each", "given_up"), [(7, 0), (8, 1)])
def test_choices_past_the_limit_are_given_up_once_an_earliest_hit(each: int, given_up: int) -> None:
    # with n hits in each of the other layers, n^3 + 3 n^2 choices have three hits at least
    assert (each**3 + 3 * each**2 > MOST_CHOICES) == bool(given_up)
    hits = [(COLUMN[0], 1000)]
    hits += [(COLUMN[layer], 1100 + 20 * layer + i) for layer in (1, 2, 3) for i in range(each)]
    found = FIND(framed(np.concatenate([words_of(CHAMBER, hits), OTHERS])))
    assert found.given_up[0, GIVEN_UP_HITS] == 0
    assert found.given_up[0, GIVEN_UP_CHOICES] == given_up


@pytest.mark.parametrize(("each", "past"), [(2, False), (7, True)])
def test_fits_past_the_limit_are_given_up(each: int, past: bool) -> None:
    hits = [(COLUMN[layer], 1000 + 10 * i + layer) for i in range(each) for layer in range(4)]
    found = SegmentFinder(DETECTOR, SegmentConfig(resolution_mm=10.0))(
        framed(np.concatenate([words_of(CHAMBER, hits), OTHERS]))
    )
    assert bool(found.given_up[0, GIVEN_UP_CANDIDATES]) == past
    # what was kept is enough to use every hit of some
    assert len(found.segments) > 0


def test_what_is_given_up_is_told_by_window() -> None:
    crowd = [(COLUMN[0], 1000)] + [(COLUMN[1], 1010 + i) for i in range(MOST_IN_LAYER + 2)] + [(EDGE, 1005)]
    words = np.concatenate([words_of(CHAMBER, MUON, 5), words_of(CHAMBER, crowd, 5 + 1024)])
    assert FIND(framed(words)).given_up.tolist() == [[0, 0, 0], [2, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(1, 700)), min_size=3, max_size=60, unique=True))
def test_no_hit_is_in_two_segments(hits: list[tuple[int, int]]) -> None:
    words = words_of(CHAMBER, hits)
    segments = FIND(framed(words)).segments
    used = segments.word[segments.word >= 0]
    assert len(set(used.tolist())) == len(used)
    assert np.array_equal(segments.word >= 0, segments.cell >= 0)
    assert ((segments.word >= 0).sum(axis=1) >= 3).all()
    channel = (words[used] >> np.uint64(49) & np.uint64(0x1FF)).astype(np.int64)
    assert np.array_equal(channel - CHAMBER.first_channel, segments.cell[segments.cell >= 0])


@pytest.mark.parametrize("times", [8, 20])
def test_with_more_hits_at_once_than_can_be_tried_the_rest_is_given_up(times: int) -> None:
    """However many there are, steps are in proportion to words: what cannot be tried is counted."""
    random = np.random.default_rng(7)
    crowd = [(int(cell), 1000 + int(tdc)) for cell, tdc in random.integers((0, 0), (64, 400), (60 * times, 2))]
    found = FIND(framed(np.concatenate([words_of(CHAMBER, crowd), words_of(CHAMBER, MUON, 900)])))
    assert found.given_up[0].sum() > 0
    # others of the same window are not given up with them
    assert found.segments.cell[found.segments.orbit == 900].tolist() == [[16, 18, 17, 19]]


@given(st.lists(st.integers(-(2**62), 2**62), max_size=200))
def test_keys_are_sorted_whatever_they_are(values: list[int]) -> None:
    keys, spare = np.array(values, np.int64), np.empty(len(values), np.int64)
    sort_keys(keys, len(keys), spare)
    assert keys.tolist() == sorted(values)


@pytest.mark.parametrize("words", [5, SPARSE_WORDS, SPARSE_WORDS + 1])
def test_windows_with_few_and_with_many_words_are_searched_alike(words: int) -> None:
    muons = np.concatenate([words_of(CHAMBER, MUON, orbit) for orbit in (7, 3, 900)])
    more = encode(fpga=CHAMBER.board, channel=511, orbit=np.arange(words) % 1024, bx=5, tdc=1)
    found = FIND(framed(np.concatenate([more, muons]))).segments
    assert found.orbit.tolist() == [3, 7, 900]
    assert found.cell.tolist() == [[16, 18, 17, 19]] * 3


@pytest.mark.parametrize("more", [0, 1])
def test_a_window_past_the_limit_is_given_up_hit_by_hit_and_others_are_not(more: int) -> None:
    muon = words_of(CHAMBER, MUON, 3)
    idle = encode(fpga=1, channel=128, orbit=np.full(MOST_WINDOW_WORDS + more - len(muon), 5), bx=10, tdc=1)
    found = FIND(framed(np.concatenate([muon, idle, words_of(CHAMBER, MUON, 7 + 1024)])))
    assert found.given_up[:, GIVEN_UP_HITS].tolist() == [len(muon) * more, 0]
    assert found.segments.orbit.tolist() == [7 + 1024] if more else [3, 7 + 1024]
