"""Words in memory to a finished monitor, on one thread and on two, beside copying the same words.

Interleaved in blocks of four words a board and locally disordered, as real data are; at the rate of a cosmics run and
at that of a noisy one. Two processes that know nothing of each other, with half the words each, show what the machine
has for two threads at all.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.timing import medians, table
from muonstream.commands.bench import run_words
from muonstream.simulation.telescope import simulate_words
from muonstream.words import ORBIT_SHIFT, Words, decode

WORDS = 40_000_000
SIMULATED_WORDS = 10_000_000
ROUNDS = 11
COPY = "copy into memory at hand"


def repeated(words: Words, times: int) -> Words:
    """Copies of words one after another, each later in time by what all before it took."""
    orbits = decode(words).orbit
    span = int(orbits.max()) - int(orbits.min()) + 1
    return np.concatenate([words + np.uint64(i * span << ORBIT_SHIFT) for i in range(times)])


def _half(words: Words, told: Connection) -> None:
    while told.recv():
        run_words(words, 0)
        told.send(True)


@contextmanager
def two_processes(words: Words) -> Iterator[Callable[[], None]]:
    """Two processes with half the words each; the function has both count theirs, and waits for them."""
    fork = multiprocessing.get_context("fork")
    tells = []
    processes = []
    for part in (words[: len(words) // 2], words[len(words) // 2 :]):
        tell, told = fork.Pipe()
        processes.append(fork.Process(target=_half, args=(part, told), daemon=True))
        processes[-1].start()
        tells.append(tell)

    def run() -> None:
        for tell in tells:
            tell.send(True)
        for tell in tells:
            tell.recv()

    try:
        yield run
    finally:
        for tell in tells:
            tell.send(False)
        for process in processes:
            process.join()


def main() -> None:
    """Measure and print."""
    for rate_hz in (5e3, 1e6):
        words = repeated(simulate_words(SIMULATED_WORDS, rate_hz=rate_hz), WORDS // SIMULATED_WORDS)
        copied = np.empty_like(words)
        with two_processes(words) as run_halves:
            works: dict[str, Callable[[], object]] = {
                COPY: partial(np.copyto, copied, words),
                "monitor, one thread": partial(run_words, words, 0),
                "monitor, two threads": partial(run_words, words, 1),
                "two processes of one thread": run_halves,
            }
            seconds = medians(works, ROUNDS)
        table(f"Words to monitor at {rate_hz:,.0f} Hz", WORDS, "words", seconds, COPY)


if __name__ == "__main__":
    main()
