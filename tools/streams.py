"""Synthetic streams of words and their files in every format: what tests and the fuzz of the intake are made of.

A stream has what real ones have: boards that send in packets, so that orbits step back between boards; disorder of
bunch crossings; internal triggers; in some streams ancillary words whose orbits are elsewhere; gaps, resets of the
counter, orbits that need all 32 bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.words import ORBIT_MASK, Head, Words, decode, encode

COLUMNS: Final = ("HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS")
HEADER: Final = ",".join(COLUMNS).encode()
ORBITS_PER_S: Final = 1 / 89.1e-6
TRIGGER_CHANNEL: Final = 138
EVENT_NUMBER_CHANNELS: Final = (137, 138)
IDLE_WORD: Final = 0x01555655554D5555
"""What an idle read-out may send: HEAD 0, the same each time."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What stream to make.

    words: how many; seed: of its random numbers; rate_hz: hits of all boards together; boards: how many
    packet: words that a board sends at once; triggers: one word in so many is an internal trigger, 0 for none
    ancillary: one word in so many is ancillary, 0 for none; start: the first orbit
    resets: how often the counter begins again; gap_s: a pause in the middle
    """

    words: int = 3000
    seed: int = 1
    rate_hz: float = 5000.0
    boards: int = 2
    packet: int = 4
    triggers: int = 50
    ancillary: int = 0
    start: int = 1_000_000
    resets: int = 0
    gap_s: float = 0.0


def make_words(config: StreamConfig) -> Words:
    """The words (uint64[n]) of a stream, in order of arrival."""
    random = np.random.default_rng(config.seed)
    n = config.words
    times = np.cumsum(random.exponential(ORBITS_PER_S / config.rate_hz, n))
    times[n // 2 :] += config.gap_s * ORBITS_PER_S
    board = random.integers(0, config.boards, n)
    channel = random.integers(0, 128, n)
    tdc = random.integers(1, 31, n)
    bx = (times % 1 * 3564).astype(np.int64)
    if config.triggers:
        which = np.arange(n) % config.triggers == config.triggers - 1
        channel[which], tdc[which] = TRIGGER_CHANNEL, 1
    orbit = config.start + times.astype(np.int64)
    if config.resets:
        part = np.arange(n) * (config.resets + 1) // n
        for k in range(1, config.resets + 1):
            first = int(np.argmax(part == k))
            orbit[part == k] -= orbit[first] - 2
    words = encode(fpga=board, channel=channel, orbit=orbit & ORBIT_MASK, bx=bx, tdc=tdc)
    words = words[_sent(board, config.packet)]
    return _with_ancillary(words, config.ancillary, random) if config.ancillary else words


def _sent(board: NDArray[np.int64], packet: int) -> NDArray[np.int64]:
    """The order in which words leave when each board sends them by packets, a packet when it is full."""
    index = np.arange(len(board))
    leaves = index.copy()
    for one in np.unique(board):
        mine = index[board == one]
        last = np.minimum((np.arange(len(mine)) // packet + 1) * packet, len(mine)) - 1
        leaves[mine] = mine[last]
    order: NDArray[np.int64] = np.lexsort((index, leaves))
    return order


def _with_ancillary(words: Words, each: int, random: np.random.Generator) -> Words:
    """Put ancillary words of every kind between the hits, with orbits about 10 s ahead of theirs."""
    n = len(words) // each
    where = np.sort(random.integers(1, len(words), n))
    orbit = (decode(words[where]).orbit + random.integers(110_000, 140_000, n)) & ORBIT_MASK
    head = random.choice([Head.TRIGGER_T0, Head.MASK_A, Head.MASK_B, Head.TAN_PSI, Head.LOCAL_X], n)
    one = encode(
        head=head,
        fpga=decode(words[where]).fpga,
        channel=random.integers(0, 512, n),
        orbit=orbit,
        bx=random.integers(0, 4096, n),
        tdc=random.integers(0, 32, n),
    )
    found: Words = np.insert(words, where, one)
    return found


def hits_of(words: Words) -> Words:
    """Those that are hits."""
    found: Words = words[words >> np.uint64(61) == np.uint64(Head.HIT)]
    return found


def as_words(words: Words) -> bytes:
    """Plain words."""
    return words.astype("<u8").tobytes()


def as_dma(words: Words, run: int = 591, step: int = 0) -> bytes:
    """Transfers of a run word, which grows by `step`, and 128 words."""
    at = np.arange(0, len(words), 128)
    return np.insert(words, at, run + step * np.arange(len(at)).astype(np.uint64)).astype("<u8").tobytes()


def rows_of(words: Words, *, old: bool = False) -> list[str]:
    """Rows of text with the words' fields; old: as the 2019 firmware writes hits, the others as they are."""
    f = decode(words)
    head, channel, tdc = f.head.copy(), f.channel.copy(), f.tdc.copy()
    if old:
        hit = head == Head.HIT
        head[hit] = 1
        channel[hit] += 1
        tdc[hit & ~np.isin(channel, EVENT_NUMBER_CHANNELS)] -= 1
    columns = (head, f.fpga, channel, f.orbit, f.bx, tdc)
    return [",".join(map(str, row)) for row in zip(*(one.tolist() for one in columns), strict=True)]


def as_course(words: Words, *, header: bool = True) -> bytes:
    """A table as the course has it."""
    return b"".join([HEADER + b"\n" if header else b"", *(row.encode() + b"\n" for row in rows_of(words))])


def as_firmware2019(words: Words, *, header: bool = True) -> bytes:
    """A table of the 2019 firmware; words that are not hits have no row."""
    rows = rows_of(hits_of(words), old=True)
    return b"".join([HEADER + b"\n" if header else b"", *(row.encode() + b"\n" for row in rows)])


def as_head1(words: Words) -> bytes:
    """A table with hits of HEAD 1 whose other fields are as they are; words that are not hits have no row."""
    rows = (row.replace("2,", "1,", 1) for row in rows_of(hits_of(words)))
    return b"".join([HEADER + b"\n", *(row.encode() + b"\n" for row in rows)])


def as_json_lines(words: Words) -> bytes:
    """One JSON object a line."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in _objects(words))


def as_json_array(words: Words) -> bytes:
    """One JSON array of objects, over many lines."""
    return json.dumps(_objects(words), indent=1).encode()


def _objects(words: Words) -> list[dict[str, int]]:
    return [dict(zip(COLUMNS, map(int, row.split(",")), strict=True)) for row in rows_of(words)]


WRITERS: Final[dict[str, Callable[[Words], bytes]]] = {
    "words": as_words,
    "dma": as_dma,
    "dma counting": lambda words: as_dma(words, 1000, 1),
    "course": as_course,
    "course bare": lambda words: as_course(words, header=False),
    "firmware2019": as_firmware2019,
    "head1": as_head1,
    "json lines": as_json_lines,
    "json array": as_json_array,
}
"""Every form of a file, by name."""


def truth(form: str, words: Words) -> Words:
    """The words that a file of this form holds."""
    return hits_of(words) if form in ("firmware2019", "head1") else words
