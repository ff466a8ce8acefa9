from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from muonstream.detector.model import Detector
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.sameness import FIRST_HITS, Comparison, FirstHits, KnownInputs, Twin, first_hits
from tools.streams import IDLE_WORD, WRITERS, StreamConfig, as_course, as_words, hits_of, make_words

WANTED = Wanted(Expected.of(Detector.default().channel_map()))
WORDS = make_words(StreamConfig(words=3000, seed=2, ancillary=20))


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("form", WRITERS)
def test_first_hits_are_the_same_in_every_format(tmp_path: Path, form: str) -> None:
    name = written(tmp_path / "f", WRITERS[form](WORDS))
    assert first_hits(name, WANTED).tolist() == hits_of(WORDS)[:FIRST_HITS].tolist()


def test_an_idle_head_does_not_count(tmp_path: Path) -> None:
    idle = np.full(30_000, IDLE_WORD, np.uint64)
    name = written(tmp_path / "f", as_words(np.concatenate([idle, WORDS])))
    assert first_hits(name, WANTED).tolist() == hits_of(WORDS)[:FIRST_HITS].tolist()


def test_what_shows_no_format_has_no_hits(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        first_hits(str(tmp_path / "none"), WANTED)
    assert not len(first_hits(written(tmp_path / "f", b"hello\n"), WANTED))


@pytest.mark.parametrize("form", ["words", "dma", "course", "firmware2019", "json array"])
def test_a_copy_in_another_format_is_whole(tmp_path: Path, form: str) -> None:
    known = KnownInputs(WANTED)
    first = written(tmp_path / "a.dat", as_words(WORDS))
    assert known.meet(first) is None
    n = len(hits_of(WORDS))
    assert known.meet(written(tmp_path / "b", WRITERS[form](WORDS))) == Twin(first, n, whole=True)
    assert known.meet(written(tmp_path / "c", WRITERS[form](WORDS[:1500]))) == Twin(
        first, len(hits_of(WORDS[:1500])), whole=True
    )


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    known = KnownInputs(WANTED)
    first = written(tmp_path / "a.dat", as_words(WORDS))
    known.meet(first)
    os.link(first, tmp_path / "b.dat")
    (tmp_path / "c.dat").symlink_to(first)
    for name in (first, str(tmp_path / "b.dat"), str(tmp_path / "c.dat")):
        twin = known.meet(name)
        assert twin is not None
        assert (twin.whole, twin.same_file) == (True, True)
        assert twin.why == f"is the same file as {first}"


def test_a_longer_copy_and_one_that_differs(tmp_path: Path) -> None:
    known = KnownInputs(WANTED)
    first = written(tmp_path / "a.dat", as_words(WORDS[:2000]))
    known.meet(first)
    n = len(hits_of(WORDS[:2000]))
    longer = known.meet(written(tmp_path / "b.txt", as_course(WORDS)))
    assert longer == Twin(first, n)
    assert longer.known_hits == n
    assert "are not counted again" in longer.why
    other = WORDS[:2000].copy()
    other[1700] ^= np.uint64(1 << 20)
    differs = known.meet(written(tmp_path / "c.dat", as_words(other)))
    assert differs is not None
    assert (differs.differs, differs.whole, differs.known_hits) == (True, False, 0)
    assert "all are counted" in differs.why


def test_other_words_are_another_file(tmp_path: Path) -> None:
    known = KnownInputs(WANTED)
    known.meet(written(tmp_path / "a.dat", as_words(WORDS)))
    assert known.meet(written(tmp_path / "b.dat", as_words(WORDS[100:]))) is None
    assert known.meet(written(tmp_path / "c.dat", b"hello\n")) is None
    assert known.meet(str(tmp_path / "none")) is None


def test_a_file_that_grows_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    data = as_words(WORDS)
    one, other = written(tmp_path / "a", data), tmp_path / "b"
    other.write_bytes(data[:8001])
    comparison = Comparison(one, str(other), WANTED)
    comparison.advance()
    n = comparison.same
    assert len(hits_of(WORDS[:980])) <= n <= len(hits_of(WORDS[:1000]))
    with other.open("ab") as handle:
        handle.write(data[8001:])
    comparison.finish()
    assert (comparison.same, comparison.different, comparison.longer) == (len(hits_of(WORDS)), False, False)


def test_first_hits_are_looked_up_by_their_beginning() -> None:
    first: FirstHits[str] = FirstHits()
    first.remember("empty", WORDS[:0])
    first.remember("a", WORDS[:9])
    assert first.alike(WORDS[:4]) == first.alike(WORDS[:20]) == ["a"]
    assert first.alike(WORDS[1:5]) == first.alike(WORDS[:0]) == []
