from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from decoding import WORDS, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.cli.options import FormatName
from muonstream.detector.model import Detector
from muonstream.formats.block import SourceError
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.recognise import (
    BINARY,
    Form,
    Format,
    Recogniser,
    Wanted,
    decide,
    decoder,
)
from muonstream.sources.files import read_blocks
from tools.streams import IDLE_WORD, WRITERS, StreamConfig, as_dma, as_words, hits_of, make_words, truth

EXPECTED = Expected.of(Detector.default().channel_map())
WANTED = Wanted(EXPECTED)
STREAMS = {
    "usual": StreamConfig(),
    "quiet": StreamConfig(words=300, rate_hz=0.5),
    "ancillary": StreamConfig(words=2000, ancillary=10),
    "resets": StreamConfig(words=900, resets=3),
    "late": StreamConfig(words=500, start=4_294_900_000),
    "one board": StreamConfig(words=600, boards=1, triggers=0),
}
FORMATS = {
    "words": Format.WORDS,
    "dma": Format.DMA,
    "dma counting": Format.DMA,
    "course": Format.COURSE,
    "course bare": Format.COURSE,
    "firmware2019": Format.FIRMWARE2019,
    "head1": Format.HEAD1,
    "json lines": Format.JSON,
    "json array": Format.JSON,
}


def form_of(data: bytes, wanted: Wanted = WANTED, cuts: tuple[int, ...] = ()) -> Form:
    recogniser = Recogniser("f", wanted)
    edges = [0, *sorted(cuts), len(data)]
    for a, b in pairwise(edges):
        if recogniser.feed(data[a:b]):
            break
    else:
        recogniser.end()
    assert recogniser.form is not None
    return recogniser.form


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("form", WRITERS)
def test_formats_are_known_by_content(form: str, stream: str) -> None:
    words = make_words(STREAMS[stream])
    data = WRITERS[form](words)
    found = form_of(data)
    assert found.format == FORMATS[form]
    assert found.why
    decoded = fed(decoder(found, "f"), data)[0]
    assert len(decoded) == len(truth(form, words))
    assert hits_of(np.array(decoded, np.uint64)).tolist() == hits_of(words).tolist()


@settings(max_examples=60)
@given(st.sampled_from(list(WRITERS)), st.sampled_from(list(STREAMS)), st.lists(st.integers(0, 9000), max_size=4))
def test_the_form_does_not_depend_on_how_the_content_is_cut(form: str, stream: str, cuts: list[int]) -> None:
    data = WRITERS[form](make_words(STREAMS[stream])[:300])
    assert form_of(data, cuts=tuple(min(cut, len(data)) for cut in cuts)) == form_of(data)


@pytest.mark.parametrize("head", [IDLE_WORD, 0, 2**64 - 1])
def test_an_idle_head_decides_nothing(head: int) -> None:
    words = make_words(StreamConfig())
    idle = np.full(5000, head, np.uint64)
    recogniser = Recogniser("f", WANTED)
    assert not recogniser.feed(as_words(idle))
    assert "hits (HEAD 2), of which there are none" in recogniser.missing
    recogniser.feed(as_words(words))
    assert recogniser.end()
    assert recogniser.form is not None
    assert recogniser.form.format == "words"
    assert b"".join(recogniser.held()) == as_words(np.concatenate([idle, words]))


@pytest.mark.parametrize("named", list(Format))
@pytest.mark.parametrize("form", WRITERS)
def test_a_format_that_was_named_is_held_against_the_content(form: str, named: Format) -> None:
    data = WRITERS[form](make_words(StreamConfig()))
    wanted = Wanted(EXPECTED, named)
    if named is FORMATS[form] or {named, FORMATS[form]} == {Format.FIRMWARE2019, Format.HEAD1}:
        assert str(form_of(data, wanted).format) == str(named)
    elif named is Format.WORDS and FORMATS[form] is Format.DMA:
        assert str(form_of(data, wanted).format) == str(named)  # the user may want run words counted
    else:
        with pytest.raises(SourceError, match=r"--format .* was given") as caught:
            form_of(data, wanted)
        assert str(caught.value).startswith("f: found ")


def test_an_undecided_sample_says_what_is_missing() -> None:
    found = decide(as_words(WORDS[:3]), WANTED, last=False)
    assert isinstance(found, Undecided)
    assert found.missing


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello\nworld\n", "f: found text"),
        (b"SQLite format 3\0" + bytes(4000), "SQLite"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (bytes(4096), "only zeros or ones"),
        (as_words(np.full(900, IDLE_WORD, np.uint64)), "idle words without any hit"),
        (WORDS.astype(">u8").tobytes(), "big-endian"),
        (np.random.default_rng(1).bytes(5000), "show no format"),
    ],
)
def test_what_is_not_data_is_refused_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        form_of(data)
    assert "\n" not in str(caught.value)


def test_a_refusal_is_a_value_of_decide() -> None:
    assert isinstance(decide(b"<!DOCTYPE html><html><body>" + b"x" * 400, WANTED, last=True), Refused)


def test_an_empty_input_has_no_form() -> None:
    recogniser = Recogniser("f", WANTED)
    assert not recogniser.end()


def test_names_of_files_play_no_part(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(as_words(WORDS))
    assert sum(len(block.words) for block in read_blocks(str(path))) == len(WORDS)
    for wrong in (Format.COURSE, Format.JSON):
        with pytest.raises(SourceError, match="but --format"):
            list(read_blocks(str(path), wrong))


def test_binary_formats_are_two() -> None:
    assert BINARY == (Format.WORDS, Format.DMA)
    assert form_of(as_dma(WORDS)).format == "dma"


def test_each_format_can_be_named_by_an_option() -> None:
    assert [str(name) for name in FormatName] == [str(format) for format in Format]
