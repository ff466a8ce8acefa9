"""Frames: orbit-complete words, grouped by window, as the frame builder closes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.words import Words

KEY_WINDOW_BITS: Final = 22
"""A window key is ``epoch << 22 | window``: 32 orbit bits less the 10 inside a window."""
KEY_WINDOW_MASK: Final = (1 << KEY_WINDOW_BITS) - 1


def uniform(words: Words) -> Words:
    """The same words (uint64[n]) as one kind of array, for which all is compiled once: contiguous, native, writable.

    Read-only words, such as those of `bytes`, are seen through an array that is writable by its type. No kernel writes
    to them.
    """
    words = np.ascontiguousarray(words, dtype=np.uint64)
    return words if words.flags.writeable else np.asarray(_Writable(words))


class _Writable:
    """Words behind numpy's array interface, called writable."""

    def __init__(self, words: Words) -> None:
        self._words = words
        pointer, _ = words.__array_interface__["data"]
        self.__array_interface__ = {**words.__array_interface__, "data": (pointer, False)}


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole windows, side by side.

    words: uint64[n], the windows' words one window after another, in each in order of arrival
    starts: int64[k + 1], window i has words[starts[i]:starts[i + 1]]
    keys: int64[k], rising, ``epoch << 22 | window`` with window = orbit >> 10
    """

    words: Words
    starts: NDArray[np.int64]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def window(self, index: int) -> Words:
        """The words of one window, uint64."""
        return self.words[self.starts[index] : self.starts[index + 1]]

    @classmethod
    def empty(cls) -> Frames:
        return cls(np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.int64))

    @classmethod
    def join(cls, parts: Sequence[Frames]) -> Frames:
        """Frames one after another as one; the keys must go on rising."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        offsets = np.cumsum([0] + [len(part.words) for part in parts])
        starts = [part.starts[:-1] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
        return cls(
            np.concatenate([part.words for part in parts]),
            np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
            np.concatenate([part.keys for part in parts]),
        )

    def split(self, about_words: int) -> Iterator[Frames]:
        """The same windows in pieces of about so many words, all about alike; a window is never cut."""
        for first, last in _pieces(self.starts, about_words):
            yield self.part(first, last)

    def part(self, first: int, last: int) -> Frames:
        """The windows from index `first` to `last`, which is not among them."""
        begin, end = int(self.starts[first]), int(self.starts[last])
        return Frames(self.words[begin:end], self.starts[first : last + 1] - begin, self.keys[first:last])

    def scattered(self) -> ScatteredFrames:
        """The same windows, as what a kernel takes."""
        stretches = np.empty((len(self), 2), np.int64)
        stretches[:, 0] = self.starts[:-1]
        np.subtract(self.starts[1:], self.starts[:-1], out=stretches[:, 1])
        return ScatteredFrames(self.words, _NOTHING, stretches, np.arange(len(self) + 1), self.keys)


@dataclass(frozen=True, slots=True)
class ScatteredFrames:
    """Whole windows whose words lie where they came: putting them side by side costs a third of counting them.

    words: uint64[n], as they were pushed, other windows' among them; held: uint64[m], from pushes before
    stretches: int64[s, 2], (offset, length) in order of arrival, window by window; offsets of held words are ~offset
    firsts: int64[k + 1], window i has stretches[firsts[i]:firsts[i + 1]]
    keys: int64[k], as in `Frames`
    """

    words: Words
    held: Words
    stretches: NDArray[np.int64]
    firsts: NDArray[np.int64]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def n_words(self) -> int:
        """Words in these windows."""
        return int(self.stretches[:, 1].sum())

    def _ends(self) -> NDArray[np.int64]:
        """How many words there are up to each stretch, and in all, int64[s + 1]."""
        return np.concatenate([_ZERO, np.cumsum(self.stretches[:, 1])])

    def split(self, about_words: int) -> Iterator[ScatteredFrames]:
        """The same windows in pieces of about so many words, all about alike; a window is never cut."""
        for first, last in _pieces(self._ends()[self.firsts], about_words):
            yield self.part(first, last)

    def part(self, first: int, last: int) -> ScatteredFrames:
        """The windows from index `first` to `last`, which is not among them."""
        begin, end = int(self.firsts[first]), int(self.firsts[last])
        firsts = self.firsts[first : last + 1] - begin
        return ScatteredFrames(self.words, self.held, self.stretches[begin:end], firsts, self.keys[first:last])

    def gather(self, out: Words | None = None) -> Frames:
        """The windows' words side by side, copied into `out` (uint64[at least n_words]) or into new memory."""
        ends = self._ends()
        if out is None:
            out = np.empty(int(ends[-1]), np.uint64)
        _copy(self.words, self.held, self.stretches, out)
        return Frames(out[: ends[-1]], ends[self.firsts], self.keys)


def _pieces(starts: NDArray[np.int64], about_words: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of successive windows, about as many words in each; starts: int64[k + 1], from 0."""
    n_words = int(starts[-1])
    n = max(round(n_words / about_words), 1)
    edges = np.searchsorted(starts, np.arange(n + 1) * n_words // n)
    edges[-1] = len(starts) - 1
    for first, last in pairwise(edges.tolist()):
        if first < last:
            yield first, last


class ClosedWindows:
    """Windows that close while words are pushed."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.held: Words = np.empty(0, np.uint64)
        self.filled = 0
        self._stretches: list[NDArray[np.int64]] = []
        self._firsts: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._keys: list[NDArray[np.int64]] = []
        self._n = 0

    def add(self, stretches: NDArray[np.int64], ends: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        """Add windows: their stretches, where each one's end, and their keys, later ones than before."""
        self._stretches.append(stretches)
        self._firsts.append(ends + self._n)
        self._keys.append(keys)
        self._n += len(stretches)

    def frames(self) -> ScatteredFrames:
        """All of them."""
        if not self._keys:
            return Frames.empty().scattered()
        return ScatteredFrames(
            self.words,
            self.held,
            np.concatenate(self._stretches),
            np.concatenate(self._firsts),
            np.concatenate(self._keys),
        )


@compiled
def _copy(words: Any, held: Any, stretches: Any, out: Any) -> None:
    """Copy stretches one after another into `out`."""
    to = 0
    for s in range(len(stretches)):
        offset, length = stretches[s]
        if offset >= 0:
            for j in range(length):
                out[to + j] = words[offset + j]
        else:
            for j in range(length):
                out[to + j] = held[~offset + j]
        to += length


_NOTHING: Final = np.empty(0, np.uint64)
_ZERO: Final = np.zeros(1, np.int64)
