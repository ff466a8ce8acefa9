from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.detector import Detector
from muonstream.formats.block import Block, ByteAccount, SourceError
from muonstream.formats.content import ContentCheck
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.reader import InputReader, hits_of
from muonstream.words import Words
from tools.streams import WRITERS, StreamConfig, as_dma, as_words, make_words, truth

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
