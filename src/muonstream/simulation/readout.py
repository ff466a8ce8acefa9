"""From hits to a stream: drawing the cells of noise, merging words in time, sending them in boards' packets."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.words import (
    BX_SHIFT,
    FPGA_MASK,
    FPGA_SHIFT,
    ORBIT_MASK,
    ORBIT_SHIFT,
    TDC_PER_BX,
    TDC_PER_ORBIT,
    Words,
)

DISORDER_TDC: Final = 20 * TDC_PER_BX
"""Words of a board that change places are at most this far apart, as in real data."""


class CellNoise:
    """Walker's alias table: one comparison draws a cell, whatever the cells' weights."""

    def __init__(self, weights: NDArray[np.float64], words: Words) -> None:
        n, total = len(weights), float(weights.sum())
        self.possible = total > 0
        self.words = words
        self.alias = np.arange(n)
        share = weights * n / total if self.possible else np.ones(n)
        small = [i for i in range(n) if share[i] < 1]
        large = [i for i in range(n) if share[i] >= 1]
        while small and large:
            i, j = small.pop(), large[-1]
            self.alias[i] = j
            share[j] -= 1 - share[i]
            if share[j] < 1:
                small.append(large.pop())
        # remainders of rounding count as 1, except where a weight is 0: such a cell is redirected to one with a weight
        for i in small:
            self.alias[i] = i if weights[i] > 0 else int(np.argmax(weights))
        self.limit = np.round(np.clip(share, 0, 1) * 2**32).astype(np.uint64)


@compiled
def merged(
    noise_tdc: NDArray[np.int64],
    random: NDArray[np.uint64],
    limit: NDArray[np.uint64],
    alias: NDArray[np.int64],
    cell_words: Words,
    signal_tdc: NDArray[np.int64],
    signal_words: Words,
    start_orbit: int,
) -> tuple[NDArray[np.int64], Words]:
    """Noise and signals, each in order of time, as one sequence in order of time: times and words."""
    n, m, cells = len(noise_tdc), len(signal_tdc), np.uint64(len(cell_words))
    time_tdc = np.empty(n + m, np.int64)
    words = np.empty(n + m, np.uint64)
    j = 0
    for i in range(n):
        time = noise_tdc[i]
        while j < m and signal_tdc[j] <= time:
            time_tdc[i + j] = signal_tdc[j]
            words[i + j] = signal_words[j]
            j += 1
        r = random[i]
        cell = np.int64(((r >> np.uint64(32)) * cells) >> np.uint64(32))
        if (r & np.uint64(0xFFFFFFFF)) >= limit[cell]:
            cell = alias[cell]
        orbit = time // TDC_PER_ORBIT
        inside = time - orbit * TDC_PER_ORBIT
        bx = inside // TDC_PER_BX
        tdc = 1 + inside - bx * TDC_PER_BX
        orbit = (orbit + start_orbit) & ORBIT_MASK
        time_tdc[i + j] = time
        words[i + j] = cell_words[cell] | np.uint64((orbit << ORBIT_SHIFT) | (bx << BX_SHIFT) | tdc)
    for k in range(j, m):
        time_tdc[n + k] = signal_tdc[k]
        words[n + k] = signal_words[k]
    return time_tdc, words


@compiled
def disorder(time_tdc: NDArray[np.int64], words: Words, random: NDArray[np.float32], share: float) -> None:
    """Let neighbours of a board change places, in place, until `share` of its steps go back in time.

    Words in order of time, with their times; random: float32[n] from 0 to 1. Neighbours are at most DISORDER_TDC apart.
    """
    boards = FPGA_MASK + 1
    steps, close, swaps = np.zeros(boards, np.int64), np.zeros(boards, np.int64), np.zeros(boards, np.int64)
    chance = np.zeros(boards, np.float64)
    last = np.empty(boards, np.int64)
    # what is close is counted first, then what changes places with a first guess of the chance, and last it is done
    for turn in range(3):
        last[:] = -1
        for i in range(len(words)):
            board = np.int64((words[i] >> np.uint64(FPGA_SHIFT)) & np.uint64(FPGA_MASK))
            j = last[board]
            last[board] = i
            if j < 0:
                steps[board] += turn == 0
                continue
            near = time_tdc[i] - time_tdc[j] <= DISORDER_TDC and time_tdc[i] // TDC_PER_BX != time_tdc[j] // TDC_PER_BX
            if turn == 0:
                steps[board] += 1
                close[board] += near
            elif near and random[i] < chance[board]:
                swaps[board] += turn == 1
                if turn == 2:
                    words[i], words[j] = words[j], words[i]
                last[board] = -1  # a word changes places once
        for b in range(boards):
            wanted = share * steps[b]
            if turn == 0 and close[b]:
                fraction = min(wanted / close[b], 0.5)
                chance[b] = fraction / (1 - fraction)
            elif turn == 1 and swaps[b]:
                chance[b] *= wanted / swaps[b]


@compiled
def sent(time_tdc: NDArray[np.int64], words: Words, block_words: int, hold_tdc: int) -> Words:
    """The words in the order in which the boards' packets leave.

    Words in order of time, with their times. A packet leaves when it has block_words words, or hold_tdc after its first
    one, and at the end.
    """
    never = np.iinfo(np.int64).max
    boards = FPGA_MASK + 1
    out = np.empty(len(words), np.uint64)
    waiting = np.empty((boards, block_words), np.uint64)
    held = np.zeros(boards, np.int64)
    due = np.full(boards, never)
    earliest = never
    done = 0
    for i in range(len(words) + 1):
        now = time_tdc[i] if i < len(words) else never
        # packets that have waited long enough, the longest first; at the end, all
        while earliest < now:
            board = np.argmin(due)
            for k in range(held[board]):
                out[done + k] = waiting[board, k]
            done += held[board]
            held[board] = 0
            due[board] = never
            earliest = due.min()
        if i == len(words):
            break
        board = np.int64((words[i] >> np.uint64(FPGA_SHIFT)) & np.uint64(FPGA_MASK))
        if held[board] == 0:
            due[board] = now + hold_tdc
            earliest = min(earliest, due[board])
        waiting[board, held[board]] = words[i]
        held[board] += 1
        if held[board] == block_words:
            for k in range(block_words):
                out[done + k] = waiting[board, k]
            done += block_words
            held[board] = 0
            due[board] = never
            earliest = due.min()
    return out
