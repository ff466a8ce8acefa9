from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.block import Block, InputReport, SourceError
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.joining import HITS, HitSpan, JoinedRuns
from muonstream.sources.runs import Orbits, runs_of
from muonstream.words import ORBIT_SHIFT, Head, Words, decode

WORDS = simulate_words(20_000)
"""Four seconds."""


def later(words: Words, seconds: float) -> Words:
    return words + (np.uint64(seconds * 11223) << np.uint64(ORBIT_SHIFT))


def blocks_of(words: Words, size: int) -> Iterator[Block]:
    for at in range(0, max(len(words), 1), size):
        yield Block(words[at : at + size], begins=at == 0)


def read(files: dict[str, Words], size: int = 3000) -> list[tuple[tuple[str, ...], Words]]:
    """The runs that come of files with these words, each with all its words."""

    def blocks(names: list[str]) -> Iterator[Block]:
        for name in names:
            yield from blocks_of(files[name], size)

    runs = JoinedRuns(runs_of(list(files)), blocks)
    found = []
    while runs.take():
        pieces = list(runs.blocks())
        assert sum(block.begins for block in pieces) == len(runs.run.files)
        found.append((runs.run.files, np.concatenate([block.words for block in pieces])))
    assert [name for names, _ in found for name in names] == list(files)
    assert np.array_equal(np.concatenate([words for _, words in found]), np.concatenate(list(files.values())))
    return found


@given(st.lists(st.integers(0, len(WORDS)), max_size=4), st.integers(100, 30_000))
def test_a_run_that_was_cut_anywhere_is_one_run(cuts: list[int], size: int) -> None:
    # pieces without hits, which are told from nothing, cannot occur here: each has 101 or none
    cuts = [cut for cut in sorted(set(cuts)) if 500 < cut < len(WORDS) - 500]
    cuts = [cut for before, cut in zip([0, *cuts], cuts, strict=False) if cut - before > 500]
    pieces = np.split(WORDS, cuts)
    files = {f"/a/{'abcdef'[i]}": piece for i, piece in enumerate(pieces)}
    assert [names for names, _ in read(files, size)] == [tuple(files)]


def test_a_counter_that_begins_again_or_leaps_is_another_run() -> None:
    files = {"/a/x": WORDS, "/a/y": WORDS, "/a/z": later(WORDS, 60), "/a/zz": later(WORDS, 65)}
    assert [names for names, _ in read(files)] == [("/a/x",), ("/a/y",), ("/a/z", "/a/zz")]


def test_parts_in_different_folders_are_not_joined_even_if_their_counters_go_on() -> None:
    files = {"/a/data_0.dat": WORDS, "/b/data_0.dat": later(WORDS, 4.1)}
    assert [names for names, _ in read(files)] == [("/a/data_0.dat",), ("/b/data_0.dat",)]


def test_files_without_hits_are_runs_of_their_own() -> None:
    files = {"/a/x": WORDS, "/a/empty": WORDS[:0], "/a/idle": np.zeros(5000, np.uint64), "/a/y": later(WORDS, 4.1)}
    assert [names for names, _ in read(files)] == [(name,) for name in files]


def test_an_error_comes_where_the_file_is_read() -> None:
    def blocks(names: list[str]) -> Iterator[Block]:
        yield from blocks_of(WORDS, 3000)
        if names == ["/a/y"]:
            raise SourceError("/a/y: broken")

    runs = JoinedRuns(runs_of(["/a/x", "/a/y"]), blocks)
    assert runs.take()
    assert sum(len(block.words) for block in runs.blocks()) == len(WORDS)
    assert runs.take()
    with pytest.raises(SourceError, match="/a/y: broken"):
        list(runs.blocks())


@given(st.lists(st.integers(0, len(WORDS)), max_size=6), st.integers(0, len(WORDS)))
def test_the_span_of_hits_does_not_depend_on_pieces(cuts: list[int], end: int) -> None:
    span = HitSpan()
    for piece in np.split(WORDS[:end], sorted(cut for cut in cuts if cut < end)):
        span.add(piece)
    hits = WORDS[:end][decode(WORDS[:end]).head == Head.HIT]
    orbits = decode(hits).orbit
    expected = Orbits(int(np.median(orbits[:HITS])), int(np.median(orbits[-HITS:]))) if len(hits) else None
    assert span.orbits == expected


def test_a_run_that_only_repeats_others_is_not_a_run_of_its_own() -> None:
    def blocks(names: list[str]) -> Iterator[Block]:
        if names == ["/a/y"]:
            yield Block(report=InputReport("/a/y", status="passed over", size=5), notes=["/a/y: passed over"])
        else:
            yield from blocks_of(WORDS if names == ["/a/x"] else later(WORDS, 60), 3000)

    runs = JoinedRuns(runs_of(["/a/x", "/a/y", "/b/z"]), blocks)
    found = []
    while runs.take():
        notes = [note for block in runs.blocks() for note in block.notes]
        found.append((runs.run.files, notes))
    assert found == [(("/a/x",), ["/a/y: passed over"]), (("/b/z",), [])]
