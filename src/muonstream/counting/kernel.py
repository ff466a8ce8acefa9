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

from muonstream.compiled import compiled, inlined
from muonstream.counting.catalogue import (
    COURSE_ORBIT_FIRST,
    COURSE_ORBIT_LAST,
    COURSE_ORBIT_WIDTH,
    DRIFT_BINS,
    LAYER_BIN_BITS,
    Catalogue,
    Counts,
)
from muonstream.counting.pairs import PairCounter
from muonstream.counting.passages import (
    BLOCK_BITS,
    CHOSEN_WORDS,
    INSIDE_END,
    INSIDE_MASK,
    NEAR_BITS,
    choose,
    drift_times,
    time_tdc,
)
from muonstream.counting.tally import (
    FEW_ORBITS,
    LANES,
    ROW_CHAMBERS,
    ROW_SCINTILLATOR,
    ROW_WORDS,
    count_by_orbit,
    drain,
    ends,
    ends_of_few,
    sum_of,
    sum_of_bytes,
    tally,
    tally_wide,
)
from muonstream.detector.channels import BLOCK_CELLS, MALFORMED, SCINTILLATOR
from muonstream.frames import KEY_WINDOW_MASK, Frames, ScatteredFrames, uniform
from muonstream.words import (
    CHANNEL_SHIFT,
    NS_PER_TDC,
    ORBIT_SHIFT,
    TDC_PER_ORBIT,
    WINDOW_ORBIT_BITS,
    WINDOW_ORBITS,
)

SLOT_WINDOWS: Final = 33
"""Recent data is kept in slots of 33 windows, 3.01 s of data."""
RECENT_SLOTS: Final = 10
"""The last ten slots, the newest still filling, are what `last 30 s` means."""

_IN_BLOCK: Final = np.uint64(BLOCK_CELLS - 1)

NO_PASSAGE: Final = np.int32(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Contribution:
    """The contribution of some windows to a run.

    total: int64[size], by the catalogue, of all windows
    slots: keys ``key // 33`` (epoch kept apart by the caller's keys), rising, of at most 10 slots: the newest ones of
      the batch that the windows are of; of all slots where every step is judged
    recent: int64[len(slots), size], the windows of each of these slots
    keys: int64[k], the windows' keys; rows: int64[k, 4 + 3C], see ROW_*
    """

    total: Counts
    slots: NDArray[np.int64]
    recent: Counts
    keys: NDArray[np.int64]
    rows: NDArray[np.int64]


def slots_of(
    keys: NDArray[np.int64], newest: int | None = None, *, every: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which slots windows bring that are among the newest ten, rising, and into which each window goes.

    keys: int64[k], rising; newest: the newest key of all that they are a part of, if that is not their own
    every: all slots, not only the newest
    The second is int64[k]: 1 and up for windows of a slot, 0 for older ones.
    """
    slot_of = keys // SLOT_WINDOWS
    slots = slot_of[np.flatnonzero(np.diff(slot_of, prepend=-1))]
    if len(slots) and not every:
        slots = slots[slots > (slots[-1] if newest is None else newest // SLOT_WINDOWS) - RECENT_SLOTS]
    return slots, np.searchsorted(slots, slot_of, side="right").astype(np.int64)


@inlined
def _fill(
    words: Any,
    first: int,
    n_words: int,
    codes: Any,
    cells: Any,
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
    are, listed in `passed`, and how many scintillator words there were. Unsigned throughout, so that numba needs no
    wrap-around check for negative indices.

    cells: codes below are cells', in blocks of 64; a block has its orbits side by side in `active`, a cell its bit
    """
    n_scintillator = 0
    malformed = cells + np.uint64(MALFORMED)
    scintillator = cells + np.uint64(SCINTILLATOR)
    orbit_shift, orbit_bits, orbit_mask = (
        np.uint64(ORBIT_SHIFT),
        np.uint64(WINDOW_ORBIT_BITS),
        np.uint64(WINDOW_ORBITS - 1),
    )
    for i in range(np.uint64(first), np.uint64(first + n_words)):
        word = words[i]
        code = np.uint64(codes[word >> np.uint64(CHANNEL_SHIFT)])
        inside = word & INSIDE_MASK
        if code < cells and inside < INSIDE_END:
            counts[code] += 1
            where = code >> BLOCK_BITS << orbit_bits | (word >> orbit_shift & orbit_mask)
            before = active[where]
            active[where] = before | np.uint64(1) << (code & _IN_BLOCK)
            touched[n_touched] = where
            n_touched += np.uint64(before == np.uint64(0))
            continue
        if inside >= INSIDE_END and code < malformed:
            code = malformed
        counts[code] += 1
        if code == scintillator:
            n_scintillator += 1
            orbit = (word >> orbit_shift) & orbit_mask
            if passage[orbit] == NO_PASSAGE:
                passed[n_passed] = orbit
                n_passed += 1
            passage[orbit] = min(passage[orbit], time_tdc(inside))
    return n_touched, n_passed, n_scintillator


@compiled
def _accumulate(
    words: Any,
    held: Any,
    stretches: Any,
    firsts: Any,
    keys: Any,
    lump: Any,
    codes: Any,
    cells: Any,
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
    layers = (offsets[7] - offsets[6]) // (DRIFT_BINS // (1 << LAYER_BIN_BITS) + 2)
    blocks = len(chamber_of_block)
    several = blocks > chambers
    active = np.zeros(WINDOW_ORBITS * blocks, np.uint64)
    touched = np.empty(WINDOW_ORBITS * blocks + 1, np.uint64)
    in_chamber = np.zeros((chambers, WINDOW_ORBITS if several else 0), np.int64)
    passage = np.full(WINDOW_ORBITS, NO_PASSAGE, np.int32)
    passed = np.empty(WINDOW_ORBITS, np.uint64)
    crossed = np.zeros(WINDOW_ORBITS, np.uint8)
    occupied = np.zeros(WINDOW_ORBITS, np.uint8)
    lanes = np.zeros(chambers * (max_cells + 1) * LANES, np.int64)
    row_of_block = np.empty(blocks, np.uint64)
    for block in range(blocks):
        row_of_block[block] = chamber_of_block[block] * (max_cells + 1)
    chosen = np.empty(CHOSEN_WORDS + 1, np.uint64)
    summed = np.zeros(chambers, np.int64)
    packed = occupied.view(np.uint64)
    k = 0
    while k < len(keys):
        # views of one slot row's histograms are made once: making one costs as much as dozens of words
        this_lump = lump[k]
        data = out[this_lump]
        counts = data[offsets[0] : offsets[1]]
        with_scintillator = data[offsets[1] : offsets[2]]
        active_cells = data[offsets[2] : offsets[3]]
        orbits = data[offsets[3] : offsets[4]]
        by_orbit = data[offsets[4] : offsets[5]].reshape(chambers, -1)
        drift = data[offsets[5] : offsets[6]].reshape(chambers, -1)
        drift_layer = data[offsets[6] : offsets[7]].reshape(layers, -1)
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
                    cells,
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
            if not whole and first_orbit <= COURSE_ORBIT_LAST:
                count_by_orbit(touched, n_touched, active, chamber_of_block, first_orbit, by_orbit)
            if several:
                most = tally_wide(touched, n_touched, active, chamber_of_block, occupied, in_chamber, lanes)
            else:
                most = tally(touched, n_touched, active, row_of_block, occupied, lanes)
            few = n_touched + np.uint64(n_passed) <= np.uint64(FEW_ORBITS)
            if few:
                orbits[0] += ends_of_few(touched, n_touched, passed, n_passed, occupied, first_orbit, row)
            else:
                orbits[0] += sum_of_bytes(packed)
            if n_scintillator:
                near = np.uint64(0)
                for j in range(n_passed):
                    crossed[passed[j]] = 1
                    near |= np.uint64(1) << (passed[j] >> np.uint64(NEAR_BITS))
                n_chosen, done, s = np.uint64(0), 0, firsts[k]
                while s < firsts[k + 1]:
                    offset, length = stretches[s]
                    n = min(length - done, CHOSEN_WORDS - np.int64(n_chosen))
                    n_chosen = choose(
                        words if offset >= 0 else held,
                        (offset if offset >= 0 else ~offset) + done,
                        n,
                        crossed,
                        near,
                        chosen,
                        n_chosen,
                    )
                    done += n
                    if done == length:
                        s += 1
                        done = 0
                    if s == firsts[k + 1] or n_chosen > np.uint64(CHOSEN_WORDS // 2):
                        drift_times(
                            chosen,
                            n_chosen,
                            codes,
                            chamber_of_block,
                            layer_of_code,
                            passage,
                            with_scintillator,
                            drift,
                            drift_layer,
                        )
                        n_chosen = np.uint64(0)
                orbits[1] += n_passed
                for j in range(n_passed):
                    orbit = passed[j]
                    orbits[2] += passage[orbit] > edge_tdc
                    passage[orbit] = NO_PASSAGE
                    crossed[orbit] = 0
                    occupied[orbit] = not few
            if not few:
                ends(packed, first_orbit, row)
                occupied[:] = 0
            row[ROW_WORDS] = n_words
            row[ROW_SCINTILLATOR] = n_scintillator
            for c in range(chambers):
                n_cells, n_orbits = drain(lanes, c * (max_cells + 1), most, active_cells)
                row[ROW_CHAMBERS + chambers + c] = n_cells
                row[ROW_CHAMBERS + 2 * chambers + c] = n_orbits
                if n_cells:
                    now = sum_of(counts, block_starts[c] << 6, block_starts[c + 1] << 6)
                    row[ROW_CHAMBERS + c] = now - summed[c]
                    summed[c] = now
                if whole and 0 <= low_bin < by_orbit.shape[1]:
                    by_orbit[c, low_bin] += n_cells
            k += 1


class Accumulator:
    """The kernel with the tables of one detector; safe to call from several threads at once."""

    def __init__(self, catalogue: Catalogue, *, pairs: bool = True, every_slot: bool = False) -> None:
        """pairs: whether pairs of hits are counted too, which at 5 kHz costs more than all else.

        every_slot: whether the counts of all slots are given apart, not those of the newest only
        """
        self._every_slot = every_slot
        self.catalogue = catalogue
        channel_map = catalogue.channel_map
        self._codes = channel_map.codes.astype(np.uint16)
        self._cells = np.uint64(channel_map.n_cell_codes)
        blocks = len(channel_map.chamber_of_block)
        self._block_starts = np.append(channel_map.cell_base // BLOCK_CELLS, blocks).astype(np.int64)
        self._chamber_of_block = np.ascontiguousarray(channel_map.chamber_of_block)
        self._layer_of_code = np.ascontiguousarray(channel_map.layer_of_code)
        self._offsets = np.array([entry.offset for entry in catalogue.entries.values()], dtype=np.int64)
        longest_ns = max(chamber.t_max_ns for chamber in catalogue.detector.chambers)
        self._count_pairs = PairCounter(catalogue) if pairs else None
        self._edge_tdc = TDC_PER_ORBIT - round(longest_ns / NS_PER_TDC)

    def __call__(self, frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
        """Accumulate whole windows into a new Contribution.

        newest: the newest key of the batch, where the frames are a part of one; what is older than its newest slots
        need not be kept apart, which saves memory and so time
        """
        if isinstance(frames, Frames):
            frames = frames.scattered()
        slots, lump = slots_of(frames.keys, newest, every=self._every_slot)
        out = np.zeros((len(slots) + 1, self.catalogue.counted_size), dtype=np.int64)
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
            self._cells,
            self._block_starts,
            self._chamber_of_block,
            self._layer_of_code,
            self._edge_tdc,
            self._offsets,
            self.catalogue.max_cells,
            out,
            rows,
        )
        if self._count_pairs is not None:
            self._count_pairs(frames, lump, out)
        return Contribution(out.sum(axis=0), slots, out[1:], frames.keys, rows)
