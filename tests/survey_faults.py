"""Faults of a read-out, put into simulated words, each with the remark that a survey of them must make."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from muonstream.simulation.telescope import simulate_words
from muonstream.words import BX_SHIFT, CHANNEL_SHIFT, FPGA_SHIFT, ORBIT_SHIFT, Words, decode, encode

N = 40_000


@dataclass(frozen=True)
class Fault:
    """make: the words with the fault, from words without; says: what a remark of that level must match"""

    name: str
    make: Callable[[Words], Words]
    says: str
    level: str = "bad"

    def in_remarks(self, lines: list[tuple[str, str]]) -> bool:
        """Whether a remark of that level says it."""
        return any(level == self.level and re.search(self.says, text) for level, text in lines)


def good_words(seed: int = 1) -> Words:
    """Words without a fault: 8 s of two boards at 5 kHz."""
    return simulate_words(N, seed=seed)


def _board(words: Words) -> Words:
    return (words >> np.uint64(FPGA_SHIFT)) & np.uint64(7)


def _channel(words: Words) -> Words:
    return (words >> np.uint64(CHANNEL_SHIFT)) & np.uint64(511)


def _with(words: Words, which: np.ndarray, shift: int, mask: int, value: int) -> Words:
    """The words of which some have a field changed."""
    changed = (words & ~np.uint64(mask << shift)) | np.uint64(value << shift)
    out: Words = np.where(which, changed, words)
    return out


def _kept(words: Words, which: np.ndarray) -> Words:
    out: Words = words[which]
    return out


def _later(words: Words, orbits: int) -> Words:
    return words + np.uint64(orbits << ORBIT_SHIFT)


def board_missing(words: Words) -> Words:
    return _kept(words, _board(words) == 0)


def board_unknown(words: Words) -> Words:
    return _with(words, _board(words) == 1, FPGA_SHIFT, 7, 5)


def board_stops(words: Words) -> Words:
    return _kept(words, (_board(words) == 0) | (np.arange(len(words)) < len(words) // 2))


def channel_moved(words: Words) -> Words:
    return _with(words, (_board(words) == 0) & (_channel(words) == 17), CHANNEL_SHIFT, 511, 200)


def channel_stops(words: Words) -> Words:
    mine = (_board(words) == 0) & (_channel(words) == 3) & (np.arange(len(words)) > len(words) // 3)
    return _kept(words, ~mine)


def chamber_silent(words: Words) -> Words:
    return _kept(words, (_board(words) == 0) | (_channel(words) < 64) | (_channel(words) > 127))


def tdc_code_missing(words: Words) -> Words:
    return _kept(words, decode(words).tdc != 13)


def tdc_zero(words: Words) -> Words:
    return _with(words, np.arange(len(words)) % 100 == 0, 0, 31, 0)


def bx_bit_stuck(words: Words) -> Words:
    return words & ~np.uint64(1 << (BX_SHIFT + 3))


def bx_impossible(words: Words) -> Words:
    return _with(words, np.arange(len(words)) % 50 == 0, BX_SHIFT, 4095, 3900)


def packets_twice(words: Words) -> Words:
    """Each tenth packet of four words comes twice."""
    packets = words.reshape(-1, 4)
    return np.repeat(packets, np.where(np.arange(len(packets)) % 10 == 0, 2, 1), axis=0).reshape(-1)


def block_twice(words: Words) -> Words:
    return np.concatenate([words[:20_512], words[20_000:]])


def all_twice(words: Words) -> Words:
    return np.concatenate([words, words])


def orbits_of_12_bits(words: Words) -> Words:
    return words & ~np.uint64((0xFFFFFFFF ^ 0xFFF) << ORBIT_SHIFT)


def orbits_of_16_bits(words: Words) -> Words:
    return _later(words, 60_000) & ~np.uint64((0xFFFFFFFF ^ 0xFFFF) << ORBIT_SHIFT)


def orbit_bit_stuck(words: Words) -> Words:
    return words & ~np.uint64(1 << (ORBIT_SHIFT + 4))


def board_after_board(words: Words) -> Words:
    return np.concatenate([words[_board(words) == 0], words[_board(words) == 1]])


def counter_reset(words: Words) -> Words:
    other = simulate_words(N, seed=99)
    return np.concatenate([_later(words, 10_000), other])


def leftovers_of_a_board(words: Words) -> Words:
    rest = _later(words[_board(words) == 0][:100], 3_000_000_000)
    return np.concatenate([rest, words])


def wild_orbits(words: Words) -> Words:
    rng = np.random.default_rng(5)
    wild = rng.random(len(words)) < 0.02
    orbit = rng.integers(0, 2**32, len(words), dtype=np.uint64)
    changed = (words & ~np.uint64(0xFFFFFFFF << ORBIT_SHIFT)) | (orbit << np.uint64(ORBIT_SHIFT))
    return np.where(wild, changed, words)


def pause(words: Words) -> Words:
    return np.concatenate([words[:20_000], _later(words[20_000:], 100_000)])


def idle_words(words: Words) -> Words:
    return np.concatenate([words[:20_000], np.full(8192, 0x01555655554D5555, np.uint64), words[20_000:]])


def zeros_between(words: Words) -> Words:
    return np.insert(words, np.arange(0, len(words), 3), np.uint64(0))


def noisy_stretch(words: Words) -> Words:
    """For 8,192 words the rate is ten times what it is elsewhere."""
    fields = decode(words)
    begin = fields.orbit[20_000]
    inside = (np.arange(len(words)) >= 20_000) & (np.arange(len(words)) < 28_192)
    orbit = np.where(inside, begin + (fields.orbit - begin) // 10, fields.orbit)
    saved = fields.orbit[28_192] - orbit[28_191]
    orbit = np.where(np.arange(len(words)) >= 28_192, orbit - saved, orbit)
    return encode(
        head=fields.head,
        fpga=fields.fpga,
        channel=fields.channel,
        orbit=np.maximum(orbit, 0),
        bx=fields.bx,
        tdc=fields.tdc,
    )


def trigger_unknown(words: Words) -> Words:
    return _with(words, (_board(words) == 0) & (_channel(words) == 138), CHANNEL_SHIFT, 511, 137)


FAULTS = (
    Fault("board_missing", board_missing, r"board 1 sends no hit; the detector file has it \(Chamber 3, Chamber 4"),
    Fault("board_unknown", board_unknown, r"board 5: [\d,]+ words, not in the detector file"),
    Fault("board_stops", board_stops, r"board 1 stops: its last hit is word 1\d,\d{3}"),
    Fault("channel_moved", channel_moved, r"board 0 channel 200: \d+ words, not in .*Chamber 1 cell 17 .*moved"),
    Fault("channel_stops", channel_stops, r"board 0 channel 3 \(Chamber 1 cell 3\) falls silent", "odd"),
    Fault("chamber_silent", chamber_silent, r"Chamber 4 is silent: no hit in any of its 64 cells"),
    Fault("tdc_code_missing", tdc_code_missing, r"board 1: TDC 13 never comes"),
    Fault("tdc_zero", tdc_zero, r"board 0: \d+ words \(.* %\) with TDC outside 1 to 30, \d+ of them 0", "odd"),
    Fault("bx_bit_stuck", bx_bit_stuck, r"board 0: BX bit 3 is always 0"),
    Fault("bx_impossible", bx_impossible, r"board 1: \d+ words \(.* %\) with BX 3564 or more"),
    Fault("packets_twice", packets_twice, r"4,000 hits \(9\.1 %\) repeat one shortly before"),
    Fault("block_twice", block_twice, r"512 hits in a row from word 20,513 on repeat those 512 hits before"),
    Fault("all_twice", all_twice, r"about 50 % of the hits come again, 40,000 words later"),
    Fault("orbits_of_12_bits", orbits_of_12_bits, r"seems to have 12 bits, not 32: .* every 365 ms"),
    Fault("orbits_of_16_bits", orbits_of_16_bits, r"seems to have 16 bits, not 32"),
    Fault("orbit_bit_stuck", orbit_bit_stuck, r"board 0: orbit bits 4 never change"),
    Fault("board_after_board", board_after_board, r"board 1 is up to [78](\.\d+)? s behind the others"),
    Fault(
        "counter_reset", counter_reset, r"the orbit counter falls from [\d,]+ to \d+ .* at word 40,00\d: another run"
    ),
    Fault("leftovers_of_a_board", leftovers_of_a_board, r"of board 0 alone falls .* after 100 words: leftovers"),
    Fault("wild_orbits", wild_orbits, r"board 0: \d+ words with orbits far from those around them, first word \d+"),
    Fault("pause", pause, r"no words for 8\.9\d? s of data time", "note"),
    Fault("idle_words", idle_words, r"8,192 words from word 20,001 on are all 0x01555655554d5555", "odd"),
    Fault("zeros_between", zeros_between, r"13,334 words are zero", "odd"),
    Fault("noisy_stretch", noisy_stretch, r"from word (19,9|20,)\d+ on: [\d,]+ hits/s, elsewhere [45],\d+", "odd"),
    Fault("trigger_unknown", trigger_unknown, r"board 0 channel 137: \d+ words, not in .*trigger .*moved"),
)
