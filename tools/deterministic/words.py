"""Words of a scene: stretches of ordinary and of odd streams behind one another, of any lengths."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.simulation.telescope import simulate_words
from muonstream.words import ORBIT_MASK, ORBIT_SHIFT, WINDOW_ORBITS, Words, encode

Ints = NDArray[np.int64]
ORBITS: Final = ORBIT_MASK + 1


def ordinary(n: int, rng: random.Random) -> Words:
    """A telescope's words at some rate, so that they are many or few a window."""
    return simulate_words(n, rate_hz=10.0 ** rng.uniform(2, 5.5), seed=rng.randrange(1 << 30))


def _hits(orbits: Ints, seed: int) -> Words:
    rng, n = np.random.default_rng(seed), len(orbits)
    return encode(
        fpga=rng.integers(0, 2, n),
        channel=rng.integers(0, 128, n),
        orbit=orbits % ORBITS,
        bx=rng.integers(0, 3564, n),
        tdc=rng.integers(1, 31, n),
    )


def _steady(n: int, rng: random.Random) -> Ints:
    """Orbits of evenly spaced hits, from anywhere on."""
    orbits: Ints = (rng.randrange(ORBITS) + np.arange(n) * 10.0 ** rng.uniform(-2, 3)).astype(np.int64)
    return orbits


def _with_orbits(words: Words, orbits: Ints, where: NDArray[np.bool_]) -> Words:
    mask = np.uint64(ORBIT_MASK << ORBIT_SHIFT)
    changed = words & ~mask | (orbits % ORBITS).astype(np.uint64) << np.uint64(ORBIT_SHIFT)
    return np.where(where, changed, words)


def _begins_again(n: int, rng: random.Random) -> Words:
    """A counter that begins again, each so many hits or fewer."""
    return _falls(n, int(10 ** rng.uniform(0.5, 2.6)), int(10 ** rng.uniform(0, 4.5)), rng)


def _falls(n: int, each: int, step: int, rng: random.Random) -> Words:
    """A hit each so many orbits, and each so many hits the counter falls."""
    return _hits(np.arange(n) % each * step, rng.randrange(1 << 30))


def _any_window(n: int, rng: random.Random) -> Words:
    """Hits of any of some windows, in any order."""
    windows = np.random.default_rng(rng.randrange(1 << 30)).integers(0, rng.choice((8, 100, 5000)), n)
    return _hits(rng.randrange(ORBITS) + windows * WINDOW_ORBITS, rng.randrange(1 << 30))


def _stuck(n: int, rng: random.Random) -> Words:
    """One board's counter stands still while the other's goes on."""
    words = _hits(_steady(n, rng), rng.randrange(1 << 30))
    return _with_orbits(words, np.full(n, rng.randrange(ORBITS)), words >> np.uint64(58) & np.uint64(7) == 1)


def _wild(n: int, rng: random.Random) -> Words:
    """Some hits have any orbit."""
    wild = np.random.default_rng(rng.randrange(1 << 30))
    words = _hits(_steady(n, rng), rng.randrange(1 << 30))
    return _with_orbits(words, wild.integers(0, ORBITS, n), wild.random(n) < rng.choice((0.01, 0.3)))


def _jumps(n: int, rng: random.Random) -> Words:
    """Jumps ahead, each so many hits."""
    jump = rng.choice((1, 50, 22_400, 40_000_000, 1 << 31)) * rng.randrange(1, 4)
    return _hits(_steady(n, rng) + np.arange(n) // rng.randrange(1, 300) * jump, rng.randrange(1 << 30))


def _any_bits(n: int, rng: random.Random) -> Words:
    return np.random.default_rng(rng.randrange(1 << 30)).integers(0, 1 << 64, n, dtype=np.uint64)


ODD: Final[tuple[Callable[[int, random.Random], Words], ...]] = (
    _begins_again,
    _any_window,
    _stuck,
    _wild,
    _jumps,
    _any_bits,
)


def resets(n: int, rng: random.Random) -> Words:
    """n words with about as many counter resets as can be told from disorder: one each 12 to 60 words."""
    return _falls(n, rng.randrange(12, 60), int(10 ** rng.uniform(3, 4.5)), rng)


def mixed(n: int, rng: random.Random) -> Words:
    """About n words: stretches of any kind behind one another, or all of one odd kind."""
    if rng.random() < 0.3:
        return rng.choice(ODD)(n, rng)
    parts = []
    while n > 0:
        length = min(n, int(10 ** rng.uniform(1, 3.5)))
        make = ordinary if rng.random() < 0.4 else rng.choice(ODD)
        parts.append(make(length, rng)[:length])
        n -= length
    return np.concatenate(parts)
