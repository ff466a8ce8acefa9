"""Words in memory to a finished monitor, on one thread and on two, beside copying the same words.

Interleaved in blocks of four words a board and locally disordered, as real data are; at the rate of a cosmics run and
at that of a noisy one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.timing import medians, table
from muonstream.commands.bench import run_words
from muonstream.simulation import simulate_words
from muonstream.words import ORBIT_SHIFT, Words, decode

WORDS = 40_000_000
SIMULATED_WORDS = 10_000_000


def repeated(words: Words, times: int) -> Words:
    """Copies of words one after another, each later in time by what all before it took."""
    orbits = decode(words).orbit
    span = int(orbits.max()) - int(orbits.min()) + 1
    return np.concatenate([words + np.uint64(i * span << ORBIT_SHIFT) for i in range(times)])


def main() -> None:
    """Measure and print."""
    for rate_hz in (5e3, 1e6):
        words = repeated(simulate_words(SIMULATED_WORDS, rate_hz=rate_hz), WORDS // SIMULATED_WORDS)
        copied = np.empty_like(words)
        works: dict[str, Callable[[], object]] = {
            "copy into memory at hand": partial(np.copyto, copied, words),
            "monitor, one thread": partial(run_words, words, 0),
            "monitor, two kernel threads": partial(run_words, words, 2),
        }
        seconds = medians(works)
        table(f"Words to monitor at {rate_hz:,.0f} Hz", WORDS, "words", seconds, "copy into memory at hand")


if __name__ == "__main__":
    main()
