from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from muonstream import __version__
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.metrics import metrics
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.run.monitor import Snapshot

Labels = frozenset[tuple[str, str]]
NONE: Labels = frozenset()


@pytest.fixture(scope="module")
def empty() -> Snapshot:
    with Pipeline(Detector.default(), run="run 1", workers=0) as pipeline:
        return pipeline.snapshot()


def samples(feed: Feed) -> dict[tuple[str, Labels], float]:
    """What Prometheus reads, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics(feed).decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def of(snapshot: Snapshot) -> dict[tuple[str, Labels], float]:
    feed = Feed()
    feed.publish(snapshot)
    return samples(feed)


def test_before_the_first_snapshot_there_are_the_pages_own() -> None:
    assert samples(Feed()) == {
        ("muonstream_info", frozenset({("version", __version__)})): 1,
        ("muonstream_viewers", NONE): 0,
    }


def test_every_word_of_the_account_is_one_kind(empty: Snapshot) -> None:
    account = Account(
        words=46, hits=1, scintillator=2, trigger=3, ancillary=4, unmapped=5, malformed=6, late=7, stray=8
    )
    found = of(replace(empty, account=replace(account, held=9)))
    kinds = {dict(labels)["kind"]: n for (name, labels), n in found.items() if name == "muonstream_words_total"}
    expected = account.as_dict()
    del expected["words"], expected["held"]
    assert kinds == expected
    assert found["muonstream_words_held", NONE] == 9
    assert found["muonstream_words_unaccounted", NONE] == 1


@pytest.mark.parametrize(("lag", "there"), [(None, False), (0, True), (17, True)])
def test_what_nobody_knows_is_left_out(empty: Snapshot, lag: int | None, there: bool) -> None:
    found = of(replace(empty, lag_messages=lag))
    assert (("muonstream_lag_messages", NONE) in found) == there
    assert found.get(("muonstream_lag_messages", NONE)) == lag


def test_without_data_rates_are_left_out_and_counts_are_0(empty: Snapshot) -> None:
    found = of(empty)
    assert [n for (name, _), n in found.items() if name == "muonstream_hits_total"] == [0, 0, 0, 0]
    assert not any(name == "muonstream_hit_rate_hertz" for name, _ in found)


@pytest.mark.parametrize(("state", "running"), [("running", 1), ("ended", 0), ("waiting", 0)])
def test_a_run_goes_on_or_not(empty: Snapshot, state: str, running: int) -> None:
    assert of(replace(empty, state=state))["muonstream_running", NONE] == running  # type: ignore[arg-type]


def test_an_age_is_never_negative(empty: Snapshot) -> None:
    """Clocks of two machines differ."""
    found = of(replace(empty, wall_time=4e9, data_wall_time=4e9))
    assert found["muonstream_snapshot_age_seconds", NONE] == 0
    assert found["muonstream_data_age_seconds", NONE] == 0


def test_counts_of_the_run_are_counters(empty: Snapshot) -> None:
    found = of(replace(empty, gaps=2, resets=3, restarts=4, forced=5, live_time_s=12.5))
    names = ("gaps", "resets", "restarts", "windows_forced")
    assert [found[f"muonstream_{name}_total", NONE] for name in names] == [2, 3, 4, 5]
    assert found["muonstream_live_time_seconds", NONE] == 12.5


def test_an_alarm_says_whether_it_is_acknowledged(empty: Snapshot) -> None:
    feed = Feed()
    for second in range(4):
        feed.publish(replace(empty, account=Account(words=5), data_time_s=float(second)))
    alarm = {("check", "account"), ("subject", "Stream")}
    assert samples(feed)["muonstream_alarm", frozenset({*alarm, ("acknowledged", "false")})] == 3
    assert feed.board.acknowledge("account", "Stream", "known", 1.0)
    found = samples(feed)
    assert found["muonstream_alarm", frozenset({*alarm, ("acknowledged", "true")})] == 3
    assert ("muonstream_alarm", frozenset({*alarm, ("acknowledged", "false")})) not in found


def test_the_text_ends_as_openmetrics_does(empty: Snapshot) -> None:
    feed = Feed()
    feed.publish(replace(empty, run='a"b\\c\nd'))
    assert metrics(feed).endswith(b"# EOF\n")
    assert any(("run", 'a"b\\c\nd') in labels for name, labels in samples(feed) if name == "muonstream_info")
