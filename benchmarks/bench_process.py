"""`muonstream process` of a 1 GiB file of words, from disk cache to summary, beside words already in memory."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from muonstream.commands.bench import run_words
from muonstream.simulation import simulate_words
from muonstream.words import ORBIT_SHIFT, Words, decode

BLOCK_WORDS = 1 << 23
FILE_BYTES = 1 << 30
ROUNDS = 3


def write_file(path: Path, words: Words) -> None:
    """Write copies of words one after another, each later in time by what all before it took."""
    orbits = decode(words).orbit
    span = int(orbits.max()) - int(orbits.min()) + 1
    with path.open("wb") as handle:
        for i in range(FILE_BYTES // words.nbytes):
            (words + np.uint64(i * span << ORBIT_SHIFT)).tofile(handle)


def main() -> None:
    """Measure and print."""
    for rate_hz in (5e3, 1e6):
        words = simulate_words(BLOCK_WORDS, rate_hz=rate_hz)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.dat"
            write_file(path, words)
            command = [sys.executable, "-m", "muonstream", "process", str(path), "--summary", f"{folder}/out.json"]
            memory, file = [], []
            run_words(words, 0)
            for _ in range(ROUNDS):
                began = time.perf_counter()
                run_words(words, 0)
                memory.append(time.perf_counter() - began)
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                file.append(time.perf_counter() - began)
        in_memory = len(words) / statistics.median(memory)
        from_file = FILE_BYTES / 8 / statistics.median(file)
        print(f"\nA 1 GiB file at {rate_hz:,.0f} Hz")
        print(f"{'words in memory to monitor, one thread':44} {in_memory / 1e6:8.1f} M words/s")
        print(f"{'muonstream process, start to summary':44} {from_file / 1e6:8.1f} M words/s")
        print(f"{'ratio':44} {from_file / in_memory:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{'highest memory of any run':44} {peak / 1024:8.0f} MiB")


if __name__ == "__main__":
    main()
