"""The 64-bit words of the front-end boards: decode, encode, and their time.

Layout (least significant bit first), as the 2021 firmware writes it, little endian:

=============  ======  =====================================================
field          bits    meaning
=============  ======  =====================================================
``tdc``        0-4     fine time, 1/30 of a bunch crossing, 1..30 in hits
``bx``         5-16    bunch crossing in the orbit, 0..3563, 25 ns each
``orbit``      17-48   orbit counter, 32 bits, 89.1 us each
``channel``    49-57   channel of the board
``fpga``       58-60   board
``head``       61-63   2: TDC hit; everything else is ancillary
=============  ======  =====================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]

TDC_PER_BX: Final = 30
BX_PER_ORBIT: Final = 3564
TDC_PER_ORBIT: Final = TDC_PER_BX * BX_PER_ORBIT
BX_NS: Final = 25.0
NS_PER_TDC: Final = BX_NS / TDC_PER_BX
ORBIT_SECONDS: Final = BX_PER_ORBIT * BX_NS * 1e-9

WORD_BYTES: Final = 8
DMA_WORDS: Final = 129
"""Values of a raw DMA transfer: a run word, then 128 words of the boards."""
BX_SHIFT: Final = 5
ORBIT_SHIFT: Final = 17
CHANNEL_SHIFT: Final = 49
FPGA_SHIFT: Final = 58
HEAD_SHIFT: Final = 61
TDC_MASK: Final = 0x1F
BX_MASK: Final = 0xFFF
ORBIT_MASK: Final = 0xFFFFFFFF
CHANNEL_MASK: Final = 0x1FF
FPGA_MASK: Final = 0x7
HEAD_MASK: Final = 0x7

WINDOW_ORBIT_BITS: Final = 10
"""A window is ``orbit >> 10``: 1024 orbits, 91.2 ms."""
WINDOW_ORBITS: Final = 1 << WINDOW_ORBIT_BITS
WINDOW_SECONDS: Final = WINDOW_ORBITS * ORBIT_SECONDS
WINDOW_SHIFT: Final = ORBIT_SHIFT + WINDOW_ORBIT_BITS


class Head(IntEnum):
    """What the three HEAD bits say a word is."""

    TRIGGER_T0 = 0
    MASK_A = 1
    HIT = 2
    MASK_B = 3
    TAN_PSI = 4
    LOCAL_X = 5
    RESERVED_6 = 6
    RESERVED_7 = 7


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of words, as int64 arrays of one shape."""

    head: NDArray[np.int64]
    fpga: NDArray[np.int64]
    channel: NDArray[np.int64]
    orbit: NDArray[np.int64]
    bx: NDArray[np.int64]
    tdc: NDArray[np.int64]


def decode(words: Words) -> Fields:
    """Split words (uint64, any shape) into their fields (int64, the same shape)."""

    def field(shift: int, mask: int) -> NDArray[np.int64]:
        return ((words >> np.uint64(shift)) & np.uint64(mask)).astype(np.int64)

    return Fields(
        head=field(HEAD_SHIFT, HEAD_MASK),
        fpga=field(FPGA_SHIFT, FPGA_MASK),
        channel=field(CHANNEL_SHIFT, CHANNEL_MASK),
        orbit=field(ORBIT_SHIFT, ORBIT_MASK),
        bx=field(BX_SHIFT, BX_MASK),
        tdc=field(0, TDC_MASK),
    )


def encode(
    *,
    fpga: ArrayLike,
    channel: ArrayLike,
    orbit: ArrayLike,
    bx: ArrayLike,
    tdc: ArrayLike,
    head: ArrayLike = int(Head.HIT),
) -> Words:
    """Pack fields (integers, broadcast together) into words (uint64).

    Raises ValueError naming the first field with a value that does not fit its bits.
    """
    word: Words = np.zeros((), dtype=np.uint64)
    for name, values, shift, mask in (
        ("head", head, HEAD_SHIFT, HEAD_MASK),
        ("fpga", fpga, FPGA_SHIFT, FPGA_MASK),
        ("channel", channel, CHANNEL_SHIFT, CHANNEL_MASK),
        ("orbit", orbit, ORBIT_SHIFT, ORBIT_MASK),
        ("bx", bx, BX_SHIFT, BX_MASK),
        ("tdc", tdc, 0, TDC_MASK),
    ):
        array = np.asarray(values, dtype=np.int64)
        bad = (array < 0) | (array > mask)
        if bad.any():
            found = int(array[bad].flat[0]) if array.ndim else int(array)
            raise ValueError(f"{name}: found {found}, expected 0 to {mask}")
        word = word | (array.astype(np.uint64) << np.uint64(shift))
    return word


def time_tdc(words: Words) -> NDArray[np.int64]:
    """Absolute time of each word in TDC counts (25/30 ns), int64: (orbit * 3564 + bx) * 30 + tdc."""
    f = decode(words)
    return (f.orbit * BX_PER_ORBIT + f.bx) * TDC_PER_BX + f.tdc
