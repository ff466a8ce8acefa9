"""Interleaved timing: medians of several runs, and ratios taken in the same rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 5


def medians(works: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each work, run in turn `rounds` times after one warm-up."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


def table(title: str, items: int, unit: str, seconds: Mapping[str, float], base: str) -> None:
    """Print rates in millions a second, and time beside the base's."""
    print(f"\n{title} ({items:,} {unit})")
    print(f"{'':44} {'M ' + unit + '/s':>14} {'time / ' + base[:20]:>28}")
    for name, median in seconds.items():
        print(f"{name:44} {items / median / 1e6:14.1f} {median / seconds[base]:28.2f}")
