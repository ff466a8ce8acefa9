"""Frames: orbit-complete words, grouped by window, as the frame builder closes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import Words

KEY_WINDOW_BITS: Final = 22
"""A window key is ``epoch << 22 | window``: 32 orbit bits less the 10 inside a window."""
KEY_WINDOW_MASK: Final = (1 << KEY_WINDOW_BITS) - 1


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

    def split(self, max_words: int) -> Iterator[Frames]:
        """The same windows in pieces of about max_words words; a window is never cut."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + max_words, side="right")) - 1
            last = min(max(last, first + 1), len(self))
            begin, end = int(self.starts[first]), int(self.starts[last])
            yield Frames(self.words[begin:end], self.starts[first : last + 1] - begin, self.keys[first:last])
            first = last
