"""Memory that is used again: new memory costs as much as all that is done with the words in it."""

from __future__ import annotations

from collections import deque
from sys import getrefcount
from typing import Final

import numpy as np

from muonstream.words import Words

_GRAIN: Final = 1 << 17


class Buffers:
    """A few arrays of words, reused once no view of them is left."""

    def __init__(self, most: int) -> None:
        """most: how many are kept; the oldest are forgotten first."""
        self._kept: deque[Words] = deque(maxlen=most)

    def room(self, n: int) -> Words:
        """Room for at least n words (uint64, not cleared) that nothing else refers to."""
        for buffer in self._kept:
            # each view of it, so each frame or block, is one reference more
            if len(buffer) >= n and getrefcount(buffer) == _REFERENCES:
                return buffer
        buffer = np.empty(-(-n // _GRAIN) * _GRAIN, np.uint64)
        self._kept.append(buffer)
        return buffer


def _references() -> int:
    """References to an unused buffer of a list, as seen by a loop over it: 3, fewer from Python 3.14 on."""
    for buffer in deque([np.empty(0, np.uint64)]):
        return getrefcount(buffer)
    raise AssertionError


_REFERENCES: Final = _references()
