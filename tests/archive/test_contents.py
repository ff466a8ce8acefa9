"""An archived run is read by others' programs alone, and what they read is what was counted."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import hist
import numpy as np
import pytest
import uhi.io.json
from archived_runs import PROVENANCE, counted

from muonstream.archive import container
from muonstream.archive.archive import Archive
from muonstream.archive.contents import anonymous, entries_of, snapshot_of
from muonstream.archive.people import Comment, Flag, People
from muonstream.detector.model import parse
from muonstream.run.muon_summary import muon_summary
from muonstream.run.summary import summary


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Archive(tmp_path_factory.mktemp("archive")).save(counted(), PROVENANCE)


def test_every_entry_is_named_in_the_readme(path: Path) -> None:
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        text = opened.read("README.txt").decode()
        assert all(name in text for name in opened.namelist())


def test_histograms_are_those_that_uhi_and_hist_read(path: Path) -> None:
    snapshot = counted()
    with zipfile.ZipFile(path) as opened:
        text = opened.read("histograms.json").decode()
    found = json.loads(text, object_hook=uhi.io.json.object_hook)
    ours = snapshot.catalogue.hists(snapshot.total)
    assert found.keys() == ours.keys()
    for name, plain in found.items():
        read = hist.Hist(plain)
        assert read.axes[-1].label == ours[name].axes[-1].label
        theirs = ours[name].view(flow=snapshot.catalogue.entries[name].axis.flow)
        assert np.array_equal(np.asarray(read.view(flow=snapshot.catalogue.entries[name].axis.flow)), theirs), name


def test_summary_rates_and_detector_are_read_without_us(path: Path) -> None:
    snapshot = counted()
    with zipfile.ZipFile(path) as opened:
        entries = {name: opened.read(name) for name in opened.namelist()}
    assert json.loads(entries["summary.json"]) == json.loads(json.dumps(summary(snapshot)))
    rates = np.load(io.BytesIO(entries["rates.npy"]), allow_pickle=False)
    assert np.array_equal(rates["chamber_2_hits_hz"], snapshot.rates.hits_hz[:, 1])
    assert parse(entries["detector.toml"].decode(), "detector.toml") == snapshot.detector
    run = json.loads(entries["run.json"])
    assert (run["name"], run["number"], run["account"]["words"]) == ("sim1", 7, 40_000)
    assert run["begun"] == "2023-11-14T23:13:20+00:00"
    by_key = {(one["name"], one["subject"]): one for one in run["quantities"]}
    rate = by_key["hit rate", ""]
    assert rate["value"] == pytest.approx(snapshot.account.hits / snapshot.live_time_s)
    assert rate["error"] == pytest.approx(rate["value"] / snapshot.account.hits**0.5)
    assert by_key["drift velocity", "Chamber 1"]["value"] == pytest.approx(53.8, abs=1.0)
    chamber = snapshot.detector.chambers[0]
    for name, expected in (("t0", 0.0), ("longest drift time", chamber.t_max_ns)):
        box = by_key[name, "Chamber 1"]
        assert abs(box["value"] - expected) < 4 * box["error"] < 40
    core = by_key["core resolution", "Chamber 1"]
    resolution = muon_summary(snapshot)["chambers"]["1"]["resolution"]
    assert (core["value"], core["error"]) == (resolution["core_um"], resolution["core_error_um"])
    assert by_key["noisy cells", ""]["value"] == by_key["dead cells", ""]["value"] == 0


def test_the_page_opens_the_same_run(path: Path) -> None:
    found = snapshot_of(path)
    assert np.array_equal(found.total, counted().total)
    assert found.account == counted().account


def test_an_8_hour_run_is_at_most_2_mib(path: Path) -> None:
    """Its rates are those of the most bins; all else does not grow with a run."""
    from dataclasses import replace

    snapshot = counted()
    bins = 4096
    rates = replace(
        snapshot.rates,
        time_s=np.arange(bins, dtype=np.float64) * 7,
        hits_hz=np.random.default_rng(1).random((bins, 4)),
        scintillator_hz=np.random.default_rng(2).random(bins),
        active_cells=np.random.default_rng(3).random((bins, 4)),
    )
    entries = entries_of(replace(snapshot, rates=replace(rates, muons=None)), PROVENANCE, People())
    path = path.with_name("long.muonrun")
    container.write(path, entries)
    assert path.stat().st_size < 2 << 20


def test_a_copy_for_others_has_no_names_hosts_or_comments(path: Path) -> None:
    people = People((Comment("secret text", "Anna", 1.0),), (Flag("bad", "Anna's fault", name="Anna"),))
    entries = {**container.read(path), container.PEOPLE: container.as_json(people.as_plain())}
    container.write(path.with_name("named.muonrun"), entries)
    bare = anonymous(container.read(path.with_name("named.muonrun")), path.with_name("named.muonrun"))
    for name, content in bare.items():
        if name != container.SNAPSHOT:
            for word in (b"Anna", b"secret", b"daq", b"/data/"):
                assert word not in content, name
    container.write(path.with_name("bare.muonrun"), bare)
    assert snapshot_of(path.with_name("bare.muonrun")).source == "sim1.dat"
    assert json.loads(bare[container.PEOPLE])["flags"][0]["effect"] == "bad"
