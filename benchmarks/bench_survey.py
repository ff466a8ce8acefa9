"""The survey behind `muonstream inspect`, words a second on one thread, beside copying the same words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_monitor import COPY, repeated
from benchmarks.timing import medians, table
from muonstream.detector.model import Detector
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.survey.survey import Survey
from muonstream.words import Words

WORDS = 20_000_000
SIMULATED_WORDS = 2_500_000
ROUNDS = 7


def _survey(known: NDArray[np.bool_], words: Words) -> None:
    Survey(known).feed(words)


def main() -> None:
    """Measure and print."""
    known = Expected.of(Detector.default().channel_map()).known
    for rate_hz in (5e3, 1e6):
        words = repeated(simulate_words(SIMULATED_WORDS, rate_hz=rate_hz), WORDS // SIMULATED_WORDS)
        copied = np.empty_like(words)
        works: dict[str, Callable[[], object]] = {
            COPY: partial(np.copyto, copied, words),
            "survey": partial(_survey, known, words),
        }
        table(f"Survey at {rate_hz:,.0f} Hz", WORDS, "words", medians(works, ROUNDS), COPY)


if __name__ == "__main__":
    main()
