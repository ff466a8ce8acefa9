"""What recognition works with: the channels that are expected, and what a look at some content concludes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.channels import UNMAPPED, ChannelMap, hit_index
from muonstream.words import CHANNEL_MASK, FPGA_MASK


@dataclass(frozen=True, slots=True)
class Expected:
    """The channels whose hits a file should hold.

    known: bool[8, 512] by board and channel: whether the detector file names the channel
    """

    known: NDArray[np.bool_]

    @classmethod
    def of(cls, channel_map: ChannelMap) -> Self:
        """The channels of a detector: chambers, scintillators and internal triggers."""
        first = hit_index(0, 0)
        table = channel_map.codes[first : first + (FPGA_MASK + 1) * (CHANNEL_MASK + 1)]
        return cls((table != channel_map.n_cell_codes + UNMAPPED).reshape(FPGA_MASK + 1, CHANNEL_MASK + 1))

    @classmethod
    def any(cls) -> Self:
        """Every channel of every board, where no detector is at hand."""
        return cls(np.ones((FPGA_MASK + 1, CHANNEL_MASK + 1), np.bool_))


@dataclass(frozen=True, slots=True)
class Undecided:
    """The content so far shows no format, and does not exclude one either.

    missing: what would decide it, such as "hits whose orbits rise"; looks_like: what it resembles meanwhile, or ""
    blank: whether there are only zeros, ones or idle words
    """

    missing: str
    looks_like: str = ""
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The content is not data: what was found, and what the user can do, without the file's name."""

    reason: str
