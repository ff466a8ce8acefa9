"""The notebooks of the documents run from their beginning to their end, and find what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


def test_the_drift_time_box_ends_where_the_simulation_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hist")
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(NOTEBOOKS / "drift_time.py"))
    assert abs(found["t_max_ns"] - 390) < 5
    assert 0 < found["error_ns"] < 3
    assert capsys.readouterr().out.startswith("T_max = 39")


def test_a_notebook_is_one_that_jupytext_opens_and_is_short() -> None:
    for path in NOTEBOOKS.iterdir():
        text = path.read_text("utf-8")
        assert "format_name: percent" in text.partition("# %%")[0]
        code = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(code) <= 20, f"{path.name}: {len(code)} lines of code"
