"""Times between hits of a chamber up to 20 us, and from segments to later groups of hits, such as muons' decays.

Only times from hits and segments that have 20 us of their orbit left count, so that all times up to 20 us are seen
equally well. Words come in any order, so each orbit and chamber has a list of its hits. Where there are many words a
part of the orbits is looked at, chosen by their numbers and by the words of their window. An orbit and chamber with
very many hits is left out, and its hits are counted.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import DELAY_BINS, DELAY_NS
from muonstream.detector.channels import BLOCK_CELLS
from muonstream.frames import Frames
from muonstream.muons.filler import Filler
from muonstream.muons.segments import Segments
from muonstream.statistics.decay import DecayFit, fit_decay
from muonstream.words import (
    BX_MASK,
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    NS_PER_TDC,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    TDC_PER_ORBIT,
    WINDOW_ORBITS,
)

ALL_BELOW_WORDS: Final = 8192
"""Windows of at most this many words, 90 kHz, are used whole; of others one orbit in 2, 4, 8, ..."""
DELAY_TDC: Final = round(DELAY_NS / NS_PER_TDC)
LAST_START_TDC: Final = TDC_PER_ORBIT - DELAY_TDC * DELAY_BINS
"""What comes before this has 20 us of its orbit left."""
MOST_HITS: Final = 256
"""Hits of a chamber in one orbit that are compared with each other."""
GROUP_TDC: Final = 600
"""Hits of a chamber that come at most this long after the first one, 500 ns, are one group."""
FIT_FROM_NS: Final = 1500.0
"""Earlier groups may be a muon's own late hits and afterpulses."""
GROUP_LAYERS: Final = 2
"""Layers that a group of hits after a segment needs: single hits are mostly noise."""


@compiled
def _sort(times: Any, layers: Any, n: int) -> None:
    """Put the first n times in order, and their layers with them; there are few."""
    for i in range(1, n):
        time, layer = times[i], layers[i]
        j = i
        while j > 0 and times[j - 1] > time:
            times[j], layers[j] = times[j - 1], layers[j - 1]
            j -= 1
        times[j], layers[j] = time, layer


@compiled
def _groups(times: Any, layers: Any, n: int, start_tdc: float, out: Any) -> None:
    """Add the groups of hits, in order of time, that begin after a segment's own, which are the first group."""
    i = 0
    while i < n and times[i] < start_tdc:
        i += 1
    end = start_tdc + GROUP_TDC
    while i < n and times[i] <= end:
        i += 1
    while i < n:
        first, seen = times[i], 0
        while i < n and times[i] <= first + GROUP_TDC:
            seen |= 1 << layers[i]
            i += 1
        several = 0
        while seen:
            several += seen & 1
            seen >>= 1
        place = np.int64((first - start_tdc) / DELAY_TDC)
        if several >= GROUP_LAYERS and place < DELAY_BINS:
            out[place] += 1


@compiled
def _is_first(s: int, segments: Any) -> bool:
    """Whether no segment of its orbit and chamber, all side by side, begins the group of hits that a segment is in."""
    frame_of, orbit_of, chamber_of, t0_of = segments
    for step in (-1, 1):
        other = s + step
        while (
            0 <= other < len(frame_of)
            and frame_of[other] == frame_of[s]
            and orbit_of[other] == orbit_of[s]
            and chamber_of[other] == chamber_of[s]
        ):
            earlier = t0_of[s] - t0_of[other]
            if 0 <= earlier <= GROUP_TDC and (earlier > 0 or other < s):
                return False
            other += step
    return True


@compiled
def _delays(
    frames: Any,
    lump: Any,
    channels: Any,
    layer_of_code: Any,
    segments: Any,
    offset_tdc: Any,
    gaps: Any,
    gap_hits: Any,
    decays: Any,
    decay_starts: Any,
) -> None:
    """Add to the four entries, int64[lumps, C, bins].

    frames: words and where windows start; channels: cell code of each channel, how many codes are cells, the chamber of
    each block of codes; layer_of_code: int64[K]
    segments: frame, orbit, chamber and t0 in TDC counts of each, in order of frames
    offset_tdc: float64[C], what a chamber adds to its hits' times for t0 to count from the same origin
    """
    words, starts = frames
    codes, cell_codes, chamber_of_block = channels
    frame_of, orbit_of, chamber_of, t0_of = segments
    chambers = gaps.shape[1]
    most = 0
    for k in range(len(lump)):
        most = max(most, starts[k + 1] - starts[k])
    # places in these lists are counted from 1; 0 ends a list
    newest = np.zeros(WINDOW_ORBITS * chambers, np.uint32)
    counts = np.zeros(WINDOW_ORBITS * chambers, np.uint32)
    used = np.empty(min(most, WINDOW_ORBITS * chambers) + 1, np.uint32)
    before = np.empty(most + 1, np.uint32)
    time_of = np.empty(most + 1, np.int32)
    layer_of = np.empty(most + 1, np.uint8)
    times, layers = np.empty(MOST_HITS, np.int64), np.empty(MOST_HITS, np.int64)
    next_segment = 0
    for k in range(len(lump)):
        step = 1
        while step * ALL_BELOW_WORDS < starts[k + 1] - starts[k] and step < WINDOW_ORBITS:
            step *= 2
        other = np.uint64(step - 1) << np.uint64(ORBIT_SHIFT)
        n, n_used = 0, 0
        for i in range(starts[k], starts[k + 1]):
            word = words[i]
            code = np.int64(codes[word >> np.uint64(CHANNEL_SHIFT)])
            bx = np.int64((word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK))
            if (word & other) or code >= cell_codes or bx >= BX_PER_ORBIT:
                continue
            orbit = np.int64((word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1))
            bucket = orbit * chambers + np.int64(chamber_of_block[code // BLOCK_CELLS])
            n += 1
            before[n] = newest[bucket]
            if newest[bucket] == 0:
                used[n_used] = bucket
                n_used += 1
            newest[bucket] = n
            counts[bucket] += 1
            time_of[n] = bx * TDC_PER_BX + np.int64(word & np.uint64(TDC_MASK))
            layer_of[n] = layer_of_code[code]
        row = lump[k]
        for u in range(n_used):
            bucket = np.int64(used[u])
            c = bucket % chambers
            crowded = counts[bucket] > MOST_HITS
            at = np.int64(newest[bucket])
            while at:
                if crowded:
                    gap_hits[row, c, 1] += 1
                elif time_of[at] < LAST_START_TDC:
                    gap_hits[row, c, 0] += 1
                m = np.int64(before[at])
                while m and not crowded:
                    apart = abs(time_of[at] - time_of[m])
                    if apart < DELAY_TDC * DELAY_BINS and min(time_of[at], time_of[m]) < LAST_START_TDC:
                        gaps[row, c, apart // DELAY_TDC] += 1
                    m = np.int64(before[m])
                at = np.int64(before[at])
        while next_segment < len(frame_of) and frame_of[next_segment] == k:
            s = next_segment
            next_segment += 1
            orbit, c = orbit_of[s] & (WINDOW_ORBITS - 1), chamber_of[s]
            bucket = orbit * chambers + c
            start_tdc = t0_of[s] - offset_tdc[c]
            if orbit & (step - 1) or counts[bucket] > MOST_HITS or not 0 <= start_tdc < LAST_START_TDC:
                continue
            # several at one time, such as a shower's, have the same later hits
            if not _is_first(s, segments):
                continue
            decay_starts[row, c, 0] += 1
            size = 0
            at = np.int64(newest[bucket])
            while at:
                times[size], layers[size] = time_of[at], layer_of[at]
                size += 1
                at = np.int64(before[at])
            _sort(times, layers, size)
            _groups(times, layers, size, start_tdc, decays[row, c])
        for u in range(n_used):
            newest[used[u]] = 0
            counts[used[u]] = 0


def fitted_decays(catalogue: Catalogue, data: Counts) -> tuple[NDArray[np.float64], DecayFit | None]:
    """The lifetime in the delays of groups of hits after segments, of all chambers, and the edges of its bins, ns."""
    edges = catalogue.entries["decay_time"].axis.edges
    first = int(np.searchsorted(edges, FIT_FROM_NS))
    return edges[first:], fit_decay(edges[first:], catalogue.view(data, "decay_time").sum(axis=0)[first:])


class Delays:
    """Fills these entries; safe to call from several threads at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        detector, channel_map = catalogue.detector, catalogue.channel_map
        self._channels = (
            channel_map.codes.astype(np.uint16),
            channel_map.n_cell_codes,
            np.ascontiguousarray(channel_map.chamber_of_block),
        )
        self._layer_of_code = np.zeros(channel_map.n_cell_codes, np.int64)
        for first, chamber in zip(channel_map.cell_base.tolist(), detector.chambers, strict=True):
            self._layer_of_code[first : first + chamber.cells] = chamber.layer_of_cell()
        self._offset_tdc = np.array([chamber.time_offset_ns for chamber in detector.chambers]) / NS_PER_TDC

    def __call__(self, filler: Filler, frames: Frames, s: Segments, lump: NDArray[np.int64]) -> None:
        """Add what frames have, and their segments; lump: int64[k], the row of each window."""
        _delays(
            (frames.words, frames.starts),
            lump,
            self._channels,
            self._layer_of_code,
            (s.frame, s.orbit, s.chamber, s.t0_ns / NS_PER_TDC),
            self._offset_tdc,
            filler.part("hit_gap"),
            filler.part("hit_gap_hits"),
            filler.part("decay_time"),
            filler.part("decay_starts"),
        )
