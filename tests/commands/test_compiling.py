from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from numba import njit

from muonstream.commands.compiling import COMPILING, compiling

PROGRAM = """
from numba import njit
from muonstream.cli.logs import begin_logging
from muonstream.commands.compiling import compiling

begin_logging()

@njit(cache=True)
def one(x):
    return x + 1

@njit(cache=True)
def two(x):
    return one(x) + 1

with compiling():
    two(1)
    one(1.0)
"""


def test_compiling_is_said_once_to_the_terminal_and_the_page() -> None:
    told: list[str] = []

    def half(x: float) -> float:
        return x / 2

    kernel: Any = njit()(half)
    with compiling(told.append):
        kernel(1)
        kernel(1.0)
    assert told == [COMPILING]
    with compiling(told.append):
        kernel(2.0)
    assert told == [COMPILING]
    kernel(1j)
    assert told == [COMPILING]


def test_nothing_is_said_where_kernels_come_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(PROGRAM)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(tmp_path / "kernels.py")]
    said = [
        subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stderr for _ in range(2)
    ]
    assert said == [COMPILING + "\n", ""]
