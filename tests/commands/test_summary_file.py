from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from muonstream.commands.common import CommandError
from muonstream.commands.summary_file import conclude, summary_file
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.summary import summary
from muonstream.simulation.telescope import simulate_words


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    pipeline = Pipeline(Detector.default(), run='one "run" \\ of two', source="words", workers=0)
    pipeline.push(simulate_words(2000))
    pipeline.finish()
    return pipeline


def test_a_summary_takes_the_place_of_an_earlier_one_also_of_one_cut_off(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    snapshot = pipeline.snapshot("ended")
    for left in (0, 60, 10**6):  # bytes of the earlier one that are left
        if path.exists():
            os.truncate(path, min(left, path.stat().st_size))
        with summary_file(path) as file:
            assert file is not None
            file.write(snapshot)
        assert json.loads(path.read_text()) == summary(snapshot)


def test_nothing_written_leaves_what_was_there(pipeline: Pipeline, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(was := json.dumps(summary(pipeline.snapshot())))
    for path in (old, new):
        with summary_file(path):
            assert path.exists()
    assert (old.read_text(), new.exists()) == (was, False)


@pytest.mark.parametrize("content", ["x", '{"HEAD": 2}\n', '{"run": 1, "source": 2}', "\x00" * 8])
def test_what_is_no_summary_is_never_written_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "precious"
    path.write_text(content)
    with pytest.raises(CommandError, match=r"precious, which holds something else, expected a new file"):
        summary_file(path).__enter__()
    assert path.read_text() == content


def test_a_summary_is_none_of_the_runs_own_files(tmp_path: Path) -> None:
    folder, data, link = tmp_path / "daq", tmp_path / "daq" / "run.dat", tmp_path / "link"
    folder.mkdir()
    data.touch()
    os.link(data, link)
    for path, other in ((data, data), (link, data), (tmp_path / "new", tmp_path / "new"), (folder / "s.json", folder)):
        with pytest.raises(CommandError, match=f"--summary: found {path}, "):
            summary_file(path, ["-", None, "sim:", "s3://bucket/run", str(other)]).__enter__()
    with summary_file(tmp_path / "s.json", [str(folder), str(data)]):
        pass


def test_on_standard_output_the_account_makes_way_for_the_summary(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    with summary_file(Path("-")) as file:
        conclude(file, pipeline.snapshot("ended"))
    found = capsys.readouterr()
    assert json.loads(found.out)["words"] == 2000
    assert "2,000  words" in found.err
