"""Names and numbers of runs, and which files are parts of one: tables of what people call their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.sources.identity import Run
from muonstream.sources.runs import (
    GOES_ON_ORBITS,
    STEPS_BACK_ORBITS,
    InputRun,
    Orbits,
    goes_on,
    identify,
    joined,
    may_join,
    out_of_order,
    part_key,
    run_name,
    run_number,
    runs_of,
)


@pytest.mark.parametrize(
    ("source", "name", "number"),
    [
        ("/disk/Run000591/data_000000.dat", "Run000591", 591),
        ("/disk/Run000591/data/data_000000.dat.gz", "Run000591", 591),
        ("/disk/Run000591/raw/2024/000001", "Run000591", 591),
        ("/disk/Run000591/part-3.csv.zst", "Run000591", 591),
        ("/disk/Run000591/run_0001.dat", "Run000591", 591),
        ("/disk/Run000591/cosmics.dat", "cosmics", 0),
        ("/disk/cosmics/data_000000.dat", "cosmics", 0),
        ("/disk/run_637.dat", "run_637", 637),
        ("/disk/run.591", "run.591", 591),
        ("/disk/night run 12.txt", "night run 12", 12),
        ("/disk/prune12.txt", "prune12", 0),
        ("/disk/cosmics.2024.txt", "cosmics.2024", 0),
        ("/disk/a.unknown", "a", 0),
        ("/disk/.dat", "dat", 0),
        ("/data_0.dat", "data_0", 0),
        ("-", "stdin", 0),
        ("/dev/stdin", "stdin", 0),
        ("/dev/fd/63", "stdin", 0),
        ("sim:", "sim", 0),
        ("sim:rate=1e6", "sim", 0),
        ("s3://bucket/Run000637/data_000001.txt", "Run000637", 637),
        ("s3://bucket/data_000001.txt", "bucket", 0),
        ("s3://bucket", "bucket", 0),
        ("https://host/of/run%20591.dat?signature=1", "run 591", 591),
        ("/", "run", 0),
    ],
)
def test_a_source_names_its_run(source: str, name: str, number: int) -> None:
    assert run_name(source) == name
    assert run_number(name) == number


def test_a_folder_names_its_run_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Run000591"
    folder.mkdir()
    (tmp_path / "latest").symlink_to(folder)
    monkeypatch.chdir(folder)
    for source in (".", "./", "..//Run000591/", str(folder), str(tmp_path / "latest"), "data_000000.dat"):
        assert identify([source]) == Run(591, "Run000591")


@given(st.text("abR0un_-./:?# \\n", max_size=12))
def test_no_name_is_empty(source: str) -> None:
    assert run_name(source)
    assert run_name(source) == run_name(source)


@pytest.mark.parametrize(
    ("name", "words", "number"),
    [
        ("Run000591", [637], 637),
        ("Run000591", [637, 637, None], 637),
        ("Run000591", [637, 638], 591),
        ("Run000591", [0], 591),
        ("Run000591", [None], 591),
        ("Run000591", [1 << 63], 591),
        ("Run" + "9" * 30, [], 0),
    ],
)
def test_the_run_word_numbers_a_run_where_all_agree(name: str, words: list[int | None], number: int) -> None:
    assert run_number(name, words) == number


def test_options_go_first() -> None:
    assert identify(["/disk/Run000591/data_0.dat"], "mine", 7, [637]) == Run(7, "mine")
    assert identify(["/disk/Run000591/data_0.dat"], "Run12") == Run(12, "Run12")
    assert identify(["/disk/Run000591/data_0.dat"], number=0) == Run(0, "Run000591")


def parts(files: list[str], words: dict[str, int] | None = None, *, merge: bool = False) -> list[tuple[str, ...]]:
    return [run.files for run in runs_of(files, run_word=(words or {}).get, merge=merge)]


@pytest.mark.parametrize(
    "files",
    [
        ["/a/data_000000.dat", "/a/data_000001.dat"],
        ["/a/data_2.dat", "/a/data_10.dat", "/a/data_1.dat"],
        ["/a/data_0.dat.gz", "/a/data_1.dat"],
        ["/a/000.bin", "/a/001.bin"],
        ["/a/run591.000", "/a/run591.001"],
        ["/a/Run000591_part1.txt", "/a/Run000591_part2.txt"],
        ["/a/x_part_a.bin", "/a/x_part_b.bin"],
        ["/a/run.dat.aa", "/a/run.dat.ab"],
        ["/a/xaa", "/a/xab"],
        ["s3://bucket/Run1/data_0.dat", "s3://bucket/Run1/data_1.dat"],
    ],
)
def test_names_that_differ_in_their_last_number_are_parts_of_one_run(files: list[str]) -> None:
    assert parts(files) == [tuple(files)]


@pytest.mark.parametrize(
    "files",
    [
        ["/Run000591/data_000000.dat", "/Run000637/data_000000.dat"],
        ["/a/data_0.dat", "/b/data_1.dat"],
        ["/a/Run000591.dat", "/a/Run000592.dat"],
        ["/a/run_1.dat", "/a/run_2.dat"],
        ["/a/data_0.dat", "/a/data_0.txt"],
        ["/a/board1_0.dat", "/a/board2_0.dat"],
        ["/a/morning.dat", "/a/evening.dat"],
        ["-", "/a/data_0.dat"],
        ["s3://bucket/Run1/data_0.dat", "s3://bucket/Run2/data_0.dat"],
    ],
)
def test_other_names_are_runs_of_their_own_unless_merged(files: list[str]) -> None:
    assert parts(files) == [(file,) for file in files]
    assert parts(files, merge=True) == [tuple(files)]


def test_run_words_join_and_part_files() -> None:
    files = ["/a/morning.bin", "/a/evening.bin", "/b/data_0.bin", "/b/data_1.bin", "/b/data_2.bin"]
    words = dict(zip(files, (591, 591, 591, 637, 637), strict=True))
    assert parts(files, words) == [tuple(files[:3]), tuple(files[3:])]
    assert [run.run for run in runs_of(files, run_word=words.get)] == [Run(591, "morning"), Run(637, "b")]


def test_an_equal_run_word_does_not_join_files_whose_names_have_different_numbers() -> None:
    files = ["/Run000591/data_0.bin", "/Run000637/data_0.bin"]
    assert parts(files, dict.fromkeys(files, 12)) == [(file,) for file in files]


def test_a_file_that_is_given_again_is_a_part_of_its_run() -> None:
    files = ["/a/x.dat", "/a/y.dat", "/b/link.dat", "/a/x.dat"]
    runs = runs_of(files, identity=lambda file: "y" if file == "/b/link.dat" else file[3:4])
    assert [run.files for run in runs] == [("/a/x.dat", "/a/x.dat"), ("/a/y.dat", "/b/link.dat")]


def test_files_of_two_runs_may_be_given_in_any_order() -> None:
    files = ["/Run1/data_0.dat", "/Run2/data_0.dat", "/Run1/data_1.dat", "/Run2/data_1.dat"]
    assert parts(files) == [(files[0], files[2]), (files[1], files[3])]


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ("/a/run_1.dat", "/a/run_2.dat", True),
        ("/a/morning.dat", "/a/evening.dat", True),
        ("/disk1/x.dat", "/disk2/y.dat", True),
        ("/Run1/x.dat", "/Run2/data_0.dat", True),
        ("/a/data_0.dat", "/b/data_0.dat", False),
        ("/a/Run1.dat", "/b/Run2.dat", False),
    ],
)
def test_where_counters_may_join_runs(before: str, after: str, may: bool) -> None:
    runs = [InputRun(identify([file]), (file,)) for file in (before, after)]
    assert may_join(*runs) == may
    with_words = [InputRun(run.run, run.files, word) for run, word in zip(runs, (591, 637), strict=True)]
    assert not may_join(*with_words)


def test_names_of_runs_that_turn_out_to_count_parts_give_their_folders_name() -> None:
    one, two = (InputRun(identify([file]), (file,)) for file in ("/cosmics/run_1.dat", "/cosmics/run_2.dat"))
    assert joined(one, two) == InputRun(Run(0, "cosmics"), ("/cosmics/run_1.dat", "/cosmics/run_2.dat"))
    assert joined(one, two, "mine", 3).run == Run(3, "mine")


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_a_counter_goes_on_within_stated_limits(first: int, length: int, step: int) -> None:
    before = Orbits(first, first + length)
    after = Orbits(before.newest + step, before.newest + step)
    expected = -min(STEPS_BACK_ORBITS, length // 2) <= step <= GOES_ON_ORBITS
    assert goes_on(before, after) == expected
    assert not goes_on(None, after)
    assert not goes_on(before, None)


def test_parts_out_of_order_are_seen() -> None:
    files = [f"/a/data_{n}.dat" for n in (1, 10, 2)]
    assert out_of_order(files) == (files[1], files[2])
    assert out_of_order(files[:2]) is None
    assert out_of_order([files[1], "/b/data_2.dat"]) is None


@given(st.lists(st.sampled_from(["/a/data_0.dat", "/a/data_1.dat", "/b/data_0.dat", "/c", "-"]), unique=True))
def test_every_file_is_in_one_run(files: list[str]) -> None:
    found = [file for run in parts(files) for file in run]
    assert sorted(found) == sorted(files)
    for run in parts(files):
        assert len({part_key(file) or file for file in run}) == 1
        assert [files.index(file) for file in run] == sorted(files.index(file) for file in run)
