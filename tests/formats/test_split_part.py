from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pytest

from muonstream.formats.block import SourceError
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.formats.split_part import is_even, split_advice
from muonstream.sources.reader import InputReader
from tools.streams import StreamConfig, as_course, as_words, make_words

WORDS = make_words(StreamConfig(words=20_000))
PACKED = {
    "gz": gzip.compress(as_words(WORDS), mtime=0),
    "csv.gz": gzip.compress(as_course(WORDS), mtime=0),
    "bz2": bz2.compress(as_words(WORDS)),
    "xz": lzma.compress(as_words(WORDS)),
}


def refusal(name: str, data: bytes) -> str:
    reader = InputReader(name, Wanted(Expected.any()))
    list(reader.feed(data))
    with pytest.raises(SourceError) as error:
        list(reader.finish())
    return str(error.value)


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_later_part_is_refused_with_the_advice_to_join_all(suffix: str, share: float) -> None:
    data = PACKED[suffix]
    part = data[int(share * len(data)) :]
    for name in (f"a/run.{suffix}.01", f"run.{suffix}.ab", f"run.{suffix}.part2"):
        assert "looks like a later part of a compressed file that was split: join all its parts in order" in refusal(
            name, part
        )
    assert "if it is a later part of a compressed file that was split, join all parts in order" in refusal("xab", part)


def test_a_short_last_part_is_known_by_its_name() -> None:
    assert refusal("run.gz.07", PACKED["gz"][-20:]).endswith("in order first, as cat run.gz* > joined.gz")


@pytest.mark.parametrize("data", [as_words(WORDS), as_course(WORDS), bytes(5000), bytes(range(100)) * 90, b""])
def test_what_has_structure_is_not_taken_for_compressed(data: bytes) -> None:
    assert not is_even(data)
    assert split_advice("run.dat.01", data) == ""


def test_random_bytes_are_as_even_as_compressed_ones() -> None:
    random = np.random.default_rng(1)
    assert all(is_even(random.bytes(n)) for n in (2048, 3000, 5000, 1 << 17) for _ in range(20))
