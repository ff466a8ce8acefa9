"""What is exported is opened by the readers of other programs, and has the numbers that are counted."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import as_process, muonstream

import muonstream as ms
from tools.jsroot import JsrootError, file_content
from tools.machine import in_ci

pyarrow = pytest.importorskip("pyarrow")
WORDS = ms.simulate_words(30_000)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "cosmics.dat"
    WORDS.astype("<u8").tofile(path)
    return path


@pytest.fixture(scope="module")
def run(file: Path) -> ms.Run:
    return ms.analyse(file, reconstruct=True)


@pytest.fixture(scope="module")
def archived(run: ms.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run.archive(tmp_path_factory.mktemp("archive"))


def export(source: Path, output: Path, *tables: str, options: tuple[str, ...] = ()) -> Path:
    typed = [word for table in tables for word in ("--table", table)]
    done = muonstream("export", str(source), "--output", str(output), *typed, *options)
    assert done.returncode == 0, done.stderr
    assert list(output.parent.iterdir()) == [output]
    return output


def refused(source: Path, output: Path, *arguments: str) -> str:
    done = muonstream("export", str(source), "--output", str(output), *arguments)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert all(line.startswith("muonstream: ") == (line == lines[-1]) for line in lines), lines
    return str(lines[-1])


def check_provenance(told: dict[str, Any], file: Path, run: ms.Run, *, account: bool) -> None:
    assert (told["version"], told["command"]) == (ms.__version__, "muonstream export")
    assert told["sources"] == [str(file)]
    assert len(told["detector_sha256"]) == 64
    if account:
        assert told["account"] == {**run.account.as_dict(), "balanced": True}


def test_parquet_is_read_by_pyarrow_and_polars(file: Path, run: ms.Run, tmp_path: Path) -> None:
    from pyarrow import parquet

    path = export(file, tmp_path / "hits.parquet")
    found = parquet.read_table(path)
    expected = ms.hits(file).read_all()
    assert found.replace_schema_metadata().equals(expected.replace_schema_metadata())
    assert found.schema.field("drift_ns").metadata[b"unit"] == b"ns"
    check_provenance(json.loads(found.schema.metadata[b"muonstream"]), file, run, account=False)
    told = parquet.read_metadata(path).metadata[b"muonstream_read"]
    check_provenance(json.loads(told), file, run, account=True)
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(path).height == run.account.hits


@pytest.mark.parametrize("codec", ["zstd", "none"])
def test_arrow_files_are_read_by_pyarrow(file: Path, run: ms.Run, tmp_path: Path, codec: str) -> None:
    path = export(file, tmp_path / "muons.arrow", "muons", options=("--codec", codec))
    found = pyarrow.ipc.open_file(path).read_all()
    assert found.replace_schema_metadata().equals(ms.muons(file).read_all().replace_schema_metadata())
    check_provenance(json.loads(found.schema.metadata[b"muonstream"]), file, run, account=False)


def test_csv_is_read_by_polars_with_its_provenance_in_comments(file: Path, run: ms.Run, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    path = export(file, tmp_path / "tracks.csv", "tracks")
    found = polars.read_csv(path, comment_prefix="#")
    expected = polars.DataFrame(ms.tracks(file))
    assert found.columns == expected.columns
    assert np.array_equal(found["chi2"].to_numpy(), expected["chi2"].to_numpy())
    assert found["muon"].null_count() == expected["muon"].null_count()
    head, units, _ = path.read_text("utf-8").split("\n", 2)
    check_provenance(json.loads(head.removeprefix("# muonstream: ")), file, run, account=False)
    assert json.loads(units.removeprefix("# units: "))["at_mm"] == "mm"


def test_root_is_read_by_uproot_and_its_histograms_have_the_moments_of_hists(
    file: Path, run: ms.Run, tmp_path: Path
) -> None:
    uproot = pytest.importorskip("uproot")
    tables = ("hits", "segments", "tracks", "muons", "rates", "histograms")
    with uproot.open(export(file, tmp_path / "all.root", *tables, options=("--reconstruct",))) as found:
        for name in ("hits", "segments", "tracks", "muons"):
            expected = getattr(ms, name)(file).read_all()
            tree = found[name].arrays(library="np")
            assert list(tree) == expected.column_names
            for column, values in tree.items():
                theirs = expected[column].to_numpy(zero_copy_only=False)
                missing = np.isnan(values) if values.dtype.kind == "f" else values == -1
                assert missing.sum() == expected[column].null_count or not expected.schema.field(column).nullable
                assert np.array_equal(values[~missing], theirs[~missing].astype(values.dtype)), column
        assert np.array_equal(found["rates"].arrays(library="np")["chamber_2_hits_hz"], run.rates.hits_hz[:, 1])
        told = json.loads(str(found["provenance"]))
        check_provenance(told, file, run, account=True)
        assert told["columns"]["segments"]["x_mm"]["unit"] == "mm"
        for name in ("counts", "zenith", "drift_tdc", "segment_tan"):
            ours: Any = run.hists[name]
            for index, row in enumerate([ours] if ours.ndim == 1 else [ours[i, :] for i in range(len(ours.axes[0]))]):
                chamber = f"/Chamber_{index + 1}" if ours.ndim == 2 else ""
                theirs = found[f"{name}{chamber}"]
                values, edges = theirs.to_numpy()
                assert np.array_equal(theirs.values(flow=True), row.view(flow=True))
                assert np.allclose(edges, row.axes[0].edges)
                assert np.array_equal(theirs.variances(), values)
                weights, centres = row.values(), row.axes[0].centers
                sums = [theirs.member(key) for key in ("fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2")]
                expected = [weights.sum(), weights.sum(), weights @ centres, weights @ centres**2]
                assert np.allclose(sums, expected)
                assert theirs.axis().member("fTitle") == row.axes[0].label


def test_root_is_read_by_jsroot_too(file: Path, run: ms.Run, tmp_path: Path) -> None:
    """In a browser or Node.js: entries of trees, values of a column, moments of histograms."""
    pytest.importorskip("uproot")
    path = export(file, tmp_path / "all.root", "hits", "rates", "histograms")
    try:
        found = file_content(path, ["drift_tdc/Chamber_1"], {"hits": "orbit", "rates": "chamber_2_hits_hz"})
    except JsrootError as error:
        if in_ci():
            raise
        pytest.skip(str(error))
    assert found["entries"] == {"hits": run.account.hits, "rates": len(run.rates.time_s)}
    orbits = ms.hits(file).read_all()["orbit"].to_numpy()
    assert found["sums"]["hits"] == int(orbits.astype(np.int64).sum())
    assert found["sums"]["rates"] == pytest.approx(run.rates.hits_hz[:, 1].sum(), rel=1e-12)
    drift: Any = run.hists["drift_tdc"]
    counts, centres = drift[0, :].values(), drift.axes[1].centers
    mean = np.average(centres, weights=counts)
    box = found["boxes"]["drift_tdc/Chamber_1"]
    assert box["Entries"] == drift[0, :].values(flow=True).sum()
    assert box["Mean"] == pytest.approx(mean, rel=1e-9)
    assert box["Std Dev"] == pytest.approx(np.sqrt(np.average((centres - mean) ** 2, weights=counts)), rel=1e-9)


def test_histograms_are_read_by_uhi_and_as_csv(file: Path, run: ms.Run, tmp_path: Path) -> None:
    hist, uhi = pytest.importorskip("hist"), pytest.importorskip("uhi.io.json")
    polars = pytest.importorskip("polars")
    (tmp_path / "json").mkdir()
    (tmp_path / "csv").mkdir()
    made = export(file, tmp_path / "json" / "all.json", options=("--reconstruct",))
    read = json.loads(made.read_text("utf-8"), object_hook=uhi.object_hook)
    assert read["histograms"].keys() == run.hists.keys()
    check_provenance(read["muonstream"], file, run, account=True)
    for name, one in read["histograms"].items():
        assert np.array_equal(hist.Hist(one).view(flow=True), run.hists[name].view(flow=True)), name
    path = export(file, tmp_path / "csv" / "all.csv", "histograms", options=("--reconstruct",))
    rows = polars.read_csv(path, comment_prefix="#")
    drift = rows.filter((polars.col("histogram") == "drift_tdc") & (polars.col("row") == "Chamber_2"))
    assert drift["count"].sum() == run.hists["drift_tdc"].view(flow=True)[1].sum()


def test_an_archived_run_gives_what_it_keeps(archived: Path, run: ms.Run, tmp_path: Path) -> None:
    uproot = pytest.importorskip("uproot")
    with uproot.open(export(archived, tmp_path / "run.root", "muons", "rates", "histograms")) as found:
        assert found["drift_tdc/Chamber_1"].values().sum() == run.hists["drift_tdc"].view()[0].sum()
        muons = found["muons"].arrays(library="np")
        whole = ms.muons(run.summary["source"]).read_all()
        assert 0 < len(muons["x_mm"]) <= 24
        newest = whole["zenith_deg"].to_numpy()[-len(muons["x_mm"]) :]
        assert np.allclose(muons["zenith_deg"], newest)
    line = refused(archived, tmp_path / "hits.parquet", "--table", "hits")
    assert "found an archive, expected one of its runs: " in refused(archived.parent, tmp_path / "hits.parquet")
    assert "--table: found hits, which an archived run does not keep; expected muons, rates, histograms" in line


def test_what_cannot_be_written_is_said_in_a_line(file: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.parquet"
    there.write_text("mine", "utf-8")
    assert refused(file, there) == f"muonstream: {there}: already exists; expected a new file, or --force"
    assert there.read_text("utf-8") == "mine"
    assert "found the ending '.txt', expected .parquet" in refused(file, tmp_path / "hits.txt")
    assert "--table: found 'hit', expected hits" in refused(file, tmp_path / "a.csv", "--table", "hit")
    assert "found 2 tables" in refused(file, tmp_path / "a.csv", "--table", "hits", "--table", "muons")
    assert "found histograms for it, expected" in refused(file, tmp_path / "a.parquet", "--table", "histograms")
    assert "--codec: found 'zip', expected zstd" in refused(file, tmp_path / "a.parquet", "--codec", "zip")
    assert "cannot be written: No such file" in refused(file, tmp_path / "none" / "a.parquet")
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.parametrize("name", ["hits.parquet", "hits.root"])
def test_a_full_disk_is_a_line_and_leaves_nothing(file: Path, tmp_path: Path, name: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        line = refused(file, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert line == f"muonstream: {tmp_path / name}: cannot be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_tables_rates_and_histograms_come_of_one_reading(file: Path, run: ms.Run, tmp_path: Path) -> None:
    """Standard input can be read only once, and nothing of it is kept until its end."""
    uproot = pytest.importorskip("uproot")
    path = tmp_path / "all.root"
    tables = [word for table in ("muons", "hits", "rates", "histograms") for word in ("--table", table)]
    done = as_process("export", "-", "--reconstruct", "--output", str(path), *tables, stdin=file.read_bytes())
    assert done.returncode == 0, done.stderr
    with uproot.open(path) as found:
        assert found["hits"].num_entries == run.account.hits
        assert found["muons"].num_entries == ms.muons(file).read_all().num_rows
        assert np.array_equal(found["rates"].arrays(library="np")["chamber_2_hits_hz"], run.rates.hits_hz[:, 1])
        assert json.loads(str(found["provenance"]))["account"] == {**run.account.as_dict(), "balanced": True}
        for name in ("counts", "drift_tdc/Chamber_3", "segment_tan/Chamber_2", "zenith"):
            kind, _, chamber = name.partition("/Chamber_")
            row: Any = run.hists[kind][int(chamber) - 1, :] if chamber else run.hists[kind]
            assert np.array_equal(found[name].values(flow=True), row.view(flow=True)), name


@pytest.mark.parametrize("tables", [["rates"], ["hits"], ["hits", "rates"]])
def test_files_of_several_runs_are_no_table(tmp_path: Path, tables: list[str]) -> None:
    pytest.importorskip("uproot")
    (tmp_path / "runs").mkdir()
    files = [str(tmp_path / "runs" / f"run_{n}.dat") for n in (1, 2)]
    for seed, name in enumerate(files):
        ms.simulate_words(3000, seed=seed + 1).astype("<u8").tofile(name)
    typed = [word for table in tables for word in ("--table", table)]
    done = muonstream("export", *files, "--output", str(tmp_path / "all.root"), *typed)
    assert done.returncode == 1
    assert "expected files of one run: a table is of one; with" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "all.root").exists()
