"""Kernels are compiled without what other packages have registered with numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from muonstream.simulation.telescope import simulate_words


def test_a_command_does_not_import_what_others_registered_with_numba(tmp_path: Path) -> None:
    package = tmp_path / "site"
    (package / "noisy-1.dist-info").mkdir(parents=True)
    (package / "noisy-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1\n")
    (package / "noisy-1.dist-info" / "entry_points.txt").write_text("[numba_extensions]\ninit = noisy:register\n")
    (package / "noisy.py").write_text("def register():\n    print('registered')\n")
    file = tmp_path / "words.dat"
    simulate_words(2000).tofile(file)
    command = [sys.executable, "-m", "muonstream", "process", str(file)]
    path = os.pathsep.join([str(package), *sys.path])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert "registered" not in done.stdout
    # it is registered, so another program's kernels do import it
    other = "import numba\nnumba.njit(lambda x: x)(1)"
    command = [sys.executable, "-c", other]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert "registered" in done.stdout
