"""The page's controls and verdicts, in a real browser."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from browser_fixtures import LONGEST_WAIT_MS, SELDOM_S, Beating, Faults, inaccessible
from playwright.sync_api import Browser, Page

from muonstream.dashboard.message.timing import edge_arrays
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.timeline import Timeline

PIECE_WORDS = 10_000


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    """A run with a dead cell, as it comes: the last is some 20 s long."""
    made = []
    words = simulate_words(120_000, seed=5, dead_cell=(3, 40))
    with Pipeline(Detector.default(), run="page", source="simulation", workers=0, timeline=Timeline) as pipeline:
        for first in range(0, len(words), PIECE_WORDS):
            pipeline.push(words[first : first + PIECE_WORDS])
            snapshot = pipeline.snapshot()
            made.append(replace(snapshot, wall_time=time.time(), data_wall_time=time.time() + 3600))
    return made


@pytest.fixture
def dashboard(snapshots: list[Snapshot]) -> Iterator[Dashboard]:
    made = Beating(beat_s=SELDOM_S)
    made.start()
    for snapshot in snapshots[:-1]:
        made.publish(snapshot)
    yield made
    made.stop()


def opened(
    browser: Browser,
    dashboard: Dashboard,
    view: str,
    faults: Faults | None = None,
    scheme: Literal["light", "dark"] = "light",
) -> Page:
    page = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    (faults if faults is not None else Faults()).watch(page, dashboard.url)
    page.goto(f"{dashboard.url}#{view}")
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
    return page


def sequence(page: Page) -> int:
    return int(page.locator("html").get_attribute("data-sequence") or 0)


def values(page: Page, plot: str, column: str) -> list[Any]:
    found: list[Any] = page.evaluate("([p, c]) => window.muonstream.values(p, c)", [plot, column])
    return found


@pytest.mark.browser
def test_the_board_shows_the_dead_cell_and_it_can_be_acknowledged(browser: Browser, dashboard: Dashboard) -> None:
    page = opened(browser, dashboard, "overview")
    alarm = page.locator("[data-alarm='dead cell Chamber 3 cell 40']")
    assert re.search(r"0 hits in \d+ s, where a cell of this chamber has \d+", alarm.inner_text())
    assert page.locator("#board [data-cell='40'][data-level='bad']").count() == 1
    assert page.locator("#board [data-level='bad']").count() == 1
    assert page.locator("#headline").inner_text() == "! detector medium"
    alarm.get_by_role("button").click()
    alarm.get_by_role("textbox", name="Why").fill("<b>a broken wire</b>")
    alarm.get_by_role("textbox", name="Why").press("Enter")
    page.wait_for_function("() => document.querySelector('.alarm .known')")
    # the next message brings a second one, empty, for why taking it back was refused
    assert alarm.locator(".known").first.inner_text() == "known: <b>a broken wire</b>"
    known = dashboard.feed.board.verdicts.alarms[0].acknowledged
    assert known is not None
    assert known.why == "<b>a broken wire</b>"


@pytest.mark.browser
def test_pause_holds_the_plots(browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]) -> None:
    page = opened(browser, dashboard, "occupancy")
    held, before = sequence(page), values(page, "occupancy.cells.0", "y")
    page.keyboard.press("Space")
    page.wait_for_selector("html[data-paused=true]")
    dashboard.publish(snapshots[-1])
    page.wait_for_function("n => window.muonstream.received() > n", arg=held)
    assert values(page, "occupancy.cells.0", "y") == before
    page.keyboard.press("Space")
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) > n", arg=held)
    catalogue = snapshots[-1].catalogue
    assert values(page, "occupancy.cells.0", "y") == catalogue.hits_per_cell(snapshots[-1].total, 0).tolist()


def with_reference(browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot], plot: str, ratio: str) -> Page:
    """The occupancy page with its first snapshot as the reference, and the newest one shown; ratio: its column."""
    page = opened(browser, dashboard, "occupancy")
    page.click("#keep")
    page.wait_for_function(f"() => window.muonstream.values('{plot}', '{ratio}')?.[0] === 1")
    kept = sequence(page)
    dashboard.publish(snapshots[-1])
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) > n", arg=kept)
    return page


@pytest.mark.browser
def test_the_reference_is_scaled_and_the_ratio_is_to_it(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    page = with_reference(browser, dashboard, snapshots, "occupancy.cells.0", "ratio_y")
    catalogue = snapshots[-1].catalogue
    now = catalogue.hits_per_cell(snapshots[-1].total, 0)
    was = catalogue.hits_per_cell(snapshots[-2].total, 0)
    scaled = was * now.sum() / was.sum()
    assert values(page, "occupancy.cells.0", "ref_y") == pytest.approx(scaled.tolist())
    assert values(page, "occupancy.cells.0", "ratio_y") == pytest.approx((now / scaled).tolist())


@pytest.mark.browser
def test_a_plot_is_saved_as_csv_and_png(browser: Browser, dashboard: Dashboard, tmp_path: Path) -> None:
    page = opened(browser, dashboard, "occupancy")
    plot = page.locator("[data-plot='occupancy.cells.1']")
    with page.expect_download() as download:
        plot.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    said = [line for line in lines if line.startswith("# ")]
    assert said[:3] == ["# Chamber 2: hits by cell", "# run page", "# whole run"]
    assert any(re.fullmatch(r"# as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d .+", line) for line in said)
    header, *rows = (line.split(",") for line in lines[len(said) :])
    assert header == ["cell", "channel", "hits", "rate [Hz]"]
    assert [float(row[header.index("hits")]) for row in rows] == values(page, "occupancy.cells.1", "y")
    with page.expect_download() as download:
        plot.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename == "page.occupancy.cells.1.png"
    picture = Path(download.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1600, 900)


@pytest.mark.browser
def test_the_keyboard_is_enough(browser: Browser, dashboard: Dashboard) -> None:
    page = opened(browser, dashboard, "overview")
    page.keyboard.press("3")
    page.wait_for_function("() => document.documentElement.dataset.shown?.startsWith('timing run')")
    for key, part in (("r", "recent"), ("l", "log")):
        page.keyboard.press(key)
        page.wait_for_function("part => document.documentElement.dataset.shown.includes(part)", arg=part)
    page.focus("#tab-timing")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.documentElement.dataset.shown?.startsWith('orbits')")
    assert page.evaluate("() => document.activeElement.id") == "tab-orbits"


@pytest.mark.browser
def test_the_page_connects_again_by_itself(browser: Browser, snapshots: list[Snapshot]) -> None:
    first = Dashboard(port=0)
    first.start()
    first.publish(snapshots[-2])
    page = opened(browser, first, "overview")
    port = int(first.url.rstrip("/").rsplit(":", 1)[1])
    first.stop()
    page.wait_for_selector("html[data-state=disconnected]")
    second = Beating(port=port, board=Board())
    second.start()
    try:
        second.publish(snapshots[-1])
        page.wait_for_selector("html[data-state=running]")
        page.wait_for_function(
            "n => Number(document.documentElement.dataset.sequence) === n", arg=snapshots[-1].sequence
        )
    finally:
        second.stop()


@pytest.mark.browser
def test_plots_that_cannot_be_had_are_asked_for_again_without_a_new_message(
    browser: Browser, dashboard: Dashboard
) -> None:
    page, faults = opened(browser, dashboard, "overview"), Faults()
    faults.watch(page, dashboard.url)
    page.route("**/plots.json*", lambda route: route.fulfill(status=503))
    page.click("#tab-orbits")
    told = page.wait_for_selector(".plots[data-tab=orbits] .loading:text('trying again')")
    assert told is not None
    assert "plots.json: 503" in told.inner_text()
    assert any("plots.json: 503" in fault for fault in faults)
    page.unroute("**/plots.json*")
    page.wait_for_function("() => document.documentElement.dataset.shown?.startsWith('orbits')")
    assert sum(values(page, "orbits.active", "y0")) > 0


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "views"),
    [
        ("light", ["overview", "occupancy", "timing", "orbits", "rates", "course", "system"]),
        ("dark", ["overview", "system"]),
    ],
)
def test_every_view_is_accessible(
    browser: Browser, dashboard: Dashboard, scheme: Literal["light", "dark"], views: list[str]
) -> None:
    page = opened(browser, dashboard, "overview", scheme=scheme)
    faults: list[str] = []
    for view in views:
        page.click(f"#tab-{view}")
        page.wait_for_function("v => document.documentElement.dataset.shown?.startsWith(v)", arg=view)
        faults += [f"{view}: {fault}" for fault in inaccessible(page)]
    assert faults == []


@pytest.mark.browser
def test_time_boxes_have_their_fitted_edges_drawn_and_told(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    page = opened(browser, dashboard, "timing")
    shown = snapshots[-2]
    arrays, remarks = edge_arrays(shown.catalogue, shown.total)
    assert np.isfinite(arrays["end.0"][0])
    for mark in ("begin.0", "end.0"):
        assert marked(page, mark) == [pytest.approx(float(arrays[mark][0])), True]
    for layer in range(4):
        _, visible = marked(page, f"begin.0.{layer}")
        assert visible == bool(np.isfinite(arrays[f"begin.0.{layer}"][0]))
    for plot in ("timing.drift.0", "timing.layers.0"):
        assert page.locator(f"[data-plot='{plot}'] .remark").inner_text() == remarks[plot]


@pytest.mark.browser
def test_cells_have_rates_and_a_hot_one_does_not_stretch_the_scale(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    page = opened(browser, dashboard, "occupancy")
    shown = snapshots[-2]
    hits = shown.catalogue.hits_per_cell(shown.total, 0)
    assert values(page, "occupancy.map.0", "hz") == pytest.approx((hits / shown.live_time_s).tolist())
    assert values(page, "occupancy.cells.0", "hz") == pytest.approx((hits / shown.live_time_s).tolist())
    assert page.locator("[data-plot='occupancy.map.0'] .over").is_hidden()
    total = shown.total.copy()
    shown.catalogue.hits_per_cell(total, 0)[9] = 50 * hits.max()
    before = sequence(page)
    dashboard.publish(replace(shown, total=total, sequence=before + 1000, data_time_s=shown.data_time_s + 2))
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) > n", arg=before)
    over = page.locator("[data-plot='occupancy.map.0'] .over")
    assert re.match(r"\d cells? (is|are) over the scale, up to [\d.]+k hits\.", over.inner_text())
    high = page.evaluate(
        "() => Bokeh.documents.map((d) => [d.get_model_by_name('colors'), d.get_model_by_name('data')])"
        ".find(([c, d]) => c && d.data.hits?.[9] > 0 && d.data.channel[0] === 0)[0].high"
    )
    assert np.median(hits) < high < 3 * hits.max()


@pytest.mark.browser
def test_maps_have_the_ratio_to_the_reference(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    page = with_reference(browser, dashboard, snapshots, "occupancy.map.2", "ratio_hits")
    now, was = (shown.catalogue.hits_per_cell(shown.total, 2) for shown in (snapshots[-1], snapshots[-2]))
    with np.errstate(invalid="ignore"):
        ratio = now / (was * now.sum() / was.sum())
    found = [np.nan if value is None else value for value in values(page, "occupancy.map.2", "ratio_hits")]
    assert found == pytest.approx(ratio.tolist(), nan_ok=True)


def marked(page: Page, name: str) -> list[Any]:
    """Where a line of a plot is, and whether it is shown."""
    found: list[Any] = page.evaluate(
        "n => Bokeh.documents.map((d) => d.get_model_by_name(n)).filter((m) => m)"
        ".map((m) => [m.location, m.visible])[0]",
        name,
    )
    return found
