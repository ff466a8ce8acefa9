"""`muonstream inspect` as users see it: tables, remarks, JSON; files, pipes, faults of files."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import COMMAND, as_process, muonstream
from survey_faults import FAULTS, good_words

from muonstream.survey.digest import SurveyDigest
from muonstream.words import Words


def inspected(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    if stdin is not None:
        return as_process("inspect", *arguments, stdin=stdin)
    return muonstream("inspect", *arguments)


def as_json(*arguments: str, stdin: bytes | None = None) -> list[dict[str, Any]]:
    done = inspected("--json", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert set(whole) == {"muonstream", "schema", "detector", "files"}
    files: list[dict[str, Any]] = whole["files"]
    return files


def written(path: Path, words: Words) -> str:
    words.astype("<u8").tofile(path)
    return str(path)


def on_terminal(columns: int, *arguments: str) -> str:
    """What a terminal of so many columns gets."""
    parent, child = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "dumb", "NO_COLOR": "1"}
    command = [*COMMAND, "inspect", *arguments]
    with subprocess.Popen(command, stdout=child, stderr=child, stdin=subprocess.DEVNULL, env=environment):
        os.close(child)
        out = b""
        while True:
            try:
                piece = os.read(parent, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            out += piece
    os.close(parent)
    return out.decode()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with several faults: a channel moved, a block twice, a pause, idle words."""
    words = good_words()
    for name in ("channel_moved", "block_twice", "pause", "idle_words"):
        words = next(fault for fault in FAULTS if fault.name == name).make(words)
    return written(tmp_path_factory.mktemp("inspect") / "faulty.dat", words)


def test_a_good_file_has_nothing_odd(tmp_path: Path) -> None:
    done = inspected(written(tmp_path / "good.dat", good_words()))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing odd" in done.stdout
    assert "Suggested detector file" not in done.stdout


def test_faults_are_listed_with_their_bytes(faulty: str) -> None:
    done = inspected(faulty)
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.split("What to look at first\n")[1].splitlines()
    assert any(line.startswith("!! board 0 channel 200: ") and "moved?" in line for line in first)
    assert any("repeat those 512 hits before" in line and "(byte " in line for line in first)
    assert any("0x01555655554d5555" in line for line in first)
    assert any(line.startswith("-  no words for 8.9") for line in first)


@pytest.mark.parametrize("columns", [80, 160])
def test_no_line_is_longer_than_the_terminal_and_no_column_is_cut(faulty: str, columns: int) -> None:
    shown = on_terminal(columns, faulty).replace("\r", "")
    assert "What to look at first" in shown
    tables = shown.partition("Suggested")[0].splitlines()[1:]
    assert [line for line in tables if len(line) > columns] == []
    assert "…" not in "".join(tables)


def test_json_has_everything_and_is_the_same_of_a_file_a_pipe_and_gzip(faulty: str, tmp_path: Path) -> None:
    data = Path(faulty).read_bytes()
    (tmp_path / "faulty.dat.gz").write_bytes(gzip.compress(data))
    one, two = as_json(faulty, str(tmp_path / "faulty.dat.gz"))
    (piped,) = as_json("-", stdin=data)
    assert set(one["survey"]) == {field.name for field in fields(SurveyDigest)}
    assert one["error"] is None
    assert one["survey"]["words"] == one["account"]["words"] == len(data) // 8
    assert {level["level"] for level in one["remarks"]} == {"bad", "odd", "note"}
    for other in (two, piped):
        assert other["survey"] == one["survey"]
        assert other["remarks"] == one["remarks"]


def test_the_documented_keys_are_those_of_the_json(faulty: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text("utf-8")
    (one,) = as_json(faulty)
    nested = [one["survey"], one["survey"]["boards"][0], one["survey"]["channels"][0], one["survey"]["repeats"]]
    for keys in (one, *nested):
        assert [key for key in keys if f"`{key}`" not in page] == []


def test_a_file_that_cannot_be_read_is_said_and_the_others_are_shown(tmp_path: Path) -> None:
    good, missing = written(tmp_path / "good.dat", good_words()), str(tmp_path / "missing.dat")
    done = inspected(missing, good)
    assert done.returncode == 1
    assert done.stderr == f"muonstream: {missing}: no such file\n"
    assert "Nothing odd" in done.stdout
    done = inspected("--json", missing, good)
    files = json.loads(done.stdout)["files"]
    assert done.returncode == 1
    assert [(one["file"], one["error"]) for one in files] == [(missing, f"{missing}: no such file"), (good, None)]


def test_malformed_rows_and_bytes_left_over_are_remarks(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "cut.dat", good_words()))
    path.write_bytes(path.read_bytes() + b"abc")
    done = inspected(str(path))
    assert done.returncode == 0
    assert "!! 1 words or rows are malformed, the first: " in done.stdout.split("What to look at first\n")[1]


def test_run_591_is_known(shared_data: Path) -> None:
    (one,) = as_json("-d", "run591", str(shared_data / "run000591.dat"))
    found = one["survey"]
    assert [board["hits"] for board in found["boards"]] == [61140, 98476]
    assert [round(event["seconds"], 1) for event in found["events"]] == [210.1]
    assert found["rate_hz"] == pytest.approx(5041, abs=1)
    trigger = [channel for channel in found["channels"] if channel["channel"] == 138]
    assert [(one["only_tdc"], one["what"]) for one in trigger] == [(1, "trigger")] * 2
    assert all(one["in_company"] > 0.89 for one in trigger)
    silent = {one["channel"] for one in found["channels"] if one["board"] == 0 and not one["hits"]}
    assert silent == {11, 13, 51, 54}
    # board 0 has bursts of some two hundred words within milliseconds
    assert [remark["level"] for remark in one["remarks"]] == ["odd"] * 4 + ["note"] * 2
    bursts = [departure for departure in found["departures"] if departure["what"] == "rate"]
    assert len(bursts) >= 3
    assert all(burst["found"] > 3 * burst["usual"] for burst in bursts)


def test_text_of_2019_says_the_same_of_run_591(shared_data: Path) -> None:
    binary, text = as_json(
        "-d", "run591", str(shared_data / "run000591.dat"), str(shared_data / "run000591_firmware2019.txt")
    )
    assert binary["survey"]["boards"] == text["survey"]["boards"]
    assert binary["survey"]["channels"] == text["survey"]["channels"]


def test_words_without_any_hit_are_one_remark(tmp_path: Path) -> None:
    words = np.full(5000, 0x01555655554D5555, np.uint64)
    done = inspected("--format", "words", written(tmp_path / "idle.dat", words))
    assert done.returncode == 0, done.stderr
    assert "none of the 5,000 words is a hit" in done.stdout or "malformed" in done.stdout
