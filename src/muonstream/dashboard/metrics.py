"""GET /metrics: the newest snapshot and its verdicts for Prometheus, in OpenMetrics."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from muonstream import __version__
from muonstream.dashboard.engine_metrics import engine_metrics
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.message.message import numbers
from muonstream.dashboard.muon_metrics import muon_metrics, time_box_metrics
from muonstream.detector.level import Level
from muonstream.run.inputs import InputTotals
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.findings import worst

CONTENT_TYPE = CONTENT_TYPE_LATEST


class FeedCollector:
    """Gives the metrics of a feed as it stands."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        """All metrics; only those of the page itself before the first snapshot."""
        info = InfoMetricFamily("muonstream", "The program, and the run it watches")
        snapshot = self._feed.snapshot
        run = {} if snapshot is None else {"run": snapshot.run, "detector": snapshot.detector.name}
        info.add_metric([], {"version": __version__, **run})
        yield info
        yield GaugeMetricFamily("muonstream_viewers", "Open pages", self._feed.viewers)
        if snapshot is not None:
            yield from self._of_snapshot(snapshot)
            yield from engine_metrics(snapshot.times)
            yield from muon_metrics(snapshot)
            yield from time_box_metrics(snapshot.detector, self._feed.board.verdicts)
            yield from self._of_verdicts()

    def _of_snapshot(self, snapshot: Snapshot) -> Iterator[Metric]:
        shown = numbers(snapshot)
        words = CounterMetricFamily(
            "muonstream_words", "Words of the run by their place in the account", labels=["kind"]
        )
        for kind, n in snapshot.account.as_dict().items():
            if kind not in ("words", "held"):
                words.add_metric([kind], n)
        yield words
        totals = InputTotals.of(snapshot.inputs)
        content = CounterMetricFamily("muonstream_bytes", "Bytes of the inputs by how they were used", labels=["kind"])
        for kind, n in totals.bytes.as_dict().items():
            content.add_metric([kind], n)
        yield content
        inputs = GaugeMetricFamily("muonstream_inputs", "Files and streams of the run", labels=["status"])
        for status in ("read", "undecided", "passed_over"):
            inputs.add_metric([status], getattr(totals, status))
        yield inputs
        for name, text, value in (
            ("words_held", "Words that wait for others to confirm their time", snapshot.account.held),
            (
                "words_unaccounted",
                "Words missing from the account: 0 unless something was lost",
                snapshot.account.residual,
            ),
            ("running", "1 while the run is in progress", int(snapshot.state == "running")),
            ("data_age_seconds", "Time since the newest words came", max(0.0, time.time() - snapshot.data_wall_time)),
            (
                "snapshot_age_seconds",
                "Time since the engine's last snapshot",
                max(0.0, time.time() - snapshot.wall_time),
            ),
            ("live_time_seconds", "Live time of the run, gaps left out", snapshot.live_time_s),
            ("words_per_second", "Throughput by the wall clock", shown["words_per_second"]),
            ("scintillator_rate_hertz", "Scintillator words a second of data", shown["scintillator_rate_hz"]),
            ("lag_messages", "Messages that wait at the source", snapshot.lag_messages),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"muonstream_{name}", text, value)
        for name, text, n in (
            ("gaps", "Gaps in the data", snapshot.gaps),
            ("resets", "Resets of the orbit counter", snapshot.resets),
            ("windows_forced", "Windows closed before all boards had passed them, to save memory", snapshot.forced),
            ("words_repeated", "Words that are the same, bit for bit, as earlier ones", totals.repeated),
            ("steps_lost", "Times that an input was out of step", totals.steps_lost),
            ("restarts", "Restarts of the run's engine", snapshot.restarts),
        ):
            yield CounterMetricFamily(f"muonstream_{name}", text, n)
        hits = CounterMetricFamily("muonstream_hits", "Hits of the run", labels=["chamber"])
        rate = GaugeMetricFamily("muonstream_hit_rate_hertz", "Hits a second of the last 30 s", labels=["chamber"])
        for chamber in shown["chambers"]:
            hits.add_metric([chamber["name"]], chamber["hits"])
            if chamber["recent_hit_rate_hz"] is not None:
                rate.add_metric([chamber["name"]], chamber["recent_hit_rate_hz"])
        yield hits
        yield rate
        crowded = CounterMetricFamily(
            "muonstream_pair_hits_given_up", "Hits of cells with too many in an orbit to compare", labels=["chamber"]
        )
        given_up = snapshot.catalogue.view(snapshot.total, "pair_given_up")
        for chamber, n in zip(snapshot.detector.chambers, given_up[:, 0].tolist(), strict=True):
            crowded.add_metric([chamber.name], n)
        yield crowded

    def _of_verdicts(self) -> Iterator[Metric]:
        verdicts = self._feed.board.verdicts
        levels = "0 null (too little data), 1 good, 2 medium, 3 bad"
        yield GaugeMetricFamily("muonstream_detector_verdict", f"Verdict on the detector: {levels}", verdicts.level)
        chambers = GaugeMetricFamily("muonstream_chamber_verdict", "Verdict on a chamber", labels=["chamber"])
        for name, level in verdicts.chambers.items():
            chambers.add_metric([name], level)
        yield chambers
        checks = GaugeMetricFamily("muonstream_check_verdict", "The worst verdict of a check", labels=["check"])
        for check in dict.fromkeys(status.finding.check for status in verdicts.statuses):
            same = (status.finding.level for status in verdicts.statuses if status.finding.check == check)
            checks.add_metric([check], worst(same))
        yield checks
        number = GaugeMetricFamily("muonstream_alarms", "How many alarms there are", labels=["level", "acknowledged"])
        for level in (Level.MEDIUM, Level.BAD):
            for known in (False, True):
                n = sum(
                    status.finding.level is level and (status.acknowledged is not None) == known
                    for status in verdicts.alarms
                )
                number.add_metric([level.name.lower(), str(known).lower()], n)
        yield number
        alarms = GaugeMetricFamily(
            "muonstream_alarm", "Verdicts that are medium or bad", labels=["check", "subject", "acknowledged"]
        )
        for status in verdicts.alarms:
            acknowledged = str(status.acknowledged is not None).lower()
            alarms.add_metric([status.finding.check, status.finding.subject, acknowledged], status.finding.level)
        yield alarms


def metrics(feed: Feed) -> bytes:
    """The text of GET /metrics."""
    registry = CollectorRegistry()
    registry.register(FeedCollector(feed))
    return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]
