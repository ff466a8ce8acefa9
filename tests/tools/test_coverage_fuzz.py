from __future__ import annotations

import subprocess
import sys

import pytest

from tools.coverage_fuzz.__main__ import NAMES
from tools.coverage_fuzz.corpus import MOST_BYTES, chosen, kept
from tools.coverage_fuzz.seeds import seeds
from tools.coverage_fuzz.targets import TARGETS

SEEDS = seeds()


def test_all_targets_are_named_and_have_something_to_begin_with() -> None:
    assert set(NAMES) == set(TARGETS) == set(SEEDS)
    assert all(SEEDS.values())


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_taken_or_refused_by_name_whole_and_cut(name: str) -> None:
    """What fuzzing found, and good inputs with each of some bytes cut off or changed."""
    for data in SEEDS[name]:
        step = max(len(data) // 2, 1)
        changed = [data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :] for at in range(0, len(data), step)]
        for one in (b"", data, data[:-1], data[: len(data) // 2], *changed):
            TARGETS[name](one)
    for data in kept(name):
        TARGETS[name](data)


def test_inputs_are_chosen_from_all_lengths() -> None:
    found = [bytes([i]) * n for n in range(MOST_BYTES + 50) for i in (1, 2)]
    lengths = [len(data) for data in chosen(found, 10)]
    assert len(lengths) == 10
    assert min(lengths) == 1
    assert MOST_BYTES * 0.8 < max(lengths) <= MOST_BYTES


def test_without_the_library_one_line_says_what_is_missing() -> None:
    program = "import sys; sys.modules['atheris'] = None; from tools.coverage_fuzz.__main__ import main; "
    program += "sys.exit(main(['json']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "tools.coverage_fuzz: found no atheris, expected it: pip install 'muonstream[fuzz]'\n"
