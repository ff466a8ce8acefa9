from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from muonstream.dashboard.access.options import Access
from muonstream.dashboard.api import Api, openapi
from muonstream.dashboard.app import create_app
from muonstream.dashboard.feed import Feed
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import decode
from muonstream.simulation.telescope import simulate_words

HOSTILE = 'a"b\\c\nd'


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with Pipeline(Detector.default(), run=HOSTILE, source="simulation", workers=0) as pipeline:
        pipeline.push(simulate_words(30_000, seed=5))
        return pipeline.snapshot()


@pytest.fixture
def feed(snapshot: Snapshot) -> Feed:
    made = Feed()
    unbalanced = replace(snapshot, account=replace(snapshot.account, words=snapshot.account.words + 7))
    for second in range(4):
        made.publish(replace(unbalanced, data_time_s=snapshot.data_time_s + second))
    return made


@pytest.fixture
def client(feed: Feed) -> TestClient:
    return TestClient(create_app(feed), base_url="http://127.0.0.1")


def test_before_the_first_snapshot_there_is_nothing_yet() -> None:
    client = TestClient(create_app(Feed()), base_url="http://127.0.0.1")
    for path in ("/api/snapshot", "/api/histograms", "/api/histograms/counts", "/api/snapshot.musn"):
        assert client.get(path).status_code == 503
    assert "muonstream_viewers 0" in client.get("/metrics").text


def test_metrics_are_the_snapshots_numbers(client: TestClient, snapshot: Snapshot) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    assert samples["muonstream_words_total", frozenset({("kind", "hits")})] == snapshot.account.hits
    hits = snapshot.catalogue.chamber_hits(snapshot.total)
    for c, chamber in enumerate(snapshot.detector.chambers):
        assert samples["muonstream_hits_total", frozenset({("chamber", chamber.name)})] == hits[c]
    assert samples["muonstream_words_unaccounted", frozenset()] == 7
    assert samples["muonstream_detector_verdict", frozenset()] == 3
    alarm = frozenset({("check", "account"), ("subject", "Stream"), ("acknowledged", "false")})
    assert samples["muonstream_alarm", alarm] == 3
    assert any(name == "muonstream_info" and ("run", HOSTILE) in labels for name, labels in samples)


def test_a_histogram_is_the_engines(client: TestClient, snapshot: Snapshot) -> None:
    for name, described in client.get("/api/histograms").json().items():
        for period, data in (("run", snapshot.total), ("recent", snapshot.recent)):
            answer = client.get(f"/api/histograms/{name}?period={period}").json()
            expected = snapshot.catalogue.view(data, name)
            assert np.array_equal(answer.pop("values"), expected)
            assert answer == described
            assert tuple(described["shape"]) == expected.shape


def test_roots_object_has_the_counts_where_root_wants_them(client: TestClient, snapshot: Snapshot) -> None:
    made = client.get("/api/histograms/drift_tdc?format=root").json()
    values = snapshot.catalogue.view(snapshot.total, "drift_tdc")
    x, y = made["fXaxis"]["fNbins"], made["fYaxis"]["fNbins"]
    assert (made["_typename"], x, y) == ("TH2D", 2048, 4)
    cells = np.array(made["fArray"]).reshape(y + 2, x + 2)
    assert np.array_equal(cells[1:-1], values)
    assert made["fNcells"] == cells.size
    one = client.get("/api/histograms/counts?format=root").json()
    assert one["_typename"] == "TH1D"
    assert np.array_equal(one["fArray"][1:-1], snapshot.catalogue.view(snapshot.total, "counts"))


def test_the_whole_snapshot_comes_back(client: TestClient, snapshot: Snapshot) -> None:
    assert np.array_equal(decode(client.get("/api/snapshot.musn").content).total, snapshot.total)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/api/histograms/nothing", 404, "found 'nothing', expected counts, "),
        ("/api/histograms/counts?period=year", 400, "period: found 'year', expected run, recent"),
        ("/api/histograms/counts?format=xml", 400, "format: found 'xml', expected plain, root"),
        ("/plots.json?theme=pink", 400, "theme: found 'pink', expected light, dark"),
    ],
)
def test_a_wrong_question_says_what_is_allowed(client: TestClient, path: str, status: int, text: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert text in answer.text


def test_alarms_are_acknowledged_only_by_json_of_our_own_page(client: TestClient) -> None:
    alarm = {"check": "account", "subject": "Stream", "why": "known"}
    assert [found["check"] for found in client.get("/api/alarms").json()] == ["account"]
    assert client.post("/api/acknowledge", data=alarm).status_code == 415
    assert client.post("/api/acknowledge", json=alarm, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/acknowledge", json={**alarm, "why": ""}).status_code == 400
    assert client.post("/api/acknowledge", json={**alarm, "why": "x" * 501}).status_code == 400
    assert client.post("/api/acknowledge", json={**alarm, "subject": "Nobody"}).status_code == 404
    json_type = {"content-type": "application/json"}
    for body in (b"[" * 3900, json.dumps({**alarm, "why": "\ud800"}).encode(), b"\xff", b"{"):
        refused = client.post("/api/acknowledge", content=body, headers=json_type)
        assert refused.status_code == 400
        assert refused.text.startswith("expected check, subject, why")
    assert client.post("/api/acknowledge", json=alarm).status_code == 200
    assert client.get("/api/verdicts").json()["alarms"][0]["acknowledged"]["why"] == "known"
    which = {key: alarm[key] for key in ("check", "subject")}
    assert client.post("/api/retract", json={"check": "x"}).status_code == 400
    assert client.post("/api/retract", json=which).status_code == 200
    assert client.post("/api/retract", json=which).status_code == 404
    assert client.get("/api/verdicts").json()["alarms"][0]["acknowledged"] is None
    assert client.post("/api/acknowledge-all", data={"why": "x"}).status_code == 415
    every = client.post("/api/acknowledge-all", json={"why": "power cut", "name": "Ada"})
    assert every.json()["acknowledged"] == len(client.get("/api/alarms").json())
    assert {one["acknowledged"]["name"] for one in client.get("/api/alarms").json()} == {"Ada"}


@pytest.mark.parametrize(
    ("given", "user", "kept"),
    [
        ({}, "", ""),
        ({"name": " Ann "}, "", "Ann"),
        ({"name": "Ann"}, "bob", "bob"),  # whom the proxy names goes before what is typed
    ],
)
def test_an_acknowledgement_keeps_who_gave_it(feed: Feed, given: dict[str, str], user: str, kept: str) -> None:
    access = Access(user_header="x-remote-user")
    client = TestClient(create_app(feed, access=access), base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    alarm = {"check": "account", "subject": "Stream", "why": "known"}
    answer = client.post("/api/acknowledge", json={**alarm, **given}, headers={"x-remote-user": user})
    assert answer.json() == {"acknowledged": True, "name": kept}
    known = client.get("/api/alarms").json()[0]["acknowledged"]
    assert (known["name"], known["why"], known["time"] > 0) == (kept, "known", True)


@pytest.mark.parametrize("name", [5, None, "x" * 101, "\ud800", ["Ann"]])
def test_a_name_that_is_none_is_refused(client: TestClient, name: object) -> None:
    body = json.dumps({"check": "account", "subject": "Stream", "why": "known", "name": name})
    answer = client.post("/api/acknowledge", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.text.endswith("and a name of at most 100\n")


def test_whoever_asks_learns_who_it_is_and_whether_it_may_act(feed: Feed) -> None:
    access = Access(user_header="x-remote-user", operators=frozenset({"ann"}))
    client = TestClient(create_app(feed, access=access), base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    for user, may_act in (("ann", True), ("bob", False)):
        answer = client.get("/api/access", headers={"x-remote-user": user})
        why_not = "" if may_act else "You may see this page, but not act: this needs a user whom --operator names."
        assert answer.json() == {"user": user, "may_act": may_act, "why_not": why_not}
        assert client.post("/api/acknowledge", json={}, headers={"x-remote-user": user}).status_code == (
            400 if may_act else 403
        )


def test_every_answer_is_described(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    assert described == openapi()
    paths = {route.path for route in Api(Feed()).routes()}
    assert set(described["paths"]) == paths - {"/api/openapi.json"} | {"/healthz"}
    for path, methods in described["paths"].items():
        if "{" not in path and "get" in methods:
            assert str(client.get(path).status_code) in methods["get"]["responses"]
