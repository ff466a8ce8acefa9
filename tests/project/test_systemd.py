"""The units for systemd and the man page: accepted by the programs that read them, and for commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from muonstream.cli.app import app

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANUAL = DEPLOY / "muonstream.1"


def program(name: str) -> str:
    """Where a program is, which not every machine has."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    verify, true = program("systemd-analyze"), program("true")
    for unit in UNITS:
        # it looks for the program and the manual, which are not installed here
        text = unit.read_text("utf-8").replace("/opt/muonstream/bin/muonstream", true)
        (tmp_path / unit.name).write_text(text.replace("man:muonstream(1)", "https://example.org"), encoding="utf-8")
    names = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run([verify, "verify", *names], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "muonstream" in line]
    assert (len(UNITS), done.returncode, ours) == (3, 0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_the_units_little_exposed(unit: Path) -> None:
    """Of 10, where a unit without a sandbox has 9.6."""
    analyse = [program("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(analyse, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd is older than 250")
    assert (done.returncode, "Overall exposure level" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_start_a_command_with_options_that_it_has(unit: Path) -> None:
    found = re.search(r"^ExecStart=/opt/muonstream/bin/muonstream (\w+) (.*)$", unit.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    assert unit.stem == f"muonstream-{found[1]}"
    commands = vars(get_command(app))["commands"]
    known = {option for parameter in commands[found[1]].params for option in parameter.opts}
    assert {word for word in found[2].split() if word.startswith("--")} <= known


def test_the_manual_has_every_command_and_no_other() -> None:
    commands = vars(get_command(app))["commands"]
    listed = MANUAL.read_text("utf-8").partition(".SH COMMANDS")[2].partition(".SH ")[0]
    named = re.findall(r"^\.B (.+)$", listed, re.MULTILINE)
    assert named == sorted(name for name, command in commands.items() if not command.hidden)


def test_man_has_nothing_against_the_manual() -> None:
    done = subprocess.run([program("man"), "--warnings", "-l", str(MANUAL)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "muonstream" in done.stdout
