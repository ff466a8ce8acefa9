from __future__ import annotations

import json
import os
import subprocess
import sys

from tools.adversarial import STREAMS

MADE_TO_BE_SLOW = [
    "one cell in one orbit",
    "all in one orbit",
    "a window a word",
    "400 hits in a drift time",
]
MOST_LINES = 15_000


def test_kernels_run_no_more_lines_a_word_when_there_are_more_words() -> None:
    """Counted by Python, in a process whose kernels are not compiled: no clock is asked."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.kernel_lines", "--sizes", "100,200", *MADE_TO_BE_SLOW],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for name, lines in json.loads(done.stdout).items():
        few, many = lines["100"], lines["200"]
        assert many < 1.25 * few, name
        assert many < MOST_LINES, name


def test_every_stream_is_of_as_many_words_as_were_asked_for() -> None:
    for name, make in STREAMS.items():
        words = make(2000)
        assert (len(words), words.dtype.str) == (2000, "<u8"), name
