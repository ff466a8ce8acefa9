"""Metrics of reconstruction and time boxes for Prometheus: muons, efficiencies, drift velocity, t0."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.run.monitor import Snapshot
from muonstream.run.muon_summary import muon_summary
from muonstream.verdicts.verdicts import Verdicts


def muon_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    """Metrics of a run with reconstruction: counts, and by chamber those with enough segments."""
    if not snapshot.catalogue.muon_shapes:
        return
    found = muon_summary(snapshot)
    names = {str(chamber.number): chamber.name for chamber in snapshot.detector.chambers}
    chambers = {names[number]: values for number, values in found["chambers"].items()}
    segments = CounterMetricFamily("muonstream_segments", "Segments of the run", labels=["chamber"])
    crossed = CounterMetricFamily(
        "muonstream_chamber_crossed", "Lines through the others' segments that crossed a chamber", labels=["chamber"]
    )
    hit = CounterMetricFamily(
        "muonstream_chamber_found", "Those of them with a segment in the chamber", labels=["chamber"]
    )
    for name, values in chambers.items():
        segments.add_metric([name], values["segments"])
        crossed.add_metric([name], values["efficiency"]["expected"])
        hit.add_metric([name], values["efficiency"]["found"])
    yield from (segments, crossed, hit)
    yield CounterMetricFamily("muonstream_tracks", "Tracks of the run, both views", found["tracks"])
    yield CounterMetricFamily("muonstream_muons", "Muons with tracks in both views", found["muons_in_both_views"])
    given_up = CounterMetricFamily(
        "muonstream_reconstruction_given_up", "What was left out to keep the work bounded", labels=["kind"]
    )
    for kind, n in found["given_up"].items():
        given_up.add_metric([kind], n)
    yield given_up
    for metric, text, values in (
        (
            "chamber_efficiency_ratio",
            "Share of the lines that crossed a chamber with a segment in it, of the run",
            {name: of["efficiency"]["share"] for name, of in chambers.items()},
        ),
        (
            "chamber_efficiency_tagged_ratio",
            "Share of the muons that every other chamber saw cross it with a segment in it, of the run",
            {name: of["efficiency_tagged"]["share"] for name, of in chambers.items()},
        ),
        (
            "cell_efficiency_ratio",
            "Share of the cells that segments crossed with a hit there, of the run",
            {name: of["cell_efficiency"]["share"] for name, of in chambers.items()},
        ),
        (
            "drift_velocity_um_per_ns",
            "Drift velocity by the segments of the run",
            {name: of["drift_velocity_um_per_ns"] for name, of in chambers.items()},
        ),
        (
            "drift_velocity_error_um_per_ns",
            "Its error",
            {name: of["drift_velocity_error_um_per_ns"] for name, of in chambers.items()},
        ),
        (
            "resolution_um",
            "Width of the core of what single hits are from straight tracks, of the run",
            {name: of["resolution"]["core_um"] for name, of in chambers.items()},
        ),
        (
            "resolution_error_um",
            "Its error",
            {name: of["resolution"]["core_error_um"] for name, of in chambers.items()},
        ),
        (
            "wrong_hits_ratio",
            "Share of segments with a hit that is not the track's, of the run",
            {name: of["resolution"]["tail"] for name, of in chambers.items()},
        ),
        (
            "residual_rms_um",
            "RMS of hits about their own segments, chi2 up to 16 at 0.5 mm a hit, of the run",
            {name: of["biased_residual_rms_um"] for name, of in chambers.items()},
        ),
    ):
        yield _by_chamber(metric, text, values)


def time_box_metrics(detector: Detector, verdicts: Verdicts) -> Iterator[Metric]:
    """Metrics of the fitted time boxes of the newest data by chamber, with or without reconstruction."""
    findings = {status.finding.key: status.finding for status in verdicts.statuses}
    values = {key: finding.value for key, finding in findings.items()}
    # a change common to all chambers is an alarm of the detector; the remainder is each chamber's
    of_all = findings.get(("velocity", "Detector"))
    shared = (of_all.value or 0.0) if of_all is not None and of_all.level > Level.GOOD else 0.0
    shifts = {chamber.name: values.get(("t0", chamber.name)) for chamber in detector.chambers}
    changes = {chamber.name: values.get(("velocity", chamber.name)) for chamber in detector.chambers}
    velocities = {
        chamber.name: None
        if (change := changes[chamber.name]) is None
        else chamber.drift_velocity_um_per_ns * (1 + change + shared)
        for chamber in detector.chambers
    }
    yield _by_chamber(
        "t0_shift_nanoseconds", "Where the time box begins, without what its board or all chambers share", shifts
    )
    yield _by_chamber(
        "time_box_velocity_um_per_ns",
        "Drift velocity of the newest data, by segments where there are enough, else by the time box",
        velocities,
    )


def _by_chamber(name: str, text: str, values: dict[str, float | None]) -> Metric:
    """A gauge of the chambers whose value is known."""
    metric = GaugeMetricFamily(f"muonstream_{name}", text, labels=["chamber"])
    for chamber, value in values.items():
        if value is not None:
            metric.add_metric([chamber], value)
    return metric
