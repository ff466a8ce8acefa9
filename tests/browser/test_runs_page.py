"""Archived runs in a real browser: the table, a run, its comments, a trend, an overlay, a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from archived_runs import PROVENANCE, counted
from browser_fixtures import LONGEST_WAIT_MS, Faults, inaccessible
from playwright.sync_api import Browser

from muonstream.archive.archive import Archive
from muonstream.archive.index import Row
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.server import Dashboard


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path)
    for seed in (1, 2):
        made.save(counted(seed), replace(PROVENANCE, id=f"id{seed}", number=590 + seed))
    return made


@pytest.fixture
def dashboard(archive: Archive) -> Iterator[Dashboard]:
    def refer(rows: Sequence[Row], by: str) -> None:
        made.feed.refer_to(counted(1), {"runs": [row.name for row in rows], "by": by, "since": 1.7e9})

    made = Dashboard(port=0, archive=ArchiveView(archive, refer=refer))
    made.start()
    made.publish(counted(2))
    yield made
    made.stop()


@pytest.mark.browser
def test_archived_runs_from_the_table_to_a_reference(browser: Browser, dashboard: Dashboard, archive: Archive) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    faults = Faults()
    faults.watch(page, dashboard.url)
    page.goto(dashboard.url)
    page.get_by_role("link", name="Runs").click()

    # the table, filtered and sorted
    page.wait_for_selector("html[data-rows='2'][data-sparks] .spark path")
    links = page.locator("#runs tbody a")
    assert links.all_inner_texts() == ["sim2", "sim1"]
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector("th.name[aria-sort=ascending]")
    assert links.all_inner_texts() == ["sim1", "sim2"]
    page.get_by_role("searchbox", name="Search").fill("592")
    page.wait_for_selector("html[data-rows='1']")
    page.get_by_role("searchbox", name="Search").fill("")
    page.wait_for_selector("html[data-rows='2']")
    assert inaccessible(page) == []

    # an overlay of both, a trend, and back by the address alone
    for name in ("sim1", "sim2"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Overlay", exact=True).click()
    page.wait_for_selector("html[data-overlaid='2']")
    ratios = page.evaluate("() => window.muonstream.values('overlay', 'ratio0').filter((r) => !Number.isNaN(r))")
    assert set(ratios) == {1}
    page.goto(page.url)
    page.reload()
    page.wait_for_selector("html[data-overlaid='2']")
    page.get_by_role("tab", name="Trend").click()
    page.wait_for_selector("html[data-points='2']")
    assert page.evaluate("() => window.muonstream.values('trend', 'y')") == [p.value for p in archive.trend("hit rate")]

    # the reference of the engine
    page.get_by_role("tab", name="Table").click()
    page.get_by_role("button", name="Set as reference").click()
    page.get_by_role("textbox", name="Your name").fill("Ann")
    page.get_by_role("button", name="Compare verdicts with").click()
    page.wait_for_function(
        "() => document.getElementById('reference-of').textContent.includes('sim1, sim2, set by Ann')"
    )

    # a run in the views of the live page, what is said of it, and more of that
    page.get_by_role("link", name="sim1").click()
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
    assert page.locator("#run").inner_text() == "sim1"
    assert "Archived run" in page.locator("#archived").inner_text()
    page.get_by_role("textbox", name="Comment").fill("<b>gas</b> changed")
    page.get_by_role("button", name="Add comment").click()
    page.wait_for_selector("#said .what")
    page.get_by_role("textbox", name="Cause").fill("high voltage")
    page.get_by_role("spinbutton", name="Data time in seconds, from").fill("2")
    page.get_by_role("button", name="Add flag").click()
    page.wait_for_selector("#said .flag")
    assert page.locator("#said .what").all_inner_texts() == [
        "<b>gas</b> changed",
        "data time 2.0 s to the end: high voltage",
    ]
    people = archive.people(archive.find("sim1"))
    assert [(one.text, one.name) for one in people.comments] == [("<b>gas</b> changed", "Ann")]
    assert [(one.effect, one.from_s, one.name) for one in people.flags] == [("bad", 2.0, "Ann")]
    assert inaccessible(page) == []
    assert faults == []
