"""Files as runs: parts of one give just what they give in one piece, several runs are counted each on its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import as_options, run_command

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words
from muonstream.words import ORBIT_SHIFT, Words

WORDS = simulate_words(30_000)
OTHER = simulate_words(20_000, seed=2)
TOP = ("name", "number", "files", "run", "source", "runs", "inputs")
"""What a summary says of names and files; all else is counted."""


def process(folder: Path, *files: Path | str, status: int = 0, **options: Any) -> dict[str, Any]:
    path = folder / "out.json"
    typed = as_options(summary=path, workers=0, **options)
    # an argument that looks like an option stays one of the files
    assert run_command("process", *typed, "--", *files) == status
    made: dict[str, Any] = json.loads(path.read_text())
    return made


def write(path: Path, words: Words) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(words.astype("<u8").tobytes())
    return path


def counts(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key not in TOP}


def in_one_pipeline(pieces: list[Words]) -> dict[str, Any]:
    with Pipeline(Detector.default(), workers=0, pairs=False) as pipeline:
        for i, piece in enumerate(pieces):
            if i:
                pipeline.boundary()
            pipeline.push(piece)
        pipeline.finish()
        made: dict[str, Any] = json.loads(json.dumps(counts(summary(pipeline.snapshot("ended")))))
    return made


NAMES = {
    "parts": ("data_000000.dat", "data_000001.dat", "data_000002.dat"),
    "runs that count parts": ("run_1.dat", "run_2.dat", "run_3.dat"),
    "names that tell nothing": ("x.dat", "y.dat", "z.dat"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_parts_of_one_run_give_what_one_pipeline_gives(tmp_path: Path, names: tuple[str, ...]) -> None:
    pieces = np.split(WORDS, [7001, 20_002])
    files = [write(tmp_path / "cosmics" / name, piece) for name, piece in zip(names, pieces, strict=True)]
    made = process(tmp_path, *files)
    assert counts(made) == in_one_pipeline(pieces)
    assert [run["files"] for run in made["runs"]] == [[str(file) for file in files]]
    assert counts(made["runs"][0]) == counts(made)
    assert made["run"] == made["runs"][0]["name"] == ("x" if names[0] == "x.dat" else "cosmics")


def test_runs_are_counted_each_on_its_own_and_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "Run000591" / "data_000000.dat", np.concatenate([WORDS, OTHER]))  # with a reset inside
    other = write(tmp_path / "Run000637" / "data_000000.dat", OTHER + (np.uint64(99) << np.uint64(ORBIT_SHIFT)))
    made = process(tmp_path, one, other)
    assert [(run["name"], run["number"]) for run in made["runs"]] == [("Run000591", 591), ("Run000637", 637)]
    assert made["run"] == "Run000591, Run000637"
    alone = [process(tmp_path, file) for file in (one, other)]
    assert made["runs"] == [single["runs"][0] for single in alone]
    for key in ("words", "hits", "live_time_s", "gaps", "resets", "epochs", "orbits_with_hits"):
        assert made[key] == sum(run[key] for run in made["runs"]), key
    assert made["resets"] == 1
    for name, number in made["account"].items():
        if name != "balanced":
            assert number == sum(run["account"][name] for run in made["runs"])
    for chamber, content in made["chambers"].items():
        added = np.sum([run["chambers"][chamber]["hits_per_cell"] for run in made["runs"]], axis=0)
        assert content["hits_per_cell"] == added.tolist()
    text = capsys.readouterr().out
    assert text.index("Run000591 (run 591)") < text.index("Run000637 (run 637)") < text.index("all 2 runs")


def test_merge_and_a_name_make_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [write(tmp_path / run / "data_0.dat", words) for run, words in (("Run1", WORDS), ("Run2", OTHER))]
    expected = in_one_pipeline([WORDS, OTHER])
    assert expected["resets"] == 1
    for options in ({"merge": True}, {"run": "both"}, {"run_number": 3}):
        made = process(tmp_path, *files, **options)
        (fault,) = made.pop("faults")
        assert re.search(r"Run2/data_0.dat: word 1: orbits of board \d fall .* as at a counter reset", fault)
        assert counts(made) == {key: value for key, value in expected.items() if key != "faults"}
        assert len(made["runs"]) == 1
        assert ("read as one run" in capsys.readouterr().err) == ("merge" not in options)
        assert made["runs"][0]["number"] == options.get("run_number", 0 if "run" in options else 1)


def test_files_side_by_side_are_one_run(tmp_path: Path) -> None:
    boards = [WORDS[(WORDS >> np.uint64(58)) & np.uint64(7) == board] for board in (0, 1)]
    files = [write(tmp_path / f"board{board}.dat", words) for board, words in enumerate(boards)]
    made = process(tmp_path, *files, together=True)
    assert made["words"] == len(WORDS)
    assert [run["files"] for run in made["runs"]] == [[str(file) for file in files]]


@pytest.mark.parametrize("options", [{}, {"merge": True}, {"together": True}], ids=["", "merge", "together"])
def test_the_same_words_are_counted_once_and_the_other_files_passed_over(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    file, copy = write(tmp_path / "x.dat", WORDS), write(tmp_path / "copy of x.dat", WORDS)
    (tmp_path / "link.dat").symlink_to(file)
    for files in ([file, file], [file, tmp_path / "link.dat"], [file, copy]):
        made = process(tmp_path, *files, **options)
        assert made["words"] == len(WORDS)
        assert [report["status"] for report in made["inputs"]].count("passed over") == 1
        assert len(made["faults"]) >= 1
    assert [run["words"] for run in process(tmp_path, file, copy)["runs"]] == [len(WORDS)]


def test_parts_out_of_order_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = np.split(WORDS, 2)
    ten, two = write(tmp_path / "data_10.dat", pieces[1]), write(tmp_path / "data_2.dat", pieces[0])
    assert len(process(tmp_path, ten, two)["runs"]) == 1
    assert f"{ten}: is read before {two}: files are read in the order" in capsys.readouterr().err


def test_an_error_in_a_later_run_leaves_what_was_counted_before(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "x.dat", WORDS), write(tmp_path / "y.dat", np.zeros(900, np.uint64))
    made = process(tmp_path, good, bad, status=1)
    assert made["words"] == len(WORDS)


@pytest.mark.parametrize("together", [False, True])
def test_an_empty_file_among_others_is_passed_over_unless_all_are_empty(
    tmp_path: Path, together: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in ("none.dat", "x.dat", "y.csv")]
    for path, data in zip(paths, (b"", WORDS.astype("<u8").tobytes(), b""), strict=True):
        path.write_bytes(data)
    names = [str(path) for path in paths]
    assert run_command("process", *as_options(together=together), *names) == 0
    assert run_command("process", *as_options(together=together, strict=True), *names) == 3
    assert "2 inputs passed over" in capsys.readouterr().err
    assert run_command("process", *as_options(together=together), *names[::2]) == 1
    # only the first line of a message is not indented, so that no name can forge one
    said = [line.removeprefix("muonstream:").strip() for line in capsys.readouterr().err.splitlines()]
    assert said == [f"{name}: is empty" for name in names[::2]]


@pytest.mark.parametrize(("share", "said"), [(0.4, False), (0.6, True), (1.0, True)])
def test_a_detector_file_that_most_hits_do_not_fit_is_reported(
    share: float, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hits = OTHER[OTHER >> np.uint64(61) == 2].copy()
    n = round(share * len(hits))
    hits[:n] |= np.uint64(7 << 58)  # of a board that no detector file has
    made = process(tmp_path, write(tmp_path / "run.dat", hits), verdicts=False)
    assert made["account"]["unmapped"] == n
    line = f"{n:,} of {len(hits):,} words of HEAD 2 are of channels that the detector file (telescope) does not have"
    assert (line in capsys.readouterr().err) == said
