"""An archive with several writers: nothing that people add is lost, and the index follows the files."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import socket
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archived_runs import PROVENANCE, counted

from muonstream.archive import container
from muonstream.archive.archive import SILENT_S, Archive, as_table, file_stem, state_of
from muonstream.archive.container import ArchiveError
from muonstream.archive.index import NAME, Index, Row
from muonstream.archive.machine import boot_of_machine
from muonstream.archive.people import Flag, PeopleError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", make=True)
    for seed in (1, 2, 3):
        made.save(counted(seed), replace(PROVENANCE, id=f"id{seed}", number=590 + seed))
    return made


def test_runs_are_found_by_name_number_file_id_and_last(archive: Archive) -> None:
    assert [row.name for row in archive.rows()] == ["sim1", "sim2", "sim3"]
    for how in ("sim2", "592", "id2", archive.rows()[1].file, archive.rows()[1].file.removesuffix(".muonrun")):
        assert archive.find(how).name == "sim2"
    assert archive.find("last").name == "sim3"
    with pytest.raises(ArchiveError, match="found no run 'sim9', expected a name, number, file, or last"):
        archive.find("sim9")


@pytest.mark.parametrize("digits", ["²", "5²", "٣", "9" * 5000, "-592", "+592", "5_92"])
def test_digits_that_are_no_run_number_find_no_run(digits: str, archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="found no run"):
        archive.find(digits)


def test_a_run_that_is_written_again_stays_one_run_and_keeps_what_people_added(archive: Archive) -> None:
    archive.comment("sim2", "gas changed", name="Anna")
    archive.flag("sim2", Flag("bad", "trip", "Chamber 1", 1.0, 2.0, "Anna", 5.0))
    later = replace(counted(2), live_time_s=99.0)
    archive.save(later, replace(PROVENANCE, id="id2", number=592))
    assert len(archive.rows()) == 3
    row = archive.find("sim2")
    assert (row.live_time_s, row.comments, [flag["effect"] for flag in row.flags]) == (99.0, 1, ["bad"])
    assert archive.people(row).comments[0].text == "gas changed"


def test_two_runs_of_one_name_that_began_in_one_second_are_two(archive: Archive) -> None:
    archive.save(counted(2), replace(PROVENANCE, id="another"))
    assert [row.name for row in archive.rows()] == ["sim1", "sim2", "sim2", "sim3"]


def test_a_file_that_is_broken_is_told_kept_aside_and_written_anew(archive: Archive) -> None:
    path = archive.path(archive.find("sim2"))
    path.write_bytes(path.read_bytes()[:-100])
    broken = [row for row in archive.rows() if row.problem]
    assert [row.file for row in broken] == [path.name]
    assert "not a whole archived run" in broken[0].problem
    archive.save(counted(2), replace(PROVENANCE, id="id2"))
    assert [row.name for row in archive.rows() if not row.problem] == ["sim1", "sim2", "sim3"]
    assert len(list(archive.folder.glob("*.broken-*"))) == 1


def test_a_file_of_a_newer_version_is_told_and_left_alone(archive: Archive) -> None:
    path = archive.path(archive.find("sim2"))
    entries = container.read(path)
    run = {**json.loads(entries[container.RUN]), "schema": container.SCHEMA + 1}
    container.write(path, {**entries, container.RUN: container.as_json(run)})
    newer = path.read_bytes()
    (problem,) = [row.problem for row in archive.rows() if row.problem]
    assert problem.endswith("found schema 2, expected at most 1: written by a newer muonstream")
    again = archive.save(counted(2), replace(PROVENANCE, id="id2"))
    assert again.name == path.name.replace(".muonrun", "_2.muonrun")
    assert path.read_bytes() == newer
    assert archive.save(counted(2), replace(PROVENANCE, id="id2")) == again


@pytest.mark.parametrize("damage", ["deleted", "garbage", "another version", "no tables"])
def test_the_index_is_made_again_whatever_happens_to_it(archive: Archive, damage: str) -> None:
    before = as_table(archive.rows())
    path = archive.folder / NAME
    for name in (f"{NAME}-wal", f"{NAME}-shm"):
        (archive.folder / name).unlink(missing_ok=True)
    if damage == "deleted":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(random.Random(1).randbytes(5000))
    else:
        with sqlite3.connect(path) as rows:
            rows.execute("DROP TABLE runs" if damage == "no tables" else "PRAGMA user_version = 99")
    assert as_table(archive.rows()) == before
    assert archive.rebuild() == 3
    assert [point.name for point in archive.trend("hit rate", "Chamber 3")] == ["sim1", "sim2", "sim3"]


def test_the_table_has_a_column_for_each_quantity_and_its_error(archive: Archive) -> None:
    table = archive.table("hit rate", ("hit rate", "Chamber 2"))
    assert [row["name"] for row in table] == ["sim1", "sim2", "sim3"]
    assert [row["hit rate"] for row in table] == [point.value for point in archive.trend("hit rate")]
    assert all(row["hit rate of Chamber 2"] > row["hit rate of Chamber 2 error"] > 0 for row in table)
    (archive.folder / "odd.muonrun").write_text("not a run", "utf-8")
    assert len(archive.table()) == 3
    with pytest.raises(ArchiveError, match="found no quantity 'heat', expected one of"):
        archive.table("heat")


def test_files_that_come_and_go_are_followed(archive: Archive) -> None:
    archive.path(archive.find("sim1")).unlink()
    archive.save(counted(4), replace(PROVENANCE, id="id4"))
    assert [row.name for row in archive.rows()] == ["sim2", "sim3", "sim4"]
    assert [point.name for point in archive.trend("words")] == ["sim2", "sim3", "sim4"]
    with pytest.raises(ArchiveError, match="found no quantity 'word', expected one of active cells per orbit, "):
        archive.trend("word")


def test_many_changed_files_take_no_longer_each_than_few(archive: Archive, tmp_path: Path) -> None:
    """As after copying an archive, which gives every file another time: steps of SQLite are counted, not seconds."""
    entries = container.read(archive.path(archive.find("sim1")), container.RUN, container.PEOPLE)

    def steps(runs: int) -> int:
        folder = tmp_path / str(runs)
        folder.mkdir()
        for i in range(runs):
            container.write(folder / f"{i}.muonrun", entries)
        index = Index(folder)
        index.sync()
        for path in folder.glob("*.muonrun"):
            os.utime(path, (1, 1))
        counted_steps: list[None] = []
        index._rows.set_progress_handler(lambda: counted_steps.append(None), 100)
        assert index.sync() == runs
        index.close()
        return len(counted_steps)

    assert steps(80) < 6 * steps(20)


def test_an_archive_whose_index_cannot_be_written_can_be_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: object, **options: Any) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return sqlite3.Connection(":memory:", **options)

    monkeypatch.setattr(sqlite3, "connect", refuses)
    assert [row.name for row in archive.rows()] == ["sim1", "sim2", "sim3"]
    assert len(archive.trend("words")) == 3


def _write_comments(folder: Path, writer: int, n: int) -> None:
    archive = Archive(folder)
    for i in range(n):
        archive.comment("sim1", f"{writer}-{i}", name=str(writer))


def _refresh(folder: Path, n: int) -> None:
    archive = Archive(folder)
    for i in range(n):
        archive.save(replace(counted(1), sequence=i), replace(PROVENANCE, id="id1"))


def test_no_comment_is_lost_to_other_writers_or_to_a_refresh(archive: Archive) -> None:
    counted(1)  # counted before the fork, once
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_comments, args=(archive.folder, writer, 8)) for writer in range(3)]
    writers.append(context.Process(target=_refresh, args=(archive.folder, 5)))
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 4
    comments = archive.people(archive.find("sim1")).comments
    assert sorted(comment.text for comment in comments) == sorted(f"{w}-{i}" for w in range(3) for i in range(8))


def test_a_run_is_running_as_long_as_its_process_lives_here_or_it_is_refreshed_elsewhere() -> None:
    here = Row("f", state="running", host=socket.gethostname(), pid=os.getpid(), boot=boot_of_machine())
    assert state_of(here) == "running"
    assert state_of(here._replace(boot="before")) == "interrupted"
    ended = multiprocessing.get_context("fork").Process(target=int)
    ended.start()
    ended.join()
    assert state_of(here._replace(pid=ended.pid or 0)) == "interrupted"
    there = Row("f", state="running", host="elsewhere", written=1000.0)
    assert state_of(there, now=1000 + SILENT_S - 1) == "running"
    assert state_of(there, now=1000 + SILENT_S) == "interrupted"
    assert state_of(there._replace(state="ended"), now=1e10) == "ended"


def test_pruning_takes_the_oldest_and_never_what_is_kept_or_runs(archive: Archive) -> None:
    now = 1.7e9 + 3600 * 4
    archive.flag("sim1", Flag("keep", name="Anna"))
    running = replace(counted(5), state="running", begun_wall_time=1.0)
    archive.save(
        running, replace(PROVENANCE, id="id5", host=socket.gethostname(), pid=os.getpid(), boot=boot_of_machine())
    )
    assert [row.name for row in archive.prune(older_than_s=1.5 * 3600, now=now)] == ["sim2"]
    assert [row.name for row in archive.prune(most_bytes=1, now=now)] == ["sim3"]
    assert sorted(row.name for row in archive.rows()) == ["sim1", "sim5"]


def test_wrong_comments_and_flags_are_refused(archive: Archive) -> None:
    with pytest.raises(PeopleError, match="comment: found 2 characters, expected 1 to 4,000"):
        archive.comment("sim1", "  ")
    with pytest.raises(PeopleError, match="flag: found effect 'wrong', expected one of bad, limited, good, keep"):
        Flag("wrong")
    with pytest.raises(PeopleError, match="expected an end after the beginning"):
        Flag("bad", from_s=5.0, to_s=5.0)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such folder, expected the folder of an archive of runs"):
        Archive(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be made"):
        Archive(tmp_path / "file" / "x", make=True)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("Run 591/a", "Run-591-a"), ("../x", "x"), ("", "run"), ("é\n", "run"), ("a" * 200, "a" * 80)],
)
def test_files_have_names_that_all_systems_take(name: str, stem: str) -> None:
    assert file_stem(0.0, name) == f"19700101T000000Z_{stem}"


def test_the_header_is_read_fast_enough_to_be_read_for_each_run(archive: Archive) -> None:
    """What the index reads of a file is small, however much a run has."""
    sizes = {name: len(content) for name, content in container.read(archive.path(archive.find("sim1"))).items()}
    assert sizes[container.RUN] + sizes[container.PEOPLE] < 20_000
    assert time.time() > archive.find("sim1").begun


def test_two_processes_that_take_in_the_same_run_do_not_disturb_each_other(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has looked at the files before the other took them in, and the other numbers the names otherwise."""
    (archive.folder / NAME).unlink(missing_ok=True)
    one, other = Index(archive.folder), Index(archive.folder)
    there = one._differences
    looked: list[int] = []

    def meanwhile(files: Any) -> Any:
        found = there(files)
        if not looked:
            looked.append(other.sync())
        return found

    monkeypatch.setattr(one, "_differences", meanwhile)
    assert one.sync() == 3
    assert looked == [3]
    assert [row.name for row in one.rows()] == [row.name for row in other.rows()] == ["sim1", "sim2", "sim3"]
    assert one.points("hit rate") == other.points("hit rate") != []
    one.close()
    other.close()
