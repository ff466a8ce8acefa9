"""The API of archived runs, and an archived run in the views of the live page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from archived_runs import PROVENANCE, counted
from starlette.testclient import TestClient

from muonstream.archive.archive import Archive
from muonstream.archive.index import Row
from muonstream.archive.people import Flag
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.app import create_app
from muonstream.dashboard.archived.api import RunsApi
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.feed import Feed
from muonstream.errors import MuonstreamError

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder)
    for seed in (1, 2):
        archive.save(counted(seed), replace(PROVENANCE, id=f"id{seed}", number=590 + seed))
    archive.flag("sim1", Flag("bad", "high voltage off"))
    return folder


@pytest.fixture
def archive(filled: Path, tmp_path: Path) -> Archive:
    for path in filled.glob("*.muonrun"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Archive(tmp_path)


def client(view: ArchiveView, feed: Feed | None = None, access: Access | None = None) -> TestClient:
    return TestClient(create_app(feed or Feed(), archive=view, access=access), base_url="http://127.0.0.1")


def names(browser: TestClient, query: str) -> list[str]:
    answer = browser.get(f"/api/runs?{query}")
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json()["runs"]]


def test_the_table_is_filtered_sorted_and_cut(archive: Archive) -> None:
    browser = client(ArchiveView(archive))
    assert names(browser, "") == ["sim2", "sim1"]
    assert names(browser, "sort=name") == ["sim1", "sim2"]
    assert names(browser, "sort=number&offset=1&limit=1") == ["sim2"]
    assert names(browser, "matching=592") == ["sim2"]
    assert names(browser, "matching=voltage%20sim1") == ["sim1"]
    assert names(browser, "flag=bad") == ["sim1"]
    assert names(browser, "flag=none") == ["sim2"]
    assert names(browser, "state=running") == []
    found = browser.get("/api/runs?matching=591").json()
    assert (found["matching"], found["total"], found["runs"][0]["flags"][0]["cause"]) == (1, 2, "high voltage off")


@pytest.mark.parametrize(
    "query",
    ["sort=moon", "state=x", "level=x", "flag=x", "limit=501", "limit=-1", "offset=1.5", f"matching={'a' * 201}"],
)
def test_a_question_that_is_not_right_is_answered_in_one_line(archive: Archive, query: str) -> None:
    answer = client(ArchiveView(archive)).get(f"/api/runs?{query}")
    assert answer.status_code == 400
    assert "found" in answer.text
    assert answer.text.count("\n") == 1


def test_rates_trends_and_overlays_are_of_the_files(archive: Archive) -> None:
    browser = client(ArchiveView(archive))
    runs = [run["run"] for run in browser.get("/api/runs?sort=name").json()["runs"]]
    rates = browser.get("/api/runs/rates", params={"run": runs}).json()["rates"]
    assert set(rates) == set(runs)
    assert all(0 < len(points) <= 48 for points in rates.values())
    assert {"name": "hit rate", "subject": "", "unit": "Hz"} in browser.get("/api/runs/quantities").json()
    trend = browser.get("/api/runs/trend?quantity=hit rate").json()
    [rate] = [q for q in archive.trend("hit rate") if q.name == "sim1"]
    assert (trend["runs"], trend["values"][0], trend["errors"][0]) == (runs, rate.value, rate.error)
    assert browser.get("/api/runs/trend?quantity=moon").status_code == 404
    asked = {"run": runs, "histogram": "drift_tdc", "of": "Chamber 2"}
    overlay = browser.get("/api/runs/overlay", params=asked).json()
    first, second = overlay["curves"]
    assert sum(second["y"]) == pytest.approx(sum(first["y"]))
    assert {ratio for ratio in first["ratio"] if ratio is not None} == {1.0}
    assert len(overlay["edges"]) == len(first["y"]) + 1
    assert browser.get("/api/runs/overlay", params={"run": runs * 5}).status_code == 400
    assert browser.get("/api/runs/overlay", params={"run": runs, "of": "Moon"}).status_code == 400


def test_an_archived_run_has_the_views_of_the_live_page_at_an_address_of_its_own(archive: Archive) -> None:
    browser = client(ArchiveView(archive))
    run = browser.get("/api/runs?matching=sim1").json()["runs"][0]["run"]
    answer = browser.get("/runs/591", follow_redirects=True)
    assert answer.url.path == f"/runs/{run}/"
    assert '"../../static/app.js"' in answer.text
    assert browser.get(f"/runs/{run}/plots.json?tab=timing").json()["tab"] == "timing"
    assert browser.get(f"/runs/{run}/api/snapshot").json()["run"] == "sim1"
    assert browser.get(f"/runs/{run}/api/access").json()["archived"] == {
        "run": run,
        "state": "ended",
        "written": counted(1).wall_time,
    }
    assert browser.get("/runs/moon/").status_code == 404
    assert browser.post(f"/runs/{run}/api/acknowledge", json={}).status_code in (404, 405)


def test_without_a_live_run_the_table_comes_first(archive: Archive) -> None:
    browser = client(ArchiveView(archive, live=False))
    answer = browser.get("/")
    assert answer.url.path == "/runs/"
    assert '"../static/runs.js"' in answer.text
    assert browser.get("/runs/plots.json?plot=overlay&runs=8&theme=dark").json()["height"] > 300
    assert browser.get("/runs/plots.json?plot=overlay&runs=9").status_code == 400


def test_comments_and_flags_stand_in_the_file_with_name_and_time(archive: Archive) -> None:
    browser = client(ArchiveView(archive))
    added = browser.post("/api/runs/591/comment", json={"text": " gas changed ", "name": "ann"})
    assert added.json() == {"added": True, "name": "ann"}
    flag = {"effect": "limited", "cause": "noisy", "part": "Chamber 2", "from_s": 1.5, "to_s": None, "name": "ann"}
    assert browser.post("/api/runs/591/flag", json=flag).status_code == 200
    people = archive.people(archive.find("591"))
    assert [(one.text, one.name, one.time > 1e9) for one in people.comments] == [("gas changed", "ann", True)]
    assert (people.flags[-1].effect, people.flags[-1].part, people.flags[-1].from_s) == ("limited", "Chamber 2", 1.5)
    found = browser.get("/api/runs/591").json()
    assert [one["text"] for one in found["comments"]] == ["gas changed"]
    for path, wrong in (
        ("comment", {"text": ""}),
        ("comment", {"text": 5}),
        ("comment", {"text": "a", "name": "b" * 101}),
        ("comment", ["text"]),
        ("flag", {**flag, "effect": "moon"}),
        ("flag", {**flag, "from_s": "1"}),
        ("flag", {**flag, "from_s": 5, "to_s": 4}),
    ):
        assert browser.post(f"/api/runs/591/{path}", json=wrong).status_code == 400, wrong
    assert browser.post("/api/runs/moon/comment", json={"text": "a"}).status_code == 404
    assert browser.post("/api/runs/591/comment", content="text=a").status_code == 415
    assert len(archive.people(archive.find("591")).comments) == 1


def test_who_may_not_act_cannot_write(archive: Archive) -> None:
    access = Access(token=Token("seen-by-many-people"), operator_token=Token("of-the-operators"))
    browser = client(ArchiveView(archive), access=access)
    seen, operator = ({"authorization": f"Bearer {token}"} for token in ("seen-by-many-people", "of-the-operators"))
    assert browser.get("/api/runs").status_code == 401
    assert browser.get("/runs/591/").status_code == 401
    assert browser.get("/api/runs", headers=seen).status_code == 200
    assert browser.post("/api/runs/591/comment", json={"text": "a"}, headers=seen).status_code == 403
    assert browser.post("/api/reference", json={"runs": ["591"]}, headers=seen).status_code == 403
    assert browser.post("/api/runs/591/comment", json={"text": "a"}, headers=operator).status_code == 200


def test_runs_are_made_the_engines_reference(archive: Archive) -> None:
    feed = Feed()

    def refer(rows: Sequence[Row], name: str) -> None:
        if rows[0].name == "sim2":
            raise MuonstreamError("sim2: found a run of another detector")
        feed.refer_to(counted(1), {"runs": [row.name for row in rows], "by": name})

    assert client(ArchiveView(archive)).post("/api/reference", json={"runs": ["591"]}).status_code == 409
    browser = client(ArchiveView(archive, refer=refer), feed)
    answer = browser.post("/api/reference", json={"runs": ["591"], "name": "ann"})
    assert answer.json()["reference"] == {"runs": ["sim1"], "by": "ann"}
    assert browser.get("/reference").status_code == 200
    assert browser.get("/runs/592/reference", follow_redirects=True).status_code == 200
    refused = browser.post("/api/reference", json={"runs": ["592"]})
    assert (refused.status_code, "another detector" in refused.text) == (409, True)
    refusals: list[dict[str, object]] = [{"runs": []}, {"runs": [1]}, {"runs": "591"}, {}]
    for wrong in refusals:
        assert browser.post("/api/reference", json=wrong).status_code == 400


def test_every_answer_is_described_and_an_address_leads_nowhere_else(archive: Archive, tmp_path: Path) -> None:
    browser = client(ArchiveView(archive))
    paths = browser.get("/api/openapi.json").json()["paths"]
    served = {route.path for route in RunsApi(ArchiveView(archive), Feed()).routes()}
    assert served <= set(paths)
    (tmp_path / "inner").mkdir()
    inner = Archive(tmp_path / "inner")
    outside = {"run": [f"../{path.stem}" for path in archive.folder.glob("*.muonrun")]}
    assert set(
        map(tuple, client(ArchiveView(inner)).get("/api/runs/rates", params=outside).json()["rates"].values())
    ) == {()}
