"""The page's shape: keys, screens of any size, many chambers, paper, the wall; in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browser_fixtures import LONGEST_WAIT_MS, SELDOM_S, Beating, Faults, Still, inaccessible
from playwright.sync_api import Browser, Page

from muonstream.counting.rates import RateSeries
from muonstream.dashboard.plots.chambers import TabName
from muonstream.dashboard.plots.column_names import column_names
from muonstream.dashboard.plots.muons import MuonPainter
from muonstream.dashboard.plots.overlay import with_reference
from muonstream.dashboard.plots.themes import COLORS
from muonstream.dashboard.server import Dashboard
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.verdicts import Status, Verdicts

LETTERS = 0.025
"""Of the wall's height, for what matters."""
CUT = """() => ['.card .value', '.card .label', '.card .sub', '.verdict', '.legend button', 'figcaption']
  .flatMap((which) => [...document.querySelectorAll(which)])
  .filter((e) => e.checkVisibility())
  .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map((e) => e.textContent)"""

SIDES = """() => [
  document.querySelector('#alarms'), document.querySelector('#more-alarms'),
  [...document.querySelectorAll('#alarms .alarm')].filter((e) => e.checkVisibility({ visibilityProperty: true })),
].map((e) => (Array.isArray(e) ? e.map((one) => one.getBoundingClientRect().toJSON())
  : e.getBoundingClientRect().toJSON()))"""
"""Where on the wall the place of alarms is, the line of how many there are more, and each alarm that is seen."""


FEWEST_POINTS = 7.0
"""Letters of a printout have at least so many."""
PRINTED = """async () => {
  const { prototype } = CanvasRenderingContext2D;
  const { fillText } = prototype;
  const letters = [];
  dispatchEvent(new Event('beforeprint'));
  // what is on the screen has been drawn, what is for paper is about to be
  prototype.fillText = function (...given) {
    const { a, b } = this.getTransform();
    letters.push(parseFloat(/([\\d.]+)px/.exec(this.font)[1]) * Math.hypot(a, b));
    return fillText.apply(this, given);
  };
  while (document.querySelector('.as-shown')) await new Promise((done) => setTimeout(done));
  prototype.fillText = fillText;
  const pictures = [...document.querySelectorAll('.on-paper')];
  const found = {
    letters,
    pictures: pictures.map((one) => one.toDataURL()),
    shrunk: pictures.map((one) => one.getBoundingClientRect().width / one.width),
    colors: [...document.querySelectorAll("[style*='--color']")].map((one) => one.style.getPropertyValue('--color')),
  };
  dispatchEvent(new Event('afterprint'));
  return found;
}"""
"""Prints: sizes of letters in dots, each plot's picture, pixels of CSS a dot, colours of curves."""


def seven() -> Detector:
    """Seven chambers in a row, with long names."""
    given = Detector.default().model_dump(mode="json")
    first = given["chambers"][0]
    given["boards"] = list(range(7))
    given["chambers"] = [
        first
        | {"number": n + 1, "name": f"Drift chamber {n + 1} of the upper telescope", "board": n, "z_mm": 300.0 * n}
        for n in range(7)
    ]
    return Detector.model_validate(given)


def long_run(detector: Detector, words: int) -> Snapshot:
    """A run of twelve hours with two counter resets, and counts of nine digits."""
    with Pipeline(detector, run="long", source="simulation", workers=0) as pipeline:
        pipeline.push(simulate_words(words, seed=5))
        snapshot = pipeline.snapshot()
    n, chambers = 720, len(detector.chambers)
    hz = np.full((n, chambers), 1000.0)
    rates = RateSeries(
        np.linspace(0.0, 60.0 * (n - 1), n), 60.0, hz, hz[:, 0], hz / 1000, resets_s=np.array([7200.0, 30_000.0])
    )
    account = Account(words=123_456_789, hits=123_456_789)
    now = time.time()
    times: dict[str, Any] = {"wall_time": now, "data_wall_time": now + 3600, "data_time_s": 43_200.0}
    return replace(snapshot, rates=rates, account=account, resets=3, live_time_s=43_200.0, **times)


def opened(browser: Browser, url: str, width: int = 1280, height: int = 800) -> tuple[Page, Faults]:
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    faults = Faults()
    faults.watch(page, url.partition("?")[0].partition("#")[0])
    page.goto(url)
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
    return page, faults


@pytest.fixture
def dashboard() -> Iterator[Beating]:
    made = Beating(board=Still(), beat_s=SELDOM_S)
    finding = Finding("dead cell", "Chamber 3 cell 40", Level.BAD, "0 hits in 60 s", part="Chamber 3")
    statuses = (Status(finding, time.time()),)
    made.feed.board.verdicts = Verdicts(Level.BAD, "", {}, statuses, Judgement((), ()))
    made.start()
    yield made
    made.stop()


def test_every_column_of_every_plot_has_a_name_of_its_own_in_files() -> None:
    painter = MuonPainter(Detector.default(), COLORS["light"], "linear")
    tabs: tuple[TabName, ...] = ("overview", "occupancy", "timing", "orbits", "muons", "rates", "course")
    for tab in tabs:
        for alone in painter.plots(tab):
            plot = with_reference(alone, COLORS["light"])
            names = column_names(plot)
            assert len(set(names.values())) == len(names) > 1, plot.name
            assert set(plot.columns) - {"label"} <= set(names), plot.name


@pytest.mark.browser
def test_keys_work_wherever_the_last_click_was_and_are_listed(browser: Browser, dashboard: Beating) -> None:
    dashboard.publish(long_run(Detector.default(), 20_000))
    page, faults = opened(browser, dashboard.url)
    root = page.locator("html")
    for place in (
        "[data-choice=scale] [data-value=log]",
        "#tab-overview",
        ".card",
        "[data-plot] .canvas",
    ):
        page.locator(place).first.click()
        page.keyboard.press(" ")
        page.wait_for_selector("html[data-paused=true]")
        page.keyboard.press("p")
        page.wait_for_selector("html[data-paused=false]")
    page.keyboard.press("3")
    page.wait_for_function("() => document.documentElement.dataset.shown?.startsWith('timing run')")

    # in a field keys are letters
    page.keyboard.press("1")
    page.locator(".alarm button").click()
    page.keyboard.type("r 3?")
    assert page.get_by_role("textbox", name="Why").input_value() == "r 3?"
    page.keyboard.press("Escape")

    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.wait_for()
    assert page.evaluate("() => document.activeElement.closest('dialog') !== null")
    assert {"space", "p", "w", "?", "r", "f"} <= set(dialog.locator("kbd").all_inner_texts())
    assert inaccessible(page) == []
    page.keyboard.press("3")
    assert root.get_attribute("data-tab") == "overview"
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.keyboard.press("3")
    page.wait_for_selector("html[data-tab=timing]")
    assert faults == []


@pytest.mark.browser
def test_nothing_is_cut_on_any_screen_with_many_chambers_and_large_counts(browser: Browser, dashboard: Beating) -> None:
    snapshot = long_run(seven(), 20_000)
    dashboard.publish(snapshot)
    page, faults = opened(browser, dashboard.url)
    for width, height in ((1280, 800), (390, 844), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("w => document.querySelector('.canvas').getBoundingClientRect().right <= w", arg=width)
        assert page.evaluate(CUT) == [], width
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width
    assert page.locator(".card .value").first.evaluate("e => e.getBoundingClientRect().height") > 0.02 * 2160
    page.set_viewport_size({"width": 1280, "height": 800})
    small = "() => document.querySelector('[data-plot=\"overview.rates\"] .canvas')?.style.minHeight === '230px'"
    page.wait_for_function(small)  # drawn again, no longer for the wall

    # resets are marked; a run of twelve hours has ticks on whole hours
    note = "Vertical lines: 2 counter resets. 1 more is not marked."
    which = "[data-plot='overview.rates'] .resets"
    page.wait_for_function("([e, t]) => document.querySelector(e)?.textContent === t", arg=[which, note])
    found: dict[str, Any] = page.evaluate(
        """() => {
          const document = Bokeh.documents.find((d) => d.get_model_by_name('resets'));
          const figure = document.roots()[0];
          const ticker = figure.below.find((e) => e.ticker).ticker;
          const ticks = ticker.get_ticks(0, 43200, null, null).major;
          return { resets: document.get_model_by_name('resets').data.x, ticks };
        }"""
    )
    assert found["resets"] == [7200.0, 30_000.0]
    assert 6 <= len(found["ticks"]) <= 14
    assert all(tick % 3600 == 0 for tick in found["ticks"])

    # on paper: legends, no buttons, plots no wider than their places
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    picture = page.locator("[data-plot='overview.rates'] .on-paper")
    assert picture.evaluate("e => e.width > 500 && e.getBoundingClientRect().right <= innerWidth")
    assert page.locator("[data-plot='overview.rates'] .legend").is_visible()
    for hidden in (".tabs", ".choices", "figcaption button", ".alarm button", ".canvas"):
        assert not any(each.is_visible() for each in page.locator(hidden).all()), hidden
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert page.locator(".on-paper").count() == 0
    assert faults == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("tab", ["overview", "occupancy", "timing"])
def test_a_printout_has_large_letters_and_the_light_themes_colours(
    browser: Browser, dashboard: Beating, tab: str, width: int
) -> None:
    dashboard.publish(long_run(Detector.default(), 20_000))
    page, faults = opened(browser, f"{dashboard.url}#{tab}", width)
    page.wait_for_function("tab => document.documentElement.dataset.shown?.startsWith(tab)", arg=tab)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # what A4 has between its margins
    light = page.evaluate(PRINTED)
    plots = page.locator(f"#panel-{tab} [data-plot]").filter(visible=True).count()
    assert len(light["pictures"]) == plots > 3
    assert len(light["letters"]) > 8 * plots
    assert min(light["letters"]) * min(light["shrunk"]) * 72 / 96 >= FEWEST_POINTS

    page.emulate_media(media="screen")
    page.set_viewport_size({"width": width, "height": 800})
    page.keyboard.press("t")
    page.wait_for_function("() => document.documentElement.dataset.shown?.endsWith('dark')")
    shown = page.locator("[style*='--color']").first.evaluate("e => e.style.getPropertyValue('--color')")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})
    dark = page.evaluate(PRINTED)
    assert dark["pictures"] == light["pictures"]
    assert dark["colors"] == light["colors"]
    # and the page has its own colours again
    after = page.locator("[style*='--color']").first.evaluate("e => e.style.getPropertyValue('--color')")
    assert after == shown != light["colors"][0]
    assert faults == []


@pytest.mark.browser
def test_a_view_says_that_its_plots_are_to_come_while_others_are_under_way(
    browser: Browser, dashboard: Beating
) -> None:
    dashboard.publish(long_run(Detector.default(), 20_000))
    page = browser.new_context().new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    page.route("**/plots.json?tab=overview*", lambda route: None)  # which never ends
    page.goto(dashboard.url)
    page.wait_for_function("() => Number(document.documentElement.dataset.judged) > 0")
    page.keyboard.press("2")
    page.wait_for_selector("html[data-tab=occupancy]")
    assert page.locator("#panel-occupancy .loading").inner_text() == "Loading the plots …"


@pytest.mark.browser
def test_what_the_browser_prints_is_drawn_for_paper(browser: Browser, dashboard: Beating) -> None:
    dashboard.publish(long_run(Detector.default(), 20_000))
    page, faults = opened(browser, dashboard.url)
    # what is there when the browser has just learned that the medium is paper is what it prints
    page.evaluate(
        """() => matchMedia('print').addEventListener('change', ({ matches }) => {
          if (matches) window.printed = [...document.querySelectorAll('.on-paper')].map((one) => one.className);
        })"""
    )
    page.pdf()
    printed = page.evaluate("() => window.printed")
    assert len(printed) > 3
    assert set(printed) == {"on-paper"}
    assert faults == []


@pytest.mark.browser
def test_the_wall_is_one_screen_of_large_letters_whose_views_take_turns(browser: Browser, dashboard: Beating) -> None:
    dashboard.publish(long_run(Detector.default(), 20_000))
    height = 1080
    page, faults = opened(browser, f"{dashboard.url}?wall=verdicts,rates,occupancy&every=600", 1920, height)
    for view, matters in (
        ("verdicts", "#headline, #state, #run, #clock, #age, .chamber-board .verdict, .alarm .verdict, .alarm .reason"),
        ("rates", "#headline, #state, .card .value, .card .label, .legend button, .title"),
        ("occupancy", "#headline, #state, .plot.map .title"),
    ):
        page.wait_for_selector(f"html[data-wall={view}]")
        page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
        shown = [each for each in page.locator(matters).all() if each.is_visible()]
        sizes = [float(each.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) for each in shown]
        assert len(sizes) > 4
        assert page.locator(matters.split(", ")[-1]).first.is_visible(), view
        assert min(sizes) >= LETTERS * height
        assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
        ends = [each.evaluate("e => [e.getBoundingClientRect()].map((r) => [r.right, r.bottom])[0]") for each in shown]
        assert all(right <= 1921 and bottom <= height + 1 for right, bottom in ends), view
        if view == "verdicts":  # one alarm leaves the board most of the room
            board = page.locator(".board").evaluate(
                "e => e.clientHeight / document.querySelector('#verdicts').clientHeight"
            )
            assert board > 0.6
        if view == "rates":
            plot = page.locator("[data-plot='overview.rates'] .canvas")
            assert plot.evaluate("e => e.clientHeight > 200 && e.firstElementChild.clientHeight <= e.clientHeight + 2")
            font: str = page.evaluate(
                "() => Bokeh.documents.find((d) => d.get_model_by_name('resets')).roots()[0].below"
                ".find((e) => e.ticker).major_label_text_font_size"
            )
            assert float(font.removesuffix("px")) >= LETTERS * height - 0.1
        assert inaccessible(page) == []
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("html[data-wall=verdicts]")
    assert "wall=verdicts" in page.evaluate("() => location.search")
    page.keyboard.press("Escape")
    page.wait_for_selector("html:not([data-wall])")
    assert page.locator("nav .tabs").is_visible()
    assert page.evaluate("() => location.search") == ""
    page.goto(f"{dashboard.url}?wall=verdicts,rates&every=2")
    page.wait_for_selector("html[data-wall=rates]")
    page.wait_for_selector("html[data-wall=verdicts]")
    assert faults == []


@pytest.mark.browser
@pytest.mark.parametrize("detector", [Detector.default(), seven()], ids=["four chambers", "seven chambers"])
def test_on_the_wall_nothing_is_left_empty_and_a_state_has_its_line(browser: Browser, detector: Detector) -> None:
    dashboard = Dashboard(port=0, board=Still())
    dashboard.feed.board.verdicts = Verdicts(reason="too few hits", chambers={})
    dashboard.start()
    try:
        # an engine that has not answered for a minute
        then = time.time() - 60
        snapshot = replace(long_run(detector, 20_000), wall_time=then, data_wall_time=then)
        dashboard.publish(snapshot)
        page, faults = opened(browser, f"{dashboard.url}?wall=verdicts&every=600", 1920, 1080)
        page.wait_for_selector("html[data-state=hung]")
        heights = (
            "() => ['header', '.state-text', '.board', '#verdicts'].map((e) => document.querySelector(e).clientHeight)"
        )
        header, text, board, box = page.evaluate(heights)
        assert header < 0.22 * 1080
        assert 0 < text < 0.06 * 1080
        assert board > 0.75 * box
        drawn = "() => [...document.querySelectorAll('.board svg')].map((e) => e.getBoundingClientRect().bottom)"
        assert max(page.evaluate(drawn)) <= 1081
        assert page.locator("#no-alarms").inner_text() == "Not judged: too few hits."
        assert inaccessible(page) == []
        assert faults == []
    finally:
        dashboard.stop()


@pytest.mark.browser
@pytest.mark.parametrize("detector", [Detector.default(), seven()], ids=["four chambers", "seven chambers"])
def test_the_wall_counts_the_alarms_for_which_there_is_no_room(
    browser: Browser, dashboard: Beating, detector: Detector
) -> None:
    names = [chamber.name for chamber in detector.chambers]
    many = [
        Finding("noisy cell", f"{names[n % 4]} cell {n}", Level.BAD if n < 30 else Level.MEDIUM, "of noise " * 15)
        for n in range(40)
    ]

    def shown(findings: list[Finding]) -> Verdicts:
        statuses = tuple(Status(finding, time.time()) for finding in findings)
        return Verdicts(Level.BAD, "", {}, statuses, Judgement((), ()))

    dashboard.feed.board.verdicts = shown(many)
    dashboard.publish(long_run(detector, 20_000))
    page, faults = opened(browser, f"{dashboard.url}?wall=verdicts&every=600", 1920, 1080)
    more = page.locator("#more-alarms")
    more.wait_for()
    seen = page.locator("#alarms .alarm").filter(visible=True)
    for width, height in ((1920, 1080), (1280, 720), (1080, 1920), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("() => document.documentElement.scrollHeight <= innerHeight")
        place, box, rows = page.evaluate(SIDES)
        for row in rows:
            assert row["left"] < place["left"] + 1
            assert row["bottom"] <= place["bottom"] + 1
        assert box["bottom"] <= height
        left = 40 - len(rows)
        bad = max(0, 30 - len(rows))
        word = "and " if rows else ""
        assert more.inner_text() == f"{word}{left} more alarms" + (f", {bad} of them bad" if bad else "")
        assert len(rows) >= 1, (width, height)
    assert inaccessible(page) == []

    # those that fit are all there, and so are all of them beside the wall
    dashboard.feed.board.verdicts = shown(many[:1])
    more.wait_for(state="hidden")
    assert seen.count() == 1
    dashboard.feed.board.verdicts = shown(many)
    more.wait_for()
    page.keyboard.press("Escape")
    more.wait_for(state="hidden")
    assert seen.count() == 40
    assert faults == []
