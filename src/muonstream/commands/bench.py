"""`muonstream bench`: this machine's speed, in one line each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from muonstream.commands import common
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words

RUNS = 5
PUSH_WORDS = 1 << 21


def run_words(words: Words, workers: int) -> None:
    """Words in memory to a finished monitor, as `process` counts them."""
    with Pipeline(Detector.default(), workers=workers, pairs=False) as pipeline:
        for first in range(0, len(words), PUSH_WORDS):
            pipeline.push(words[first : first + PUSH_WORDS])
        pipeline.finish()


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bench_machine(n: int) -> None:
    """Print medians of interleaved runs."""
    common.err.print("simulating, and compiling what is not yet compiled …")
    words = simulate_words(n, rate_hz=1e6)
    copied = np.empty_like(words)
    works: dict[str, Callable[[], None]] = {
        "copying the words": lambda: np.copyto(copied, words),
        "words to monitor, one thread": lambda: run_words(words, 0),
        "words to monitor, two threads": lambda: run_words(words, 1),
    }
    for work in works.values():
        work()
    seconds = {name: [] for name in works}  # type: dict[str, list[float]]
    for _ in range(RUNS):
        for name, work in works.items():
            seconds[name].append(_seconds(work))
    base = statistics.median(seconds["copying the words"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        common.out.print(f"{name:32} {n / median / 1e6:10,.1f} M words/s {median / base:8.1f} x copying", markup=False)
