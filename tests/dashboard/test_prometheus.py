"""What Prometheus and Grafana are given in deploy/: metrics that exist, rules that say what they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from muonstream.dashboard.feed import Feed
from muonstream.dashboard.metrics import metrics
from muonstream.dashboard.muon_metrics import time_box_metrics
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.findings import Finding
from muonstream.verdicts.verdicts import Status, Verdicts
from tools.machine import PROMTOOL_HINT, find_promtool, in_ci

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus-rules.yaml"
OTHERS = {"up"}
"""Metrics that Prometheus itself has."""
Samples = dict[str, list[tuple[dict[str, str], float]]]


def judged(snapshot: Snapshot) -> Feed:
    """A feed that has had time to find an alarm."""
    feed = Feed()
    for second in range(4):
        feed.publish(replace(snapshot, data_time_s=float(second)))
    return feed


def samples(feed: Feed) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(metrics(feed).decode()):  # type: ignore[no-untyped-call]
        if not family.samples:
            found[family.name] = []
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.fixture(scope="module")
def muons() -> Snapshot:
    """A run with reconstruction whose counts are known, and whose account is wrong, which is an alarm."""
    with Pipeline(Detector.default(), run="run 1", workers=0, reconstruct=True) as pipeline:
        empty = pipeline.snapshot()
    total = empty.total.copy()
    view = empty.catalogue.view
    view(total, "muon_counts")[:] = [90, 60, 40, 20, 1, 2, 3, 4]
    view(total, "segment_hits")[0, 4] = 50
    view(total, "chamber_expected")[:] = [100, 0, 0, 0]
    view(total, "chamber_found")[:] = [80, 0, 0, 0]
    view(total, "velocity")[0] = [100, 1000, -2000, 4100]
    view(total, "cell_expected")[:8] = 10
    view(total, "cell_found")[:8] = 9
    view(total, "residual_count")[0, 3] = 4
    view(total, "residual_sum2_um2")[0, 3] = 4 * 250**2
    view(total, "orbits")[0] = 5
    return replace(empty, total=total, lag_messages=3, account=Account(words=5))


def test_muons_are_told_by_chamber_and_left_out_where_there_are_too_few(muons: Snapshot) -> None:
    found = samples(judged(muons))
    names = [chamber.name for chamber in muons.detector.chambers]

    def by(metric: str, label: str = "chamber") -> dict[str, float]:
        return {labels[label]: value for labels, value in found[f"muonstream_{metric}"]}

    assert by("segments_total") == dict(zip(names, [50, 0, 0, 0], strict=True))
    assert by("chamber_crossed_total")[names[0]] == 100
    assert by("chamber_found_total")[names[0]] == 80
    assert by("chamber_efficiency_ratio") == {names[0]: 0.8}
    assert by("cell_efficiency_ratio") == {names[0]: 0.9}
    assert by("residual_rms_um") == {names[0]: 250}
    assert by("drift_velocity_um_per_ns") == {names[0]: pytest.approx(50.0)}
    assert set(by("drift_velocity_error_um_per_ns")) == {names[0]}
    assert by("reconstruction_given_up_total", "kind") == {"hits": 1, "choices": 2, "fits": 3, "segments": 4}
    assert found["muonstream_tracks_total"] == [({}, 40)]
    assert found["muonstream_muons_total"] == [({}, 20)]


def test_a_run_without_reconstruction_has_no_muons() -> None:
    with Pipeline(Detector.default(), workers=0) as pipeline:
        found = samples(judged(pipeline.snapshot()))
    assert not [
        name for name, values in found.items() if values and re.search("_muons|segments|tracks|efficiency", name)
    ]


def test_verdicts_are_told_by_check_and_counted(muons: Snapshot) -> None:
    feed = judged(muons)
    found = samples(feed)
    levels = {labels["check"]: value for labels, value in found["muonstream_check_verdict"]}
    assert (levels["account"], levels["malformed input"]) == (3, 0)

    def alarms() -> dict[tuple[str, str], float]:
        return {(one["level"], one["acknowledged"]): n for one, n in samples(feed)["muonstream_alarms"]}

    assert alarms() == {("medium", "false"): 0, ("medium", "true"): 0, ("bad", "false"): 1, ("bad", "true"): 0}
    assert feed.acknowledge("account", "Stream", "known")
    assert alarms()["bad", "true"] == 1


def test_time_boxes_are_told_by_chamber(muons: Snapshot) -> None:
    chamber = muons.detector.chambers[0]
    statuses = tuple(
        Status(Finding(check, chamber.name, Level.GOOD, "", chamber.name, value), 0.0)
        for check, value in (("t0", -1.5), ("velocity", 0.01))
    )
    found = {metric.name: metric.samples for metric in time_box_metrics(muons.detector, Verdicts(statuses=statuses))}
    assert [one.value for one in found["muonstream_t0_shift_nanoseconds"]] == [-1.5]
    [velocity] = found["muonstream_time_box_velocity_um_per_ns"]
    assert velocity.labels == {"chamber": chamber.name}
    assert velocity.value == pytest.approx(1.01 * chamber.drift_velocity_um_per_ns)
    of_all = Status(Finding("velocity", "Detector", Level.BAD, "", value=0.05), 0.0)
    found = {m.name: m.samples for m in time_box_metrics(muons.detector, Verdicts(statuses=(*statuses, of_all)))}
    assert found[velocity.name][0].value == pytest.approx(1.06 * chamber.drift_velocity_um_per_ns)


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics that an expression names, with the labels that it asks for."""
    plain = re.sub(r"\b(?:on|by|without|ignoring) *\([^)]*\)", "", expression)
    for name, braces in re.findall(r"\b((?:muonstream_\w+|up))\b *(\{[^}]*\})?", plain):
        yield name, {label: value for label, _, value in re.findall(r'(\w+) *(=~|=) *"([^"]*)"', braces)}


def grafana_queries() -> list[str]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def rules() -> list[str]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def wrong(expression: str, there: Samples) -> list[str]:
    """What an expression asks for and the metrics do not have."""
    faults = []
    asked = [one for one in selectors(expression) if one[0] not in OTHERS]
    for name, wanted in asked:
        if name not in there:
            faults.append(f"no metric {name}")
        for label, pattern in wanted.items():
            values = {labels.get(label, "") for labels, _ in there.get(name, [])}
            faults += [f"{name} has no {label}={one}" for one in pattern.split("|") if one not in values]
    return faults


@pytest.mark.parametrize("expression", [*grafana_queries(), *rules()])
def test_every_query_finds_its_metric(expression: str, muons: Snapshot) -> None:
    there = samples(judged(muons))
    there["muonstream_scintillator_rate_hertz"] = []  # left out while there is no data, as here
    assert list(selectors(expression))
    assert wrong(expression, there) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(muonstream_segment_total[1m])", ["no metric muonstream_segment_total"]),
        ('muonstream_words_total{kind=~"late|strayed"}', ["muonstream_words_total has no kind=strayed"]),
        ("muonstream_tracks_total and on (instance) muonstream_running == 1", []),
    ],
)
def test_queries_of_what_is_not_there_are_found_out(expression: str, fault: list[str], muons: Snapshot) -> None:
    assert wrong(expression, samples(judged(muons))) == fault


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' checker; without it the test is skipped, and fails with CI=true."""
    found = find_promtool()
    if found is not None:
        return found
    reason = f"needs promtool: {PROMTOOL_HINT}"
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


def test_prometheus_understands_the_rules(promtool: Path) -> None:
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 rules found" in done.stdout


def test_the_rules_raise_what_they_should_and_nothing_else(promtool: Path) -> None:
    played = Path(__file__).with_name("prometheus_rules_test.yaml")
    done = subprocess.run([promtool, "test", "rules", played], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
