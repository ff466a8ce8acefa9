"""Frames as rows of hits: one row a hit in a cell, by time, however the frame's words came."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled
from muonstream.counting.passages import INSIDE_END, INSIDE_MASK
from muonstream.detector.channels import MALFORMED, SCINTILLATOR, TRIGGER, UNMAPPED
from muonstream.detector.geometry import time_offsets_ns
from muonstream.detector.model import Detector
from muonstream.frames import KEY_WINDOW_BITS, Frames
from muonstream.tables.columns import HITS, Arrays
from muonstream.words import (
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_MASK,
    FPGA_SHIFT,
    NS_PER_TDC,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    Words,
)

KINDS: Final = ("hits", "scintillator", "trigger", "unmapped", "malformed", "ancillary")
"""What words of frames are, as the account has it."""
_TIME_BITS: Final = 49
"""Orbit, bunch crossing and fine time are the low bits of a word, in this order."""


class WordKinds:
    """Counts what words of frames are."""

    def __init__(self, detector: Detector) -> None:
        channel_map = detector.channel_map()
        self.codes, self.cells = channel_map.codes, channel_map.n_cell_codes
        self.counts = np.zeros(len(KINDS), np.int64)
        """Words so far, by `KINDS`."""

    def count(self, words: Words, picked: Words | None = None) -> int:
        """Count words (uint64[n]); `picked` gets those of cells and scintillators, turned: see `_pick`."""
        out = np.empty(len(words), np.uint64) if picked is None else picked
        return int(_pick(words, self.codes, self.cells, out, self.counts))


class HitRows:
    """Makes the table of hits of whole windows, and counts what the words are.

    Rows are in order of epoch, time and channel, so that they depend on which words there are and on nothing else.
    """

    columns = HITS

    def __init__(self, detector: Detector) -> None:
        channel_map = detector.channel_map()
        self.kinds = WordKinds(detector)
        n = channel_map.n_cell_codes
        self._chamber, self._layer, self._cell = np.zeros(n, np.int16), np.zeros(n, np.int8), np.zeros(n, np.int16)
        for base, chamber in zip(channel_map.cell_base.tolist(), detector.chambers, strict=True):
            here = slice(base, base + chamber.cells)
            self._chamber[here] = chamber.number
            self._layer[here] = chamber.layer_of_cell()
            self._cell[here] = np.arange(chamber.cells)
        self._offset_ns = time_offsets_ns(detector)

    def __call__(self, frames: Frames) -> Arrays:
        """The rows of whole windows, in the order of the windows."""
        picked = np.empty(len(frames.words), np.uint64)
        # the last window of each epoch ends a stretch that is put in order of time
        epochs = frames.keys >> KEY_WINDOW_BITS
        firsts = np.flatnonzero(np.diff(epochs, prepend=-1, append=-1)) if len(epochs) else np.zeros(0, np.int64)
        out: Arrays = {one.name: np.empty(len(frames.words), one.dtype) for one in HITS}
        arrays = tuple(out.values())
        rows = 0
        for first, last in pairwise(firsts.tolist()):
            words = frames.words[frames.starts[first] : frames.starts[last]]
            n = self.kinds.count(words, picked)
            stretch = picked[:n]
            stretch.sort()
            tables = (self._chamber, self._layer, self._cell, self._offset_ns)
            rows = _fill(stretch, int(epochs[first]), self.kinds.codes, self.kinds.cells, tables, arrays, rows)
        return {name: values[:rows] for name, values in out.items()}


@compiled
def _pick(words: Any, codes: Any, cells: int, out: Any, kinds: Any) -> int:
    """Copy the words of cells and scintillators, turned so that their order as numbers is that of their times."""
    n = 0
    for i in range(len(words)):
        word = words[i]
        code = np.int64(codes[word >> np.uint64(CHANNEL_SHIFT)])
        if code - cells <= UNMAPPED and word & INSIDE_MASK >= INSIDE_END:
            code = np.int64(cells + MALFORMED)
        kind = 5
        if code < cells:
            kind = 0
        elif code == cells + SCINTILLATOR:
            kind = 1
        elif code == cells + TRIGGER:
            kind = 2
        elif code == cells + UNMAPPED:
            kind = 3
        elif code == cells + MALFORMED:
            kind = 4
        kinds[kind] += 1
        if kind < 2:
            out[n] = word << np.uint64(64 - _TIME_BITS) | word >> np.uint64(_TIME_BITS)
            n += 1
    return n


@compiled
def _fill(picked: Any, epoch: int, codes: Any, cells: int, tables: Any, out: Any, row: int) -> int:
    """Write a row for each hit of words in order of time; gives how many rows there are by now."""
    chamber_of, layer_of, cell_of, offset_ns = tables
    epochs, orbits, bxs, tdcs, boards, channels, chambers, layers, cell_numbers, drifts = out
    top = np.uint64(64 - _TIME_BITS)
    first = 0
    while first < len(picked):
        orbit = picked[first] >> (top + np.uint64(ORBIT_SHIFT))
        last, passage = first, np.int64(-1)
        while last < len(picked) and picked[last] >> (top + np.uint64(ORBIT_SHIFT)) == orbit:
            code = np.int64(codes[picked[last] & np.uint64((1 << (64 - _TIME_BITS)) - 1)])
            if code >= cells:
                inside = (picked[last] >> top) & INSIDE_MASK
                at = np.int64(inside >> np.uint64(BX_SHIFT)) * TDC_PER_BX + np.int64(inside & np.uint64(TDC_MASK))
                passage = at if passage < 0 else min(passage, at)
            last += 1
        for i in range(first, last):
            head = picked[i] & np.uint64((1 << (64 - _TIME_BITS)) - 1)
            code = np.int64(codes[head])
            if code >= cells:
                continue
            inside = (picked[i] >> top) & INSIDE_MASK
            bx, tdc = np.int64(inside >> np.uint64(BX_SHIFT)), np.int64(inside & np.uint64(TDC_MASK))
            epochs[row] = epoch
            orbits[row] = orbit
            bxs[row] = bx
            tdcs[row] = tdc
            boards[row] = (head >> np.uint64(FPGA_SHIFT - CHANNEL_SHIFT)) & np.uint64(FPGA_MASK)
            channels[row] = head & np.uint64(CHANNEL_MASK)
            chambers[row] = chamber_of[code]
            layers[row] = layer_of[code]
            cell_numbers[row] = cell_of[code]
            if passage < 0:
                drifts[row] = np.nan
            else:
                drifts[row] = (bx * TDC_PER_BX + tdc - passage) * NS_PER_TDC + offset_ns[code]
            row += 1
        first = last
    return row
