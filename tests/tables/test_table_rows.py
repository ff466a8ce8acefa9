"""Rows of hits, segments, tracks and muons: those that the kernels count, whatever way the words came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.reconstruction import Reconstruction
from muonstream.simulation.telescope import simulate_words
from muonstream.tables.batches import batches
from muonstream.tables.columns import Arrays, TableError, columns_of, no_rows
from muonstream.tables.hits import HitRows
from muonstream.tables.muons import MuonRows
from muonstream.words import NS_PER_TDC, Words, decode, encode

DETECTOR = Detector.default()
CATALOGUE = Catalogue(DETECTOR, muons=True)
_FIRST, _SECOND = simulate_words(12_000, seed=3), simulate_words(8_000, seed=4)
WORDS = np.concatenate([_FIRST, _SECOND, encode(fpga=5, channel=3, orbit=9000, bx=4000, tdc=1, head=[0, 2])])
"""Two epochs, and words that are no hits."""


def rows_of(words: Words, cuts: list[int], rows: int) -> dict[str, Arrays]:
    """All tables of words that come in pieces, made of frames as they close, in batches of so many rows."""
    builder, hits, muons = FrameBuilder(DETECTOR.boards), HitRows(DETECTOR), MuonRows(DETECTOR)
    frames = [builder.push(words[a:b].copy()) for a, b in pairwise([0, *sorted(cuts), len(words)])]
    made = [
        {"hits": hits(part), **muons(part)}
        for part in (Frames.join([one]) for one in [*frames, builder.finish()])
        if len(part)
    ]
    out = {}
    for table in ("hits", "segments", "tracks", "muons"):
        columns = columns_of(table, DETECTOR)
        lumps = list(batches((one[table] for one in made), columns, rows))
        assert [len(lump[columns[0].name]) for lump in lumps[:-1]] == [rows] * (len(lumps) - 1)
        whole = lumps or [no_rows(columns)]
        out[table] = {one.name: np.concatenate([lump[one.name] for lump in whole]) for one in columns}
        assert all(out[table][one.name].dtype == np.dtype(one.dtype) for one in columns)
    return out


WHOLE = rows_of(WORDS, [], 1000)


def total() -> Counts:
    builder = FrameBuilder(DETECTOR.boards)
    counted: Counts = Reconstruction(CATALOGUE)(Frames.join([builder.push(WORDS), builder.finish()])).total
    return counted


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(WORDS)), max_size=6), st.integers(1, 30_000))
def test_any_cut_of_the_words_gives_the_same_tables(cuts: list[int], rows: int) -> None:
    for table, found in rows_of(WORDS, cuts, rows).items():
        for name, values in found.items():
            assert np.array_equal(values, WHOLE[table][name], equal_nan=values.dtype.kind == "f"), (table, name)


def test_hits_are_the_same_however_boards_interleave() -> None:
    """Within an epoch: of the words of both boards, one after the other."""
    words = _FIRST[decode(_FIRST).orbit < 20_000]
    by_board = [words[decode(words).fpga == board] for board in (0, 1)]
    other = rows_of(np.concatenate(by_board), [], 1000)["hits"]
    for name, values in rows_of(words, [], 1000)["hits"].items():
        assert np.array_equal(values, other[name], equal_nan=True), name


def test_hits_are_the_words_of_cells_and_their_drift_times_those_that_are_counted() -> None:
    hits, counted = WHOLE["hits"], total()
    assert len(hits["orbit"]) == CATALOGUE.words_by_kind(counted)["hits"]
    assert sorted(set(hits["epoch"].tolist())) == [0, 1]
    hit_words = encode(**{name: hits[name] for name in ("orbit", "bx", "tdc", "channel")}, fpga=hits["board"])
    codes = CATALOGUE.channel_map.codes[WORDS >> np.uint64(49)]
    in_cells = WORDS[(codes < CATALOGUE.channel_map.n_cell_codes) & (decode(WORDS).bx < 3564)]
    assert np.array_equal(np.sort(hit_words), np.sort(in_cells))
    for index, chamber in enumerate(DETECTOR.chambers):
        here = hits["chamber"] == chamber.number
        cells = np.bincount(hits["cell"][here], minlength=chamber.cells)
        assert np.array_equal(cells, CATALOGUE.hits_per_cell(counted, index))
        assert np.array_equal(chamber.layer_of_cell()[hits["cell"][here]], hits["layer"][here])
        drift = hits["drift_ns"][here]
        tdc = np.rint((drift[np.isfinite(drift)] - chamber.time_offset_ns) / NS_PER_TDC).astype(int)
        found = np.bincount(np.clip(tdc + 512, -1, 2048) + 1, minlength=2050)
        assert np.array_equal(found, CATALOGUE.view(counted, "drift_tdc")[index])


def test_segments_tracks_and_muons_are_as_many_as_are_counted_and_name_one_another() -> None:
    segments, tracks, muons = (WHOLE[table] for table in ("segments", "tracks", "muons"))
    kinds = CATALOGUE.view(total(), "muon_counts").ravel()
    assert [len(segments["segment"]), len(tracks["track"]), len(muons["muon"])] == [kinds[0], kinds[2], kinds[3]]
    assert np.array_equal(np.bincount(segments["track"][segments["track"] >= 0]), tracks["segments"])
    assert np.array_equal(tracks["muon"][muons["track_x"]], muons["muon"])
    assert np.array_equal(tracks["muon"][muons["track_y"]], muons["muon"])
    assert (tracks["view"][muons["track_x"]] == 0).all()
    assert (tracks["view"][muons["track_y"]] == 1).all()
    assert np.array_equal(sum((segments[f"cell_{layer}"] >= 0).astype(int) for layer in range(4)), segments["hits"])


def test_no_words_are_tables_without_rows() -> None:
    for table, rows in rows_of(WORDS[:0], [], 10).items():
        assert all(not len(values) for values in rows.values()), table


def test_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(TableError, match="table: found 'hit', expected hits, segments, tracks, muons"):
        columns_of("hit", DETECTOR)
