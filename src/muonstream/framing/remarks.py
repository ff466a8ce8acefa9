"""A frame builder's remarks on its inputs: why words came late, and orbit counters that are too narrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muonstream.words import ORBIT_SECONDS, WINDOW_ORBIT_BITS, WINDOW_SECONDS

COUNTER_BITS: Final = 32
FEWEST_FALLS: Final = 2
"""Two falls at exactly the end of a counter's range are not a coincidence."""
FALLS_IF_SPARSE: Final = 8
"""With few words a counter's last windows may be empty; then this many falls are required."""
FEWEST_TURNS: Final = 4


@dataclass(frozen=True, slots=True)
class LateInput:
    """Late words of one input, a board of a source; behind_s: how far they came after the others at most."""

    source: int
    board: int
    words: int
    behind_s: float


def late_remarks(late: Sequence[LateInput], sources: int, idle_seconds: float, *, damaged: bool = False) -> list[str]:
    """A line for each input that had late words: how late they were, and which option would have kept them.

    damaged: words were read from damaged data, so that their times may be wrong and no option helps
    """
    lines = []
    for one in late:
        whose = f"board {one.board}" if sources == 1 else f"board {one.board} of source {one.source}"
        words = f"{one.words:,} word{'s' if one.words > 1 else ''}"
        line = f"{whose}: {words} came up to {one.behind_s:.1f} s after the others and were late"
        if damaged:
            line += "; their times may be wrong, since data are damaged"
        elif one.behind_s > min(idle_seconds, 1.0):
            wait_s = math.ceil(2 * one.behind_s)
            line += (
                f"; if the board sends packets of many seconds set --idle-seconds {wait_s};"
                " if boards were written one after another give their files with --together"
            )
        lines.append(line)
    return lines


def counter_bits(falls: int, lowest: int, highest: int) -> int | None:
    """How many bits an orbit counter has whose time fell so often, from windows `lowest` to `highest`.

    None where the falls are not at the end of a range: healthy counters are reset anywhere, and turn over after 106 h.
    """
    if falls < FEWEST_FALLS or lowest < 0:
        return None
    bits = highest.bit_length()
    end = (1 << bits) - 1
    full = highest >= end - (end >> 6) and WINDOW_ORBIT_BITS + bits < COUNTER_BITS
    sparse = falls >= FALLS_IF_SPARSE and lowest >= 3 * end // 4
    return WINDOW_ORBIT_BITS + bits if full and (lowest >= end - (end >> 6) or sparse) else None


def counter_remark(bits: int, falls: int) -> str:
    """The line that says so."""
    turn_s = (1 << bits) * ORBIT_SECONDS
    return (
        f"the orbit counter seems to have {bits} bits: it fell {falls:,} times, never above {(1 << bits) - 1:,};"
        f" each turn of {turn_s:.3g} s is counted as a reset"
    )


def short_counter_remark(highest_orbit: int, turns: int) -> str | None:
    """The line for a counter too short to be followed, which turns within a window."""
    bits = max(highest_orbit, 1).bit_length()
    if turns < FEWEST_TURNS or bits > WINDOW_ORBIT_BITS:
        return None
    return (
        f"the orbit counter seems to have {bits} bits: it fell {turns:,} times, never above {(1 << bits) - 1:,};"
        f" time cannot be told from it, and rates and live time are wrong by the number of turns"
    )


def seconds(windows: int) -> float:
    """Data time of so many windows."""
    return windows * WINDOW_SECONDS
