"""The muons' page in a real browser: its numbers are the engine's, and the event display shows what was measured."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal
from urllib.request import urlopen

import numpy as np
import pytest
from browser_fixtures import LONGEST_WAIT_MS, Faults, inaccessible
from playwright.sync_api import Browser, BrowserContext, Page

from muonstream.counting.muon_entries import MUONS, SEGMENTS, TRACKS
from muonstream.dashboard.message.muons import event_json
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.muons.acceptance import expected_zenith
from muonstream.muons.events import RING, MuonEvent
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words

TELESCOPE = Detector.default()
CHAMBERS = range(len(TELESCOPE.chambers))


def fresh(snapshot: Snapshot) -> Snapshot:
    """A snapshot whose data stay young for as long as a slow machine takes to look at it."""
    return replace(snapshot, wall_time=time.time(), data_wall_time=time.time() + 3600)


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    made = []
    with Pipeline(TELESCOPE, run="muons", source="simulation", workers=0, reconstruct=True) as pipeline:
        for part in np.array_split(simulate_words(150_000, seed=5, rate_hz=3000, muon_rate_hz=100), 3):
            pipeline.push(part)
            made.append(pipeline.snapshot())
    return made


@pytest.fixture
def dashboard(snapshots: list[Snapshot]) -> Iterator[Dashboard]:
    made = Dashboard(port=0)
    made.start()
    made.publish(fresh(snapshots[0]))
    yield made
    made.stop()


def opened(
    browser: Browser | BrowserContext, dashboard: Dashboard, address: str = "muons", faults: Faults | None = None
) -> Page:
    page = browser.new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    (faults if faults is not None else Faults()).watch(page, dashboard.url)
    page.goto(f"{dashboard.url}#{address}")
    page.wait_for_function("() => document.documentElement.dataset.shown")
    return page


def publish(page: Page, dashboard: Dashboard, snapshot: Snapshot) -> None:
    """Show a snapshot and wait until the page has drawn it."""
    dashboard.publish(fresh(snapshot))
    page.wait_for_function("n => Number(document.documentElement.dataset.sequence) === n", arg=snapshot.sequence)


def values(page: Page, plot: str, column: str) -> Any:
    found = page.evaluate("([p, c]) => window.muonstream.values(p, c)", [plot, column])
    return np.array([np.nan if value is None else value for value in found])


def number(page: Page, name: str) -> float:
    return float(page.locator(f"#panel-muons [data-number='{name}']").get_attribute("data-value") or "nan")


def shown(page: Page) -> str:
    """Which muon the display shows, by its id."""
    return page.locator("#event").get_attribute("data-muon") or ""


def id_of(event: MuonEvent, snapshot: Snapshot) -> str:
    return str(event_json(event, snapshot)["id"])


@pytest.mark.browser
def test_the_pages_numbers_are_the_engines(browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]) -> None:
    faults = Faults()
    snapshot = snapshots[-1]
    dashboard.publish(fresh(snapshot))
    page = opened(browser, dashboard, faults=faults)
    catalogue, series = snapshot.catalogue, snapshot.rates.muons
    assert series is not None
    counts = catalogue.view(snapshot.total, "muon_counts")
    for name, kind in (("segments", SEGMENTS), ("tracks", TRACKS), ("muons", MUONS)):
        assert number(page, f"muons.{name}") == counts[kind] > 100
    assert number(page, "muons.muons_hz") == series.muons_hz[-2]
    cards = page.locator("#muon-chambers .rate")
    segments = [int(cards.nth(c).get_attribute("data-value") or 0) for c in CHAMBERS]
    assert segments == catalogue.view(snapshot.total, "segment_hits").sum(axis=1).tolist()
    entries = {"tan": "segment_tan", "chi2": "segment_chi2", "t0": "t0_passage", "between": "t0_between"}
    for period, data in (("run", snapshot.total), ("recent", snapshot.recent)):
        if period == "recent":
            page.keyboard.press("r")
            page.wait_for_function("() => document.documentElement.dataset.shown.startsWith('muons recent')")
        zenith = catalogue.view(data, "zenith")[1:-1]
        assert values(page, "muons.zenith", "y").tolist() == zenith.tolist()
        expected = expected_zenith(TELESCOPE, catalogue.entries["zenith"].axis.edges) * zenith.sum()
        assert values(page, "muons.zenith", "expected") == pytest.approx(expected, rel=1e-3)
        for c in CHAMBERS:
            for plot, entry in entries.items():
                inside = catalogue.view(data, entry)[c, 1:-1]
                assert values(page, f"muons.{plot}", f"y{c}").tolist() == inside.tolist(), plot
            assert values(page, "muons.hits", f"y{c}").tolist() == catalogue.view(data, "segment_hits")[c].tolist()
            residuals = f"muons.residual.{c}"
            for column, entry in (("y", "residual_biased"), ("unbiased", "residual_unbiased")):
                assert values(page, residuals, column).tolist() == catalogue.view(data, entry)[c, 1:-1].tolist()
            assert np.nanmax(values(page, residuals, "fit_y")) == pytest.approx(
                catalogue.view(data, "residual_biased")[c].max(), rel=0.5
            )
            base = int(catalogue.channel_map.cell_base[c])
            cells = slice(base, base + TELESCOPE.chambers[c].cells)
            crossed, found = (catalogue.view(data, name)[cells] for name in ("cell_expected", "cell_found"))
            share = values(page, f"muons.efficiency.{c}", "share")
            assert (np.isnan(share) == (crossed < 10)).all()
            known = crossed >= 10
            assert known.any()
            assert share[known] == pytest.approx(found[known] / crossed[known], abs=5e-4)
    seconds = np.diff(values(page, "muons.segments", "x"))[0]
    for c in CHAMBERS:
        hz = values(page, "muons.segments", f"y{c}")[: len(series.segments_hz) - 1]
        assert hz == pytest.approx(series.segments_hz[:-1, c], rel=1e-3)
        velocity, _ = series.velocity_um_per_ns()
        assert values(page, "muons.velocity", f"y{c}") == pytest.approx(velocity[:, c], rel=1e-3)
    assert seconds == pytest.approx(snapshot.rates.width_s)
    assert "core" in page.locator("[data-plot='muons.residual.0'] .remark").inner_text()
    assert faults == []


@pytest.mark.browser
def test_what_is_drawn_of_a_muon_is_what_was_measured(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    page = opened(browser, dashboard)
    event = snapshots[0].muons[-1]
    assert shown(page) == id_of(event, snapshots[0])
    taken = [hit for hit in event.hits if hit.side]
    circles = "els => els.map(e => [Number(e.getAttribute('cx')), -Number(e.getAttribute('cy'))])"
    drawn = page.locator(".event-chambers circle.taken").evaluate_all(circles)
    expected = [[hit.high_x_mm if hit.side > 0 else hit.low_x_mm, hit.z_mm] for hit in taken]
    assert np.array(sorted(drawn)) == pytest.approx(np.array(sorted(expected)), abs=0.01)
    others = page.locator(".event-chambers circle.image").evaluate_all(circles)
    expected = [[hit.low_x_mm if hit.side > 0 else hit.high_x_mm, hit.z_mm] for hit in taken]
    assert np.array(sorted(others)) == pytest.approx(np.array(sorted(expected)), abs=0.01)
    assert page.locator(".event-chambers circle.loose").count() == 2 * (len(event.hits) - len(taken))
    assert page.locator(".event-chambers line.segment").count() == len(event.segments)
    ends = "els => els.map(e => ['x1', 'y1', 'x2', 'y2'].map(k => Number(e.getAttribute(k))))"
    lines = page.locator(".event-whole line.track").evaluate_all(ends)
    assert len(lines) == len(event.tracks)
    for (x1, y1, x2, y2), track in zip(lines, sorted(event.tracks, key=lambda one: one.view), strict=True):
        assert (x2 - x1) / (y2 - y1) == pytest.approx(track.tan, abs=1e-4)
        assert x1 + (y1 + track.z_mm) * -track.tan == pytest.approx(track.x_mm, abs=0.1)
    zenith = event.zenith_deg
    words = page.locator("#event-zenith").inner_text()
    assert words == f"{zenith:.1f}°" if zenith is not None else "in view" in words


@pytest.mark.browser
def test_one_can_stop_step_and_keep(browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]) -> None:
    context = browser.new_context()
    page = opened(context, dashboard)
    ring = [id_of(event, snapshots[0]) for event in snapshots[0].muons]
    assert len(ring) == RING
    assert shown(page) == ring[-1]
    page.keyboard.press("s")
    page.wait_for_function("n => document.querySelector('#event-place').textContent === `${n} of ${n}`", arg=RING)
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert shown(page) == ring[-4]
    page.get_by_role("button", name="The muon after").click()
    assert shown(page) == ring[-3]
    publish(page, dashboard, snapshots[1])
    assert shown(page) == ring[-3]
    page.keyboard.press("k")
    page.wait_for_function("() => location.hash.includes('muon=')")
    link = page.evaluate("() => location.hash.slice(1)")
    page.keyboard.press("s")
    assert shown(page) == id_of(snapshots[1].muons[-1], snapshots[1])
    assert "muon=" not in page.evaluate("() => location.hash")
    page.get_by_role("button", name="Show kept").click()
    assert shown(page) == ring[-3]
    page.get_by_role("button", name="Let go").click()
    assert "muon=" not in page.evaluate("() => location.hash")

    # the link shows it on another machine, though the server has forgotten it long since
    publish(page, dashboard, snapshots[2])
    other = opened(context, dashboard, link)
    other.wait_for_function("id => document.querySelector('#event').dataset.muon === id", arg=ring[-3])
    assert other.locator("#event-place").inner_text() == "kept"
    assert other.locator(".event-chambers circle.taken").count() == sum(
        abs(hit.side) for hit in snapshots[0].muons[-3].hits
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AAAA", marks=pytest.mark.long),
        "%3Cimg%20src%3Dx%3E",
        "q1YqLlGyio7VUcpILEpRslJQKi1OVdJRSkksAQA",
    ],
)
def test_a_link_that_is_broken_is_said(browser: Browser, dashboard: Dashboard, text: str) -> None:
    faults = Faults()
    page = opened(browser, dashboard, f"muons?muon={text}", faults)
    page.wait_for_function("() => document.querySelector('#event-note').textContent.includes('cannot be read')")
    page.get_by_role("button", name="Go live").click()
    assert shown(page)
    assert faults == []


@pytest.mark.browser
def test_without_reconstruction_the_page_says_how_to_switch_it_on(browser: Browser, dashboard: Dashboard) -> None:
    faults = Faults()
    page = opened(browser, dashboard, faults=faults)
    with Pipeline(TELESCOPE, run="plain", workers=0) as pipeline:
        pipeline.push(simulate_words(20_000, seed=5))
        publish(page, dashboard, replace(pipeline.snapshot(), sequence=1000))
    assert page.locator("#panel-muons .without-muons").is_visible()
    assert "--reconstruct" in page.locator("#panel-muons").inner_text()
    assert not page.locator("#event").is_visible()
    page.click("#tab-overview")
    assert not page.locator("#last-muon").is_visible()
    assert faults == []


@pytest.mark.browser
def test_a_run_without_a_muon_yet_has_no_fault(browser: Browser, dashboard: Dashboard) -> None:
    faults = Faults()
    with Pipeline(TELESCOPE, run="young", workers=0, reconstruct=True) as pipeline:
        pipeline.push(simulate_words(50, seed=1, muon_rate_hz=0))
        dashboard.publish(fresh(replace(pipeline.snapshot(), sequence=1000)))
    page = opened(browser, dashboard, faults=faults)
    assert page.locator("#event-none").inner_text() == "No muon with a track yet."
    assert faults == []


@pytest.mark.browser
def test_the_overview_has_the_last_muon_and_leads_to_the_page(
    browser: Browser, dashboard: Dashboard, snapshots: list[Snapshot]
) -> None:
    dashboard.publish(fresh(snapshots[-1]))
    page = opened(browser, dashboard, "overview")
    event = snapshots[-1].muons[-1]
    given = event_json(event, snapshots[-1])
    card = page.locator("#last-muon")
    assert card.get_attribute("data-muon") == given["id"]
    zenith = event.zenith_deg
    text = card.inner_text()
    assert f"{zenith:.1f}°" in text if zenith is not None else "in view" in text
    assert card.locator("svg line.track").count() == len(event.tracks)
    card.click()
    page.wait_for_function("() => document.documentElement.dataset.shown?.startsWith('muons')")
    assert shown(page) == given["id"]


def test_the_api_has_the_ring(dashboard: Dashboard, snapshots: list[Snapshot]) -> None:
    with urlopen(f"{dashboard.url}api/muons") as answer:
        found = json.load(answer)
    assert found["run"] == "muons"
    assert [one["orbit"] for one in found["muons"]] == [event.orbit for event in snapshots[0].muons]
    assert all(0 <= one["data_time_s"] <= snapshots[0].data_time_s + 1e-4 for one in found["muons"])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_a_phone(
    browser: Browser, dashboard: Dashboard, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = opened(context, dashboard)
    page.wait_for_selector("[data-plot='muons.velocity'] canvas", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1400, "height": 900})
    faults: list[str] = []
    for mode in ("live", "kept"):
        if mode == "kept":
            page.keyboard.press("k")
            page.wait_for_selector("#event[data-mode=kept]")
        faults += [f"{mode}: {fault}" for fault in inaccessible(page)]
    assert faults == []
