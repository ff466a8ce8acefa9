"""What a laboratory installs, with the checksum of each file: `python -m tools.hashed` writes deploy/requirements.txt.

The versions are those of constraints.txt, for all formats and services but Spark. The files are wheels for Linux on
x86-64, for each supported Python: pip downloads them to compute their checksums. `pip install --require-hashes` then
refuses any file that is another one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tools.release import ROOT, ReleaseError

EXTRAS: Final = ("hist", "toml", "remote", "kafka", "parquet", "tables", "root", "notify", "zstd")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64")
LOCK: Final = ROOT / "deploy" / "requirements.txt"
HEADER: Final = """\
# What muonstream needs to run, without Spark, and the checksum of each file, for Linux on x86-64 with Python {pythons}:
#   pip install --require-hashes -r requirements.txt && pip install --no-deps muonstream-VERSION-py3-none-any.whl
# Written by 'python -m tools.hashed'; do not edit.
"""
Hashes = dict[tuple[str, str], set[str]]


def report_of(python: str) -> Mapping[str, Any]:
    """pip's report of what it would install for a version of Python. Raises ReleaseError."""
    with tempfile.TemporaryDirectory() as folder:
        platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--report", "-"]
        command += ["--target", folder, "--python-version", python, "--only-binary=:all:", *platforms]
        command += ["--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[{','.join(EXTRAS)}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"pip: Python {python}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return dict(json.loads(done.stdout))


def add(found: Hashes, report: Mapping[str, Any]) -> None:
    """Add the checksums of a report; what is installed from a folder, as muonstream itself, has none."""
    for one in report["install"]:
        hashes = one["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" in hashes:
            place = (one["metadata"]["name"].lower().replace("_", "-"), one["metadata"]["version"])
            found.setdefault(place, set()).add(hashes["sha256"])


def lines(found: Hashes, pythons: Iterable[str]) -> str:
    """The text of a file of requirements with hashes."""
    out = [HEADER.format(pythons=", ".join(pythons))]
    for (name, version), hashes in sorted(found.items()):
        out.append(
            f"{name}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in sorted(hashes)) + "\n"
        )
    return "".join(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; 1 with one line for what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.hashed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", nargs="+", default=PYTHONS, help=f"versions (default {' '.join(PYTHONS)})")
    asked = parser.parse_args(arguments)
    found: Hashes = {}
    try:
        for number, python in enumerate(asked.python, 1):
            add(found, report_of(python))
            # after each, as all of them take long where the network is slow
            LOCK.write_text(lines(found, asked.python[:number]), "utf-8")
    except ReleaseError as error:
        print(f"tools.hashed: {error}", file=sys.stderr)
        return 1
    print(f"{LOCK}: {len(found)} packages, {sum(map(len, found.values()))} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
