"""`muonstream runs` and `report` as they are typed, on runs that `process` archived."""

from __future__ import annotations

import json
import re
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archived_runs import PROVENANCE, counted
from commands import run_command

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.commands.archived import spark
from muonstream.commands.archiving import Archiving, Reporting
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
    assert run_command("runs", "prune", archive, "--older-than", "0d") == 1
    assert run_command("runs", "prune", archive, "--larger-than", "0.00001mb", "--dry-run") == 0
    errors = capsys.readouterr().err
    assert "2 runs in the index" in errors
    assert (
        "--older-than: found '3x', expected a number above 0 and a unit, such as 90d or 12h; units are min, h, d, w"
        in errors
    )
    assert "0 runs removed" in errors
    assert "2 runs would be removed" in errors
    assert len(list(archive.glob("*.muonrun"))) == 2


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


@pytest.mark.parametrize("command", [("process",), ("run", "--no-follow", "--no-page")])
def test_a_run_writes_its_own_report_at_its_end(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    file, folder = archive.parent / "Run000591" / "data_000000.dat", tmp_path / "made" / "reports"
    more = ("--reference", Archive(archive).folder / Archive(archive).find("592").file) if command[0] == "run" else ()
    assert run_command(*command, file, "--report", folder, *more) == 0
    (made,) = folder.iterdir()
    assert "<h1>Run000591</h1>" in made.read_text("utf-8")
    assert made.name.endswith("_Run000591.html")
    assert f"{made} written" in capsys.readouterr().err
    text = made.read_text("utf-8")
    assert (text.count("<article>"), "20,000" in text) == (1, True)
    assert ("Compared with Run000592" in text) == bool(more)


@pytest.mark.parametrize(
    ("typed", "number"), [((), 591), (("--run", "Run000007"), 7), (("--run", "cosmics"), 0), (("--run-number", 8), 8)]
)
@pytest.mark.parametrize("command", [("process",), ("run", "--no-follow", "--no-page")])
def test_a_run_has_its_number_whichever_command_counts_it(
    archive: Path, tmp_path: Path, command: tuple[str, ...], typed: tuple[object, ...], number: int
) -> None:
    file = archive.parent / "Run000591" / "data_000000.dat"
    assert run_command(*command, file, "--archive", tmp_path, *typed) == 0
    assert Archive(tmp_path).find("last").number == number


def test_a_report_that_cannot_be_written_is_told_and_the_run_is_kept(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = archive.parent / "Run000591" / "data_000000.dat", tmp_path / "reports"
    (tmp_path / "plain").write_text("", "utf-8")
    assert run_command("run", file, "--no-follow", "--no-page", "--report", tmp_path / "plain") == 1
    assert f"--report: {tmp_path / 'plain'}: found a file, expected a folder" in capsys.readouterr().err
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for command in (("run", "--no-follow", "--no-page"), ("process",)):
        summary = tmp_path / f"{command[0]}.json"
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
        try:
            assert run_command(*command, file, "--report", folder, "--summary", summary) == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith(f"muonstream: {'the run' if command[0] == 'run' else 'Run000591'} has no report: ")
        assert said[-1].endswith("cannot be written: File too large")
        assert json.loads(summary.read_text("utf-8"))["account"]["words"] == 20_000
        assert list(folder.iterdir()) == []


def test_the_report_of_a_run_that_goes_on_takes_the_place_of_its_own_alone(tmp_path: Path) -> None:
    reporting, run = Reporting(tmp_path), counted(1)
    first = reporting.finish(run)
    assert first is not None
    assert reporting.finish(replace(run, live_time_s=99.0)) == first
    other = reporting.finish(replace(run, source="/data/other.dat"))
    assert other == first.with_name(f"{first.stem}_2.html")
    assert reporting.finish(replace(run, source="/data/other.dat")) == other


def test_columns_and_filters_of_the_table(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("runs", "flag", archive, 592, "limited", "--part", "Chamber 2 cell 20") == 0
    columns = "name, words, hit rate of Chamber 2"
    found = json.loads(printed(capsys, "runs", "list", archive, "--columns", columns, "--json"))
    trend = json.loads(printed(capsys, "runs", "trend", archive, "hit rate", "--of", "Chamber 2", "--json"))
    assert [list(one.values()) for one in found] == [
        [point["name"], 20_000, point["value"], point["error"]] for point in trend
    ]
    text = printed(capsys, "runs", "list", archive, "--columns", columns, "--flag", "limited", "--state", "ended")
    assert re.fullmatch(r"name +words +hit rate of Chamber 2 +.* error\nRun000592 +20,000 +[\d,.]+ +[\d.]+\n", text)
    assert printed(capsys, "runs", "list", archive, "--csv", "--columns", "name", "--level", "bad") == "name\r\n"
    for option, value in (("state", "done"), ("level", "worse"), ("flag", "god"), ("columns", "name,heat")):
        assert run_command("runs", "list", archive, f"--{option}", value) == 1
        assert re.match(rf"muonstream: --{option}: found .*expected one of ", capsys.readouterr().err)


def test_a_part_that_no_detector_has_is_neither_flagged_nor_called_good(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in (("flag", archive, "591", "bad", "--part", "Chmber 2"), ("good", archive, "--part", "Chamber 22")):
        assert run_command("runs", *typed) == 1
        line = capsys.readouterr().err
        assert re.match(
            r"muonstream: part: found 'Ch\w+ \d+', expected one of Chamber 1, .*such as Chamber 1 cell 20", line
        )


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            ("trend", "hit rate", "--of", "Chamber 9"),
            "found no quantity 'hit rate' of 'Chamber 9', expected that of the ",
        ),
        (("trend", "segment rate"), "found no quantity 'segment rate', expected one of "),
        (("trend", "cells without a hit"), "of the whole detector, expected that of Chamber 1, Chamber 2"),
        (("trend", "words", "--json", "--csv"), "found --json and --csv, expected one of them"),
        (("list", "--json", "--csv"), "found --json and --csv, expected one of them"),
        (("list", "--columns", ","), "--columns: found no quantity '', expected one of "),
        (("compare", "591", "Run000591"), "_Run000591.muonrun twice, expected different runs"),
        (
            ("flag", "591", "bad", "--part", "Chamber 2 cell 64"),
            "found 'Chamber 2 cell 64', expected a cell from 0 to 63",
        ),
        (("flag", "591", "bad", "--from", "100"), "flag: from: found 100 s, expected less than the run's "),
    ],
)
def test_a_question_that_has_no_answer_is_told_what_has(
    archive: Path, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...], says: str
) -> None:
    assert run_command("runs", typed[0], archive, *typed[1:]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def damaged(path: Path, how: str) -> str:
    """Damage a run's file; gives what is then said of it."""
    whole, entries = path.read_bytes(), container.read(path)
    run = container.of_json(path, container.RUN, entries[container.RUN])
    if how == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "foreign":
        path.write_bytes(b"hello\n" * 100)
    elif how == "newer":
        container.write(path, {**entries, container.RUN: container.as_json({**run, "schema": 99})})
        return "found schema 99, expected at most 1: written by a newer muonstream"
    elif how == "without quantities":
        del run["quantities"]
        container.write(path, {**entries, container.RUN: container.as_json(run)})
        return "found no 'quantities' in it, expected an archived run with that"
    else:
        container.write(path, {**entries, container.PEOPLE: b'{"comments":3,"flags":[]}'})
        return "found "
    return "not a whole archived run: File is not a zip file"


@pytest.mark.parametrize("how", ["truncated", "foreign", "newer", "without quantities", "odd people"])
def test_a_damaged_file_is_told_in_a_line_whatever_is_asked_of_it(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    row, words = Archive(archive).find("591"), archive.parent / "Run000592" / "data_000000.dat"
    path = tmp_path / "damaged.muonrun"
    path.write_bytes((archive / row.file).read_bytes())
    (tmp_path / "other.muonrun").write_bytes((archive / Archive(archive).find("592").file).read_bytes())
    says, before = damaged(path, how), path.read_bytes()
    asked: list[tuple[object, ...]] = [
        ("runs", "show", tmp_path, "damaged"),
        ("runs", "compare", tmp_path, "592", "damaged.muonrun"),
        ("runs", "comment", tmp_path, "damaged", "hello"),
        ("runs", "export", tmp_path, "damaged", tmp_path / "copy.muonrun", "--anonymous"),
        ("report", tmp_path, "damaged", "-o", tmp_path / "report.html"),
    ]
    if how != "without quantities":
        asked.append(("export", path, "-o", tmp_path / "run.json"))
    if how in ("truncated", "foreign", "newer"):
        asked.append(("run", words, "--no-follow", "--no-page", "--reference", path))
    for arguments in asked:
        assert run_command(*arguments) == 1, arguments
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"muonstream: {path}: "), arguments
        assert says in line, arguments
    assert says in printed(capsys, "runs", "list", tmp_path)
    assert (path.read_bytes(), list(tmp_path.glob("report*"))) == (before, [])


def test_a_file_in_the_place_of_an_archive_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain").write_text("", "utf-8")
    assert run_command("runs", "list", tmp_path / "plain") == 1
    assert "plain: found a file, expected the folder of an archive of runs" in capsys.readouterr().err


def test_a_report_is_of_named_runs_or_of_the_last_hours(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("report", archive, "591", "--last", "8h") == 1
    assert "report: found '591' and --last 8h, expected names of runs or --last" in capsys.readouterr().err


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
