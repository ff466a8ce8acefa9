from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.formats.encoding import Encoding, Transcoder, encoding_of, width_of

ENCODINGS: list[Encoding] = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
TEXT = "HEAD,FPGA,TDC_CHANNEL\n2,0,65\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("zeros", [0, 64, 512])
def test_an_encoding_is_known_with_and_without_a_mark(encoding: Encoding, mark: str, zeros: int) -> None:
    data = bytes(zeros) + (mark + TEXT).encode(encoding)
    for n in (zeros + 16 * width_of(encoding), len(data)):
        assert encoding_of(data[:n]) == encoding


@pytest.mark.parametrize("data", [b"", b"2", b"\0" * 100, TEXT.encode("latin-1"), "f\u00fcr".encode("latin-1") * 9])
def test_everything_else_has_one_byte_a_character(data: bytes) -> None:
    assert encoding_of(data) == "utf-8"


@given(st.text(), st.sampled_from(ENCODINGS[1:]), st.lists(st.integers(0, 60)))
def test_each_character_is_one_byte_however_it_is_cut(text: str, encoding: Encoding, cuts: list[int]) -> None:
    data = text.encode(encoding, "surrogatepass")
    transcoder = Transcoder(encoding)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    found = b"".join(bytes(transcoder.feed(data[a:b])) for a, b in itertools.pairwise(edges))
    assert len(found) * transcoder.width == len(data)
    assert transcoder.cut == 0
    if text.isascii():
        assert found.decode() == text


def test_what_is_not_a_whole_character_is_counted() -> None:
    transcoder = Transcoder("utf-32-le")
    assert transcoder.feed(b"2\0\0\0,\0\0") == b"2"
    assert transcoder.cut == 3
