"""A survey against slow and obvious ways to count the same, and however the words are cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.survey import stretches as stretches_module
from muonstream.survey.clocks import GAP_ORBITS
from muonstream.survey.digest import SurveyDigest, digest
from muonstream.survey.repeats import WINDOW_HITS
from muonstream.survey.survey import Survey
from muonstream.words import Words, decode, encode

DETECTOR = Detector.default()


def surveyed(words: Words, cuts: list[int] | None = None) -> Survey:
    survey = Survey(Expected.of(DETECTOR.channel_map()).known)
    for piece in np.split(words, sorted(cut % (len(words) + 1) for cut in cuts or [])):
        survey.feed(piece)
    return survey


def digested(words: Words, cuts: list[int] | None = None, detector: Detector = DETECTOR) -> SurveyDigest:
    return digest(surveyed(words, cuts), detector)


def hit_words(seed: int, n: int, *, boards: int = 2, step: int = 2) -> Words:
    """Hits whose orbits rise a little with each word."""
    rng = np.random.default_rng(seed)
    return encode(
        fpga=rng.integers(0, boards, n),
        channel=rng.integers(0, 128, n),
        orbit=np.cumsum(rng.integers(0, step + 1, n)) + 1000,
        bx=rng.integers(0, 3564, n),
        tdc=rng.integers(1, 31, n),
    )


@st.composite
def odd_words(draw: st.DrawFn) -> Words:
    """Pieces of all kinds, one after another: usual hits, repeats, any bits, falls, jumps, idle words."""
    pieces: list[Words] = []
    for kind in draw(st.lists(st.sampled_from(["hits", "repeat", "random", "idle", "zeros", "muons"]), max_size=6)):
        seed, n = draw(st.integers(0, 1000)), draw(st.integers(1, 400))
        if kind == "hits":
            start = draw(st.sampled_from([0, 400, 2000, GAP_ORBITS * 3, 2**31]))
            pieces.append(hit_words(seed, n) + np.uint64(start << 17))
        elif kind == "repeat" and pieces:
            pieces.append(pieces[-1][: max(1, n)])
        elif kind == "random":
            pieces.append(np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64))
        elif kind == "idle":
            pieces.append(np.full(n, 0x01555655554D5555, np.uint64))
        elif kind == "zeros":
            pieces.append(np.zeros(n, np.uint64))
        elif kind == "muons":
            pieces.append(simulate_words(n, seed=seed, ancillary_hz=200.0))
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint64)


@given(odd_words(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cut_gives_the_same(words: Words, cuts: list[int]) -> None:
    assert asdict(digested(words)) == asdict(digested(words, cuts))


def test_any_cut_gives_the_same_when_stretches_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches_module, "FIRST_STRETCH_WORDS", 4)
    words = simulate_words(40_000, ancillary_hz=100.0)
    whole = digested(words)
    assert whole.stretch_words == 32
    assert asdict(whole) == asdict(digested(words, list(range(0, 40_000, 777))))


@given(odd_words())
def test_counts_are_those_of_an_obvious_way(words: Words) -> None:
    survey = surveyed(words)
    fields = decode(words)
    is_hit = fields.head == 2
    heads = Counter(fields.head.tolist())
    assert survey.heads.tolist() == [heads[head] for head in range(8)]
    tdc = Counter(zip(*(part[is_hit].tolist() for part in (fields.fpga, fields.channel, fields.tdc)), strict=True))
    assert {(int(a) // 512, int(a) % 512, int(t)): int(survey.tdc[a, t]) for a, t in np.argwhere(survey.tdc)} == tdc
    bx = Counter(zip(fields.fpga[is_hit].tolist(), fields.bx[is_hit].tolist(), strict=True))
    assert {(int(b), int(x)): int(survey.bx[b, x]) for b, x in np.argwhere(survey.bx)} == bx
    seen: dict[int, list[int]] = {}
    for place in np.flatnonzero(is_hit).tolist():
        seen.setdefault(int(fields.fpga[place] * 512 + fields.channel[place]), []).append(place)
    assert {int(a): survey.seen[a].tolist() for a in np.flatnonzero(survey.seen[:, 0] >= 0)} == {
        address: [places[0], places[-1]] for address, places in seen.items()
    }
    assert (survey.zeros, survey.ones) == (int((words == 0).sum()), int((words == 2**64 - 1).sum()))
    for head in range(8):
        same = sum(a == b for a, b in pairwise(words[fields.head == head].tolist())) if head != 2 else 0
        assert survey.same[head] == same
    runs = [(len(list(group)), word) for word, group in groupby(words.tolist())]
    longest = max((length for length, _ in runs), default=0)
    place, length, word = survey.longest_equal()
    assert length == longest
    assert words[place : place + length].tolist() == [word] * length
    assert survey.stretches.rows.sum(axis=0)[:8].tolist() == survey.heads.tolist()


@given(odd_words())
def test_repeats_are_those_of_an_obvious_way(words: Words) -> None:
    survey = surveyed(words)
    fields = decode(words)
    good = words[(fields.head == 2) & (fields.bx < 3564)].tolist()
    last: dict[int, int] = {}
    near = adjacent = 0
    for place, word in enumerate(good):
        distance = place - last.get(word, -WINDOW_HITS - 1)
        near += distance <= WINDOW_HITS
        adjacent += distance == 1
        last[word] = place
    counts = survey.repeats.counts()
    assert (counts.near, counts.adjacent) == (near, adjacent)
    assert counts.sampled == len(last)
    assert counts.anywhere_share == pytest.approx(1 - len(last) / len(good) if good else 0)


@given(st.integers(0, 1000), st.integers(1, 600), st.integers(1, 4))
def test_order_and_packets_are_those_of_an_obvious_way(seed: int, n: int, boards: int) -> None:
    words = hit_words(seed, n, boards=boards)
    rng = np.random.default_rng(seed)
    # disorder among close neighbours, and each word once
    words = words[np.sort(np.unique(words, return_index=True)[1])]
    words = words[np.argsort(np.arange(len(words)) + rng.integers(0, 9, len(words)))]
    clocks = surveyed(words).clocks
    board = ((words >> np.uint64(58)) & np.uint64(7)).tolist()
    time = (words & np.uint64(2**49 - 1)).tolist()
    packets = Counter((board, len(list(group))) for board, group in groupby(board))
    assert {(int(b), int(k)): int(clocks.packets()[b, k]) for b, k in np.argwhere(clocks.packets())} == packets
    for one in set(board):
        own = [t for t, b in zip(time, board, strict=True) if b == one]
        assert clocks.boards[one, 10] == sum(after < before for before, after in pairwise(own))
        highest = np.maximum.accumulate(np.array(own) >> 17)
        assert clocks.boards[one, 12] == int((highest - (np.array(own) >> 17)).max())
    lead = np.maximum.accumulate(np.array(time) >> 17)
    lags = np.bincount([int(x).bit_length() for x in lead - (np.array(time) >> 17)], minlength=34)
    assert clocks.lags.sum(axis=0).tolist() == lags.tolist()


def test_a_sample_finds_repeats_at_any_distance() -> None:
    words = simulate_words(300_000)
    counts = surveyed(np.concatenate([words, words])).repeats.counts()
    assert counts.near == surveyed(words).repeats.counts().near * 2
    assert counts.anywhere_share == pytest.approx(0.5, abs=0.001)
    assert counts.far_distance_words == pytest.approx(300_000, abs=1)
    assert 300_000 <= counts.far_first_word < 301_000
    once = surveyed(words).repeats.counts()
    assert (once.anywhere_share, once.far_first_word) == (0.0, -1)
