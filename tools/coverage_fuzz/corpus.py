"""Inputs that fuzzing found worth keeping, a text file a target, a line of base64 an input.

`python -m tools.coverage_fuzz.corpus FOLDER` adds, of the inputs in a fuzzer's folder, some of the smallest.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Final

from tools.coverage_fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).resolve().parents[2] / "tests" / "tools" / "fuzz_corpus"
MOST_INPUTS: Final = 40
MOST_BYTES: Final = 300
"""Of an input that is added. Others are better written by hand, as a test."""


def kept(name: str) -> list[bytes]:
    """The inputs of a target that are in the repository."""
    path = CORPUS / f"{name}.txt"
    return [base64.b64decode(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def chosen(found: list[bytes], most: int) -> list[bytes]:
    """Some of the inputs: evenly spread over their lengths, so that short ones do not crowd out all others."""
    small = sorted({data for data in found if 0 < len(data) <= MOST_BYTES}, key=lambda data: (len(data), data))
    return small if len(small) <= most else [small[i * len(small) // most] for i in range(most)]


def main() -> None:
    """Add inputs of a folder that has one folder a target."""
    CORPUS.mkdir(exist_ok=True)
    for name in TARGETS:
        before = kept(name)
        folder = Path(sys.argv[1]) / name
        found = [path.read_bytes() for path in folder.iterdir()] if folder.is_dir() else []
        more = [data for data in chosen(found, MOST_INPUTS - len(before)) if data not in before]
        lines = [base64.b64encode(data).decode() for data in (*before, *more)]
        if lines:
            (CORPUS / f"{name}.txt").write_text("\n".join(lines) + "\n", "ascii")
        print(f"{name}: {len(lines)} inputs, {len(more)} of them new")


if __name__ == "__main__":
    main()
