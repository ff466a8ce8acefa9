"""Kernels are compiled once, and without what other packages have registered with numba."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from muonstream.compiled import read_only
from muonstream.detector.model import Detector
from muonstream.formats import binary_form
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.survey import survey
from muonstream.survey.survey import Survey


def written_and_not(kernel: Any) -> set[bool]:
    """Whether the words could be written for which a kernel was compiled in this process."""
    return {signature[0].mutable for signature in kernel.dispatcher.signatures}


def test_kernels_that_only_read_words_are_compiled_once_for_arrays_that_can_be_written_and_others() -> None:
    words = simulate_words(2000)
    expected = Expected.of(Detector.default().channel_map())
    for given in (words, read_only(words)):
        Survey(expected.known).feed(given)
        assert binary_form.Weight.of(given, expected).good > 1900
    assert words.flags.writeable
    assert written_and_not(vars(survey)["_look"]) == written_and_not(vars(binary_form)["_weigh"]) == {False}


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


def test_of_the_kernels_only_those_that_are_called_are_made_for_numba() -> None:
    program = """
from muonstream import compiled
import muonstream.commands.process
import gc
made = lambda: sum(k._dispatcher is not None for k in gc.get_objects() if isinstance(k, compiled.Kernel))
print(made())
from muonstream.formats.plausible import find_step
import numpy as np
print(find_step.__name__, find_step.__module__, find_step.__doc__ is not None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "find_step", "muonstream.formats.plausible", "True"]
