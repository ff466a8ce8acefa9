from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.formats.block import Block, ByteAccount, SourceError
from muonstream.formats.content import ContentCheck
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.reader import InputReader, hits_of
from muonstream.words import Words
from tools.streams import WRITERS, StreamConfig, as_course, as_dma, as_words, make_words, truth

WANTED = Wanted(Expected.of(Detector.default().channel_map()))
WORDS = make_words(StreamConfig(words=1200, seed=12, ancillary=30))


def words_of(blocks: list[Block]) -> Words:
    return np.concatenate([np.empty(0, np.uint64), *(block.words for block in blocks)])


def fed(reader: InputReader, data: bytes, cuts: list[int]) -> list[Block]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [block for a, b in pairwise(edges) if b > a for block in reader.feed(data[a:b])]


@settings(max_examples=80)
@given(st.sampled_from(list(WRITERS)), st.booleans(), st.lists(st.integers(0, 60_000), max_size=5))
def test_any_cut_gives_the_same_words_and_account(form: str, packed: bool, cuts: list[int]) -> None:
    data = WRITERS[form](WORDS)
    size = len(data)
    reader = InputReader("f", WANTED)
    blocks = fed(reader, gzip.compress(data, mtime=0) if packed else data, cuts)
    blocks += reader.finish()
    assert hits_of(words_of(blocks)).tolist() == hits_of(WORDS).tolist()
    report = reader.report
    assert (report.size, report.waiting, report.residual) == (size, 0, 0)
    assert report.words == len(truth(form, WORDS))
    assert report.status == "read"
    assert [block.begins for block in blocks].count(True) == 1
    reports = [block.report for block in blocks if block.report is not None]
    assert all(one.balanced for one in reports)


def test_the_report_waits_until_the_format_is_decided() -> None:
    reader = InputReader("f", WANTED)
    assert list(reader.feed(as_words(WORDS[:3]))) == []
    assert (reader.report.status, reader.report.waiting, reader.form) == ("waiting", 24, None)
    assert reader.missing
    list(reader.feed(as_words(WORDS[3:])))
    assert reader.report.status == "read"
    assert reader.missing == ""
    assert reader.raw_bytes == reader.content_bytes == 8 * len(WORDS)


@settings(max_examples=60)
@given(st.sampled_from(["words", "dma", "dma counting", "course", "firmware2019", "json lines"]), st.data())
def test_parts_that_were_cut_anywhere_are_one_stream(form: str, data: st.DataObject) -> None:
    whole = WRITERS[form](WORDS)
    cut = data.draw(st.integers(4000, len(whole) - 4000))
    content = ContentCheck("")
    one = InputReader("a", WANTED, None, content)
    blocks = fed(one, whole[:cut], [])
    two = InputReader("b", Wanted(WANTED.expected, None, one.form), one, content)
    blocks += fed(two, whole[cut:], [100, 2000])
    blocks += two.finish()
    assert hits_of(words_of(blocks)).tolist() == hits_of(WORDS).tolist()
    assert one.report.balanced
    assert two.report.balanced
    assert one.report.waiting == two.report.waiting == 0
    assert one.report.size + two.report.size == len(whole)
    assert sum(block.malformed for block in blocks) == 0


def test_two_files_of_their_own_are_not_joined() -> None:
    content = ContentCheck("")
    one = InputReader("a", WANTED, None, content)
    blocks = fed(one, as_dma(WORDS)[:-100], [])
    two = InputReader("b", Wanted(WANTED.expected, None, one.form), one, content)
    blocks += fed(two, as_dma(WORDS), [])
    blocks += two.finish()
    assert len(words_of(blocks)) == 2 * len(WORDS) - 13
    assert sum(block.malformed for block in blocks) == 1


def test_words_that_another_input_had_are_left_out() -> None:
    reader = InputReader("f", WANTED)
    reader.leave_out(500)
    blocks = fed(reader, as_words(WORDS), [4001])
    blocks += reader.finish()
    assert hits_of(words_of(blocks)).tolist() == hits_of(WORDS)[500:].tolist()
    assert reader.report.balanced
    assert reader.report.bytes.passed_over == 8 * (len(WORDS) - reader.report.words)


def test_an_input_may_be_passed_over() -> None:
    block = InputReader("f", WANTED).pass_over("is a copy", 99)
    assert block.report is not None
    assert (block.report.status, block.report.why) == ("passed over", "is a copy")
    assert block.report.bytes == ByteAccount(passed_over=99)
    assert block.report.balanced
    assert block.notes == ["f: is a copy; passed over"]


def test_what_is_not_data_raises() -> None:
    reader = InputReader("f", WANTED)
    list(reader.feed(b"abc"))
    with pytest.raises(SourceError, match=r"^f: found"):
        list(reader.finish())


def odd_streams() -> dict[str, bytes]:
    """Binary content that has odd values, as it was written."""
    words = make_words(StreamConfig(words=4000, seed=5, ancillary=30, resets=1))
    garbage = np.random.default_rng(3).bytes(400)
    return {
        "reset": as_words(words),
        "garbage": as_words(words[:2000]) + garbage + as_words(words[2000:]),
        "byte lost": as_words(words)[:9_001] + as_words(words)[9_002:],
        "dma": as_dma(words) + as_dma(words, 592),
    }


@pytest.mark.parametrize("what", list(odd_streams()))
@pytest.mark.parametrize("step", [777, 1 << 20])
def test_odd_content_is_decoded_alike_when_it_was_compressed(what: str, step: int) -> None:
    plain, packed = InputReader("f", WANTED), InputReader("f", WANTED)
    data = odd_streams()[what]
    expected = [*plain.feed(data), *plain.finish()]
    members = gzip.compress(data[:20_000], mtime=0) + gzip.compress(data[20_000:], mtime=0)
    found = [*fed(packed, members, list(range(step, len(members), step))), *packed.finish()]
    assert words_of(found).tolist() == words_of(expected).tolist()
    assert sorted(note for one in found for note in one.notes) == sorted(note for one in expected for note in one.notes)
    assert packed.report.bytes == plain.report.bytes


@pytest.mark.parametrize("form", ["words", "dma", "course"])
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.95])
def test_damaged_compressed_data_are_counted_up_to_the_damage_and_the_rest_is_lost(form: str, place: float) -> None:
    words = make_words(StreamConfig(words=6000, seed=8))
    packed = gzip.compress(WRITERS[form](words), mtime=0)
    at = int(place * len(packed))
    broken = packed[:at] + np.random.default_rng(4).bytes(40) + packed[at + 40 :]
    reader, blocks = InputReader("f", WANTED), list[Block]()
    pieces = (block for a in range(0, len(broken), 1000) for block in reader.feed(broken[a : a + 1000]))
    with pytest.raises(SourceError, match=r"^f: broken gzip data: "):
        blocks.extend(pieces)
    found = hits_of(words_of(blocks))
    report = reader.report
    assert (report.waiting, report.residual, report.broken) == (0, 0, 1)
    if report.status == "read":
        n = len(found) - 3 if form != "course" else 0  # the last before the damage shows; rows are not checked so well
        assert found[:n].tolist() == hits_of(truth(form, words))[:n].tolist()
        [note] = [note for block in blocks for note in block.notes if "gzip" in note]
        lost = report.bytes.passed_over
        assert note.startswith(f"f: byte {report.size - lost:,}: the gzip data are broken at or before this place")
        assert ("are lost" in note) == bool(lost)
    else:
        assert report.status == "passed over"


@pytest.mark.parametrize("row", [b"0,0,0,0,0,0\n", b"0,0,5,7,0,0\n"])
def test_idle_rows_of_a_table_are_reported_whatever_they_hold(row: bytes) -> None:
    words = make_words(StreamConfig(words=900))
    reader = InputReader("f", Wanted(Expected.any()))
    data = as_course(words) + row * 700
    blocks = [*reader.feed(data), *reader.finish()]
    notes = [note for block in blocks for note in block.notes]
    assert sum("f: words 901 to 1,600 are all 0x" in note and "700 idle words" in note for note in notes) == 1, notes
