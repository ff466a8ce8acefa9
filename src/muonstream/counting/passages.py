"""The kernel's second pass, where a window has a scintillator word: hits of its orbits with a passage, drift times."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import EIGHT, any_of_eight
from muonstream.compiled import inlined
from muonstream.counting.catalogue import DRIFT_FIRST_TDC, LAYER_BIN_BITS
from muonstream.detector.channels import BLOCK_CELLS
from muonstream.words import (
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_SHIFT,
    ORBIT_SHIFT,
    TDC_MASK,
    TDC_PER_BX,
    WINDOW_ORBIT_BITS,
    WINDOW_ORBITS,
)

CHOSEN_WORDS: Final = 1024
"""Number of words chosen before their drift times are counted."""
NEAR_BITS: Final = WINDOW_ORBIT_BITS - 6
"""A window's orbits in 64 groups of successive ones, which fit a uint64 as bits."""

INSIDE_MASK: Final = np.uint64((1 << ORBIT_SHIFT) - 1)
INSIDE_END: Final = np.uint64(BX_PER_ORBIT << BX_SHIFT)
"""The lowest bits of a word, its time inside the orbit, and where those of a bunch crossing that exists end."""

BLOCK_BITS: Final = np.uint64(BLOCK_CELLS.bit_length() - 1)


@inlined
def time_tdc(inside: Any) -> Any:
    """The time in its orbit that a word's lowest 17 bits tell, int32."""
    return np.int32(inside >> np.uint64(BX_SHIFT)) * np.int32(TDC_PER_BX) + np.int32(inside & np.uint64(TDC_MASK))


@inlined
def choose(words: Any, first: int, n_words: int, crossed: Any, near: Any, chosen: Any, n_chosen: Any) -> Any:
    """Add the words of orbits with a passage time to `chosen`; gives how many those are by now.

    crossed: uint8[1024], 1 for these orbits; near: a bit for each sixteen successive ones, set where there is one
    """
    i, end = np.uint64(first), np.uint64(first + n_words)
    while i + np.uint64(EIGHT) <= end:
        if any_of_eight(words, i, np.uint64(ORBIT_SHIFT + NEAR_BITS), near):
            n_chosen = _choose_singly(words, i, i + np.uint64(EIGHT), crossed, chosen, n_chosen)
        i += np.uint64(EIGHT)
    return _choose_singly(words, i, end, crossed, chosen, n_chosen)


@inlined
def _choose_singly(words: Any, first: Any, end: Any, crossed: Any, chosen: Any, n_chosen: Any) -> Any:
    """As `choose`, but without branches, since which words are chosen cannot be predicted."""
    for i in range(first, end):
        word = words[i]
        chosen[n_chosen] = word
        n_chosen += np.uint64(crossed[(word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1)])
    return n_chosen


@inlined
def drift_times(
    chosen: Any,
    n_chosen: Any,
    codes: Any,
    chamber_of_block: Any,
    layer_of_code: Any,
    passage: Any,
    with_scintillator: Any,
    drift: Any,
    drift_layer: Any,
) -> None:
    """Second pass, over the chosen words: hits of orbits with a passage time, and their time after it."""
    cells = np.uint64(len(with_scintillator))
    last = drift.shape[1] - 1
    for i in range(n_chosen):
        word = chosen[i]
        code = np.uint64(codes[word >> np.uint64(CHANNEL_SHIFT)])
        inside = word & INSIDE_MASK
        if code >= cells or inside >= INSIDE_END:
            continue
        passed = passage[(word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1)]
        after = np.int64(time_tdc(inside)) - np.int64(passed) - DRIFT_FIRST_TDC
        with_scintillator[code] += 1
        chamber = np.uint64(chamber_of_block[code >> BLOCK_BITS])
        fine = min(max(after + 1, 0), last)
        drift[chamber, np.uint64(fine)] += 1
        layer = np.uint64(layer_of_code[code])
        # whole bins of a layer are made of bins of a chamber, and so are both ends
        drift_layer[layer, np.uint64(((fine - 1) >> LAYER_BIN_BITS) + 1)] += 1
