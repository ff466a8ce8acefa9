"""What a release consists of: `python -m tools.artefacts FOLDER` (`make release`).

Wheel and source archive, built twice from this checkout, which must give the same bytes; the bill of materials
(CycloneDX), a list of licences, and the check sums of all. It fetches the build's own packages, at pinned versions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.bill import bill, licences
from tools.hashed import LOCK
from tools.release import ROOT, ReleaseError

SUMS: Final = "SHA256SUMS"


def last_change() -> str:
    """The time of the last commit, unix seconds, which all times in the archives are."""
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"SOURCE_DATE_EPOCH is not set, and git does not know it: {done.stderr.strip()}")
    return done.stdout.strip()


def build(python: Path, folder: Path, epoch: str) -> dict[str, bytes]:
    """Wheel and source archive by name, built by an interpreter that has the build's packages."""
    command = [str(python), "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": str(len(str(folder)))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"hatchling: exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, and their check sums, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    for name, content in {**files, SUMS: sums.encode()}.items():
        (folder / name).write_bytes(content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all; 1 with one line for what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.artefacts", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        epoch = os.environ.get("SOURCE_DATE_EPOCH") or last_change()
        with tempfile.TemporaryDirectory(prefix="muonstream-build-") as name:
            venv.create(Path(name) / "venv", with_pip=True)
            python = Path(name) / "venv/bin/python"
            constraints = ("--constraint", str(ROOT / "constraints.txt"))
            install = [str(python), "-m", "pip", "install", "--quiet", *constraints, "hatchling"]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ReleaseError(f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
            files = build(python, Path(name) / "one", epoch)
            again = build(python, Path(name) / "another", epoch)
        if files != again:
            differ = [name for name in files if files[name] != again.get(name)]
            raise ReleaseError(f"built twice, these differ: {', '.join(differ)}")
        document = bill()
        files["sbom.cdx.json"] = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
        files[LOCK.name] = LOCK.read_bytes()
        files["LICENCES.txt"] = ("\n".join(licences(document)) + "\n").encode()
        write(folder, files)
    except (ReleaseError, ValueError) as error:
        print(f"tools.artefacts: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {', '.join(sorted(files))}; built twice, the same bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
