"""The page never holds back what must be seen, and never shows as new what is old; in a real browser."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from browser_fixtures import LONGEST_WAIT_MS, Beating, Faults, Still, inaccessible
from playwright.sync_api import Browser, Page

from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.server import Dashboard
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.verdicts import Acknowledgement, Change, Status, Verdicts

BEGUN = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
ROME = "Europe/Rome"
DEAD = Finding("dead cell", "Chamber 3 cell 40", Level.MEDIUM, "0 hits in 60 s", part="Chamber 3")
SILENT = Finding("silent", "Board 1", Level.BAD, "no hits for 12 s, while others send")
NOISY = Finding("noisy cell", "Chamber 1 cell 7", Level.BAD, "900 Hz of noise", part="Chamber 1")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """A run of some seconds, as if it were going on."""
    with Pipeline(Detector.default(), run="live", source="simulation", workers=0) as pipeline:
        pipeline.push(simulate_words(30_000, seed=5))
        return fresh(pipeline.snapshot())


def fresh(snapshot: Snapshot, **changed: Any) -> Snapshot:
    """The snapshot as one that was made now, with data that stay young for as long as a slow machine takes."""
    now = time.time()
    young = {"wall_time": now, "data_wall_time": now + 3600, "begun_wall_time": BEGUN}
    return replace(snapshot, **(young | changed))


def verdicts(*findings: Finding, history: tuple[Change, ...] = ()) -> Verdicts:
    statuses = tuple(Status(finding, time.time() - 5) for finding in findings)
    level = max((finding.level for finding in findings), default=Level.GOOD)
    return Verdicts(level, "", {}, statuses, Judgement((), ()), history)


def opened(browser: Browser, dashboard: Dashboard, view: str = "overview") -> tuple[Page, Faults]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id=ROME)
    page, faults = context.new_page(), Faults()
    page.set_default_timeout(LONGEST_WAIT_MS)
    faults.watch(page, dashboard.url)
    page.goto(f"{dashboard.url}#{view}")
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
    return page, faults


def alarms(page: Page) -> list[str]:
    return page.locator("#alarms .alarm strong").all_inner_texts()


def focused(page: Page) -> str:
    name: str = page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id")
    return name


@pytest.mark.browser
def test_neither_focus_nor_pause_holds_verdicts_back(browser: Browser, snapshot: Snapshot) -> None:
    dashboard = Beating(board=Still())
    dashboard.feed.board.verdicts = verdicts(DEAD)
    dashboard.start()
    try:
        dashboard.publish(snapshot)
        page, faults = opened(browser, dashboard)
        acknowledge = page.get_by_role("button", name="Acknowledge dead cell of Chamber 3 cell 40")
        acknowledge.focus()
        assert page.locator("#headline").inner_text() == "! detector medium"

        # a new alarm, graver than the one whose button has the focus, appears above it; the focus stays
        dashboard.feed.board.verdicts = verdicts(DEAD, SILENT)
        page.wait_for_selector("#alarms .alarm[data-level=bad]")
        assert alarms(page) == ["Board 1: silent", "Chamber 3 cell 40: dead cell"]
        assert page.locator("#headline").inner_text() == "✗ detector bad"
        assert focused(page) == "Acknowledge dead cell of Chamber 3 cell 40"
        assert "bad: Board 1, silent" in page.locator("#announcements").inner_text()

        # what is typed stays while alarms come, go and change; the plots are paused meanwhile
        acknowledge.press("Enter")
        page.keyboard.type("a broken")
        worse = replace(DEAD, level=Level.BAD, reason="0 hits in 90 s")
        dashboard.feed.board.verdicts = verdicts(worse, NOISY)
        page.wait_for_function("() => document.querySelector('#alarms').innerText.includes('0 hits in 90 s')")
        assert sorted(alarms(page)) == ["Chamber 1 cell 7: noisy cell", "Chamber 3 cell 40: dead cell"]
        page.keyboard.type(" wire")
        assert page.get_by_role("textbox", name="Why").input_value() == "a broken wire"
        page.get_by_role("textbox", name="Why").press("Escape")
        page.click("#pause")
        page.wait_for_selector("html[data-paused=true]")
        before = page.locator("html").get_attribute("data-sequence")
        acknowledge.focus()

        # over is over, with the focus on it and while paused; numbers go on, plots do not
        dashboard.feed.board.verdicts = verdicts(NOISY)
        dashboard.publish(fresh(snapshot, sequence=snapshot.sequence + 1, gaps=7))
        page.wait_for_function("() => document.querySelector('#breaks').textContent.startsWith('7 gaps')")
        page.wait_for_function("() => document.querySelectorAll('#alarms .alarm').length === 1")
        assert alarms(page) == ["Chamber 1 cell 7: noisy cell"]
        assert focused(page) == "Alarms"
        assert page.locator("html").get_attribute("data-sequence") == before
        assert page.locator("#state").inner_text() == "running"
        assert "Plots are paused since" in page.locator("#paused").inner_text()
        dashboard.feed.board.verdicts = verdicts()
        page.wait_for_function("() => document.querySelector('#headline').textContent === '✓ detector good'")
        assert page.locator("#no-alarms").is_visible()
        page.keyboard.press("p")
        page.wait_for_function("n => Number(document.documentElement.dataset.sequence) > n", arg=int(before or 0))
        assert faults == []

        # nor does a server that does not describe plots
        page.route("**/plots.json*", lambda route: None)
        page.click("#tab-orbits")
        dashboard.feed.board.verdicts = verdicts(SILENT)
        page.wait_for_function("() => document.querySelector('#headline').textContent === '✗ detector bad'")
    finally:
        dashboard.stop()


@pytest.mark.browser
def test_whoever_may_not_acknowledge_is_offered_nothing_and_told_why(browser: Browser, snapshot: Snapshot) -> None:
    access = Access(operator_token=Token("operators-secret"))
    dashboard = Beating(board=Still(), access=access)
    known = replace(verdicts(NOISY).statuses[0], acknowledged=Acknowledgement("a known wire", time.time(), "Ada"))
    shown = verdicts(DEAD, SILENT)
    dashboard.feed.board.verdicts = replace(shown, statuses=(*shown.statuses, known))
    dashboard.start()
    try:
        dashboard.publish(snapshot)
        page, faults = opened(browser, dashboard)
        page.wait_for_selector("#may-not-act:not([hidden])")
        assert page.locator("#may-not-act").inner_text() == access.refusal
        assert len(alarms(page)) == 3
        assert page.locator("#verdicts").get_by_role("button").all() == []
        assert "known: a known wire (Ada)" in page.locator("#alarms").inner_text()
        assert inaccessible(page) == []

        # another tab shows the operators' token; this one learns of it when it is looked at again
        page.context.new_page().goto(f"{dashboard.url}?token=operators-secret")
        page.evaluate("() => dispatchEvent(new Event('visibilitychange'))")
        page.locator("#all-alarms").get_by_role("button", name="Acknowledge all").wait_for()
        assert page.locator("#may-not-act").is_hidden()
        assert page.get_by_role("button", name="Take back that noisy cell of Chamber 1 cell 7 is known").is_visible()
        page.get_by_role("button", name="Acknowledge dead cell of Chamber 3 cell 40").click()
        page.get_by_role("textbox", name="Why").fill("a broken wire")
        assert faults == []

        # an engine that is started again with another operators' token: what is left of a form goes, the reason stays
        port = int(dashboard.url.rstrip("/").rsplit(":", 1)[1])
    finally:
        dashboard.stop()
    again = Beating(port=port, board=Still(), access=Access(operator_token=Token("another-secret")))
    again.feed.board.verdicts = shown
    again.start()
    try:
        again.publish(snapshot)
        page.wait_for_selector("#may-not-act:not([hidden])")
        assert page.locator("#verdicts").get_by_role("button").all() == []
        assert page.get_by_role("textbox", name="Why").count() == 0
    finally:
        again.stop()


@pytest.mark.browser
def test_a_hung_engine_is_told_from_a_silent_detector_and_all_that_is_old_is_grey(
    browser: Browser, snapshot: Snapshot
) -> None:
    change = Change(BEGUN + 60, 60.0, "silent", "Board 1", Level.GOOD, Level.BAD, "no hits")
    dashboard = Dashboard(port=0, board=Still())
    dashboard.feed.board.verdicts = verdicts(DEAD, history=(change,))
    dashboard.start()
    try:
        dashboard.publish(fresh(snapshot))
        page, _ = opened(browser, dashboard)
        value = page.locator("#panel-overview [data-number='account.hits']")
        dashboard.publish(fresh(snapshot, sequence=5))
        page.wait_for_selector("html[data-state=running][data-old=false]")
        colored = value.evaluate("e => getComputedStyle(e).color")

        # wall-clock time, zone and begin are in the header, which every view has; histories have dates
        assert page.locator("#zone").inner_text().split(", ")[0] in ("CET", "CEST", "GMT+1", "GMT+2")
        assert re.fullmatch(r"\d\d:\d\d:\d\d", page.locator("#clock").inner_text())
        assert "begun 2023-11-14 23:13:20" in page.locator("header").inner_text()
        assert page.locator("#history li time").text_content() == "2023-11-14 23:14:20"
        assert page.locator("#begun-system").text_content() == "2023-11-14 23:13:20 CET"

        # the engine goes on, the detector does not
        dashboard.publish(fresh(snapshot, sequence=6, data_wall_time=time.time() - 60))
        page.wait_for_selector("html[data-state=stale][data-old=true]")
        assert "no new data from the detector since" in page.locator("#state-text").inner_text()
        assert page.locator("#headline").inner_text() == "! detector medium"
        assert value.evaluate("e => getComputedStyle(e).color") != colored

        # neither goes on
        page.wait_for_selector("html[data-state=hung]")
        assert "the engine does not answer since" in page.locator("#state-text").inner_text()
        assert page.locator("#headline").inner_text().startswith("? detector not known; medium at ")
        assert page.locator("#headline").get_attribute("data-level") == "unknown"
        assert inaccessible(page) == []

        # a finite file: its own time, and that it is complete; no age that grows
        dashboard.publish(fresh(snapshot, sequence=7, state="ended", data_wall_time=time.time() - 600))
        page.wait_for_selector("html[data-state=ended][data-old=false]")
        assert page.locator("#age-label").inner_text() == "data time"
        assert page.locator("#age-more").inner_text() == "complete"
        assert page.locator("#headline").inner_text() == "! detector medium"

        # a file that is read at full speed and might still grow
        now = time.time()
        read = {"begun_wall_time": now - 62, "data_wall_time": now - 60, "data_time_s": 3723.0}
        dashboard.publish(fresh(snapshot, sequence=8, run="another", **read))
        page.wait_for_function("() => document.querySelector('#run').textContent === 'another'")
        assert page.locator("#age").inner_text() == "1:02:03 h"
        assert "all there is has been read; no more since" in page.locator("#state-text").inner_text()
    finally:
        dashboard.stop()


@pytest.mark.browser
def test_the_reference_says_what_it_is_and_outlives_the_page(browser: Browser, snapshot: Snapshot) -> None:
    dashboard = Beating()
    dashboard.start()
    try:
        dashboard.publish(snapshot)
        page, faults = opened(browser, dashboard, "occupancy")
        line = page.locator("#reference-line")
        assert line.is_hidden()
        page.keyboard.press("f")
        line.wait_for()
        assert "There is no reference yet" in line.inner_text()
        assert page.evaluate("() => window.muonstream.values('occupancy.cells.0', 'ratio_y')") == []
        page.click("#keep")
        page.wait_for_function("() => window.muonstream.values('occupancy.cells.0', 'ratio_y')?.[0] === 1")
        for _ in range(2):
            said = line.inner_text()
            assert f"Reference: run live (the whole run, {snapshot.account.hits:,} hits" in said
            assert "set in this browser 20" in said
            page.reload()
            page.wait_for_function("() => window.muonstream.values('occupancy.cells.0', 'ratio_y')?.[0] === 1")
        assert faults == []

        # of another detector it is not shown, and says so
        other = Detector.load("run591")
        with Pipeline(other, run="other", workers=0) as pipeline:
            dashboard.publish(fresh(pipeline.snapshot()))
        page.wait_for_function("() => document.querySelector('#reference-text').textContent.includes('of another')")
        page.click("#forget")
        page.wait_for_function("() => document.querySelector('#reference-text').textContent.startsWith('There is no')")
    finally:
        dashboard.stop()
