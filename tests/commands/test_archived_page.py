"""Runs in an archive, end to end: a live run that is killed, and an archived one on the page."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from archived_runs import PROVENANCE, counted

from muonstream.archive import container
from muonstream.archive.archive import Archive, state_of

COMMAND = [sys.executable, "-m", "muonstream"]
KEPT_OFTEN = "import muonstream.archive.archive as a; a.REFRESH_S = 0.2; from muonstream.cli.app import main; main()"
"""The command line with a run kept five times a second, not once a minute."""


def test_a_killed_run_is_there_as_interrupted_and_one_that_ends_as_ended(tmp_path: Path) -> None:
    arguments = ["run", "sim:rate=5000", "--no-page", "--archive", str(tmp_path / "archive"), "--workers", "0"]
    killed = subprocess.Popen([sys.executable, "-c", KEPT_OFTEN, *arguments], stderr=subprocess.DEVNULL)
    archive = Archive(tmp_path / "archive", make=True)
    while not archive.rows():
        assert killed.poll() is None
        time.sleep(0.05)
    assert state_of(archive.find("last")) == "running"
    killed.kill()
    killed.wait()
    row = archive.find("last")
    assert (row.state, state_of(row)) == ("running", "interrupted")
    container.read(archive.path(row))
    seconds = ["run", "sim:rate=5000,duration=2", *arguments[2:], "--pace", "max"]
    subprocess.run([*COMMAND, *seconds], check=True, capture_output=True)
    rows = archive.rows()
    assert [state_of(one) for one in rows] == ["interrupted", "ended"]


@pytest.mark.parametrize("by_folder", [False, True])
def test_an_archived_run_is_on_the_page(tmp_path: Path, by_folder: bool) -> None:
    path = Archive(tmp_path).save(counted(1), PROVENANCE)
    Archive(tmp_path).save(counted(2), PROVENANCE)
    source = [str(tmp_path), "--run", "sim1"] if by_folder else [str(path)]
    with subprocess.Popen(
        [*COMMAND, "dashboard", *source, "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"\(ended\) is at (http://\S+)", line)
        assert found, line
        with urllib.request.urlopen(f"{found[1].rstrip('/')}/api/snapshot", timeout=60) as answer:
            shown = json.load(answer)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert (shown["run"], shown["words"]) == ("sim1", 40_000)
