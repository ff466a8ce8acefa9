"""Streams made to cost as much as possible a word, and what each costs: `python -m tools.adversarial`.

The table, in Markdown, has the CPU time a word of each stream through a pipeline, with and without reconstruction, and
that of an ordinary stream in the same run. No stream may cost more than `LIMITS` say.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline, warm_up
from muonstream.framing.builder import FrameBuilder
from muonstream.simulation.telescope import simulate_words
from muonstream.words import ORBIT_MASK, ORBIT_SHIFT, WINDOW_ORBITS, Head, Words, encode

Ints = NDArray[np.int64]

SEED: Final = 23
DRIFT_TDC: Final = 480
"""A little more than the longest drift time, in TDC counts."""
LIMITS: Final = MappingProxyType({False: (20.0, 1.0), True: (50.0, 5.0)})
"""Without and with reconstruction: times the ordinary stream that a word may cost, and us for each window opened."""
WINDOW_WORDS: Final = 250_000
"""Of windows with many words; those of more than 262,144 are not reconstructed."""
MUON: Final = ((16, 1112), (18, 1357), (17, 1110), (19, 1357))
"""A vertical muon in a chamber of the telescope, as cells and TDC counts."""


def ordinary(n: int) -> Words:
    """1 MHz of muons and noise."""
    return simulate_words(n, rate_hz=1e6)


def _hits(n: int, orbit: Ints, *, channels: int = 128, boards: int = 2) -> Words:
    """Hits anywhere in their orbits."""
    rng = np.random.default_rng(SEED)
    return encode(
        fpga=rng.integers(0, boards, n),
        channel=rng.integers(0, channels, n),
        orbit=orbit & ORBIT_MASK,
        bx=rng.integers(0, 3564, n),
        tdc=rng.integers(1, 31, n),
    )


def _rising(n: int, rate_hz: float = 1e6) -> Ints:
    """Orbits of n evenly spaced words."""
    return (np.arange(n) * (1 / 89.1e-6 / rate_hz)).astype(np.int64)


def _any_bits(n: int) -> Words:
    return np.random.default_rng(SEED).integers(0, 1 << 64, n, dtype=np.uint64)


def _flipped(n: int) -> Words:
    rng, words = np.random.default_rng(SEED), ordinary(n)
    which = rng.random(n) < 0.05
    words[which] ^= np.uint64(1) << rng.integers(0, 64, int(which.sum()), dtype=np.uint64)
    return words


def _with_orbits(words: Words, orbit: Ints) -> Words:
    mask = np.uint64(ORBIT_MASK << ORBIT_SHIFT)
    return words & ~mask | (orbit & ORBIT_MASK).astype(np.uint64) << np.uint64(ORBIT_SHIFT)


def _wild(n: int) -> Words:
    rng, words = np.random.default_rng(SEED), ordinary(n)
    return np.where(rng.random(n) < 0.1, _with_orbits(words, rng.integers(0, 1 << 32, n)), words)


def _stuck(n: int, orbit: int) -> Words:
    words = ordinary(n)
    board = words >> np.uint64(58) & np.uint64(7)
    return np.where(board == 1, _with_orbits(words, np.full(n, orbit)), words)


def _resets(n: int) -> Words:
    """The counter begins again each 0.1 s."""
    return _hits(n, _rising(n) % 1122)


def _half_range_jumps(n: int) -> Words:
    at = np.arange(n)
    return _hits(n, _rising(n) + (at // 200 % 2 << 31))


def _jumps(n: int) -> Words:
    """A jump of 2 s each 64 words."""
    at = np.arange(n)
    return _hits(n, _rising(n) + at // 64 * 22_400)


def _one_orbit(n: int) -> Ints:
    """One orbit of each window, with as many words as are reconstructed, nearly."""
    return np.asarray(np.arange(n) // WINDOW_WORDS * WINDOW_ORBITS)


def _one_cell(n: int) -> Words:
    rng = np.random.default_rng(SEED)
    return encode(fpga=0, channel=5, orbit=_one_orbit(n), bx=rng.integers(0, 3564, n), tdc=rng.integers(1, 31, n))


def _ends_and_returns(n: int) -> Words:
    """Words of any window between the closed ones and those that two boards have jumped on to."""
    rng = np.random.default_rng(SEED)
    orbit = rng.integers(0, 1 << 22, n) * WINDOW_ORBITS
    orbit[: min(300, n)] = 5
    orbit[300:600] = (1 << 32) - 5
    words = _hits(n, orbit)
    board = np.where(np.arange(n) < 600, np.arange(n) % 2, np.uint64(1)).astype(np.uint64)
    board[300:600] = 1
    return words & ~np.uint64(7 << 58) | board << np.uint64(58)


def _alternating(n: int) -> Words:
    """Two windows in turn, so that no two words in a row are of one."""
    at = np.arange(n)
    return _hits(n, _rising(n) + at % 2 * WINDOW_ORBITS)


def _crowd(n: int, each: int = 400, cells: int = 64) -> Words:
    """So many hits of a chamber within a drift time, in each orbit."""
    rng = np.random.default_rng(SEED)
    inside = 30_000 + rng.integers(0, DRIFT_TDC, n)
    return encode(
        fpga=0, channel=rng.integers(0, cells, n), orbit=np.arange(n) // each, bx=inside // 30, tdc=1 + inside % 30
    )


def _same_time(n: int) -> Words:
    """All hits of an orbit at one time, as many of a cell as are compared."""
    at = np.arange(n)
    return encode(fpga=0, channel=at % 64, orbit=at // (64 * 64) * 16, bx=500, tdc=7)


def _full_cells(n: int) -> Words:
    """Windows that are looked at whole, of one orbit each, whose cells have as many hits as are compared."""
    at, rng = np.arange(n), np.random.default_rng(SEED)
    inside = rng.integers(0, 3564 * 30, n)
    return encode(fpga=0, channel=at % 16, orbit=at // 1024 * WINDOW_ORBITS, bx=inside // 30, tdc=1 + inside % 30)


def _showers(n: int, orbits_apart: int = 16) -> Words:
    """Muons through all chambers as close to one another as they can be, orbit after orbit."""
    each = np.array([(board, 64 * half + cell, tdc) for board in (0, 1) for half in (0, 1) for cell, tdc in MUON])
    at = np.arange(n)
    board, channel, tdc = each[at % len(each)].T
    muon = at // len(each)
    inside = (tdc + muon % 200 * 500) % (3564 * 30)
    shift = muon % 10 * 4
    return encode(
        fpga=board, channel=channel + shift, orbit=muon // 200 * orbits_apart, bx=inside // 30, tdc=1 + inside % 30
    )


def _scintillator(n: int) -> Words:
    rng = np.random.default_rng(SEED)
    return encode(fpga=1, channel=128, orbit=_rising(n), bx=rng.integers(0, 3564, n), tdc=rng.integers(1, 31, n))


def _ancillary(n: int) -> Words:
    return encode(fpga=0, channel=0, orbit=_rising(n), bx=0, tdc=0, head=int(Head.MASK_A))


def _three_a_window(n: int) -> Words:
    """Windows of three hits of one drift time."""
    at = np.arange(n)
    inside = 1000 + at % 3 * 30
    return encode(fpga=0, channel=16 + at % 3, orbit=at // 3 * WINDOW_ORBITS, bx=inside // 30, tdc=1 + inside % 30)


STREAMS: Final[Mapping[str, Callable[[int], Words]]] = MappingProxyType(
    {
        "ordinary, 1 MHz": ordinary,
        "any bits": _any_bits,
        "5 % with a bit flipped": _flipped,
        "10 % with a wild orbit": _wild,
        "counter resets each 0.1 s": _resets,
        "board 1 stuck at orbit 1234": lambda n: _stuck(n, 1234),
        "board 1 stuck at orbit 0": lambda n: _stuck(n, 0),
        "jump by half the range each 200": _half_range_jumps,
        "jump by 2 s each 64": _jumps,
        "all in one orbit": lambda n: _hits(n, _one_orbit(n)),
        "one cell in one orbit": _one_cell,
        "eight boards": lambda n: _hits(n, _rising(n), channels=512, boards=8),
        "orbits that fall": lambda n: _hits(n, _rising(n)[::-1]),
        "scintillator alone": _scintillator,
        "ancillary words alone": _ancillary,
        "a window a word": lambda n: _hits(n, np.arange(n) * WINDOW_ORBITS),
        "three hits a window": _three_a_window,
        "two windows in turn": _alternating,
        "any window behind a jump": _ends_and_returns,
        "400 hits in a drift time": _crowd,
        "250 hits in a drift time": lambda n: _crowd(n, 250),
        "12 hits in a drift time": lambda n: _crowd(n, 12),
        "24 hits in a drift time": lambda n: _crowd(n, 24, 16),
        "cells full, windows of 1024": _full_cells,
        "cells full, all at once": _same_time,
        "muons without end": _showers,
        "muons without end, far apart": lambda n: _showers(n, WINDOW_ORBITS),
    }
)


def pushed(words: Words, *, reconstruct: bool, detector: Detector | None = None) -> float:
    """CPU seconds that the words take through a pipeline, in pieces of 100,000, in this thread alone."""
    with Pipeline(detector or Detector.default(), workers=0, reconstruct=reconstruct) as pipeline:
        began = time.process_time()
        for first in range(0, len(words), 100_000):
            pipeline.push(words[first : first + 100_000])
        pipeline.finish()
        return time.process_time() - began


def windows_of(words: Words) -> int:
    """How many windows a frame builder makes of the words."""
    builder = FrameBuilder(Detector.default().boards)
    return len(builder.push(words).keys) + len(builder.finish().keys)


def main() -> None:
    """Print the table; exits with 1 if a stream costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=1_000_000, help="words of each stream (default 1000000)")
    parser.add_argument("--only", default="", help="only streams whose name has one of these, separated by commas")
    parser.add_argument("--plain", action="store_true", help="only without reconstruction")
    args = parser.parse_args()
    warm_up(Detector.default(), reconstruct=True)
    each_has = "ns a word | ratio | limit, ns |"
    print(f"| stream | windows | {each_has}{'' if args.plain else f' reconstructed, {each_has}'}")
    print(f"|---|---:{'|---:|---:|---:' * (1 if args.plain else 2)}|")
    usual: dict[bool, float] = {}
    over = []
    for name, make in STREAMS.items():
        if usual and not any(part in name for part in args.only.split(",")):
            continue
        words = make(args.words)
        windows = windows_of(words)
        line = f"| {name} | {windows:,} |"
        for reconstruct in (False,) if args.plain else (False, True):
            if not usual.get(reconstruct):
                usual[reconstruct] = min(pushed(words, reconstruct=reconstruct) for _ in range(3)) / len(words)
            each = pushed(words, reconstruct=reconstruct) / len(words)
            times, us = LIMITS[reconstruct]
            limit = times * usual[reconstruct] + us * 1e-6 * windows / len(words)
            line += f" {each * 1e9:,.0f} | {each / usual[reconstruct]:.1f} | {limit * 1e9:,.0f} |"
            if each > limit:
                over.append(f"{name}{', reconstructed' * reconstruct}")
        print(line, flush=True)
    if over:
        raise SystemExit(f"over the limit: {'; '.join(over)}")


if __name__ == "__main__":
    main()
