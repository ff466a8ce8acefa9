"""Words as loose JSON hits: one object a word with the six fields, written into one buffer."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled, inlined
from muonstream.words import (
    BX_MASK,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_MASK,
    FPGA_SHIFT,
    HEAD_MASK,
    HEAD_SHIFT,
    ORBIT_MASK,
    ORBIT_SHIFT,
    TDC_MASK,
    Words,
)

FIELDS: Final = (
    ("HEAD", HEAD_SHIFT, HEAD_MASK),
    ("FPGA", FPGA_SHIFT, FPGA_MASK),
    ("TDC_CHANNEL", CHANNEL_SHIFT, CHANNEL_MASK),
    ("ORBIT_CNT", ORBIT_SHIFT, ORBIT_MASK),
    ("BX_COUNTER", BX_SHIFT, BX_MASK),
    ("TDC_MEAS", 0, TDC_MASK),
)
_NAMES: Final = tuple(f'{", " if index else "{"}"{name}": '.encode() for index, (name, _, _) in enumerate(FIELDS))
_TEXT: Final = np.frombuffer(b"".join(_NAMES), np.uint8)
_ENDS: Final = np.cumsum([0, *map(len, _NAMES)])
_SHIFTS: Final = np.array([shift for _, shift, _ in FIELDS], np.uint64)
_MASKS: Final = np.array([mask for _, _, mask in FIELDS], np.uint64)
_LONGEST: Final = len(_TEXT) + sum(len(str(mask)) for _, _, mask in FIELDS) + 1


@inlined
def _digits(value: Any, out: Any, at: int) -> int:
    """Write a number at a place; gives the place after it."""
    end = at + 1
    rest = value // np.uint64(10)
    while rest > np.uint64(0):
        end += 1
        rest //= np.uint64(10)
    place = end
    while place > at:
        place -= 1
        out[place] = np.uint8(48) + np.uint8(value % np.uint64(10))
        value //= np.uint64(10)
    return end


@compiled
def _write(words: Any, text: Any, ends: Any, shifts: Any, masks: Any, out: Any, offsets: Any) -> None:
    at = 0
    for i in range(len(words)):
        offsets[i] = at
        for field in range(len(shifts)):
            for j in range(ends[field], ends[field + 1]):
                out[at] = text[j]
                at += 1
            at = _digits((words[i] >> shifts[field]) & masks[field], out, at)
        out[at] = 125  # }
        at += 1
    offsets[len(words)] = at


def hits_json(words: Words) -> tuple[bytes, NDArray[np.int64]]:
    """One JSON object for each of words (uint64[n]), side by side.

    Gives the bytes and offsets (int64[n + 1]): object i is bytes[offsets[i]:offsets[i + 1]].
    """
    out = np.empty(len(words) * _LONGEST, np.uint8)
    offsets = np.empty(len(words) + 1, np.int64)
    _write(np.ascontiguousarray(words, np.uint64), _TEXT, _ENDS, _SHIFTS, _MASKS, out, offsets)
    return out[: offsets[-1]].tobytes(), offsets
