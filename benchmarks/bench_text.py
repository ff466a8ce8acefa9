"""Tables and JSON lines from disk cache to words, on one thread, beside polars and pyarrow reading the same files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl
import pyarrow.json

from benchmarks.timing import medians, table
from muonstream.commands.simulate import table_of
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.files import read_blocks
from muonstream.words import decode

ROWS = 2_000_000


def main() -> None:
    """Measure and print."""
    words = simulate_words(ROWS, rate_hz=1e6, start_orbit=3_000_000_000)
    names = ["HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS"]
    with tempfile.TemporaryDirectory() as folder:
        csv, json = Path(folder) / "hits.csv", Path(folder) / "hits.json"
        csv.write_bytes((",".join(names) + "\n").encode() + table_of(words))
        f = decode(words)
        columns = (f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        with json.open("w") as handle:
            for row in rows:
                handle.write("{" + ", ".join(f'"{n}": {v}' for n, v in zip(names, row, strict=True)) + "}\n")

        def ours(path: Path) -> int:
            return sum(len(block.words) for block in read_blocks(str(path)))

        if ours(csv) != ROWS or ours(json) != ROWS:
            raise SystemExit("rows were lost")
        seconds = medians({"polars.read_csv": lambda: pl.read_csv(csv), "muonstream": lambda: ours(csv)})
        table("The course's table", ROWS, "rows", seconds, "polars.read_csv")
        options = pyarrow.json.ReadOptions(use_threads=False)
        seconds = medians(
            {"pyarrow.json": lambda: pyarrow.json.read_json(json, options), "muonstream": lambda: ours(json)}
        )
        table("The notebook's JSON lines", ROWS, "hits", seconds, "pyarrow.json")


if __name__ == "__main__":
    main()
