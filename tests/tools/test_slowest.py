from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.slowest import FIRST, TESTS_SHOWN, TOGETHER, lines, place, unit


def test_files_that_go_first_are_there_once() -> None:
    assert [name for name in FIRST if not (Path(__file__).parents[1] / name).is_file()] == []
    assert len(set(FIRST)) == len(FIRST)


def test_slow_files_come_first_and_the_others_stay_in_order() -> None:
    files = ["tests/test_a.py", f"tests/{FIRST[1]}", "tests/test_b.py", f"tests/{FIRST[0]}"]
    assert sorted(files, key=place) == [files[3], files[1], files[0], files[2]]


def test_files_that_share_what_starts_slowly_are_one_unit() -> None:
    assert set(TOGETHER) <= set(FIRST)
    assert len({unit(f"tests/{name}") for name in TOGETHER}) == 1
    assert unit("tests/test_a.py") == "tests/test_a.py"


def test_a_worker_takes_a_unit_as_a_whole(tmp_path: Path) -> None:
    for name in (*TOGETHER, "other/test_other.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("def test_it(): pass\n", "utf-8")
    command = [
        "-m",
        "pytest",
        "-p",
        "tools.slowest",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
        "-v",
        "--rootdir",
        ".",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    taken = [line.split()[0] for line in done.stdout.splitlines() if "PASSED" in line and "test_other" not in line]
    assert len(taken) == len(TOGETHER)
    assert len(set(taken)) == 1, done.stdout


def test_what_failed_beside_the_tests_is_named_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    from tools.test import Beside

    assert Beside([("no_such_module", "x"), ("tabnanny", "tools/slowest.py")]).failed() == ["no_such_module x"]
    said = capsys.readouterr().out
    assert "$ no_such_module x (beside the tests): " in said
    assert "No module named no_such_module" in said
    assert "$ tabnanny tools/slowest.py (beside the tests): passed" in said


def test_the_slowest_tests_and_all_files_are_listed() -> None:
    seconds = {f"tests/test_{file}.py::test_{i}": float(i) for file in "ab" for i in range(TESTS_SHOWN)}
    found = [line.split() for line in lines({**seconds, "tests/test_c.py::test_c[x::y]": 1000.0})]
    assert found[0] == ["1000.0", "tests/test_c.py::test_c[x::y]"]
    assert len(found) == TESTS_SHOWN + 1 + 3
    assert found[TESTS_SHOWN] == ["1600.0", "all", "files,", "of", "which:"]
    assert found[-3:] == [["1000.0", "tests/test_c.py"], ["300.0", "tests/test_a.py"], ["300.0", "tests/test_b.py"]]


def test_a_run_without_tests_has_no_times() -> None:
    assert list(lines({})) == ["     0.0  all files, of which:"]


@pytest.mark.parametrize("arguments", [["-n", "2"], ["-n3"], ["--dist=load"], ["--pdb"]])
def test_who_says_how_many_at_once_is_left_alone(arguments: list[str]) -> None:
    from tools.test import at_once

    assert at_once(arguments) == []
    assert at_once([])[0] == "-n"
