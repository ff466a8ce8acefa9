"""The wheel as users get it: built, installed into an empty environment, and run there (`make release-test`).

python -m tools.release [--no-deps]

--no-deps installs the wheel alone, and checks only what needs no other package.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "src"
WORDS: Final = 20_000


class ReleaseError(Exception):
    """What is wrong with the wheel, in one line."""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and give what it printed. Raises ReleaseError when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ReleaseError(f"{' '.join(str(part) for part in command)}: exit code {done.returncode}: {''.join(last)}")
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, built from this checkout into a folder."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def missing(wheel: Path) -> list[str]:
    """Files of the package that are not in the wheel; bytecode does not count."""
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    files = [path for path in (SOURCE / "muonstream").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(name for path in files if (name := path.relative_to(SOURCE).as_posix()) not in there)


def check_installed(folder: Path, wheel: Path, *, dependencies: bool) -> None:
    """Install the wheel into an empty environment below the folder, and run it. Raises ReleaseError."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    python = programs / "python"
    options = () if dependencies else ("--no-deps",)
    run(python, "-m", "pip", "install", "--quiet", *options, wheel)
    version = run(python, "-I", "-c", "import muonstream; print(muonstream.__version__)", cwd=folder).strip()
    if f"-{version}-" not in wheel.name:
        raise ReleaseError(f"{wheel.name}: found muonstream {version} in it, expected the version of its name")
    if not dependencies:
        return
    command = programs / "muonstream"
    if version not in (said := run(command, "--version", cwd=folder)):
        raise ReleaseError(f"muonstream --version: found {said.strip()!r}, expected {version}")
    run(command, "simulate", "sim.dat", "--words", str(WORDS), cwd=folder)
    run(command, "process", "sim.dat", "--summary", "out.json", cwd=folder)
    account = json.loads((folder / "out.json").read_text("utf-8"))["account"]
    if account["words"] != WORDS or not account["balanced"]:
        raise ReleaseError(f"muonstream process: found the account {account}, expected {WORDS} words that balance")
    program = "import muonstream; print(muonstream.analyse('sim.dat').account.words)"
    if (found := run(python, "-I", "-c", program, cwd=folder).strip()) != str(WORDS):
        raise ReleaseError(f"muonstream.analyse: found {found} words, expected {WORDS}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, install and run; 1 with one line for what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--no-deps", action="store_true", help="install the wheel alone")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="muonstream-release-") as name:
        folder = Path(name)
        try:
            wheel = build(folder)
            if lacking := missing(wheel):
                raise ReleaseError(f"{wheel.name}: does not have {', '.join(lacking)}")
            check_installed(folder, wheel, dependencies=not asked.no_deps)
        except ReleaseError as error:
            print(f"tools.release: {error}", file=sys.stderr)
            return 1
        print(f"{wheel.name} was built and installed{'' if asked.no_deps else ', and counts words'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
