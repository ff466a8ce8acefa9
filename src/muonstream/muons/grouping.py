"""Hits of a window by orbit and chamber, and keys in order, compiled: in n log n steps whatever the words are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.words import BX_MASK, BX_PER_ORBIT, BX_SHIFT, CHANNEL_SHIFT, ORBIT_SHIFT, WINDOW_ORBITS

SPARSE_WORDS: Final = 1024
"""Hits of windows with at most this many words are sorted; those of larger ones are put into buckets, one an orbit."""
FEW: Final = 32
"""Up to this many keys are sorted faster by insertion."""


@inlined
def _bucket(word: Any, codes: Any, chamber_of_block: Any, cell_codes: int, chambers: int) -> int:
    """orbit * chambers + chamber of a word that is a hit, -1 for any other."""
    code = codes[word >> np.uint64(CHANNEL_SHIFT)]
    if code >= cell_codes or (word >> np.uint64(BX_SHIFT)) & np.uint64(BX_MASK) >= np.uint64(BX_PER_ORBIT):
        return -1
    orbit = np.int64((word >> np.uint64(ORBIT_SHIFT)) & np.uint64(WINDOW_ORBITS - 1))
    return int(orbit * chambers + chamber_of_block[code >> 6])


@compiled
def sort_keys(keys: Any, n: int, spare: Any) -> None:
    """Sort keys[:n], int64, in n log n steps; spare: int64, as long."""
    if n <= FEW:
        for i in range(1, n):
            key, j = keys[i], i
            while j > 0 and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
        return
    # runs of one key, two, four, ... are merged, out of one array into the other
    here, there = keys, spare
    width, turns = 1, 0
    while width < n:
        for begin in range(0, n, 2 * width):
            middle, end = min(begin + width, n), min(begin + 2 * width, n)
            a, b = begin, middle
            for to in range(begin, end):
                if a < middle and (b == end or here[a] <= here[b]):
                    there[to] = here[a]
                    a += 1
                else:
                    there[to] = here[b]
                    b += 1
        here, there = there, here
        width *= 2
        turns += 1
    if turns % 2 == 1:
        keys[:n] = spare[:n]


@compiled
def group(
    words: Any,
    codes: Any,
    chamber_of_block: Any,
    cell_codes: int,
    chambers: int,
    starts: Any,
    order: Any,
    spare: Any,
    groups: Any,
) -> int:
    """Hits by orbit and chamber: gives how many groups there are.

    order: int64[n], the places of the words that are hits, group by group, in each in order of arrival
    groups: int64[n + 1, 2], the bucket of each group, and where it begins in `order`; after the last where that ends
    """
    n, n_groups = 0, 0
    if len(words) <= SPARSE_WORDS:
        # an empty bucket costs nothing here: with few words there are many more of them than hits
        for i in range(len(words)):
            bucket = _bucket(words[i], codes, chamber_of_block, cell_codes, chambers)
            if bucket >= 0:
                order[n] = bucket << 32 | i
                n += 1
        sort_keys(order, n, spare)
        before = -1
        for m in range(n):
            bucket = order[m] >> 32
            order[m] &= 0xFFFFFFFF
            if bucket != before:
                groups[n_groups, 0], groups[n_groups, 1] = bucket, m
                n_groups += 1
                before = bucket
        groups[n_groups, 1] = n
        return n_groups
    starts[:] = 0
    for turn in range(2):
        for i in range(len(words)):
            bucket = _bucket(words[i], codes, chamber_of_block, cell_codes, chambers)
            if bucket < 0:
                continue
            if turn == 0:
                starts[bucket + 2] += 1
            else:
                order[starts[bucket + 1]] = i
                starts[bucket + 1] += 1
        if turn == 0:
            for b in range(2, len(starts)):
                starts[b] += starts[b - 1]
    for bucket in range(len(starts) - 2):
        if starts[bucket + 1] > starts[bucket]:
            groups[n_groups, 0], groups[n_groups, 1] = bucket, starts[bucket]
            n_groups += 1
    groups[n_groups, 1] = starts[len(starts) - 2]
    return n_groups


@compiled
def cell_hits(words: Any, codes: Any, cell_codes: int) -> int:
    """How many of the words, uint64[n], are hits of cells."""
    n = 0
    for word in words:
        n += codes[word >> np.uint64(CHANNEL_SHIFT)] < cell_codes
    return n
