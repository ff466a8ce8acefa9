from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muonstream.detector.model import Detector
from muonstream.formats.block import SourceError
from muonstream.formats.continuation import SAMPLE_BYTES, continues
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Recogniser, Wanted, decoder
from tools.streams import WRITERS, StreamConfig, make_words

WANTED = Wanted(Expected.of(Detector.default().channel_map()))
WORDS = make_words(StreamConfig(words=1500, seed=3))
OTHERS = make_words(StreamConfig(words=1500, seed=4))
SPLIT = ["words", "dma", "dma counting", "course", "firmware2019", "json lines"]


def said(form: str, before: bytes, after: bytes) -> bool:
    recogniser = Recogniser("f", WANTED)
    if not recogniser.feed(before):
        recogniser.end()
    assert recogniser.form is not None
    decode = decoder(recogniser.form, "f")
    for piece in recogniser.held():
        decode.feed(piece)
    return continues(decode, recogniser.form, after[:SAMPLE_BYTES])


@settings(max_examples=80)
@given(st.sampled_from(SPLIT), st.integers(6000, 11_000))
def test_a_part_that_was_cut_off_continues_the_one_before(form: str, cut: int) -> None:
    data = WRITERS[form](WORDS)
    unit = {"words": 8, "dma": 1032, "dma counting": 1032}.get(form, 0)
    inside = cut % unit != 0 if unit else data[cut - 1 : cut] != b"\n" and data[cut : cut + 1] != b"\n"
    if inside:
        assert said(form, data[:cut], data[cut:]) or unit == 0
    else:
        assert not said(form, data[:cut], data[cut:]) or data[cut : cut + 1] == b"\n"


@pytest.mark.parametrize("form", SPLIT)
def test_a_file_of_its_own_does_not_continue_a_broken_one(form: str) -> None:
    data, other = WRITERS[form](WORDS), WRITERS[form](OTHERS)
    for cut in range(7000, 7040):
        assert not said(form, data[:cut], other), cut


@pytest.mark.parametrize("form", SPLIT)
@pytest.mark.parametrize("n", [1, 3, 5, 9, 13, 20, 31, 45, 501, 1001])
def test_a_short_part_is_the_rest_of_what_was_cut(form: str, n: int) -> None:
    data = WRITERS[form](WORDS)
    for cut in (7003, 9005, len(data) - n):
        piece = data[cut : cut + n]
        inside = b"\n" not in data[cut - 1 : cut + 1] or form in ("words", "dma", "dma counting")
        if inside and cut % 8 and (n > 8 or form != "json lines"):
            assert said(form, data[:cut], piece), (cut, piece)


def test_a_short_part_of_whole_words_is_not_the_rest_of_a_broken_word() -> None:
    data = WRITERS["words"](WORDS)
    assert not said("words", data[:7003], data[8000:8016])


def test_text_does_not_continue_words() -> None:
    assert not said("words", WRITERS["words"](WORDS)[:8001], b"HEAD,FPGA\n" * 200)
    with pytest.raises(SourceError):
        said("words", b"not data", b"")
