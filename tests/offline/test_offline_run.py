"""A run from Python is the run of `muonstream process`; what a file does not hold is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import muonstream as command

import muonstream
from muonstream.engines.pipeline import Pipeline
from muonstream.errors import MuonstreamError
from muonstream.offline.run import RunError
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import encode
from muonstream.run.summary import summary
from muonstream.words import ORBIT_SHIFT, Words

WORDS = muonstream.simulate_words(30_000)


def write(path: Path, words: Words) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(words.astype("<u8").tobytes())
    return str(path)


def processed(folder: Path, *arguments: str) -> tuple[Path, dict[str, Any]]:
    path = folder / "processed.json"
    done = command("process", *arguments, "--summary", str(path))
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return path, made


def one_snapshot() -> Snapshot:
    with Pipeline(muonstream.Detector.default(), run="served", workers=0) as pipeline:
        pipeline.push(WORDS)
        pipeline.finish()
        return pipeline.snapshot("ended")


def test_a_run_has_the_numbers_of_process(tmp_path: Path) -> None:
    file = write(tmp_path / "cosmics.dat", WORDS)
    path, made = processed(tmp_path, file, "--reconstruct", "--verdicts")
    run = muonstream.analyse(file, reconstruct=True, verdicts=True)
    assert run.summary == made
    assert run.verdicts == made["verdicts"]
    assert {**run.account.as_dict(), "balanced": True} == made["account"]
    run.save(tmp_path / "saved.json")
    assert (tmp_path / "saved.json").read_bytes() == path.read_bytes()
    assert muonstream.open(path).summary == made


def test_several_runs_are_a_sum_and_each_by_itself(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "Run000591" / "data_0.dat", WORDS[:20_000]),
        write(tmp_path / "Run000637" / "data_0.dat", WORDS + (np.uint64(99) << np.uint64(ORBIT_SHIFT))),
    ]
    _, made = processed(tmp_path, *files)
    run = muonstream.analyse(files)
    assert run.summary == made
    assert [one.name for one in run.runs] == ["Run000591", "Run000637"]
    assert [one.summary for one in run.runs] == made["runs"]
    assert run.account.words == sum(one.account.words for one in run.runs)
    with pytest.raises(RunError, match="rates: found a sum of 2 runs, expected one"):
        _ = run.rates
    assert len(run.runs[0].rates.time_s) > 0


def test_options_are_those_of_process(tmp_path: Path) -> None:
    file = write(tmp_path / "cosmics.dat", WORDS)
    arguments = ("--detector", "run591", "--run", "tuesday", "--run-number", "5", "--format", "words")
    _, made = processed(tmp_path, file, *arguments)
    run = muonstream.analyse(Path(file), detector="run591", run="tuesday", run_number=5, format="words")
    assert run.summary == made
    assert run.detector.name == muonstream.Detector.load("run591").name
    assert (
        muonstream.analyse([file], detector=run.detector, run="tuesday", run_number=5, format="words").summary == made
    )


def test_a_snapshot_opens_whole(tmp_path: Path) -> None:
    snapshot = one_snapshot()
    path = tmp_path / "served.musn"
    path.write_bytes(encode(snapshot))
    run = muonstream.open(path)
    assert (run.name, run.summary, run.detector) == ("served", summary(snapshot), snapshot.detector)
    assert np.array_equal(run.rates.hits_hz, snapshot.rates.hits_hz)
    hits = run.hists["counts"]
    assert hits.sum() > 0
    assert run.hists is run.hists


def test_the_summary_that_the_page_serves_opens(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    made = summary(one_snapshot())
    path.write_text(json.dumps(made))
    assert muonstream.open(str(path)).summary == made


@pytest.mark.parametrize("what", ["hists", "rates", "detector"])
def test_what_a_summary_does_not_hold_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps(summary(one_snapshot())))
    with pytest.raises(
        RunError, match=f"{path}: found a summary, which does not hold .*, expected a snapshot or words"
    ):
        getattr(muonstream.open(path), what)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found b'' at its beginning"),
        (WORDS.tobytes(), "found b'.*' at its beginning"),
        (b"MUSN\x01abc", "found a snapshot whose compressed data are broken"),
        (b"MUSN\x09abc", "found a snapshot of version 9, expected 1"),
        (b'{"run": ', "found JSON that is broken"),
        (b'{"files": []}', "found JSON without run"),
        (b'{"run": "a", "account": {"words": 1}, "chambers": {}, "live_time_s": 1, "faults": []}', "another account"),
        (b'{"run": "a", "account": {}, "chambers": [], "live_time_s": 1, "faults": []}', "found JSON without chambers"),
    ],
)
def test_what_is_not_a_run_is_refused_in_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RunError, match=found) as raised:
        muonstream.open(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.json: cannot be read: No such file"):
        muonstream.open(tmp_path / "nowhere.json")
    with pytest.raises(RunError, match="cannot be written: Is a directory"):
        muonstream.Run(summary(one_snapshot())).save(tmp_path)


@pytest.mark.parametrize(
    ("files", "options", "line"),
    [
        ([], {}, "files: found none, expected at least one"),
        ("no.dat", {}, "no.dat: no such file"),
        ("a.dat", {"format": "cvs"}, "format: found 'cvs', expected words, dma, course"),
        ("a.dat", {"detector": "no.toml"}, "no.toml: no such file"),
        ("a.dat", {"format": "course"}, "a.dat: found words, but --format course was given"),
    ],
)
def test_what_cannot_be_counted_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Any, options: dict[str, Any], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.dat", WORDS)
    with pytest.raises(MuonstreamError, match=line):
        muonstream.analyse(files, **options)


def test_an_option_that_is_not_known_is_named() -> None:
    options: dict[str, Any] = {"idle": 3}
    with pytest.raises(TypeError, match="analyse: found the option 'idle', expected format, together, merge"):
        muonstream.analyse("a.dat", **options)


def test_strict_refuses_losses(tmp_path: Path) -> None:
    file = write(tmp_path / "cosmics.dat", WORDS)
    with open(file, "ab") as handle:
        handle.write(b"\x01\x02\x03")
    assert muonstream.analyse(file).account.malformed == 1
    with pytest.raises(RunError, match="1 malformed"):
        muonstream.analyse(file, strict=True)


def test_a_notebook_shows_the_account_and_escapes_names(tmp_path: Path) -> None:
    run = muonstream.analyse(write(tmp_path / "cosmics.dat", WORDS), run="<b>", verdicts=True)
    shown = run._repr_html_()
    assert "<b>&lt;b&gt;</b>" in shown
    assert "<td>30,000</td><td>words</td>" in shown
    assert f"<td>{run.summary['chambers']['1']['hits']:,}</td><td>hits in chamber 1, " in shown
    assert run.verdicts is not None
    assert run.verdicts["headline"] in shown
    assert repr(run).startswith("<Run '<b>': 30,000 words, ")
