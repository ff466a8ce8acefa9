"""Which channels' hits coincide with hits of other channels within 800 ns, as a muon's hits do."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.survey.repeats import GOOD
from muonstream.words import CHANNEL_SHIFT, Words

COMPANY_BX: Final = 32
"""A slot of time is 32 bunch crossings."""
OTHERS: Final = 3
"""A hit is in company when this many other channels have hits in its slot."""

_SLOTS: Final = 4096
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SLOT_MASK: Final = np.uint64((1 << 39) - 1)


class Company:
    """Counts hits in company by address (board * 512 + channel); `accompanied`: int64[4096].

    Only hits near one another in order of arrival meet: later words take the place of earlier ones in a table of
    4096 slots of time, so a few are missed, always the same ones for the same words.
    """

    def __init__(self) -> None:
        self.accompanied = np.zeros(4096, np.int64)
        self._keys: Words = np.full(_SLOTS, np.iinfo(np.uint64).max, np.uint64)
        self._members = np.zeros((_SLOTS, 4), np.int16)

    def state(self) -> tuple[Any, ...]:
        """The arrays that `meet` works on."""
        return self._keys, self._members, self.accompanied


@compiled
def meet(words: Words, kinds: NDArray[np.uint8], state: Any) -> None:
    """Take words[n] of kinds (uint8[n])."""
    keys, members, accompanied = state
    for i in range(len(words)):
        if kinds[i] != GOOD:
            continue
        w = words[i]
        address = np.int64((w >> np.uint64(CHANNEL_SHIFT)) & np.uint64(4095))
        key = (w >> np.uint64(10)) & _SLOT_MASK
        slot = np.int64((key * _MIX) >> np.uint64(52))
        m = members[slot]
        if keys[slot] != key:
            keys[slot] = key
            m[0], m[1] = 1, address
            continue
        n = m[0]
        known = False
        for k in range(1, min(n, OTHERS) + 1):
            known |= m[k] == address
        if known:
            if n > OTHERS:
                accompanied[address] += 1
            continue
        if n < OTHERS:
            m[n + 1] = address
            m[0] = n + 1
            continue
        if n == OTHERS:
            # the earlier hits of this slot are in company from now on
            for k in range(1, OTHERS + 1):
                accompanied[m[k]] += 1
            m[0] = n + 1
        accompanied[address] += 1
