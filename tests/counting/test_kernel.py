from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import WIDE

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import Accumulator, Contribution
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words, decode, encode

DETECTORS = {"telescope": Detector.default(), "wide": WIDE}
ACCUMULATORS = {name: Accumulator(Catalogue(detector)) for name, detector in DETECTORS.items()}


def framed(words: Words) -> Frames:
    """Words by window."""
    window = (words >> np.uint64(27)).astype(np.int64) & 0x3FFFFF
    order = np.argsort(window, kind="stable")
    keys, first = np.unique(window[order], return_index=True)
    return Frames(words[order], np.append(first, len(words)).astype(np.int64), keys.astype(np.int64))


def oracle(detector: Detector, words: Words) -> dict[str, Any]:
    """Everything counted, word by word, the slow way."""
    f = decode(words)
    rows = list(zip(*(a.tolist() for a in (f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc)), strict=True))
    scintillators = {(s.board, s.channel) for s in detector.scintillators}
    passage: dict[int, int] = {}
    for head, board, channel, orbit, bx, tdc in rows:
        if head == 2 and (board, channel) in scintillators and bx < 3564:
            passage[orbit] = min(passage.get(orbit, 1 << 40), bx * 30 + tdc)
    hits: Counter[tuple[int, int]] = Counter()
    joined: Counter[tuple[int, int]] = Counter()
    drift: Counter[tuple[int, int]] = Counter()
    active: dict[tuple[int, int], set[int]] = {}
    for head, board, channel, orbit, bx, tdc in rows:
        for c, chamber in enumerate(detector.chambers):
            cell = channel - chamber.first_channel
            if head == 2 and board == chamber.board and 0 <= cell < chamber.cells and bx < 3564:
                hits[c, cell] += 1
                active.setdefault((c, orbit), set()).add(cell)
                if orbit in passage:
                    joined[c, cell] += 1
                    drift[c, min(max(bx * 30 + tdc - passage[orbit] + 513, 0), 2049)] += 1
    return {
        "hits": hits,
        "joined": joined,
        "drift": drift,
        "active": Counter((c, len(cells)) for (c, _), cells in active.items()),
        "by_orbit": sum(
            (
                Counter({(c, (orbit - 600_000) // 500_000): len(cells)})
                for (c, orbit), cells in active.items()
                if 600_000 <= orbit <= 10_000_000
            ),
            Counter(),
        ),
        "orbits": [len({orbit for _, orbit in active}), len(passage)],
    }


def counted(catalogue: Catalogue, data: Any) -> dict[str, Any]:
    chambers = range(len(catalogue.detector.chambers))

    def nonzero(name: str) -> Counter[tuple[int, int]]:
        array = catalogue.view(data, name)
        return Counter({(int(c), int(i)): int(array[c, i]) for c, i in np.argwhere(array)})

    def cells(of: Any) -> Counter[tuple[int, int]]:
        return Counter({(c, int(i)): int(of(data, c)[i]) for c in chambers for i in np.flatnonzero(of(data, c))})

    return {
        "hits": cells(catalogue.hits_per_cell),
        "joined": cells(catalogue.hits_per_cell_with_scintillator),
        "drift": nonzero("drift_tdc"),
        "active": nonzero("active_cells"),
        "by_orbit": nonzero("active_cells_by_orbit"),
        "orbits": catalogue.view(data, "orbits")[:2].tolist(),
    }


orbits = st.sampled_from(
    [0, 599_999, 600_000, 600_001, 1_099_999, 1_100_000, 9_999_999, 10_000_000, 10_000_001, 2**32 - 1]
)
rows = st.tuples(
    st.sampled_from([2, 2, 2, 2, 2, 2, 0, 1, 5, 7]),
    st.sampled_from([0, 0, 1, 1, 5, 3]),
    st.one_of(st.integers(0, 130), st.sampled_from([128, 138, 300, 511, 0])),
    st.one_of(orbits, st.integers(3000, 3010)),
    st.one_of(st.integers(0, 3563), st.integers(100, 130), st.integers(3560, 4095)),
    st.integers(0, 31),
)


def words_of(table: list[tuple[int, ...]]) -> Words:
    head, fpga, channel, orbit, bx, tdc = np.array(table, dtype=np.int64).reshape(-1, 6).T
    return encode(head=head, fpga=fpga, channel=channel, orbit=orbit, bx=bx, tdc=tdc)


@given(st.sampled_from(sorted(DETECTORS)), st.lists(rows, max_size=120))
def test_the_kernel_counts_what_the_oracle_counts(name: str, table: list[tuple[int, ...]]) -> None:
    words = words_of(table)
    accumulate = ACCUMULATORS[name]
    data = accumulate(framed(words)).total
    assert counted(accumulate.catalogue, data) == oracle(DETECTORS[name], words)
    kinds = accumulate.catalogue.words_by_kind(data)
    assert sum(kinds.values()) == len(words)
    heads = Counter(decode(words).head.tolist())
    assert accumulate.catalogue.words_by_head(data) == dict(heads)


@given(st.lists(rows, min_size=2, max_size=80), st.integers(1, 30))
def test_any_grouping_of_windows_adds_up_to_the_same(table: list[tuple[int, ...]], size: int) -> None:
    accumulate = ACCUMULATORS["telescope"]
    frames = framed(words_of(table))
    whole = accumulate(frames)
    parts = [accumulate(part) for part in frames.split(size)]
    assert sum(len(part.keys) for part in parts) == len(frames)
    backwards: list[Contribution] = parts[::-1]
    for order in (parts, backwards):
        total = accumulate.catalogue.zeros()
        for part in order:
            total += part.total
        assert np.array_equal(total, whole.total)
    assert np.array_equal(np.concatenate([part.rows for part in parts]), whole.rows)


def test_times_are_exact_at_the_last_orbit() -> None:
    last = 2**32 - 1
    words = encode(fpga=[1, 0], channel=[128, 7], orbit=last, bx=[3000, 3001], tdc=[30, 1])
    catalogue = ACCUMULATORS["telescope"].catalogue
    data = ACCUMULATORS["telescope"](framed(words)).total
    assert catalogue.view(data, "drift_tdc")[0, 1 + 512 + 1] == 1


def test_hists_are_the_same_numbers() -> None:
    pytest.importorskip("hist")
    accumulate = ACCUMULATORS["telescope"]
    words = encode(fpga=0, channel=np.arange(128), orbit=5, bx=np.arange(128), tdc=3)
    data = accumulate(framed(words)).total
    hists = accumulate.catalogue.hists(data)
    assert set(hists) == set(accumulate.catalogue.entries)
    assert hists["counts"].sum() == 128
    assert hists["active_cells"][0, 64] == 1


def test_scattered_frames_give_what_they_give_side_by_side() -> None:
    builder, accumulate = FrameBuilder((0, 1)), ACCUMULATORS["telescope"]
    for part in np.array_split(simulate_words(60_000, rate_hz=3e5, seed=4), 5):
        scattered = builder.push_scattered(part)
        one, other = accumulate(scattered), accumulate(scattered.gather())
        assert np.array_equal(one.total, other.total)
        assert np.array_equal(one.recent, other.recent)
        assert np.array_equal(one.rows, other.rows)
