"""Play seeds: `python -m tools.deterministic --seeds 200 --first 1`; a seed alone plays the same scene again."""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from muonstream.commands import common
from tools.deterministic.scene import Scene
from tools.deterministic.world import Outcome, play

WORDS: Final = 3_000


def played(seed: int, words: int, stress: float = 1.0) -> Outcome:
    """The outcome of a seed; an error that the program does not expect is one of its differences."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="muonstream-", dir=memory if memory.is_dir() else None) as folder:
        try:
            return play(seed, words, Path(folder), stress)
        except Exception as error:
            outcome = Outcome(seed)
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcome.differences.append(f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")
            return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the seeds that are asked for, print a line for each that fails; 1 if one did."""
    parser = argparse.ArgumentParser(prog="python -m tools.deterministic", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--words", type=int, default=WORDS, help=f"of a scene, at most (default {WORDS})")
    parser.add_argument("--seconds", type=float, default=0.0, help="start no seed after this many seconds")
    parser.add_argument("--stress", type=float, default=1.0, help="times as many faults and crashes (default 1)")
    asked = parser.parse_args(arguments)
    common.err.quiet = True
    began = time.monotonic()
    seeds = crashes = calls = refused = lost = failed = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        if asked.seconds and time.monotonic() - began > asked.seconds:
            break
        outcome = played(seed, asked.words, asked.stress)
        # engines are cycles, which Python looks for less and less often: 12 GB after 1,200 seeds
        gc.collect()
        seeds, calls, crashes = seeds + 1, calls + outcome.calls, crashes + outcome.crashes
        refused, lost = refused + bool(outcome.refused), lost + bool(outcome.lost)
        if outcome.differences:
            failed += 1
            print(f"seed {seed}: {Scene.of(seed, asked.words).line()}")
            for difference in outcome.differences[:5]:
                print(f"  {difference}", flush=True)
    print(
        f"{seeds:,} seeds from {asked.first} on: {failed} with differences; {crashes:,} crashes, {calls:,} calls, "
        f"{refused} ended by name, {lost} with lost messages; {time.monotonic() - began:.1f} s"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
