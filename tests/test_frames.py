from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muonstream.frames import Frames

SIZES = st.lists(st.integers(1, 9), max_size=20)


def frames_of(sizes: list[int], first_key: int = 0) -> Frames:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Frames(np.arange(starts[-1], dtype=np.uint64), starts, first_key + np.arange(len(sizes), dtype=np.int64))


def windows(frames: Frames) -> list[tuple[int, list[int]]]:
    return [(int(frames.keys[i]), frames.window(i).tolist()) for i in range(len(frames))]


@given(SIZES, st.integers(1, 20))
def test_split_cuts_no_window_and_join_undoes_it(sizes: list[int], max_words: int) -> None:
    frames = frames_of(sizes)
    parts = list(frames.split(max_words))
    assert [window for part in parts for window in windows(part)] == windows(frames)
    assert all(len(part.words) <= max_words or len(part) == 1 for part in parts)
    assert windows(Frames.join(parts)) == windows(frames)


@given(SIZES, SIZES)
def test_joined_frames_are_one_after_another(one: list[int], other: list[int]) -> None:
    a, b = frames_of(one), frames_of(other, first_key=100)
    joined = Frames.join([a, Frames.empty(), b])
    assert windows(joined) == windows(a) + windows(b)
    assert joined.starts[0] == 0
    assert joined.starts[-1] == len(joined.words)
