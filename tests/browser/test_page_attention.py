"""The page calls those who do not look at it: the tab's title, tones, notifications; in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from browser_fixtures import LONGEST_WAIT_MS, Faults, Still
from playwright.sync_api import Browser, Page

from muonstream.dashboard.server import Dashboard
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.verdicts import Status, Verdicts

DEAD = Finding("dead cell", "Chamber 3 cell 40", Level.MEDIUM, "0 hits in 60 s", part="Chamber 3")
SILENT = Finding("silent", "Board 1", Level.BAD, "no hits for 12 s, while others send")
NOTED = """
localStorage.setItem("muonstream-sound", "on");
localStorage.setItem("muonstream-notify", "on");
window.noted = [];
window.tones = 0;
window.Notification = class {
  static permission = "granted";
  constructor(title, options) { window.noted.push([title, options.body, options.renotify]); }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (when) { window.tones += 1; return start.call(this, when); };
"""
"""Sound and notifications are switched on; what the page asks of the browser is written down."""


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with Pipeline(Detector.default(), run="live", source="simulation", workers=0) as pipeline:
        pipeline.push(simulate_words(30_000, seed=5))
        return pipeline.snapshot()


def made(snapshot: Snapshot, ago_s: float = 0.0, **changed: Any) -> Snapshot:
    then = time.time() - ago_s
    return replace(snapshot, **({"wall_time": then, "data_wall_time": then, "begun_wall_time": then - 9_000} | changed))


def verdicts(*findings: Finding) -> Verdicts:
    level = max(finding.level for finding in findings)
    return Verdicts(level, "", {}, tuple(Status(one, time.time()) for one in findings), Judgement((), ()))


def opened(browser: Browser, dashboard: Dashboard) -> tuple[Page, Faults]:
    page, faults = browser.new_context().new_page(), Faults()
    page.set_default_timeout(LONGEST_WAIT_MS)
    faults.watch(page, dashboard.url)
    page.add_init_script(NOTED)
    page.goto(dashboard.url)
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
    return page, faults


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    made = Dashboard(port=0, board=Still())
    made.feed.board.verdicts = verdicts(DEAD)
    made.start()
    yield made
    made.stop()


@pytest.mark.browser
def test_new_alarms_and_verdicts_that_are_not_known_are_called_once(
    browser: Browser, snapshot: Snapshot, dashboard: Dashboard
) -> None:
    # an engine that has not answered for a minute; the alarm was there before the page
    dashboard.publish(made(snapshot, 60.0))
    page, faults = opened(browser, dashboard)
    page.wait_for_function("() => window.noted.length > 0")
    assert page.title() == "? live · muonstream"
    # it answers again, with a new alarm
    dashboard.feed.board.verdicts = verdicts(DEAD, SILENT)
    dashboard.publish(made(snapshot, sequence=50))
    page.wait_for_function("() => window.noted.length > 1")
    assert page.title() == "✗ live · muonstream"
    assert faults == []
    dashboard.stop()
    page.wait_for_function("() => window.noted.length > 2")
    first, second, third, *_ = page.evaluate("() => window.noted")
    assert first[0] == third[0] == "Verdicts are not known: live"
    assert first[1].startswith("the engine does not answer since ")
    # one that takes the place of another calls too
    assert second == ["Bad: Board 1: silent", "no hits for 12 s, while others send", True]
    assert page.evaluate("() => window.tones === 3 * window.noted.length")


@pytest.mark.browser
def test_a_page_that_may_not_sound_yet_says_so(browser: Browser, snapshot: Snapshot, dashboard: Dashboard) -> None:
    """As after a reload, until somebody presses something."""
    dashboard.publish(made(snapshot))
    page, _ = opened(browser, dashboard)
    page.wait_for_function("() => document.querySelector('#sound').textContent === 'Sound: press any key'")
    page.keyboard.press("Shift")
    page.keyboard.press("r")
    page.wait_for_function("() => document.querySelector('#sound').textContent === 'Sound'")
