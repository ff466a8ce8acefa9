from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.frames import Frames, ScatteredFrames, uniform
from muonstream.words import Words

SIZES = st.lists(st.integers(1, 9), max_size=20)


def frames_of(sizes: list[int], first_key: int = 0) -> Frames:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Frames(np.arange(starts[-1], dtype=np.uint64), starts, first_key + np.arange(len(sizes), dtype=np.int64))


def windows(frames: Frames) -> list[tuple[int, list[int]]]:
    return [(int(frames.keys[i]), frames.window(i).tolist()) for i in range(len(frames))]


@given(SIZES, st.integers(1, 20))
def test_split_cuts_no_window_and_join_undoes_it(sizes: list[int], about: int) -> None:
    frames = frames_of(sizes)
    parts = list(frames.split(about))
    assert [window for part in parts for window in windows(part)] == windows(frames)
    assert all(0 < len(part.words) < 1.5 * about + max(sizes) for part in parts)
    assert windows(Frames.join(parts)) == windows(frames)


@given(SIZES, SIZES)
def test_joined_frames_are_one_after_another(one: list[int], other: list[int]) -> None:
    a, b = frames_of(one), frames_of(other, first_key=100)
    joined = Frames.join([a, Frames.empty(), b])
    assert windows(joined) == windows(a) + windows(b)
    assert joined.starts[0] == 0
    assert joined.starts[-1] == len(joined.words)


@given(SIZES, st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 20))
def test_stretches_are_gathered_in_their_order(sizes: list[int], random: Random, longest: int, about: int) -> None:
    frames = frames_of(sizes)
    # words cut into stretches that lie anywhere, in the words pushed or among those held
    cuts = [(i, *pair) for i in range(len(frames)) for pair in pieces(frames.starts[i], frames.starts[i + 1], longest)]
    places: dict[str, list[int]] = {"words": [], "held": []}
    stretches = np.zeros((len(cuts), 2), np.int64)
    for s in random.sample(range(len(cuts)), len(cuts)):
        _, begin, end = cuts[s]
        name = random.choice(["words", "held"])
        offset = len(places[name])
        stretches[s] = offset if name == "words" else ~offset, end - begin
        places[name] += frames.words[begin:end].tolist()
    words, held = (np.array(places[name], np.uint64) for name in ("words", "held"))
    firsts = np.searchsorted([window for window, _, _ in cuts], np.arange(len(frames) + 1))
    scattered = ScatteredFrames(words, held, stretches, firsts, frames.keys)
    assert scattered.n_words == len(frames.words)
    assert windows(scattered.gather()) == windows(frames)
    parts = [part.gather() for part in scattered.split(about)]
    assert [window for part in parts for window in windows(part)] == windows(frames)
    assert [len(part) for part in parts] == [len(part) for part in frames.split(about)]
    assert windows(scattered.gather(np.empty(scattered.n_words + 3, np.uint64))) == windows(frames)


def pieces(begin: int, end: int, longest: int) -> list[tuple[int, int]]:
    return [(first, min(first + longest, end)) for first in range(begin, end, longest)]


def test_frames_are_scattered_frames_too() -> None:
    frames = frames_of([3, 1, 4])
    assert windows(frames.scattered().gather()) == windows(frames)
    assert len(Frames.empty().scattered().gather()) == 0


@pytest.mark.parametrize(
    "words",
    [
        np.frombuffer(bytes(range(16)), "<u8"),
        np.frombuffer(bytes(range(16)), ">u8"),
        np.arange(6, dtype=np.uint64)[::3],
        np.empty(0, np.uint64),
    ],
)
def test_uniform_words_are_the_same_words_as_one_kind_of_array(words: Words) -> None:
    same = uniform(words)
    assert same.tolist() == words.tolist()
    assert same.flags.c_contiguous
    assert same.flags.writeable
    assert same.dtype == np.uint64
    assert same.dtype.isnative


def test_uniform_keeps_the_bytes_alive() -> None:
    words = uniform(np.frombuffer(bytes(1 << 20), "<u8"))
    assert not words.any()
