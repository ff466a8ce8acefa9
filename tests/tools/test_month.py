"""A short month: a cell that dies and is repaired, a lost board, a killed run, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from muonstream.archive.archive import Archive, state_of
from muonstream.archive.container import read_header
from tools.month import DEAD, Plan, Trouble, differences, found, outlying, spans, spells_of, taken, the_cell

PLAN = Plan(
    seconds=16.0,
    troubles=(replace(DEAD, first=4, last=6), Trouble("dead board", 3600.0, 8, 8)),
    killed=7,
)


def test_each_fault_of_a_month_is_found_in_its_runs_and_known_problems_are_told_apart(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    snapshots = {run: taken(archive, run, PLAN) for run in range(1, 9)}
    dead = "dead cell", the_cell()
    known = {
        run: [bool(spell.known) for spell in spells_of(snapshot) if (spell.check, spell.subject) == dead]
        for run, snapshot in snapshots.items()
    }
    assert known == {1: [], 2: [], 3: [], 4: [False], 5: [True], 6: [True], 7: [], 8: []}
    lines = list(found(archive, PLAN.troubles))
    at = lines.index("dead cell, 1 share, in runs 4 to 6:")
    assert lines[at + 1] == "  new in 4; known in 5 to 6; missed in none"
    at = lines.index("dead board, 3600 s, in runs 8 to 8:")
    assert lines[at + 1] == "  new in 8; known in none; missed in none"
    assert "interrupted: 7" in lines
    rows = archive.rows()
    assert [state_of(row) for row in rows] == ["ended"] * 6 + ["interrupted", "ended"]
    flags = {row.number: [flag["effect"] for flag in row.flags] for row in rows}
    assert flags[7] == []
    assert flags[8] == ["limited"]
    # verdicts compare with good runs from the fourth on
    assert [len(reference_names(archive, run)) for run in (3, 5)] == [0, 3]
    assert "  hit rate of Chamber 1: 8" in list(outlying(archive))
    assert any(line.startswith("runs compare: run 8 with run 3") for line in differences(archive, [(8, 3)]))


def reference_names(archive: Archive, run: int) -> list[str]:
    header, _ = read_header(archive.path(archive.find(f"Run{run:06d}")))
    return [one["name"] for one in header["provenance"]["references"]]


def test_numbers_are_named_with_their_neighbours() -> None:
    assert spans([5, 3, 4, 9]) == "3 to 5, 9"
    assert spans([]) == "none"
