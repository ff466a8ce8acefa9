"""Text whose encoding changes in the middle: all rows are read, the place is named, wherever the reads are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.formats.encoding import Encoding
from muonstream.formats.text import TextForm, text_decoder
from muonstream.words import Words
from tools.streams import StreamConfig, as_course, as_json_array, as_json_lines, make_words

WORDS = make_words(StreamConfig(words=120, seed=5))
FORMS = {"table": as_course, "json lines": as_json_lines, "json array": as_json_array}
ENCODINGS: list[Encoding] = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff", "utf-32-le": b"\xff\xfe\0\0", "utf-32-be": b"\0\0\xfe\xff"}


def encoded(form: str, words: Words, encoding: str, *, mark: bool = False) -> bytes:
    return (MARKS.get(encoding, b"\xef\xbb\xbf") if mark else b"") + FORMS[form](words).decode().encode(encoding)


def read(form: str, encoding: Encoding, data: bytes, cuts: list[int]) -> tuple[list[int], int, list[str]]:
    """Words, malformed rows and notes of text that comes in pieces."""
    decoder = text_decoder(TextForm("json" if "json" in form else "course", "", encoding), "f")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(edges)] + [decoder.feed(b"", last=True)]
    assert sum(block.bytes.total for block in blocks) == len(data)
    assert sum(block.bytes.passed_over for block in blocks) == 0
    words = [word for block in blocks for word in block.words.tolist()]
    return words, sum(block.malformed for block in blocks), [note for block in blocks for note in block.notes]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ENCODINGS)
@pytest.mark.parametrize("after", ENCODINGS)
@pytest.mark.parametrize("mark", [False, True])
def test_rows_in_a_second_encoding_are_read_and_named(form: str, before: Encoding, after: Encoding, mark: bool) -> None:
    first, second = encoded(form, WORDS[:70], before), encoded(form, WORDS[70:], after, mark=mark)
    words, malformed, notes = read(form, before, first + second, [])
    assert (words, malformed) == (WORDS.tolist(), 0)
    named = f"from {before.upper()} to {after.upper()}: {len(second):,} bytes read as such"
    assert notes == ([] if before == after else [f"f: byte {len(first):,}: the encoding changes {named}"])


@settings(max_examples=40)
@given(
    form=st.sampled_from(list(FORMS)),
    before=st.sampled_from(ENCODINGS),
    after=st.sampled_from(ENCODINGS),
    mark=st.booleans(),
    near=st.lists(st.integers(-70, 70), max_size=4),
    cuts=st.lists(st.integers(0, 40_000), max_size=3),
)
def test_it_does_not_matter_how_the_bytes_come(
    form: str, before: Encoding, after: Encoding, mark: bool, near: list[int], cuts: list[int]
) -> None:
    first = encoded(form, WORDS[:40], before)
    second = encoded(form, WORDS[40:50], after, mark=mark)
    data = first + second + encoded(form, WORDS[50:70], before)
    cuts = [*cuts, *(len(first) + at for at in near), *(len(first) + len(second) + at for at in near)]
    assert read(form, before, data, cuts) == read(form, before, data, [])
    assert read(form, before, data, list(range(len(first) - 9, len(first) + 9))) == read(form, before, data, [])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_comments_of_other_scripts_are_not_taken_for_another_encoding(encoding: Encoding) -> None:
    comment = "# 温度と気圧を測定しました。次の測定は明日です。 Температура двадцать один градус\n"
    data = comment.encode(encoding) + encoded("table", WORDS, encoding)
    words, malformed, notes = read("table", encoding, data, [])
    assert (words, malformed, notes) == (WORDS.tolist(), 0, [])


def test_nul_bytes_and_words_after_a_table_are_not_taken_for_another_encoding() -> None:
    for tail in (bytes(500), b"".join(b"%d\0\n" % i for i in range(99)), np.arange(50, dtype="<u8").tobytes()):
        decoder = text_decoder(TextForm("course", ""), "f")
        blocks = [decoder.feed(as_course(WORDS) + tail), decoder.feed(b"", last=True)]
        assert not any("encoding" in note for block in blocks for note in block.notes)
        assert np.concatenate([block.words for block in blocks]).tolist() == WORDS.tolist()
