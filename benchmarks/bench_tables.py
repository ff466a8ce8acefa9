"""Hits of a file of words to Parquet, beside pyarrow writing the same columns from memory, with the most memory used.

Both write zstd with row groups of the same size, each in a process of its own, in turn.

    python -m benchmarks.bench_tables            # 20 million simulated words
    python -m benchmarks.bench_tables FILE       # words of your own
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from muonstream.simulation.telescope import simulate_words

WORDS = 20_000_000
SIMULATED_WORDS = 2_000_000
ROUNDS = 3

# seconds and the most memory of a process that exports; the kernels are loaded by a small file before
EXPORT = """
import json, resource, sys, time
from pathlib import Path
from muonstream.commands.export import ExportOptions, export
small, large, out = sys.argv[1:]
for source, target in ((small, out + ".small.parquet"), (large, out)):
    began = time.perf_counter(), time.process_time()
    export([source], ExportOptions(output=Path(target), detector_name="telescope", merge=True, force=True))
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""

# the same columns from memory, in batches of the same size
WRITE = """
import json, sys, time
import pyarrow.parquet as parquet
from muonstream.tables.batches import BATCH_ROWS
made, out = sys.argv[1:]
table = parquet.read_table(made)
batches = table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
began = time.perf_counter(), time.process_time()
with parquet.ParquetWriter(out, table.schema, compression="ZSTD") as writer:
    for batch in batches:
        writer.write_batch(batch)
print(json.dumps([time.perf_counter() - began[0], time.process_time() - began[1], table.num_rows]))
"""


def _run(program: str, *arguments: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args([] if arguments is None else arguments)
    with tempfile.TemporaryDirectory() as folder:
        small, large, out, again = (
            Path(folder) / name for name in ("small.dat", "large.dat", "hits.parquet", "again.parquet")
        )
        words = simulate_words(SIMULATED_WORDS, rate_hz=1e6)
        words[:100_000].astype("<u8").tofile(small)
        if options.file is None:
            with large.open("wb") as handle:
                for _ in range(WORDS // SIMULATED_WORDS):
                    words.astype("<u8").tofile(handle)
        else:
            large = options.file
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(_run(EXPORT, small, large, out))
            theirs.append(_run(WRITE, out, again))
        rows = int(theirs[0][2])
        print(f"\nhits to Parquet, zstd ({rows:,} rows of {large.stat().st_size / 2**20:,.0f} MiB of words)")
        print(f"{'':44} {'M rows/s':>10} {'s':>8} {'CPU s':>8} {'most MiB':>9}")
        for name, measured in (("pyarrow, columns in memory", theirs), ("muonstream, words in a file", ours)):
            wall, processor = (statistics.median(one[i] for one in measured) for i in (0, 1))
            memory = f"{max(one[2] for one in measured):9,.0f}" if measured is ours else ""
            print(f"{name:44} {rows / wall / 1e6:10.1f} {wall:8.2f} {processor:8.2f} {memory}")
        ratio = statistics.median(other[0] / one[0] for one, other in zip(ours, theirs, strict=True))
        print(f"share of pyarrow's speed: {ratio:.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
