"""The accumulating kernel: whole windows in, a Contribution out; pure, stateless, without the GIL.

Per orbit only two things matter: which cells were active (a bit set a chamber) and the earliest scintillator time. So
nothing is sorted: both live in small arrays over a window's 1024 orbits, filled by one pass over the window's words; a
second pass, only in windows with a scintillator word, takes the drift times. All times are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.analysis.histograms import (
    COURSE_ORBIT_FIRST,
    COURSE_ORBIT_LAST,
    COURSE_ORBIT_WIDTH,
    DRIFT_BINS,
    DRIFT_FIRST_TDC,
    LAYER_BIN_BITS,
    Catalogue,
    Counts,
)
from muonstream.analysis.pairs import PairCounter
from muonstream.analysis.tally import (
    LANES,
    ROW_CHAMBERS,
    ROW_SCINTILLATOR,
    ROW_WORDS,
    count_by_orbit,
    ends,
    sum_of,
    tally,
    tally_wide,
)
from muonstream.bits import popcount
from muonstream.channels import MALFORMED, SCINTILLATOR
from muonstream.compiled import compiled, inlined
from muonstream.frames import KEY_WINDOW_MASK, Frames, ScatteredFrames, uniform
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
    WINDOW_ORBIT_BITS,
    WINDOW_ORBITS,
)

SLOT_WINDOWS: Final = 33
"""Recent data is kept in slots of 33 windows, 3.01 s of data."""
RECENT_SLOTS: Final = 10
"""The last ten slots, the newest still filling, are what `last 30 s` means."""

CHOSEN_WORDS: Final = 512

NO_PASSAGE: Final = np.int32(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What some windows add to a run.

    total: int64[size], by the catalogue, of all windows
    slots: keys ``key // 33`` (epoch kept apart by the caller's keys), rising, of the newest at most 10 slots
    recent: int64[len(slots), size], the windows of each of these slots
    keys: int64[k], the windows' keys; rows: int64[k, 4 + 3C], see ROW_*
    """

    total: Counts
    slots: NDArray[np.int64]
    recent: Counts
    keys: NDArray[np.int64]
    rows: NDArray[np.int64]


@inlined
def _fill(
    words: Any,
    first: int,
    n_words: int,
    codes: Any,
    cell_codes: int,
    counts: Any,
    active: Any,
    touched: Any,
    n_touched: Any,
    passage: Any,
    passed: Any,
    n_passed: int,
) -> tuple[Any, int, int]:
    """First pass over a stretch of a window: counts, active cells, passage times.

    Gives how many (block, orbit) pairs were touched by now, listed in `touched`, how many orbits with a passage there
    are, listed in `passed`, and how many scintillator words there were. Unsigned throughout: numba need not ask whether
    an index is negative.
    """
    n_scintillator = 0
    malformed = np.uint64(cell_codes + MALFORMED)
    scintillator = np.uint64(cell_codes + SCINTILLATOR)
    one, six, low_bits = np.uint64(1), np.uint64(6), np.uint64(63)
    for i in range(np.uint64(first), np.uint64(first + n_words)):
        word = words[i]
        code = np.uint64(codes[word >> np.uint64(CHANNEL_SHIFT)])
        orbit = (word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1)
        bx = (word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK)
        if bx >= np.uint64(BX_PER_ORBIT) and code < malformed:
            code = malformed
        counts[code] += 1
        where = (code >> six) << np.uint64(WINDOW_ORBIT_BITS) | orbit
        before = active[where]
        active[where] = before | (one << (code & low_bits))
        touched[n_touched] = where
        n_touched += np.uint64(before == np.uint64(0))
        if code == scintillator:
            n_scintillator += 1
            time_tdc = np.int32(bx) * np.int32(TDC_PER_BX) + np.int32(word & np.uint64(TDC_MASK))
            if passage[orbit] == NO_PASSAGE:
                passed[n_passed] = orbit
                n_passed += 1
            passage[orbit] = min(passage[orbit], time_tdc)
    return n_touched, n_passed, n_scintillator


@inlined
def _drift(
    words: Any,
    first: int,
    n_words: int,
    codes: Any,
    cell_codes: int,
    chamber_of_block: Any,
    layer_of_code: Any,
    passage: Any,
    chosen: Any,
    with_scintillator: Any,
    drift: Any,
    drift_layer: Any,
) -> None:
    """Second pass over a stretch: hits of orbits with a passage time, and their time after it.

    First the words of such orbits are chosen without branching: few are, in no order that could be foreseen.
    """
    orbit_shift, orbit_mask = np.uint64(ORBIT_SHIFT), np.uint64(WINDOW_ORBITS - 1)
    last = drift.shape[1] - 1
    last_layer = drift_layer.shape[1] - 1
    for begin in range(first, first + n_words, CHOSEN_WORDS):
        n_chosen = np.uint64(0)
        for i in range(np.uint64(begin), np.uint64(min(begin + CHOSEN_WORDS, first + n_words))):
            word = words[i]
            chosen[n_chosen] = word
            n_chosen += np.uint64(passage[(word >> orbit_shift) & orbit_mask] != NO_PASSAGE)
        for i in range(n_chosen):
            word = chosen[i]
            code = np.uint64(codes[word >> np.uint64(CHANNEL_SHIFT)])
            bx = np.int64((word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK))
            if code >= np.uint64(cell_codes) or bx >= BX_PER_ORBIT:
                continue
            passed = np.int64(passage[(word >> orbit_shift) & orbit_mask])
            after = bx * TDC_PER_BX + np.int64(word & np.uint64(TDC_MASK)) - passed - DRIFT_FIRST_TDC
            with_scintillator[code] += 1
            chamber = np.uint64(chamber_of_block[code >> np.uint64(6)])
            drift[chamber, np.uint64(min(max(after + 1, 0), last))] += 1
            layer = np.uint64(layer_of_code[code])
            drift_layer[layer, np.uint64(min(max((after >> LAYER_BIN_BITS) + 1, 0), last_layer))] += 1


@compiled
def _accumulate(
    words: Any,
    held: Any,
    stretches: Any,
    firsts: Any,
    keys: Any,
    lump: Any,
    codes: Any,
    cell_codes: int,
    block_starts: Any,
    chamber_of_block: Any,
    layer_of_code: Any,
    edge_tdc: Any,
    offsets: Any,
    max_cells: int,
    out: Any,
    rows: Any,
) -> None:
    chambers = len(block_starts) - 1
    layers = (out.shape[1] - offsets[6]) // (DRIFT_BINS // (1 << LAYER_BIN_BITS) + 2)
    blocks = (cell_codes >> 6) + 1
    several = blocks - 1 > chambers
    active = np.zeros(WINDOW_ORBITS * blocks, np.uint64)
    touched = np.empty(WINDOW_ORBITS * blocks + 1, np.uint64)
    in_chamber = np.zeros((chambers, WINDOW_ORBITS if several else 0), np.int64)
    passage = np.full(WINDOW_ORBITS, NO_PASSAGE, np.int32)
    passed = np.empty(WINDOW_ORBITS, np.uint64)
    occupied = np.zeros(WINDOW_ORBITS, np.uint8)
    lanes = np.zeros((LANES, chambers + 1, max_cells + 1), np.int64)
    row_of_block = np.empty(blocks, np.uint64)
    for block in range(blocks):
        chamber = chamber_of_block[block] if block < blocks - 1 else chambers
        row_of_block[block] = chamber * (max_cells + 1)
    chosen = np.empty(CHOSEN_WORDS, np.uint64)
    summed = np.zeros(chambers, np.int64)
    packed = occupied.view(np.uint64)
    lanes_flat = lanes.reshape(-1)
    k = 0
    while k < len(keys):
        # views of one lump's histograms are made once: making one costs as much as some dozens of words
        this_lump = lump[k]
        data = out[this_lump]
        counts = data[offsets[0] : offsets[1]]
        with_scintillator = data[offsets[1] : offsets[2]]
        active_cells = data[offsets[2] : offsets[3]].reshape(chambers, max_cells + 1)
        orbits = data[offsets[3] : offsets[4]]
        by_orbit = data[offsets[4] : offsets[5]].reshape(chambers, -1)
        drift = data[offsets[5] : offsets[6]].reshape(chambers, -1)
        drift_layer = data[offsets[6] :].reshape(layers, -1)
        for c in range(chambers):
            summed[c] = sum_of(counts, block_starts[c] << 6, block_starts[c + 1] << 6)
        while k < len(keys) and lump[k] == this_lump:
            n_touched, n_passed, n_words, n_scintillator = np.uint64(0), 0, 0, 0
            for s in range(firsts[k], firsts[k + 1]):
                offset, length = stretches[s]
                n_touched, n_passed, more = _fill(
                    words if offset >= 0 else held,
                    offset if offset >= 0 else ~offset,
                    length,
                    codes,
                    cell_codes,
                    counts,
                    active,
                    touched,
                    n_touched,
                    passage,
                    passed,
                    n_passed,
                )
                n_words += length
                n_scintillator += more
            row = rows[k]
            first_orbit = (keys[k] & KEY_WINDOW_MASK) << WINDOW_ORBIT_BITS
            low_bin = (first_orbit - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            high_bin = (first_orbit + WINDOW_ORBITS - 1 - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            whole = low_bin == high_bin and first_orbit + WINDOW_ORBITS - 1 <= COURSE_ORBIT_LAST
            if not whole:
                count_by_orbit(touched, n_touched, active, blocks, chamber_of_block, first_orbit, by_orbit)
            most = max_cells
            if several:
                tally_wide(touched, n_touched, active, blocks, chamber_of_block, occupied, in_chamber, lanes)
            else:
                most = min(
                    tally(touched, n_touched, active, blocks, row_of_block, occupied, lanes_flat, lanes[0].size),
                    max_cells,
                )
            n_occupied = 0
            for i in range(len(packed)):
                n_occupied += popcount(packed[i])
            orbits[0] += n_occupied
            if n_scintillator:
                for s in range(firsts[k], firsts[k + 1]):
                    offset, length = stretches[s]
                    _drift(
                        words if offset >= 0 else held,
                        offset if offset >= 0 else ~offset,
                        length,
                        codes,
                        cell_codes,
                        chamber_of_block,
                        layer_of_code,
                        passage,
                        chosen,
                        with_scintillator,
                        drift,
                        drift_layer,
                    )
                orbits[1] += n_passed
                for j in range(n_passed):
                    orbit = passed[j]
                    orbits[2] += passage[orbit] > edge_tdc
                    passage[orbit] = NO_PASSAGE
                    occupied[orbit] = 1
            ends(packed, first_orbit, row)
            occupied[:] = 0
            row[ROW_WORDS] = n_words
            row[ROW_SCINTILLATOR] = n_scintillator
            for c in range(chambers):
                n_cells, n_orbits = 0, 0
                for n in range(1, most + 1):
                    times = 0
                    for lane in range(LANES):
                        times += lanes[lane, c, n]
                        lanes[lane, c, n] = 0
                    active_cells[c, n] += times
                    n_cells += n * times
                    n_orbits += times
                row[ROW_CHAMBERS + chambers + c] = n_cells
                row[ROW_CHAMBERS + 2 * chambers + c] = n_orbits
                now = sum_of(counts, block_starts[c] << 6, block_starts[c + 1] << 6)
                row[ROW_CHAMBERS + c] = now - summed[c]
                summed[c] = now
                if whole and 0 <= low_bin < by_orbit.shape[1]:
                    by_orbit[c, low_bin] += n_cells
            k += 1


class Accumulator:
    """The kernel with the tables of one detector; safe to call from several threads at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        channel_map = catalogue.channel_map
        self._codes = channel_map.codes.astype(np.uint16)
        self._cell_codes = channel_map.n_cell_codes
        blocks = channel_map.n_cell_codes >> 6
        self._block_starts = np.append(channel_map.cell_base >> 6, blocks).astype(np.int64)
        self._chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._layer_of_code = np.ascontiguousarray(channel_map.layer_of_code)
        self._offsets = np.array([entry.offset for entry in catalogue.entries.values()], dtype=np.int64)
        longest_ns = max(chamber.t_max_ns for chamber in catalogue.detector.chambers)
        self._count_pairs = PairCounter(catalogue)
        self._edge_tdc = TDC_PER_ORBIT - round(longest_ns / NS_PER_TDC)

    def __call__(self, frames: Frames | ScatteredFrames) -> Contribution:
        """Accumulate whole windows into a new Contribution."""
        if isinstance(frames, Frames):
            frames = frames.scattered()
        slot_of = frames.keys // SLOT_WINDOWS
        slots = np.unique(slot_of)
        slots = slots[slots > slots[-1] - RECENT_SLOTS] if len(slots) else slots
        # the first row takes everything older than the recent slots
        lump = np.searchsorted(slots, slot_of, side="left") + 1
        if len(slots):
            lump[slot_of < slots[0]] = 0
        out = np.zeros((len(slots) + 1, self.catalogue.kernel_size), dtype=np.int64)
        chambers = len(self.catalogue.detector.chambers)
        rows = np.zeros((len(frames), ROW_CHAMBERS + 3 * chambers), dtype=np.int64)
        _accumulate(
            uniform(frames.words),
            frames.held,
            frames.stretches,
            frames.firsts,
            frames.keys,
            lump,
            self._codes,
            self._cell_codes,
            self._block_starts,
            self._chamber_of_block,
            self._layer_of_code,
            self._edge_tdc,
            self._offsets,
            self.catalogue.max_cells,
            out,
            rows,
        )
        out = np.concatenate([out, self._count_pairs(frames, lump, len(out))], axis=1)
        return Contribution(out.sum(axis=0), slots, out[1:], frames.keys, rows)
