from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.spark_scaling import BEGIN, DOCUMENT, END, TITLES, Costs, model, pictures_of, write

COSTS = Costs(batch_s=0.1, task_s=0.03, driver_s=0.01, word_s=50e-9)


def test_workers_share_the_words_and_not_the_fixed_costs() -> None:
    assert COSTS.seconds(20_000_000, 1, 16) == pytest.approx(0.1 + 0.03 + 0.01 + 1.0)
    assert COSTS.seconds(20_000_000, 10, 16) == pytest.approx(0.1 + 0.03 + 0.1 + 1.0 * 2 / 16)
    assert COSTS.seconds(20_000_000, 10, 10) == pytest.approx(0.1 + 0.03 + 0.1 + 0.1)
    assert COSTS.rate(20_000_000, 10, 10) == pytest.approx(20_000_000 / 0.33)
    assert COSTS.rate(20_000_000, 100, 16) == COSTS.rate(20_000_000, 16, 16)


def test_the_models_table_says_what_it_is() -> None:
    lines = model(COSTS)
    assert any(
        line.startswith(
            "A model, not a measurement: a micro-batch takes 0.100 s, a task at its worker 30 ms more, 10.0 ms"
        )
        for line in lines
    )
    rows = [line for line in lines if line.startswith(("| 1", "| 2"))]
    assert [row.split("|")[1].strip() for row in rows] == ["1", "2", "10", "100"]
    assert "more than a broker has" in rows[3]
    assert "more than a broker has" not in rows[0]


def test_what_was_measured_goes_between_the_documents_marks(tmp_path: Path) -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    copy = tmp_path / "scaling.md"
    copy.write_text(text, "utf-8")
    pictures = pictures_of({"frames, cores": [1e6, 2e6], "loose, cores": [1e5, 1e5]}, [(1e6, 1.0), (1e7, 8.0)], COSTS)
    assert set(pictures) == set(TITLES)
    for _ in range(2):  # once more replaces it
        write(["## Measured", ""], pictures, copy, tmp_path)
    written = copy.read_text("utf-8")
    assert written.count("## Measured") == 1
    assert written.partition(BEGIN)[0] == text.partition(BEGIN)[0]
    assert written.partition(END)[2] == text.partition(END)[2]
    assert {path.name for path in tmp_path.glob("*.svg")} == set(TITLES)
