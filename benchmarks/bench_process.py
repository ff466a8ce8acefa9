"""`muonstream process` of a 1 GiB file of words, from disk cache to summary, beside words already in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_monitor import repeated
from muonstream.commands.bench import run_words
from muonstream.simulation.telescope import simulate_words
from muonstream.words import Words

# a small process of its own starts the command: a child's peak would else begin with this one's
MEASURE = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
BLOCK_WORDS = 1 << 23
FILE_BYTES = 1 << 30
ROUNDS = 3


def simulated(rate_hz: float) -> Words:
    """A file's words: copies of some one after another, each later in time by what all before it took."""
    words = simulate_words(BLOCK_WORDS, rate_hz=rate_hz)
    return repeated(words, FILE_BYTES // words.nbytes)


def main() -> None:
    """Measure and print."""
    for rate_hz in (5e3, 1e6):
        words = simulated(rate_hz)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.dat"
            words.tofile(path)
            command = [sys.executable, "-m", "muonstream", "process", str(path), "--summary", f"{folder}/out.json"]
            memory, file, peaks = [], [], []
            run_words(words, 0)
            for _ in range(ROUNDS):
                began = time.perf_counter()
                run_words(words, 0)
                memory.append(time.perf_counter() - began)
                measured = subprocess.run(
                    [sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True
                )
                seconds, peak_kib = measured.stdout.split()
                file.append(float(seconds))
                peaks.append(int(peak_kib))
        in_memory = len(words) / statistics.median(memory)
        from_file = FILE_BYTES / 8 / statistics.median(file)
        print(f"\nA 1 GiB file at {rate_hz:,.0f} Hz")
        print(f"{'words in memory to monitor, one thread':44} {in_memory / 1e6:8.1f} M words/s")
        print(f"{'muonstream process, start to summary':44} {from_file / 1e6:8.1f} M words/s")
        print(f"{'ratio':44} {from_file / in_memory:8.2f}")
        print(f"{'highest memory':44} {max(peaks) / 1024:8.0f} MiB")


if __name__ == "__main__":
    main()
