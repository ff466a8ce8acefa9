"""Compile the kernels before the tests need them: test processes that start together would each compile all of them.

python -m tools.warm                  all groups, each in a process of its own
python -m tools.warm words text       these groups, in this process

What is compiled is stored beside the modules, or where NUMBA_CACHE_DIR says. A kernel that no group uses is compiled
by the first test that calls it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.simulation.telescope import simulate_words
from tools.streams import WRITERS, StreamConfig, make_words

BINARY: Final = ("words", "dma")


class WarmError(Exception):
    """A command failed; the message says which and why."""


def command(*arguments: str) -> None:
    """Run a muonstream command in this process. Raises WarmError."""
    done = CliRunner().invoke(app, arguments)
    if done.exit_code:
        raise WarmError(
            f"muonstream {' '.join(arguments)}: exit code {done.exit_code}: {done.output or done.exception}"
        )


def words(folder: Path) -> None:
    """Binary words: simulated, decoded, built into frames, counted, with and without muons, inspected."""
    simulated = str(folder / "words.dat")
    simulate_words(60_000, rate_hz=3000, muon_rate_hz=120, seed=1).tofile(simulated)
    command("process", "--reconstruct", simulated)
    command("inspect", simulated)
    for form in BINARY:
        written(form, folder)


def text(folder: Path) -> None:
    """Each form of text, decoded and counted."""
    for form in WRITERS:
        if form not in BINARY:
            written(form, folder)


def written(form: str, folder: Path) -> None:
    """Process a small file of this form."""
    path = folder / f"{form.replace(' ', '_')}.dat"
    path.write_bytes(WRITERS[form](make_words(StreamConfig(words=3000))))
    command("process", str(path))


GROUPS: Final[dict[str, Callable[[Path], None]]] = {"words": words, "text": text}


def main(arguments: Sequence[str]) -> int:
    """Compile the groups named, in this process; without names all groups, in processes of their own."""
    if not arguments:
        processes = [subprocess.Popen([sys.executable, "-m", "tools.warm", name]) for name in GROUPS]
        return max(process.wait() for process in processes)
    unknown = [name for name in arguments if name not in GROUPS]
    if unknown:
        print(f"warm: found {unknown[0]!r}, expected {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="muonstream-") as folder:
        for name in arguments:
            try:
                GROUPS[name](Path(folder))
            except WarmError as error:
                print(f"warm: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
