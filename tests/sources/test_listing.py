from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.sources.listing import TEMPORARY, list_source, natural_key, still_aside


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=20), st.sampled_from(["run_", "data", ""]))
def test_names_sort_by_their_numbers(numbers: list[int], prefix: str) -> None:
    names = [f"{prefix}{number}.dat" for number in numbers]
    assert sorted(names, key=natural_key) == [f"{prefix}{number}.dat" for number in sorted(numbers)]


@given(st.text(max_size=8), st.text(max_size=8))
def test_any_two_names_can_be_compared(one: str, other: str) -> None:
    assert (natural_key(one) == natural_key(other)) or (natural_key(one) < natural_key(other)) != (
        natural_key(other) < natural_key(one)
    )


def names(found: list[tuple[Path, os.stat_result]]) -> list[str]:
    return [path.name for path, _ in found]


def test_a_folder_lists_its_files_and_those_of_its_newest_run(tmp_path: Path) -> None:
    for name in ("b_10.dat", "b_2.dat", ".hidden", *(f"x{suffix}" for suffix in TEMPORARY)):
        (tmp_path / name).touch()
    for name in ("Run000009", "run_10", "Run9_old", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.dat").touch()
    (tmp_path / "run_10" / "deeper").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("missing")
    found = list_source(tmp_path)
    assert names(found.files) == ["b_2.dat", "b_10.dat", "d.dat"]
    assert found.files[-1][0].parent.name == "run_10"
    over = {path.name for path, _ in found.passed_over}
    assert over == {
        ".hidden",
        *(f"x{s}" for s in TEMPORARY),
        "Run000009",
        "Run9_old",
        "data",
        "deeper",
        "pipe",
        "nowhere",
    }
    assert not found.only_folders


def test_a_folder_of_folders_only_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert list_source(tmp_path).only_folders
    (tmp_path / "Run1").mkdir()
    assert not list_source(tmp_path).only_folders


def test_a_file_lists_itself_and_what_is_missing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.touch()
    assert names(list_source(path).files) == ["a.dat"]
    with pytest.raises(FileNotFoundError):
        list_source(tmp_path / "none")


def test_a_name_that_was_renamed_or_leads_to_a_file_by_now_is_not_passed_over(tmp_path: Path) -> None:
    for name in ("a.dat.part", ".b", "c.dat.part"):
        (tmp_path / name).touch()
    for name in ("later", "never"):
        (tmp_path / name).symlink_to(f"{name}.dat")
    aside = {str(path): why for path, why in list_source(tmp_path).passed_over}
    assert len(aside) == 5
    (tmp_path / "a.dat.part").rename(tmp_path / "a.dat")
    (tmp_path / ".b").rename(tmp_path / "b.dat")
    (tmp_path / "later.dat").touch()
    assert {Path(name).name for name, _ in still_aside(aside, [])} == {"c.dat.part", "never"}
