"""An archive that the first version with archives wrote, with its index: all of it can still be used."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import run_command

import muonstream
from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.archive.contents import snapshot_of
from muonstream.archive.index import NAME, TABLES, VERSION

PREVIOUS = Path(__file__).parents[1] / "data" / "previous" / "archive"
FILES = sorted(PREVIOUS.glob("*.muonrun"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PREVIOUS, tmp_path / "archive"))


def entry(path: Path, name: str) -> dict[str, object]:
    with zipfile.ZipFile(path) as opened:
        return dict(json.loads(opened.read(name)))


def test_its_index_has_other_tables_and_is_rebuilt(archive: Path) -> None:
    with sqlite3.connect(archive / NAME) as rows:
        made = "".join(sql for (sql,) in rows.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    rows.close()
    assert "id_in_index" in TABLES
    assert "id_in_index" not in made
    found = Archive(archive).trend("hit rate")
    assert [point.name for point in found] == ["Run000591", "Run000592"]
    with sqlite3.connect(archive / NAME) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (VERSION,)
    rows.close()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_opens_with_every_number_that_it_has(path: Path) -> None:
    run = muonstream.open(path)
    kept = entry(path, container.SUMMARY)
    assert run.account.words == 6000
    assert run.summary["account"] == kept["account"]
    assert {number: chamber["hits"] for number, chamber in run.summary["chambers"].items()} == {
        number: chamber["hits"]
        for number, chamber in dict(kept["chambers"]).items()  # type: ignore[call-overload]
    }
    snapshot = snapshot_of(path)
    histograms = entry(path, container.HISTOGRAMS)
    known = [name for name in histograms if name in snapshot.catalogue.entries]
    assert len(known) > 30
    for name in known:
        values = np.asarray(histograms[name]["storage"]["values"])  # type: ignore[index]
        found = snapshot.catalogue.view(snapshot.total, name)
        # kinds of what is counted were added since, behind the others
        assert np.array_equal(found[..., : values.shape[-1]], values), name
        assert not found[..., values.shape[-1] :].any()


def test_its_runs_are_listed_shown_compared_commented_and_reported(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: object) -> str:
        capsys.readouterr()
        assert run_command(*arguments) == 0
        return capsys.readouterr().out

    listed = json.loads(said("runs", "list", archive, "--json"))
    assert [(one["name"], one["words"], one["problem"]) for one in listed] == [
        ("Run000591", 6000, ""),
        ("Run000592", 6000, ""),
    ]
    assert "from the first version" in said("runs", "show", archive, 591)
    compared = json.loads(said("runs", "compare", archive, 591, 592, "--json"))
    assert compared["compared"][0]["with"] == "Run000592"
    assert run_command("runs", "comment", archive, 592, "read again", "--name", "Anna") == 0
    assert "Anna: read again" in said("runs", "show", archive, 592)
    page = tmp_path / "report.html"
    assert run_command("report", archive, 591, "--reference", 592, "-o", page) == 0
    assert "Run000591" in page.read_text("utf-8")
    assert run_command("runs", "rebuild", archive) == 0
    assert "2 runs in the index" in capsys.readouterr().err


def test_its_runs_can_be_the_reference_of_a_run(archive: Path, tmp_path: Path) -> None:
    words = tmp_path / "w.dat"
    np.asarray(muonstream.simulate_words(6000, seed=3), dtype="<u8").tofile(words)
    options = ("--archive", archive, "--workers", 0, "--verdicts")
    assert run_command("process", words, *options) == 0
    assert len(Archive(archive).rows()) == 3
