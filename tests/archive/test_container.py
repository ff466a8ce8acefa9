"""A run's file is whole or refused in one line, whatever was done to it."""

from __future__ import annotations

import json
import random
import resource
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.archive import container
from muonstream.archive.container import ArchiveError, read, read_header, write

ENTRIES = {
    container.RUN: json.dumps({"format": "muonstream-run", "schema": 1}).encode(),
    container.PEOPLE: b'{"comments":[],"flags":[]}',
    "more": bytes(range(256)) * 20,
}


def test_entries_come_back_and_equal_ones_make_equal_files(tmp_path: Path) -> None:
    write(tmp_path / "a.muonrun", ENTRIES)
    write(tmp_path / "b.muonrun", ENTRIES)
    assert read(tmp_path / "a.muonrun") == ENTRIES
    assert (tmp_path / "a.muonrun").read_bytes() == (tmp_path / "b.muonrun").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.muonrun", "b.muonrun"]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"other": b"x"}, "found a zip without run.json, expected an archived run"),
        ({**ENTRIES, container.RUN: b"{"}, "run.json: not JSON"),
        ({**ENTRIES, container.RUN: b"[]"}, "run.json: found list, expected an object"),
        ({**ENTRIES, container.RUN: b"{}"}, "found no format muonstream-run with a schema"),
        (
            {**ENTRIES, container.RUN: b'{"format":"muonstream-run","schema":2}'},
            "found schema 2, expected at most 1: written by a newer muonstream",
        ),
        ({container.RUN: ENTRIES[container.RUN]}, "found no people.json in it"),
    ],
)
def test_what_is_no_run_of_ours_is_refused_in_one_line(tmp_path: Path, entries: dict[str, bytes], says: str) -> None:
    path = tmp_path / "x.muonrun"
    write(path, entries)
    with pytest.raises(ArchiveError, match=r"x\.muonrun") as found:
        read_header(path)
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_a_foreign_and_a_missing_file_and_a_bomb_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.muonrun").write_text("no zip at all")
    with pytest.raises(ArchiveError, match="not a whole archived run"):
        read(tmp_path / "text.muonrun")
    with pytest.raises(ArchiveError, match="cannot be read: No such file"):
        read(tmp_path / "none.muonrun")
    with zipfile.ZipFile(tmp_path / "bomb.muonrun", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(container.RUN, bytes(container.MOST_ENTRY_BYTES + 1))
    with pytest.raises(ArchiveError, match="expected at most"):
        read(tmp_path / "bomb.muonrun")


@given(st.data())
def test_damage_is_refused_or_changes_nothing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.muonrun"
    write(path, ENTRIES)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    refused = ""
    found = ENTRIES
    try:
        found = read(path, container.RUN, container.PEOPLE, "more")
    except ArchiveError as error:
        refused = str(error)
    assert "\n" not in refused
    assert found == ENTRIES


def test_a_folder_that_cannot_be_written_is_told_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.muonrun"
    write(path, ENTRIES)
    with pytest.raises(ArchiveError, match="cannot be written"):
        write(tmp_path / "none" / "x.muonrun", ENTRIES)
    assert read(path) == ENTRIES


def test_a_full_disk_is_told_and_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.muonrun"
    write(path, ENTRIES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ArchiveError, match="cannot be written: File too large"):
            write(path, {**ENTRIES, "more.bin": random.Random(1).randbytes(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(path) == ENTRIES
    assert list(tmp_path.iterdir()) == [path]
