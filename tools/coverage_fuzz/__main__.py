"""Fuzz a target: `python -m tools.coverage_fuzz json --seconds 60`; without a name, each in turn.

It needs `pip install 'muonstream[fuzz]'`. Kernels run as Python, so that the fuzzer sees which lines an input reaches.
Inputs that reach new ones are kept in the folder given, and found there again, so that hours can be added up; an input
that must not be is written beside them, and `python -m tools.coverage_fuzz TARGET --input FILE` takes it alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NAMES: Final = (
    "input",
    "table",
    "recognition",
    "json",
    "frame",
    "messages",
    "snapshot",
    "state",
    "store",
    "toml",
    "archive",
    "query",
)
ROOMS: Final = ("formats", "sources", "kafka", "archive", "dashboard", "run", "sinks", "detector", "packing")
"""What the fuzzer watches: where bytes from outside are read."""
FOLDER: Final = Path("build/fuzz")
MOST_BYTES: Final = 1 << 16
"""Of an input. Longer ones show nothing that shorter ones do not, and take longer."""


def interpret() -> None:
    """Have kernels run as Python, where arithmetic wraps around as it does in compiled code."""
    from tools.interpreted import pytest_load_initial_conftests

    pytest_load_initial_conftests()
    warnings.simplefilter("ignore", RuntimeWarning)


def fuzz(name: str, seconds: int, folder: Path) -> int:
    """Fuzz a target in this process, which ends with it: the library calls exit."""
    try:
        import atheris
    except ImportError:
        print("tools.coverage_fuzz: found no atheris, expected it: pip install 'muonstream[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=[f"muonstream.{room}" for room in ROOMS]):
        from tools.coverage_fuzz.targets import TARGETS
    from tools.coverage_fuzz.seeds import seeds

    kept = folder / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()[name]):
        (kept / f"seed-{number}").write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=20", "-rss_limit_mb=3000"]
    options += [f"-artifact_prefix={kept}-", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *options, str(kept)], TARGETS[name])
    atheris.Fuzz()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz one target, or each in a process of its own; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.coverage_fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", nargs="?", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default 60)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where inputs are kept (default {FOLDER})")
    parser.add_argument("--input", type=Path, help="take this file alone")
    asked = parser.parse_args(arguments)
    if asked.target:
        interpret()
    if asked.target and asked.input:
        from tools.coverage_fuzz.targets import TARGETS

        TARGETS[asked.target](asked.input.read_bytes())
        return 0
    if asked.target:
        return fuzz(asked.target, asked.seconds, asked.folder)
    failed = []
    for name in NAMES:
        command = [sys.executable, "-m", "tools.coverage_fuzz", name, "--seconds", str(asked.seconds)]
        done = subprocess.run([*command, "--folder", str(asked.folder)], capture_output=True, text=True, check=False)
        lines = [line for line in done.stderr.splitlines() if "number_of_executed" in line or "ERROR" in line]
        print(f"{name}: {'; '.join(lines) or done.stderr.strip()[-200:]}", flush=True)
        if done.returncode:
            failed.append(name)
    print(f"found something: {', '.join(failed)}" if failed else "nothing found")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
