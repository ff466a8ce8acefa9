from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browser_fixtures import LONGEST_WAIT_MS, Beating, Faults
from playwright.sync_api import Browser, Page
from starlette.testclient import TestClient

from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.app import create_app
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.message.message import DRIFT_REBIN, numbers, rebinned, unpack
from muonstream.dashboard.server import Dashboard, DashboardError
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words

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
    made = Beating()
    made.start()
    yield made
    made.stop()


def client(token: str | None = None, feed: Feed | None = None, host: str = "127.0.0.1") -> TestClient:
    access = Access() if token is None else Access(bound_to="0.0.0.0", token=Token(token))
    app = create_app(feed or Feed(), access=access)
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
    with client("secret-secret", host="192.168.1.2") as browser:
        assert browser.get("/").status_code == 401
        assert browser.get("/?token=wrong").status_code == 401
        answer = browser.get("/?token=secret-secret", follow_redirects=False)
        assert answer.headers["location"] == "./"
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert browser.get("/").status_code == 200


def test_a_busy_port_is_one_line(dashboard: Dashboard) -> None:
    port = int(dashboard.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(DashboardError, match=f"port {port} of 127.0.0.1 is not available"):
        Dashboard(port=port).start()


def test_a_server_that_does_not_come_up_is_an_error_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.dashboard.server._Server.run", lambda server, sockets: None)
    with pytest.raises(DashboardError, match=r"the page's server at port \d+ of 127.0.0.1 has not come up"):
        Dashboard(port=0).start()


def test_the_newest_message_comes_at_once_and_old_ones_do_not(pipeline: Pipeline) -> None:
    feed = Feed(interval_s=0)
    for _ in range(3):
        feed.publish(pipeline.snapshot())
    assert feed.snapshot is not None

    async def first() -> bytes | str:
        async with aclosing(feed.messages()) as messages:
            return await anext(messages)

    message = asyncio.run(first())
    assert isinstance(message, bytes)
    assert unpack(message)[0]["numbers"]["sequence"] == feed.snapshot.sequence


def test_viewers_are_told_what_is_being_done_until_there_is_something_to_see(pipeline: Pipeline) -> None:
    feed = Feed(interval_s=0)

    async def told() -> list[object]:
        found: list[object] = []
        async with aclosing(feed.messages()) as messages:
            for text in ("Starting this.", "Starting that."):
                feed.say(text)
                found.append(await anext(messages))
            feed.publish(pipeline.snapshot())
            found.append(type(await anext(messages)))
        return found

    assert asyncio.run(told()) == ["Starting this.", "Starting that.", bytes]


def test_viewers_are_greeted_again_when_there_is_another_reference(pipeline: Pipeline) -> None:
    feed = Feed(interval_s=0)

    async def told() -> list[object]:
        async with aclosing(feed.messages()) as messages:
            feed.publish(pipeline.snapshot())
            found: list[object] = [type(await anext(messages))]
            feed.refer_to(pipeline.snapshot())
            return [*found, await anext(messages)]

    assert asyncio.run(told()) == [bytes, ""]


def opened(browser: Browser, dashboard: Dashboard, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    faults = Faults()
    faults.watch(page, dashboard.url)
    page.goto(dashboard.url)
    return page, faults


def shown(page: Page, snapshot: Snapshot) -> None:
    """Wait until the page has drawn this snapshot or a later one."""
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) >= n", arg=snapshot.sequence)


def choose(page: Page, button: str, expected: str) -> None:
    """Press a button and wait until what it asks for is drawn."""
    page.click(button)
    page.wait_for_function("s => document.documentElement.dataset.shown?.startsWith(s)", arg=expected)


def value(page: Page, selector: str) -> float:
    """The number that an element shows."""
    return float(page.locator(selector).get_attribute("data-value") or "nan")


def plot_values(page: Page, plot: str, column: str) -> list[float]:
    """What a plot that is drawn holds."""
    values: list[float] = page.evaluate("([name, column]) => window.muonstream.values(name, column)", [plot, column])
    return values


@pytest.mark.browser
def test_the_pages_numbers_are_the_engines(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    page, faults = opened(browser, dashboard)
    snapshot = fresh(pipeline)
    dashboard.publish(snapshot)
    shown(page, snapshot)
    assert page.locator("#run").inner_text() == HOSTILE
    assert page.locator("main img, #run img").count() == 0
    assert page.locator("#state").inner_text() == "running"
    account = snapshot.account
    for name, n in account.as_dict().items():
        if name != "words":
            assert value(page, f"#account tr[data-kind={name}] .number") == n
    assert value(page, "#account tfoot [data-number='account.words']") == account.words
    assert page.locator("#balance").text_content() == "✓ The account balances: every word is one of these."
    assert value(page, "#panel-overview [data-number='account.hits']") == account.hits
    assert value(page, "#panel-overview [data-number='hit_rate_hz']") == numbers(snapshot)["hit_rate_hz"]
    catalogue = snapshot.catalogue
    chamber_hits = catalogue.chamber_hits(snapshot.total).tolist()
    assert [value(page, f"[data-chamber='{c}'] .hits") for c in range(len(chamber_hits))] == chamber_hits
    for tab, plots in {
        "overview": ["overview.map"],
        "occupancy": ["occupancy.map", "occupancy.cells"],
        "timing": ["timing.drift"],
        "course": ["course.hist_1", "course.hist_2", "course.hist_3", "course.hist_4"],
    }.items():
        choose(page, f"#tab-{tab}", tab)
        for c, chamber in enumerate(snapshot.detector.chambers):
            for plot in plots:
                shown_values = plot_values(page, f"{plot}.{c}", "hits" if plot.endswith("map") else "y")
                if plot.startswith(("overview", "occupancy")):
                    assert shown_values == catalogue.hits_per_cell(snapshot.total, c).tolist(), chamber.name
                elif plot == "timing.drift":
                    fine = catalogue.view(snapshot.total, "drift_tdc")[c, 1:-1]
                    assert shown_values == rebinned(fine, DRIFT_REBIN).tolist()
                    assert sum(shown_values) > 100
                else:
                    name = plot.removeprefix("course.")
                    assert shown_values == catalogue.course_histograms(snapshot.total, c)[name][1].tolist()
    choose(page, "#tab-orbits", "orbits")
    for c in range(len(chamber_hits)):
        active = catalogue.view(snapshot.total, "active_cells")[c, 1:]
        shown_values = plot_values(page, "orbits.active", f"y{c}")
        assert shown_values == active[: len(shown_values)].tolist()
        assert sum(shown_values) == active.sum()
    choose(page, "#tab-occupancy", "occupancy")
    choose(page, "[data-choice=period] [data-value=recent]", "occupancy recent")
    choose(page, "[data-choice=hits] [data-value=scintillator]", "occupancy recent scintillator")
    choose(page, "[data-choice=scale] [data-value=log]", "occupancy recent scintillator log")
    expected = catalogue.hits_per_cell_with_scintillator(snapshot.recent, 1).tolist()
    assert plot_values(page, "occupancy.cells.1", "y") == expected
    assert page.evaluate("() => location.hash") == "#occupancy?period=recent&hits=scintillator&scale=log"
    page.reload()
    page.wait_for_function(
        "() => document.documentElement.dataset.shown?.startsWith('occupancy recent scintillator log')"
    )
    assert plot_values(page, "occupancy.cells.1", "y") == expected
    assert faults == []


@pytest.mark.browser
def test_every_state_has_its_look(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    dashboard.feed.say("Compiling.")
    page, faults = opened(browser, dashboard, color_scheme="dark")
    page.wait_for_selector("html[data-state=starting]")
    assert "Compiling." in page.locator("#empty").inner_text()
    with Pipeline(Detector.default(), run="empty") as empty:
        dashboard.publish(empty.snapshot())
        page.wait_for_selector("html[data-state=waiting]")
    dashboard.publish(fresh(pipeline))
    page.wait_for_selector("html[data-state=running]")
    dashboard.publish(replace(pipeline.snapshot(), data_wall_time=time.time() - 600))
    page.wait_for_selector("html[data-state=stale]")
    assert "no new data from the detector since " in page.locator("#state-text").inner_text()
    page.wait_for_function("() => document.querySelector('.plot-age')?.textContent.includes('10:0')")
    dashboard.publish(pipeline.snapshot("ended"))
    page.wait_for_selector("html[data-state=ended]")
    dashboard.publish(fresh(pipeline))
    page.wait_for_selector("html[data-state=running]")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", background)) < 60
    page.click("[data-choice=theme] [data-value=light]")
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
