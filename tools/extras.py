"""Each extra of the wheel, installed into an empty environment of its own and used there (`make release-test`).

python -m tools.extras [EXTRA...]      all of them, and `requirements`, without names

`requirements` is deploy/requirements.txt, installed with --require-hashes, in which all extras but Spark have to work.
Each use is first tried where the wheel is installed without extras, and has to fail there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tools.hashed import EXTRAS, LOCK
from tools.release import WORDS, ReleaseError, build, run

USES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hist": "import muonstream; assert muonstream.analyse('sim.dat').hists['drift_tdc'].sum() > 0",
        "toml": "from muonstream.detector.edit import edited_toml; from muonstream.detector.file import detector_toml; "
        "from muonstream.detector.model import Detector; one = Detector.default(); "
        "edited_toml(detector_toml(one), one)",
        "remote": "import muonstream, pathlib, s3fs; "
        f"assert muonstream.analyse(pathlib.Path('sim.dat').resolve().as_uri()).account.words == {WORDS}",
        "kafka": "from muonstream.kafka.client import client_library; client_library().Producer({})",
        "parquet": "import subprocess, sys; "
        "command = ['simulate', 'some.dat', '--words', '2000', '--truth', 't.parquet']; "
        "subprocess.run([sys.executable, '-m', 'muonstream', *command], check=True); "
        "import pyarrow.parquet; assert pyarrow.parquet.read_table('t.parquet').num_rows > 0",
        "tables": "import muonstream; assert sum(len(batch) for batch in muonstream.hits('sim.dat')) > 0",
        "root": "import subprocess, sys; "
        "command = ['export', 'sim.dat', '--table', 'hits', '--output', 'h.root', '--force']; "
        "subprocess.run([sys.executable, '-m', 'muonstream', *command], check=True); "
        "import uproot; assert uproot.open('h.root')['hits'].num_entries > 0",
        "notify": "from muonstream.sinks.notify import Service; Service('json://localhost/')",
        "zstd": "import sys, pathlib, muonstream; "
        "new = sys.version_info >= (3, 14); "
        "compression = __import__('compression.zstd').zstd if new else __import__('zstandard'); "
        "pathlib.Path('sim.zst').write_bytes(compression.compress(pathlib.Path('sim.dat').read_bytes())); "
        f"assert muonstream.analyse('sim.zst').account.words == {WORDS}",
        "spark": "from muonstream.spark.session import spark_version; spark_version(); "
        "from pyspark.sql import SparkSession",
    }
)
"""A program for each extra that needs it, run in a folder with `sim.dat`."""
REQUIREMENTS: Final = "requirements"


def environment(folder: Path, *requirements: str | Path) -> Path:
    """The interpreter of a new environment with these installed. Raises ReleaseError."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    for one in requirements:
        locked = ("--require-hashes", "--only-binary=:all:", "-r") if one == LOCK else ()
        run(python, "-m", "pip", "install", "--quiet", "--no-compile", *locked, one)
    return python


def fails(python: Path, extra: str, folder: Path) -> str:
    """The last line of what the use of an extra says when it fails, "" when it works."""
    command = [str(python), "-I", "-c", USES[extra]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["failed"])[-1]


def unmet(python: Path, extras: Iterable[str], folder: Path) -> None:
    """Raise ReleaseError for the first extra that does not work."""
    for extra in extras:
        if why := fails(python, extra, folder):
            raise ReleaseError(f"{extra}: {why}")


def tried(name: str, wheel: Path, folder: Path) -> str:
    """Install an extra, or the locked requirements, and use it; gives what was tried. Raises ReleaseError."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if name != REQUIREMENTS:
            unmet(environment(Path(place), f"{wheel}[{name}]"), [name], folder)
            return "installed and used"
        python = environment(Path(place), LOCK)
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", wheel)
        run(python, "-m", "pip", "check")
        unmet(python, EXTRAS, folder)
        return f"installed with --require-hashes, used: {', '.join(EXTRAS)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try them; 1 with a line for each that fails."""
    parser = argparse.ArgumentParser(prog="python -m tools.extras", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"of {', '.join(USES)}, {REQUIREMENTS}")
    names = parser.parse_args(arguments).extras or [*USES, REQUIREMENTS]
    if wrong := [name for name in names if name not in (*USES, REQUIREMENTS)]:
        parser.error(f"found {wrong[0]}, expected one of {', '.join(USES)}, {REQUIREMENTS}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="muonstream-extras-") as place:
        folder = Path(place)
        try:
            wheel = build(folder)
            bare = environment(folder / "bare", wheel)
            run(bare.with_name("muonstream"), "simulate", "sim.dat", "--words", str(WORDS), cwd=folder)
        except ReleaseError as error:
            print(f"tools.extras: {error}", file=sys.stderr)
            return 1
        for name in names:
            began = time.monotonic()
            try:
                if name in USES and not fails(bare, name, folder):
                    raise ReleaseError("works without it too: this use shows nothing")
                done = tried(name, wheel, folder)
            except ReleaseError as error:
                failed, done = failed + 1, f"FAILED: {error}"
            print(f"{name:14} {done} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
