from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.simulation.telescope import simulate_words
from muonstream.sources.peek import PEEK_BYTES, file_identity, peek_run_word, run_word_of
from muonstream.words import Words

WORDS = simulate_words(128 * 90)


def transfers(words: Words, run_words: list[int]) -> Words:
    """DMA transfers, each with the next run word."""
    rows = words[: len(words) // 128 * 128].reshape(-1, 128)
    heads = np.resize(np.array(run_words, np.uint64), len(rows))
    return np.column_stack([heads, rows]).ravel()


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(0, 128))
def test_the_run_word_is_found_wherever_a_file_was_split(number: int, n: int, cut: int) -> None:
    made = transfers(WORDS[: 128 * n], [number])
    assert run_word_of(made) == number
    if n > 2:
        assert run_word_of(made[cut:]) == number


@pytest.mark.parametrize("words", [WORDS, WORDS[:0], WORDS[:129], np.zeros(1000, np.uint64), WORDS[::-1]])
def test_words_alone_have_none(words: Words) -> None:
    assert run_word_of(words) is None


def test_one_transfer_has_one_and_run_words_that_differ_have_none() -> None:
    assert run_word_of(transfers(WORDS[:128], [591])) == 591
    assert run_word_of(transfers(WORDS, [591, 592])) is None
    assert run_word_of(transfers(WORDS, list(range(90)))) is None


def test_a_file_is_looked_into_whatever_it_is_packed_in(tmp_path: Path) -> None:
    made = transfers(WORDS, [591]).astype("<u8").tobytes()
    assert len(made) > PEEK_BYTES
    for name, content in (("plain", made), ("packed", gzip.compress(made)), ("cut", gzip.compress(made)[:30_000])):
        (tmp_path / name).write_bytes(content)
        assert peek_run_word(str(tmp_path / name)) == 591


def test_what_cannot_be_looked_into_has_none(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\x1f\x8b\x08" + bytes(range(255, 0, -1)))
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("broken", "empty", "pipe", "none", ""):
        assert peek_run_word(str(tmp_path / name)) is None
    for name in ("-", "s3://bucket/run.dat", "sim:"):
        assert peek_run_word(name) is None


def test_names_of_one_file_have_one_identity(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.touch()
    (tmp_path / "link").symlink_to(one)
    os.link(one, tmp_path / "hard")
    names = [str(tmp_path / name) for name in ("one", "link", "hard", "../" + tmp_path.name + "/one")]
    assert len({file_identity(name) for name in names}) == 1
    assert len({file_identity(name) for name in (names[0], str(other), str(tmp_path / "none"), "-")}) == 4
