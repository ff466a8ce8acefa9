from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from muonstream.counting.catalogue import Counts
from muonstream.counting.muon_entries import wilson
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.run.muon_summary import muon_summary

NOTHING = {"found": 0, "expected": 0, "share": None, "low": 0.0, "high": 1.0}


@pytest.fixture(scope="module")
def empty() -> Snapshot:
    with Pipeline(Detector.default(), workers=0, reconstruct=True) as pipeline:
        return pipeline.snapshot()


@pytest.fixture
def total(empty: Snapshot) -> Counts:
    return empty.catalogue.zeros()


def test_nothing_is_plain_json_without_shares(empty: Snapshot) -> None:
    summary = json.loads(json.dumps(muon_summary(empty), allow_nan=False))
    assert (summary["segments"], summary["tracks"], summary["muons_in_both_views"]) == (0, 0, 0)
    assert list(summary["chambers"]) == ["1", "2", "3", "4"]
    for chamber in summary["chambers"].values():
        assert chamber["efficiency"] == chamber["cell_efficiency"] == NOTHING
        for key in ("segments_hz", "biased_residual_rms_um", "drift_velocity_um_per_ns"):
            assert chamber[key] is None


def test_counts_are_the_catalogues(empty: Snapshot, total: Counts) -> None:
    empty.catalogue.view(total, "muon_counts")[:] = [11, 7, 5, 3, 1, 2, 4, 8]
    summary = muon_summary(replace(empty, total=total))
    assert summary["segments"] == 11
    assert summary["segments_with_a_hit_in_each_layer"] == 7
    assert (summary["tracks"], summary["muons_in_both_views"]) == (5, 3)
    assert summary["given_up"] == {"hits": 1, "choices": 2, "fits": 4, "segments": 8}


def test_the_intensity_by_angle_is_of_angles_that_the_telescope_sees(empty: Snapshot, total: Counts) -> None:
    empty.catalogue.view(total, "zenith")[1:11] = 10  # below 20 degrees
    found = muon_summary(replace(empty, total=total, live_time_s=100.0))["intensity_by_zenith"]
    assert [(one["from_degrees"], one["muons"]) for one in found] == [(0, 50), (10, 50), (20, 0), (30, 0), (40, 0)]
    first = found[0]
    assert first["per_m2_s_sr"] == pytest.approx(50 / (100 * first["aperture_m2_sr"]))
    assert first["error_per_m2_s_sr"] == pytest.approx(first["per_m2_s_sr"] / 50**0.5, rel=0.01)
    without = muon_summary(replace(empty, total=total, live_time_s=0.0))["intensity_by_zenith"]
    assert without[0]["per_m2_s_sr"] is None


def test_segments_are_by_chamber_and_second(empty: Snapshot, total: Counts) -> None:
    empty.catalogue.view(total, "segment_hits")[2] = [0, 0, 0, 30, 50, 0, 0]
    summary = muon_summary(replace(empty, total=total, live_time_s=20.0))["chambers"]
    assert (summary["3"]["segments"], summary["3"]["segments_with_a_hit_in_each_layer"]) == (80, 50)
    assert (summary["3"]["segments_hz"], summary["3"]["segments_with_a_hit_in_each_layer_hz"]) == (4.0, 2.5)
    assert (summary["2"]["segments"], summary["2"]["segments_hz"]) == (0, 0.0)


def test_residuals_are_a_root_mean_square(empty: Snapshot, total: Counts) -> None:
    empty.catalogue.view(total, "residual_count")[0, :2] = 3, 1
    empty.catalogue.view(total, "residual_sum2_um2")[0, :2] = 30_000, 10_000
    assert muon_summary(replace(empty, total=total))["chambers"]["1"]["biased_residual_rms_um"] == 100.0


def test_shares_come_with_their_interval(empty: Snapshot, total: Counts) -> None:
    view, base = empty.catalogue.view, empty.catalogue.channel_map.cell_base
    view(total, "chamber_expected")[1], view(total, "chamber_found")[1] = 40, 30
    for name, n in (("cell_expected", 9), ("cell_found", 4)):
        view(total, name)[base[1] - 1] = 1000  # the last cell of the chamber before
        view(total, name)[[base[1], base[1] + 63]] = n
        view(total, name)[base[2]] = 1000
    chamber = muon_summary(replace(empty, total=total))["chambers"]["2"]
    low, high = wilson(30, 40)
    assert chamber["efficiency"] == {"found": 30, "expected": 40, "share": 0.75, "low": low, "high": high}
    assert (chamber["cell_efficiency"]["found"], chamber["cell_efficiency"]["expected"]) == (8, 18)


def test_the_velocity_has_no_error_from_one_segment(empty: Snapshot, total: Counts) -> None:
    sums = empty.catalogue.view(total, "velocity")
    sums[0] = 1, 100, -100, 100
    # 5.38 mm in 100 ns, fifty times
    sums[1] = 50, 50 * 538**2, -50 * 538 * 1000, 50 * 1000**2
    chambers = muon_summary(replace(empty, total=total))["chambers"]
    assert chambers["1"]["drift_velocity_um_per_ns"] is None
    assert chambers["1"]["drift_velocity_error_um_per_ns"] is None
    assert chambers["2"]["drift_velocity_um_per_ns"] == pytest.approx(53.8)
    assert chambers["2"]["drift_velocity_error_um_per_ns"] == pytest.approx(0, abs=1e-6)


def test_the_resolution_is_core_and_tail(empty: Snapshot, total: Counts) -> None:
    nothing = muon_summary(empty)["chambers"]["2"]["resolution"]
    assert nothing == {"core_um": None, "core_error_um": None, "tail": None, "tail_error": None}
    centres = empty.catalogue.entries["misfit"].axis.centres
    core = 8000 * np.exp(-((centres / 0.3) ** 2) / 2) / np.sqrt(2 * np.pi) / 0.3 * 0.05
    empty.catalogue.view(total, "misfit")[1, 1:-1] = np.round(core + 2000 / len(centres))
    found = muon_summary(replace(empty, total=total))["chambers"]["2"]["resolution"]
    assert found["core_um"] == pytest.approx(300, abs=2)
    assert found["tail"] == pytest.approx(0.2, abs=0.01)
    assert 0 < found["core_error_um"] < 10
    assert 0 < found["tail_error"] < 0.02
