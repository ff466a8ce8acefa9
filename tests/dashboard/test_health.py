from __future__ import annotations

import json
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from muonstream.dashboard.app import create_app
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.health import health
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot, State
from muonstream.simulation.telescope import simulate_words

NOW = 1_700_000_000.0


def snapshot(state: State = "running", *, published_s: float = 0.2, data_s: float = 0.3) -> Snapshot:
    with Pipeline(Detector.default(), run="run 7", workers=0) as pipeline:
        pipeline.push(simulate_words(1000))
        made = pipeline.snapshot(state)
    return replace(made, wall_time=NOW - published_s, data_wall_time=NOW - data_s, lag_messages=12, restarts=3)


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (snapshot(), []),
        (snapshot(published_s=9, data_s=29), []),
        (snapshot(published_s=11), ["the engine has published nothing for 11 s (allowed 10 s)"]),
        (snapshot(data_s=45), ["no data have come for 45 s (allowed 30 s)"]),
        (snapshot("waiting", data_s=4000), []),
        (snapshot("waiting", published_s=60), ["the engine has published nothing for 60 s (allowed 10 s)"]),
        (snapshot("ended", published_s=4000, data_s=4000), []),
        (None, []),
    ],
)
def test_health_says_why_it_is_not(given: Snapshot | None, reasons: list[str]) -> None:
    report = health(given, now=NOW)
    assert report["reasons"] == reasons
    assert report["healthy"] is not bool(reasons)


def test_words_that_are_missing_and_other_problems_are_reasons() -> None:
    account = snapshot().account
    lossy = replace(snapshot(), account=replace(account, words=account.words + 5))
    reasons = health(lossy, now=NOW, problems=["results: away"])["reasons"]
    assert reasons == ["results: away", "the account does not balance: 5 words are missing"]


def test_the_report_has_lag_rate_age_and_restarts() -> None:
    report = health(replace(snapshot(), words_per_second=5000.0), now=NOW, viewers=2)
    assert {key: report[key] for key in ("lag_messages", "restarts", "words_per_second", "viewers", "run")} == {
        "lag_messages": 12,
        "restarts": 3,
        "words_per_second": 5000.0,
        "viewers": 2,
        "run": "run 7",
    }
    assert report["data_age_s"] == pytest.approx(0.3, abs=1e-3)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_healthz_answers_503_with_the_reason() -> None:
    feed, problems = Feed(), ["kafka://lab:9092: Connection refused"]
    client = TestClient(create_app(feed, stale_after_s=60, problems=lambda: problems), base_url="http://127.0.0.1")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, problems)
    problems.clear()
    assert client.get("/healthz").status_code == 200
    feed.publish(snapshot())  # long ago by the clock of this machine
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert [reason.split(" for ")[0] for reason in answer.json()["reasons"]] == [
        "the engine has published nothing",
        "no data have come",
    ]
    assert answer.json()["reasons"][1].endswith("(allowed 60 s)")
