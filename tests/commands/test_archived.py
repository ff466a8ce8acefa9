"""`muonstream runs` and `report` as they are typed, on runs that `process` archived."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archived_runs import PROVENANCE, counted
from commands import run_command

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.commands.archived import spark
from muonstream.commands.archiving import Archiving
from muonstream.simulation.telescope import simulate_words


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        words = np.asarray(simulate_words(20_000, seed=seed), dtype="<u8")
        (folder / f"Run{590 + seed:06}").mkdir()
        (folder / f"Run{590 + seed:06}" / "data_000000.dat").write_bytes(words.tobytes())
        file = folder / f"Run{590 + seed:06}" / "data_000000.dat"
        assert run_command("process", file, "--archive", folder / "archive", "--workers", 0) == 0
    return folder / "archive"


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert run_command(*arguments) == 0
    return capsys.readouterr().out


def test_list_as_table_json_and_csv(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "runs", "list", archive)
    assert re.search(r"Run000591 +591 +\d{4}-\d\d-\d\d \d\d:\d\d \S+ +ended +\d+ s +20,000", text)
    found = json.loads(printed(capsys, "runs", "list", archive, "--json", "--sort=-name"))
    assert [one["name"] for one in found] == ["Run000592", "Run000591"]
    assert len(printed(capsys, "runs", "list", archive, "--csv", "--matching", "592").splitlines()) == 2
    assert run_command("runs", "list", archive, "--sort", "nme") == 1
    assert "--sort: found 'nme', expected one of file, id, name, " in capsys.readouterr().err


def test_comments_flags_good_times_and_show(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("runs", "comment", archive, 591, "gas changed", "--name", "Anna") == 0
    assert run_command("runs", "flag", archive, 591, "bad", "--from", 1, "--to", 2, "--cause", "trip") == 0
    assert run_command("runs", "flag", archive, 591, "wrong") == 1
    text = printed(capsys, "runs", "show", archive, "591")
    assert "Anna: gas changed" in text
    assert "bad, whole detector, 1 to 2 s: trip" in text
    shown = json.loads(printed(capsys, "runs", "show", archive, 591, "--json"))
    good = json.loads(printed(capsys, "runs", "good", archive))
    assert [one["good_s"] for one in good] == [[[0, 1], [2, shown["data_time_s"]]], [[0, good[1]["good_s"][0][1]]]]


def test_compare_and_trend(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "runs", "compare", archive, "Run000591", "Run000592")
    assert re.search(r"Hits by cell +Chamber 4 ", text)
    found = json.loads(printed(capsys, "runs", "compare", archive, "591", "592", "--json"))
    assert found["compared"][0]["with"] == "Run000592"
    points = json.loads(printed(capsys, "runs", "trend", archive, "hit rate", "--of", "Chamber 2", "--json"))
    assert [point["name"] for point in points] == ["Run000591", "Run000592"]
    assert all(point["error"] > 0 for point in points)
    assert run_command("runs", "trend", archive, "hitrate") == 1
    assert "found no quantity 'hitrate', expected one of " in capsys.readouterr().err


def test_report_export_rebuild_and_prune(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shift.html"
    assert run_command("report", archive, "--last", "8h", "--reference", "591", "-o", out) == 0
    assert out.read_text().count("<article>") == 2
    copy = tmp_path / "copy.muonrun"
    assert run_command("runs", "export", archive, 592, copy, "--anonymous") == 0
    assert run_command("runs", "export", archive, 592, copy) == 1
    assert run_command("runs", "rebuild", archive) == 0
    assert run_command("runs", "prune", archive) == 1
    assert run_command("runs", "prune", archive, "--older-than", "3x") == 1
    assert run_command("runs", "prune", archive, "--older-than", "1d") == 0
    errors = capsys.readouterr().err
    assert "2 runs in the index" in errors
    assert "--older-than: found '3x', expected such as 90d or 12h; units are min, h, d, w" in errors
    assert "0 runs removed" in errors


def test_an_archive_that_cannot_be_written_is_told_and_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "w.dat"
    file.write_bytes(np.asarray(simulate_words(2000), dtype="<u8").tobytes())
    (tmp_path / "plain").write_text("")
    assert run_command("process", file, "--archive", tmp_path / "plain") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"muonstream: {tmp_path / 'plain'}: cannot be made")


@pytest.mark.parametrize("command", [("process",), ("run", "--no-follow", "--no-page")])
def test_a_run_that_an_archive_does_not_take_is_counted_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """As on a disk that is read-only: the lock cannot be opened. Root may write where others may not."""
    file, folder, summary = tmp_path / "w.dat", tmp_path / "archive", tmp_path / "summary.json"
    file.write_bytes(np.asarray(simulate_words(2000), dtype="<u8").tobytes())
    (folder / container.LOCK).mkdir(parents=True)
    assert run_command(*command, file, "--archive", folder, "--summary", summary) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "not in the archive" in said
    assert f"{folder}: cannot be written: Is a directory" in said
    assert json.loads(summary.read_text())["account"]["words"] == 2000
    assert list(folder.glob("*.muonrun")) == []


def test_a_live_run_is_kept_each_minute_and_at_its_end_and_a_fault_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    archiving = Archiving(tmp_path / "archive", clock=lambda: now[0])

    def files() -> list[str]:
        return sorted(path.name for path in (tmp_path / "archive").glob("*.muonrun"))

    archiving.refresh(counted(1))
    assert files() == []
    now[0] = 60.0
    archiving.refresh(counted(1))
    assert len(files()) == 1
    (tmp_path / "archive").rename(tmp_path / "moved")
    for now[0] in (120.0, 180.0):
        archiving.refresh(counted(1))
    assert [record.getMessage().count("cannot be written") for record in caplog.records] == [1]
    (tmp_path / "moved").rename(tmp_path / "archive")
    assert archiving.finish(counted(1)) is not None
    assert archiving.problem == ""


def test_sparks_go_from_the_lowest_to_the_highest() -> None:
    assert "".join(spark([0, 1, 2, 7])) == "▁▂▃█"
    assert spark([5, 5]) == ["▁", "▁"]


@pytest.mark.parametrize("command", ["show", "list"])
def test_a_comment_or_a_name_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    evil = "\x1b]0;mine\x07"
    archive = Archive(tmp_path)
    archive.save(replace(counted(1), run=f"sim{evil}"), PROVENANCE)
    archive.comment("last", f"look {evil}", name=evil)
    text = printed(capsys, "runs", command, tmp_path, *(["last"] if command == "show" else []))
    assert "\x1b" not in text
    assert "\\x1b]0;mine" in text
