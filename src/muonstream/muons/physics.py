"""What physicists ask of segments first: drift relation, mean-timers, coincidences, triggers, codes, delays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.counting.catalogue import Catalogue
from muonstream.counting.muon_entries import MISFIT_MM, MISFIT_TAN_BINS, MISFIT_TAN_STEP, TAN_BINS, TAN_STEP
from muonstream.detector.channels import BLOCK_CELLS, TRIGGER
from muonstream.frames import Frames
from muonstream.muons.agreement import CONFIRMED_NS, MOST_SEGMENTS
from muonstream.muons.bundles import fill_bundles
from muonstream.muons.delays import Delays
from muonstream.muons.filler import Filler
from muonstream.muons.segments import Segments
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    NS_PER_TDC,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    WINDOW_ORBITS,
)

MOST_TRIGGERS: Final = 8
"""Trigger words of an orbit that segments are compared with: with more, each segment there counts as overflow."""
TRIGGER_OVER_NS: Final = 1e6
"""What such a segment counts as."""
MEAN_TIMER_LAYERS: Final = 3


def fill_full(
    filler: Filler,
    c: int,
    s: Segments,
    at: NDArray[np.int64],
    distance_mm: NDArray[np.float64],
    misfit_mm: NDArray[np.float64] | None,
) -> None:
    """Of segments of a chamber with hits in all its layers: drift relation, mean-timers, misfits by slope.

    distance_mm: float64[n, layers], of the hits from their wires
    misfit_mm: float64[n], None in a chamber of three layers
    """
    layers = distance_mm.shape[1]
    bits = (s.sides[:, None] >> np.arange(layers)) & 1
    drift = s.drift_ns[:, :layers]
    lumps = np.repeat(at, layers)
    filler.add("drift_count", lumps, c, drift.ravel())
    # of the line, not of the hit
    line_mm = distance_mm - np.where(bits == 1, 1, -1) * s.residual_mm[:, :layers]
    filler.add("drift_sum_um", lumps, c, drift.ravel(), np.rint(1000 * line_mm).astype(np.int64).ravel())
    for top in range(layers - MEAN_TIMER_LAYERS + 1):
        zigzag = (bits[:, top] != bits[:, top + 1]) & (bits[:, top] == bits[:, top + 2])
        sums = (drift[:, top] + drift[:, top + 2]) / 2 + drift[:, top + 1]
        filler.add("mean_timer", at[zigzag], c, sums[zigzag])
    if misfit_mm is not None:
        near = np.abs(misfit_mm) < MISFIT_MM
        steep = np.minimum(np.abs(s.tan[near]) / TAN_STEP, TAN_BINS - 1).astype(np.int64)
        wide = (np.abs(misfit_mm[near]) / MISFIT_TAN_STEP).astype(np.int64)
        filler.add("misfit_tan", at[near], c, steep * MISFIT_TAN_BINS + np.minimum(wide, MISFIT_TAN_BINS - 1))


@compiled
def _coincide(frame: Any, orbit: Any, chamber: Any, t0: Any, within_ns: float, lump: Any, out: Any) -> None:
    for a in range(len(orbit)):
        b = a + 1
        while b < len(orbit) and b <= a + MOST_SEGMENTS and orbit[b] == orbit[a] and frame[b] == frame[a]:
            if abs(t0[b] - t0[a]) < within_ns:
                low, high = min(chamber[a], chamber[b]), max(chamber[a], chamber[b])
                out[lump[frame[a]], low, high] += 1
            b += 1


@compiled
def _count_codes(words: Any, starts: Any, lump: Any, codes: Any, cells: int, chamber_of_block: Any, out: Any) -> None:
    for k in range(len(lump)):
        for i in range(starts[k], starts[k + 1]):
            code = np.int64(codes[words[i] >> np.uint64(CHANNEL_SHIFT)])
            if code < cells:
                out[lump[k], chamber_of_block[code // BLOCK_CELLS], words[i] & np.uint64(TDC_MASK)] += 1


class Physics:
    """Fills these entries; safe to call from several threads at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        channel_map = catalogue.channel_map
        self._cells = channel_map.n_cell_codes
        self._codes = channel_map.codes.astype(np.uint16)
        self._chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._triggers = bool(catalogue.detector.triggers)
        self._delays = Delays(catalogue)

    def __call__(self, filler: Filler, frames: Frames, s: Segments, lump: NDArray[np.int64]) -> None:
        """Add what frames have, and their segments; lump: int64[k], the row of each window."""
        _coincide(s.frame, s.orbit, s.chamber, s.t0_ns, CONFIRMED_NS, lump, filler.part("coincidences"))
        _count_codes(
            frames.words, frames.starts, lump, self._codes, self._cells, self._chamber_of_block,
            filler.part("tdc_codes"),
        )  # fmt: skip
        self._delays(filler, frames, s, lump)
        fill_bundles(filler, s, lump)
        if self._triggers and len(s):
            self._fill_triggers(filler, frames, s, lump)

    def _fill_triggers(self, filler: Filler, frames: Frames, s: Segments, lump: NDArray[np.int64]) -> None:
        codes = self._codes[frames.words >> np.uint64(CHANNEL_SHIFT)]
        at = np.flatnonzero(codes == self._cells + TRIGGER)
        words = frames.words[at]
        bx = (words >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK)
        at, words, bx = at[bx < BX_PER_ORBIT], words[bx < BX_PER_ORBIT], bx[bx < BX_PER_ORBIT]
        frame = np.searchsorted(frames.starts, at, side="right") - 1
        inside = (words >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1)
        key = frame * WINDOW_ORBITS + inside.astype(np.int64)
        time_ns = (bx * np.uint64(TDC_PER_BX) + (words & np.uint64(TDC_MASK))).astype(np.float64) * NS_PER_TDC
        order = np.argsort(key, kind="stable")
        key, time_ns = key[order], time_ns[order]
        own = s.frame * WINDOW_ORBITS + (s.orbit & (WINDOW_ORBITS - 1))
        first, last = (np.searchsorted(key, own, side=side) for side in ("left", "right"))
        n = last - first
        crowded = np.flatnonzero(n > MOST_TRIGGERS)
        filler.add("trigger_late", lump[s.frame[crowded]], s.chamber[crowded], np.full(len(crowded), TRIGGER_OVER_NS))
        n[crowded] = 0
        which = np.repeat(np.arange(len(s)), n)
        word = np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n) + first[which]
        filler.add("trigger_late", lump[s.frame[which]], s.chamber[which], time_ns[word] - s.t0_ns[which])
