"""Tables of files as Python programs get them, and other libraries take them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import muonstream
from muonstream.errors import MuonstreamError
from muonstream.formats.block import SourceError
from muonstream.offline.tables import hits, muons, segments, tracks
from muonstream.tables.columns import TableError
from muonstream.words import ORBIT_SHIFT

pyarrow = pytest.importorskip("pyarrow")
WORDS = muonstream.simulate_words(30_000)
TABLES = {"hits": hits, "segments": segments, "tracks": tracks, "muons": muons}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tables") / "cosmics.dat"
    WORDS.astype("<u8").tofile(path)
    return str(path)


def test_tables_have_what_the_run_counts_and_the_account_balances(file: str) -> None:
    run = muonstream.analyse(file, reconstruct=True)
    counts = {
        "hits": run.account.hits,
        "segments": run.summary["muons"]["segments"],
        "tracks": run.summary["muons"]["tracks"],
        "muons": run.summary["muons"]["muons_in_both_views"],
    }
    for name, take in TABLES.items():
        table = take(file)
        assert table.read_all().num_rows == counts[name]
        assert table.account == run.account
        assert table.inputs.line == f"{8 * len(WORDS):,} bytes of 1 input: {8 * len(WORDS):,} words"


def test_columns_say_their_units_and_what_is_missing_is_null(file: str) -> None:
    for take in TABLES.values():
        found = take(file)
        assert all(field.metadata.keys() == {b"unit", b"description"} for field in found.schema)
        assert all(field.metadata[b"unit"] for field in found.schema if field.name.endswith(("_mm", "_ns", "_deg")))
        for column, field in zip(found.read_all().columns, found.schema, strict=True):
            assert field.nullable or not column.null_count, field.name
    assert hits(file).read_all()["drift_ns"].null_count > 0
    assert segments(file).read_all()["cell_0"].null_count > 0


def test_batches_have_the_rows_that_are_asked_for(file: str) -> None:
    sizes = [batch.num_rows for batch in hits(file, batch_rows=1000)]
    assert set(sizes[:-1]) == {1000}
    with pytest.raises(ValueError, match="batch_rows: found 0, expected at least 1"):
        hits(file, batch_rows=0)


def test_polars_and_pandas_take_a_table(file: str) -> None:
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    orbits = hits(file).read_all()["orbit"].to_numpy()
    assert np.array_equal(polars.DataFrame(hits(file))["orbit"].to_numpy(), orbits)
    frame = hits(file).reader().read_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert np.array_equal(frame["orbit"], orbits)


def test_files_side_by_side_and_parts_of_a_run_give_one_table(file: str, tmp_path: Path) -> None:
    whole = hits(file).read_all()
    parts = [str(tmp_path / f"cosmics_{i}.dat") for i in range(2)]
    for part, words in zip(parts, np.split(WORDS, [13_000]), strict=True):
        words.astype("<u8").tofile(part)
    assert hits(parts).read_all().equals(whole)
    boards = [str(tmp_path / f"board{i}.dat") for i in range(2)]
    for board, path in enumerate(boards):
        WORDS[(WORDS >> np.uint64(58)) & np.uint64(7) == board].astype("<u8").tofile(path)
    assert hits(boards, together=True).read_all().equals(whole)


def test_a_table_is_of_one_run(tmp_path: Path) -> None:
    files = [str(tmp_path / name / "data_0.dat") for name in ("Run000591", "Run000637")]
    for one in files:
        Path(one).parent.mkdir()
    WORDS[:9000].astype("<u8").tofile(files[0])
    (WORDS[9000:] + (np.uint64(99_999) << np.uint64(ORBIT_SHIFT))).astype("<u8").tofile(files[1])
    with pytest.raises(SourceError, match=r"found a run of its own, .*, expected files of one run"):
        list(hits(files))
    assert hits(files, merge=True).read_all().num_rows > 25_000


def test_what_cannot_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.dat: no such file"):
        hits(tmp_path / "none.dat")
    with pytest.raises(TypeError, match="hits: found the option 'rows', expected format, together"):
        hits("x.dat", rows=5)  # type: ignore[call-arg]
    odd = tmp_path / "odd.dat"
    np.random.default_rng(1).integers(0, 256, 80_000, dtype=np.uint8).tofile(odd)
    with pytest.raises(MuonstreamError, match="found no words of the boards"):
        list(hits(odd, format="words"))


def test_without_pyarrow_it_says_what_to_install(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableError, match=r"pyarrow is not installed, and tables need it; .*\[tables\]"):
        hits(file)
