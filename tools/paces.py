"""python -m tools.paces: the same words at several paces, and by `process`, have the same time line of verdicts.

Fifteen minutes of simulated words with three faults in them are written to a file. `muonstream run` reads it at each
pace, `muonstream process --verdicts` at once, all at the same time, with different numbers of workers and intervals
between snapshots. Prints a table, and fails where a time line differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tools.night import Episode, words_of, write

SECONDS: Final = 900.0
FAULTS: Final = (("noisy cell", 300.0, 0.2, 0.35), ("dead chamber", 60.0, 0.5, 0.6), ("dead cell", 1.0, 0.8, 1.0))
"""Name, size, and which part of the time it is there."""
PACES: Final = ("max", "600", "60", "10", "1")
DEADLINE: Final = 3.0
"""All have so many times as long as the data took, and so many minutes more."""


def episodes(seconds: float) -> list[Episode]:
    """The faults that are in so many seconds."""
    return [Episode(name, size, begin * seconds, end * seconds) for name, size, begin, end in FAULTS]


def commands(file: Path, folder: Path, paces: Sequence[str]) -> dict[str, list[str]]:
    """The commands by name; each writes its summary to the folder, under its name."""
    muonstream = [sys.executable, "-m", "muonstream"]
    out = {"process": [*muonstream, "process", "--verdicts", "--reconstruct", "--summary"]}
    for n, pace in enumerate(paces):
        how = ["--pace", pace, "--no-page", "--reconstruct", "--workers", str(n % 3), "--interval", f"{0.5 + n / 4:g}"]
        # a file that is read at once would be followed as it grows
        ends = ["--no-follow"] if pace == "max" else []
        out[f"run --pace {pace}"] = [*muonstream, "run", *how, *ends, "--summary"]
    return {name: [*words, str(folder / f"{name}.json"), str(file)] for name, words in out.items()}


def watched(names: dict[str, list[str]], folder: Path, seconds: float) -> dict[str, float]:
    """Run the commands at the same time; gives how long each took, s. Raises RuntimeError for one that fails."""
    begun = time.monotonic()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    took: dict[str, float] = {}
    try:
        for name, words in names.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        while len(took) < len(names):
            for name, process in processes.items():
                code = process.poll()
                if name not in took and code is not None:
                    took[name] = time.monotonic() - begun
                    if code:
                        raise RuntimeError(f"{name}: exit code {code}\n{(folder / f'{name}.log').read_text()}")
            if time.monotonic() - begun > 60 * DEADLINE + DEADLINE * seconds:
                late = ", ".join(name for name in names if name not in took)
                raise RuntimeError(f"{late}: found no end after {time.monotonic() - begun:.0f} s")
            time.sleep(0.2)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    return {name: took[name] for name in names}


def table(verdicts: dict[str, dict[str, Any]], took: dict[str, float]) -> list[str]:
    """The lines of the table, in Markdown: each time line beside the first."""
    lines = ["| read by | took | changes of level | headline | time line |", "|---|---|---|---|---|"]
    first = next(iter(verdicts.values()))
    for name, one in verdicts.items():
        same = "the first" if one is first else "equal" if one == first else "**differs**"
        lines.append(f"| `{name}` | {took[name]:.0f} s | {one['changes']} | {one['headline']} | {same} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Read at all paces, print the table; gives 1 where a time line differs, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of data time")
    parser.add_argument("--rate", type=float, default=5000.0, help="words a second")
    parser.add_argument("--paces", nargs="+", default=PACES, help="of run; 1 takes as long as the data")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name)
        n = write(folder / "words.dat", words_of(episodes(options.seconds), options.seconds, options.rate))
        names = commands(folder / "words.dat", folder, options.paces)
        took = watched(names, folder, options.seconds)
        verdicts = {name: json.loads((folder / f"{name}.json").read_text())["verdicts"] for name in names}
    print(f"{n:,} words, {options.seconds / 60:g} min at {options.rate:g} Hz")
    print("\n".join(table(verdicts, took)))
    for change in next(iter(verdicts.values()))["history"]:
        levels = f"{change['before']} to {change['after']}"
        print(f"  {change['data_time_s']:6.1f} s {levels}: {change['check']}: {change['subject']}")
    return int(any(one != next(iter(verdicts.values())) for one in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
