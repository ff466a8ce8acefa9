from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.testclient import TestClient

from muonstream.analysis.monitor import Snapshot
from muonstream.dashboard.app import create_app
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.server import Dashboard, DashboardError
from muonstream.detector import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation import simulate_words

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with Pipeline(Detector.default(), run=HOSTILE, source="simulation", workers=0) as made:
        made.push(simulate_words(100_000, seed=5, muon_rate_hz=400))
        yield made


def fresh(pipeline: Pipeline) -> Snapshot:
    """A snapshot whose data stay young for as long as a slow machine takes to look at it."""
    return replace(pipeline.snapshot(), data_wall_time=time.time() + 3600)


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    made = Dashboard(port=0)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"],
        )
        yield launched
        launched.close()


def client(token: str | None = None, feed: Feed | None = None, host: str = "127.0.0.1") -> TestClient:
    app = create_app(feed or Feed(), bound_to="127.0.0.1" if token is None else "0.0.0.0", token=token)
    return TestClient(app, base_url=f"http://{host}")


def test_foreign_hosts_and_origins_are_refused() -> None:
    assert client().get("/").status_code == 200
    assert client(host="evil.example").get("/").status_code == 421
    assert client().get("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert client().get("/", headers={"origin": "http://127.0.0.1"}).status_code == 200


def test_pages_carry_the_headers_that_keep_them_safe() -> None:
    headers = client().get("/").headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_token_is_exchanged_for_a_cookie() -> None:
    with client("secret", host="192.168.1.2") as browser:
        assert browser.get("/").status_code == 401
        assert browser.get("/?token=wrong").status_code == 401
        answer = browser.get("/?token=secret", follow_redirects=False)
        assert answer.headers["location"] == "/"
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert browser.get("/").status_code == 200


def test_a_busy_port_is_one_line(dashboard: Dashboard) -> None:
    port = int(dashboard.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(DashboardError, match=f"port {port} of 127.0.0.1 cannot be had"):
        Dashboard(port=port).start()


def test_the_newest_message_comes_at_once_and_old_ones_do_not(pipeline: Pipeline) -> None:
    feed = Feed()
    for _ in range(3):
        feed.publish(pipeline.snapshot())
    assert feed.snapshot is not None

    async def first() -> bytes:
        async with aclosing(feed.messages()) as messages:
            return await anext(messages)

    assert f'"sequence":{feed.snapshot.sequence}'.encode() in asyncio.run(first())


def opened(browser: Browser, dashboard: Dashboard, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**options).new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((dashboard.url, "data:")) else faults.append(request.url),
    )
    page.goto(dashboard.url)
    return page, faults


def shown(page: Page, snapshot: Snapshot) -> None:
    """Wait until the page has drawn this snapshot or a later one."""
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) >= n", arg=snapshot.sequence)


def number(page: Page, name: str) -> int:
    return int(re.sub(r"[^\d]", "", page.get_by_test_id(name).inner_text()))


@pytest.mark.browser
def test_the_pages_numbers_are_the_engines(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    page, faults = opened(browser, dashboard)
    snapshot = fresh(pipeline)
    dashboard.publish(snapshot)
    shown(page, snapshot)
    assert page.get_by_test_id("run").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.get_by_test_id("state").inner_text() == "running"
    for name, n in snapshot.account.as_dict().items():
        assert number(page, f"account-{name}") == n
    assert page.get_by_test_id("balance").inner_text() == "balanced"
    assert number(page, "hits") == snapshot.account.hits
    catalogue = snapshot.catalogue
    for section, plots in {
        "occupancy": ["cells", "map"],
        "timing": ["drift"],
        "orbits": ["active"],
        "course": ["hist_1", "hist_2", "hist_3", "hist_4"],
    }.items():
        page.click(f"#tab-{section}")
        page.wait_for_selector(f"html[data-embedded={section}]")
        for c, chamber in enumerate(snapshot.detector.chambers):
            assert number(page, f"chamber_{c}") == catalogue.chamber_hits(snapshot.total)[c]
            for plot in plots:
                page.wait_for_function("p => window.muonstream.values(p, 'value').length > 0", arg=f"{plot}_{c}")
                values = page.evaluate("p => window.muonstream.values(p, 'value')", f"{plot}_{c}")
                if plot in ("cells", "map"):
                    assert values == catalogue.hits_per_cell(snapshot.total, c).tolist(), chamber.name
                elif plot == "active":
                    assert values == catalogue.view(snapshot.total, "active_cells")[c, 1:25].tolist()
                elif plot == "drift":
                    edges_ns, counts = catalogue.drift_histogram_ns(snapshot.total, c)
                    inside = (edges_ns[:-1] > -49) & (edges_ns[:-1] < 690)
                    assert sum(values) >= counts[inside].sum() > 100
                else:
                    assert values == catalogue.course_histograms(snapshot.total, c)[plot][1].tolist()
    page.click("#tab-occupancy")
    page.click("#scope button[data-value=recent]")
    page.click("#hits button[data-value=scintillator]")
    values = page.evaluate("() => window.muonstream.values('cells_1', 'value')")
    assert values == catalogue.hits_per_cell_with_scintillator(snapshot.recent, 1).tolist()
    assert faults == []


@pytest.mark.browser
def test_every_state_has_its_look(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    page, faults = opened(browser, dashboard, color_scheme="dark")
    page.wait_for_selector("html[data-state=connecting]")
    with Pipeline(Detector.default(), run="empty") as empty:
        dashboard.publish(empty.snapshot())
        page.wait_for_selector("html[data-state=waiting]")
    dashboard.publish(fresh(pipeline))
    page.wait_for_selector("html[data-state=running]")
    dashboard.publish(replace(pipeline.snapshot(), data_wall_time=time.time() - 600))
    page.wait_for_selector("html[data-state=stale]")
    assert "No new words for " in page.locator("#notice").inner_text()
    dashboard.publish(pipeline.snapshot("ended"))
    page.wait_for_selector("html[data-state=ended]")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", background)) < 60
    page.click("#theme")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert min(int(part) for part in re.findall(r"\d+", background)) > 200
    assert faults == []
    dashboard.stop()
    page.wait_for_selector("html[data-state=disconnected]")


@pytest.mark.browser
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    page, faults = opened(browser, dashboard, viewport={"width": 390, "height": 800})
    snapshot = fresh(pipeline)
    dashboard.publish(snapshot)
    shown(page, snapshot)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults == []


def test_recent_is_not_more_than_the_run(pipeline: Pipeline) -> None:
    snapshot = pipeline.snapshot()
    assert np.all(snapshot.recent <= snapshot.total)
    assert 0 < snapshot.recent_seconds <= snapshot.live_time_s + 0.1
