"""Runs in an archive, end to end: a live run that is killed, and an archived one on the page."""

from __future__ import annotations

import json
import re
import resource
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


@pytest.mark.parametrize("room_again", [True, False])
def test_a_disk_that_is_full_while_a_run_is_kept_does_not_end_it(tmp_path: Path, room_again: bool) -> None:
    """The limit of a file's size stands for the disk: what was kept before stays, and the run goes on."""
    folder = tmp_path / "archive"
    arguments = ["run", "sim:rate=20000", "--no-page", "--archive", str(folder), "--workers", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", KEPT_OFTEN, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        archive = Archive(folder, make=True)
        while not archive.rows():
            assert process.poll() is None
            time.sleep(0.05)
        whole = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10_000, whole[1]))
        lines = [process.stderr.readline()]
        while "--archive" not in lines[-1]:
            lines.append(process.stderr.readline())
        before = container.read_header(archive.path(archive.find("last")))[0]
        if room_again:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, whole)
            while archive.find("last").words <= before["account"]["words"]:
                assert process.poll() is None
                time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    said = [line for line in [*lines, *err.splitlines()] if "archive" in line]
    assert re.fullmatch(rf"muonstream: --archive: {folder}/\S+: cannot be written: File too large\n", said[0])
    assert not list(folder.glob(".*.part"))
    (row,) = archive.rows()
    assert not row.problem
    counted_words = int(re.search(r"([\d,]+) +words", out)[1].replace(",", ""))  # type: ignore[index]
    if room_again:
        assert (process.returncode, len(said), state_of(row), row.words) == (0, 1, "ended", counted_words)
    else:
        assert (process.returncode, len(said), state_of(row)) == (1, 2, "interrupted")
        assert said[1].startswith(f"muonstream: the run is not in the archive: {folder}")
        assert row.words == before["account"]["words"] < counted_words


def test_two_engines_with_one_name_keep_two_runs(tmp_path: Path) -> None:
    arguments = ["run", "sim:rate=5000,duration=5", "--no-page", "--pace", "max", "--run", "Run000591"]
    started = [
        subprocess.Popen(
            [*COMMAND, *arguments, "--archive", str(tmp_path / "archive"), "--report", str(tmp_path / "reports")],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    for process in started:
        _, said = process.communicate()
        assert process.returncode == 0, said
    rows = Archive(tmp_path / "archive").rows()
    assert [row.name for row in rows] == ["Run000591"] * 2
    assert rows[0].words == rows[1].words > 20_000
    assert len({row.id for row in rows}) == 2
    assert len(list((tmp_path / "reports").glob("*_Run000591*.html"))) == 2


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
