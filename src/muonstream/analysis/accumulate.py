"""The accumulating kernel: whole windows in, a Contribution out; pure, stateless, without the GIL.

Per orbit only two things matter: which cells were active (a bit set a chamber) and the earliest scintillator time. So
nothing is sorted: both live in small arrays over a window's 1024 orbits, filled by one pass over the window's words; a
second pass, only in windows with a scintillator word, takes the drift times. All times are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
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
from muonstream.channels import MALFORMED, SCINTILLATOR
from muonstream.compiled import compiled, inlined
from muonstream.frames import KEY_WINDOW_MASK, Frames
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

ROW_FIRST_ORBIT, ROW_LAST_ORBIT, ROW_WORDS, ROW_SCINTILLATOR, ROW_CHAMBERS = 0, 1, 2, 3, 4
"""Columns of window rows; behind them, by chamber: hits, active cells, orbits with active cells."""

LANES: Final = 4
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


def _bit_intrinsic(name: str) -> Any:
    """An LLVM bit count of a uint64, as an int64."""

    def declare(typing_context: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if name == "ctpop":
                return builder.ctpop(args[0])
            return getattr(builder, name)(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), codegen

    return intrinsic(declare)


_popcount = _bit_intrinsic("ctpop")
_leading_zeros = _bit_intrinsic("ctlz")
_trailing_zeros = _bit_intrinsic("cttz")


@inlined
def _fill(
    words: Any, codes: Any, cell_codes: int, counts: Any, active: Any, touched: Any, passage: Any, passed: Any
) -> tuple[int, int, int]:
    """First pass over a window: counts, active cells, passage times.

    Gives how many (block, orbit) pairs were touched, listed in `touched`, how many scintillator words there were, and
    how many orbits with a passage, listed in `passed`. Unsigned throughout: numba need not ask whether an index is
    negative.
    """
    n_touched = np.uint64(0)
    n_scintillator = 0
    n_passed = 0
    malformed = np.uint64(cell_codes + MALFORMED)
    scintillator = np.uint64(cell_codes + SCINTILLATOR)
    one, six, low_bits = np.uint64(1), np.uint64(6), np.uint64(63)
    for i in range(len(words)):
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
    return int(n_touched), n_scintillator, n_passed


@inlined
def _drift(
    words: Any,
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
    """Second pass: hits of orbits with a passage time, and their time after it.

    First the words of such orbits are chosen without branching: few are, in no order that could be foreseen.
    """
    orbit_shift, orbit_mask = np.uint64(ORBIT_SHIFT), np.uint64(WINDOW_ORBITS - 1)
    last = drift.shape[1] - 1
    last_layer = drift_layer.shape[1] - 1
    for begin in range(0, len(words), CHOSEN_WORDS):
        n_chosen = np.uint64(0)
        for i in range(np.uint64(begin), np.uint64(min(begin + CHOSEN_WORDS, len(words)))):
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


@inlined
def _tally(
    touched: Any,
    n_touched: int,
    active: Any,
    blocks: int,
    row_of_block: Any,
    occupied: Any,
    active_cells: Any,
    lane_size: int,
) -> int:
    """Active cells of every touched (block, orbit), which is emptied; `occupied` gets a 1 an orbit with hits.

    Gives the most active cells there were.

    active_cells: flat, by lane, chamber and number; a counter in memory takes its time to be read again, so successive
    ones go to four lanes; the block of the special codes has a row of its own, so that nothing branches.
    """
    special = np.uint64((blocks - 1) << WINDOW_ORBIT_BITS)
    most = 0
    for j in range(np.uint64(n_touched)):
        where = touched[j]
        n_active = _popcount(active[where])
        most = max(most, n_active)
        active[where] = 0
        occupied[where & np.uint64(WINDOW_ORBITS - 1)] |= np.uint8(where < special)
        active_cells[
            (j & np.uint64(LANES - 1)) * np.uint64(lane_size)
            + row_of_block[where >> np.uint64(WINDOW_ORBIT_BITS)]
            + np.uint64(n_active)
        ] += 1
    return most


@compiled
def _tally_wide(
    touched: Any,
    n_touched: int,
    active: Any,
    blocks: int,
    chamber_of_block: Any,
    occupied: Any,
    in_chamber: Any,
    active_cells: Any,
) -> None:
    """The same where a chamber has more than 64 cells, so several blocks, whose sum counts."""
    chambers = in_chamber.shape[0]
    for j in range(n_touched):
        where = np.int64(touched[j])
        block, orbit = where >> WINDOW_ORBIT_BITS, where & (WINDOW_ORBITS - 1)
        if block < blocks - 1:
            occupied[orbit] = 1
            in_chamber[chamber_of_block[block], orbit] += _popcount(active[where])
        active[where] = 0
    for chamber in range(chambers):
        for i in range(WINDOW_ORBITS):
            n_active = in_chamber[chamber, i]
            if n_active:
                active_cells[0, chamber, n_active] += 1
                in_chamber[chamber, i] = 0


@compiled
def _by_orbit(
    touched: Any, n_touched: int, active: Any, blocks: int, chamber_of_block: Any, first: int, out: Any
) -> None:
    """The course's orbit bins, orbit by orbit: only for windows on an edge of them."""
    for j in range(n_touched):
        where = np.int64(touched[j])
        orbit = first + (where & (WINDOW_ORBITS - 1))
        block = where >> WINDOW_ORBIT_BITS
        if block < blocks - 1 and COURSE_ORBIT_FIRST <= orbit <= COURSE_ORBIT_LAST:
            course_bin = (orbit - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            out[chamber_of_block[block], course_bin] += _popcount(active[where])


@inlined
def _ends(packed: Any, first_orbit: int, row: Any) -> int:
    """First and last orbit with a hit or a passage into the row; gives how many there are."""
    n, low, high = 0, -1, -1
    for i in range(len(packed)):
        eight = packed[i]
        if eight:
            n += _popcount(eight)
            high = i
            if low < 0:
                low = i
    # a window without hits or passages, only ancillary words, tells no time
    row[ROW_FIRST_ORBIT] = row[ROW_LAST_ORBIT] = -1
    if n:
        row[ROW_FIRST_ORBIT] = first_orbit + 8 * low + (_trailing_zeros(packed[low]) >> 3)
        row[ROW_LAST_ORBIT] = first_orbit + 8 * high + 7 - (_leading_zeros(packed[high]) >> 3)
    return n


@compiled
def _accumulate(
    words: Any,
    starts: Any,
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
            summed[c] = counts[block_starts[c] << 6 : block_starts[c + 1] << 6].sum()
        while k < len(keys) and lump[k] == this_lump:
            window_words = words[starts[k] : starts[k + 1]]
            n_touched, n_scintillator, n_passed = _fill(
                window_words, codes, cell_codes, counts, active, touched, passage, passed
            )
            row = rows[k]
            first_orbit = (keys[k] & KEY_WINDOW_MASK) << WINDOW_ORBIT_BITS
            low_bin = (first_orbit - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            high_bin = (first_orbit + WINDOW_ORBITS - 1 - COURSE_ORBIT_FIRST) // COURSE_ORBIT_WIDTH
            whole = low_bin == high_bin and first_orbit + WINDOW_ORBITS - 1 <= COURSE_ORBIT_LAST
            if not whole:
                _by_orbit(touched, n_touched, active, blocks, chamber_of_block, first_orbit, by_orbit)
            most = max_cells
            if several:
                _tally_wide(touched, n_touched, active, blocks, chamber_of_block, occupied, in_chamber, lanes)
            else:
                most = min(
                    _tally(touched, n_touched, active, blocks, row_of_block, occupied, lanes_flat, lanes[0].size),
                    max_cells,
                )
            n_occupied = 0
            for i in range(len(packed)):
                n_occupied += _popcount(packed[i])
            orbits[0] += n_occupied
            if n_scintillator:
                _drift(
                    window_words,
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
            _ends(packed, first_orbit, row)
            occupied[:] = 0
            row[ROW_WORDS] = len(window_words)
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
                now = counts[block_starts[c] << 6 : block_starts[c + 1] << 6].sum()
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
        self._edge_tdc = TDC_PER_ORBIT - round(longest_ns / NS_PER_TDC)

    def __call__(self, frames: Frames) -> Contribution:
        """Accumulate whole windows into a new Contribution."""
        slot_of = frames.keys // SLOT_WINDOWS
        slots = np.unique(slot_of)
        slots = slots[slots > slots[-1] - RECENT_SLOTS] if len(slots) else slots
        # the first row takes everything older than the recent slots
        lump = np.searchsorted(slots, slot_of, side="left") + 1
        if len(slots):
            lump[slot_of < slots[0]] = 0
        out = np.zeros((len(slots) + 1, self.catalogue.size), dtype=np.int64)
        chambers = len(self.catalogue.detector.chambers)
        rows = np.zeros((len(frames), ROW_CHAMBERS + 3 * chambers), dtype=np.int64)
        _accumulate(
            frames.words,
            frames.starts,
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
        return Contribution(out.sum(axis=0), slots, out[1:], frames.keys, rows)
