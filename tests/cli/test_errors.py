from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muonstream.cli.app import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["simulate", "x", "--words", "0"], "'--words': found '0', expected greater than or equal to 1"),
        (["run", "sim:", "--port", "abc"], "'--port': found 'abc', expected a valid integer"),
        (["run", "sim:", "--port", "99999"], "'--port': found '99999', expected less than or equal to 65535"),
        (["topics", "create", "kafka://x", "--retention-hours", "-1"], "'--retention-hours': found '-1', expected "),
    ],
)
def test_wrong_options_say_what_was_found_and_what_is_allowed(command: list[str], line: str) -> None:
    found = RUNNER.invoke(app, command)
    assert found.exit_code == 2
    assert f"Error: Invalid value for {line}" in found.output


def test_a_choice_that_is_none_is_named_with_those_there_are() -> None:
    found = RUNNER.invoke(app, ["run", "sim:", "--engine", "flink"])
    assert found.exit_code == 2
    assert "Invalid value for '--engine': found 'flink', expected local, spark" in found.output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sim:", "--engine", "spark"], "--engine spark: found sim:, expected a topic: "),
        (["sim:", "--store-every", "1"], "--store-every: found sim:, expected a topic: "),
        (["sim:", "--kafka-properties", "x"], "--kafka-properties: found sim:, expected a topic: "),
        (["sim:", "--trigger", "1s"], "--trigger: found --engine local, allowed with --engine spark only"),
        (["sim:", "--notify-limit", "5"], "--notify-limit: found no --notify, allowed with --notify only"),
        (["kafka://h/x", "-f", "json"], "--format: found kafka://h/x, expected files, "),
        (["kafka://h/x", "--pace", "5"], "--pace: found kafka://h/x, expected files, "),
        (["kafka://h/x", "--engine", "spark", "--workers", "2"], "--workers: found --engine spark, expected "),
        (["kafka://h/x", "--engine", "spark", "--store-every", "2"], "--store-every: found --engine spark, expected "),
    ],
)
def test_options_that_would_do_nothing_are_refused(arguments: list[str], line: str) -> None:
    found = RUNNER.invoke(app, ["run", *arguments])
    assert found.exit_code == 1
    assert found.stderr.startswith(f"muonstream: {line}")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["run", "none.dat"], "none.dat: no such file or folder"),
        (["run", "none.dat", "--no-follow", "--port", "0"], "none.dat: no such file or folder"),
        (
            ["run", "here.dat", "--reference", "none.musn"],
            "none.musn: no such file for --reference; a run by its name needs --archive",
        ),
        (["process", "here.dat", "none.dat", "nor.dat"], "none.dat: no such file\nmuonstream: nor.dat: no such file"),
        (["calibrate", "none.dat", "-o", "new.toml"], "none.dat: no such file"),
    ],
)
def test_missing_files_are_told_before_anything_heavy_is_loaded(
    tmp_path: Path, arguments: list[str], missing: str
) -> None:
    """So no address of a page is printed, and no kernel compiled, for a name with a slip of the pen."""
    (tmp_path / "here.dat").write_bytes(bytes(800))
    heavy = ("numpy", "numba", "bokeh", "starlette", "uvicorn")
    program = (
        f"import sys, atexit; sys.argv = ['muonstream', *{arguments}]\n"
        f"atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))\n"
        "from muonstream.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (1, f"muonstream: {missing}\n", "[]\n")


@pytest.mark.parametrize("digits", ["²", "9" * 5000])
@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("simulate", "/dev/null", "--hot-cell"), "--hot-cell"),
        (("run", "kafka://127.0.0.1:1/frames", "--no-page", "--kafka-timeout", "1", "--from"), "--from"),
    ],
)
def test_digits_that_are_no_number_are_refused_by_name(arguments: tuple[str, ...], option: str, digits: str) -> None:
    done = CliRunner().invoke(app, [*arguments, f"{digits}:{digits}"])
    assert done.exit_code == 1
    assert f"{option}: found" in done.stderr
    assert isinstance(done.exception, SystemExit)
