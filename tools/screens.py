"""Pictures of the live page in each of its states, on each kind of screen, and what axe finds in them.

python -m tools.screens FOLDER [--states good,hung] [--screens phone,print] [--themes dark] [--views overview,muons]
                        [--detectors seven] [--sheet]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from muonstream.counting.catalogue import Catalogue
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.server import Dashboard
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Acknowledgement, Status, Verdicts
from tools.machine import CHROMIUM_HINT, find_chromium

TOKEN: Final = "a-token-for-pictures"
OPERATOR: Final = "an-operators-token-for-pictures"
WORDS: Final = 200_000
PIECES: Final = 8
BEAT_S: Final = 0.7
LONGEST_WAIT_MS: Final = 120_000
SETTLED_MS: Final = 1_500
"""How long plots and states are given until the picture is taken: it is for people, nothing is asserted of it."""
SHEET_WIDTH: Final = 640
RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}


@dataclass(frozen=True, slots=True)
class Screen:
    """A kind of screen: its size in pixels; query: what the address says; paper: printed, on A4."""

    width: int
    height: int
    query: str = ""
    paper: bool = False
    whole: bool = False


SCREENS: Final = {
    "1280": Screen(1280, 800, whole=True),
    "1920": Screen(1920, 1080),
    "phone": Screen(390, 844, whole=True),
    "wall": Screen(1920, 1080, query="?wall&every=3600"),
    "print": Screen(1280, 800, paper=True),
}
WALL_VIEWS: Final = ("verdicts", "rates", "occupancy", "timing", "muons")


def seven() -> Detector:
    """Seven chambers in a row, with long names."""
    given = Detector.default().model_dump(mode="json")
    first = given["chambers"][0]
    names = [f"Drift chamber {n + 1} of the upper telescope" for n in range(7)]
    given["boards"] = list(range(7))
    given["chambers"] = [
        first | {"number": n + 1, "name": name, "board": n, "z_mm": 300.0 * n} for n, name in enumerate(names)
    ]
    return Detector.model_validate(given)


def simulated(detector: Detector, *, large: bool) -> tuple[list[Snapshot], Verdicts]:
    """Snapshots of a run with a dead and a hot cell, as it comes, and its verdicts; large: with many more counts."""
    words = simulate_words(WORDS, detector, seed=5, rate_hz=5000, muon_rate_hz=60, dead_cell=(3, 40), hot_cell=(2, 17))
    source = "/data/2026-11-30/run000591.dat"
    made, board = [], Board()

    def timeline(catalogue: Catalogue) -> Timeline:
        return Timeline(catalogue, clock=time.time)

    with Pipeline(detector, run="591", source=source, workers=0, reconstruct=True, timeline=timeline) as pipeline:
        made.append(pipeline.snapshot())
        for first in range(0, WORDS, WORDS // PIECES):
            pipeline.push(words[first : first + WORDS // PIECES])
            snapshot = pipeline.snapshot()
            if large:
                scaled = {name: 2_000 * n for name, n in asdict(snapshot.account).items()}
                snapshot = replace(snapshot, account=Account(**scaled), total=2_000 * snapshot.total)
            made.append(snapshot)
            board.update(snapshot)
    return made, board.verdicts


class Still(Board):
    """A board that shows the verdicts that it is given."""

    def update(self, snapshot: Snapshot) -> Verdicts:
        return self.verdicts


class Stage:
    """A page's server whose engine is alive until it is silenced."""

    def __init__(self, run: Sequence[Snapshot], found: Verdicts) -> None:
        self.run, self.found = run, found
        self.board = Still()
        self.board.verdicts = found
        self.dashboard = Dashboard(port=0, board=self.board)
        self._newest: Snapshot | None = None
        self._sequence = 1000
        self._turn = Lock()
        self._over = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    @property
    def port(self) -> int:
        return int(self.dashboard.url.partition("?")[0].rstrip("/").rsplit(":", 1)[1])

    def serve(self, port: int = 0, access: Access | None = None) -> None:
        """Serve the page, in place of what was served before."""
        self.dashboard.stop()
        self.dashboard = Dashboard(port=port, board=self.board, access=access)
        self.dashboard.start()
        if not self._heart.is_alive():
            self._heart.start()

    def show(self, snapshot: Snapshot, **changed: Any) -> None:
        """Publish a snapshot as one of now, and go on with it."""
        with self._turn:
            now = time.time()
            times = {"wall_time": now, "data_wall_time": now, "begun_wall_time": now - 40_000}
            self._newest = replace(snapshot, **(times | changed))
            self._publish()

    def silence(self) -> None:
        """The engine says nothing any more."""
        with self._turn:
            self._newest = None

    def _publish(self) -> None:
        if self._newest is not None:
            self._sequence += 1
            self.dashboard.publish(replace(self._newest, sequence=self._sequence))

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with self._turn:
                if self._newest is not None:
                    now = time.time()
                    young = self._newest.wall_time - self._newest.data_wall_time < 1
                    self._newest = replace(
                        self._newest, wall_time=now, data_wall_time=now if young else self._newest.data_wall_time
                    )
                    self._publish()

    def close(self) -> None:
        self._over.set()
        if self._heart.is_alive():
            self._heart.join()
        self.dashboard.stop()


def _good(found: Verdicts) -> Verdicts:
    """The same verdicts without what is wrong."""
    fine = tuple(
        replace(one, finding=replace(one.finding, level=Level.GOOD))
        for one in found.statuses
        if one.finding.level is not Level.NULL
    )
    cells = tuple(levels.clip(Level.GOOD, Level.GOOD) for levels in found.judgement.cells)
    chambers = dict.fromkeys(found.chambers, Level.GOOD)
    judged = Judgement((), cells)
    return replace(found, level=Level.GOOD, reason="", chambers=chambers, statuses=fine, judgement=judged, spells=())


def _bad(found: Verdicts) -> Verdicts:
    """The same with a board that is silent, an alarm that somebody knows of, and a row of others."""
    names = list(found.chambers)
    silent = Finding("silent", "Board 1", Level.BAD, "no hits for 12 s, while others send", value=0.0, limit=1.0)
    known = Finding("dead layer", f"{names[0]} layer 2", Level.MEDIUM, "2 of 160 expected hits in 60 s", part=names[0])
    noisy = [
        Finding("noisy cell", f"{names[1]} cell {n}", Level.MEDIUM, f"{250 + 7 * n} Hz of noise, median 4 Hz", names[1])
        for n in (3, 12, 44, 57)
    ]
    now = time.time()
    more = [
        Status(silent, now - 9_000),
        *(Status(one, now - 400) for one in noisy),
        Status(known, now - 90_000, acknowledged=Acknowledgement("a broken wire, since Monday", now - 8_000, "Ada")),
    ]
    chambers = {name: Level.BAD if n in (2, 3) else found.chambers[name] for n, name in enumerate(names)}
    return replace(found, level=Level.BAD, reason="", chambers=chambers, statuses=(*found.statuses, *more))


def _ready(page: Page) -> None:
    page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")


def _state(page: Page, name: str) -> None:
    page.wait_for_selector(f"html[data-state={name}]")


def _running(stage: Stage, page: Page, open_page: Callable[[], None], verdicts: Verdicts | None = None) -> None:
    stage.board.verdicts = verdicts or stage.found
    stage.serve()
    stage.show(stage.run[-1])
    open_page()
    _ready(page)


def good(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page, _good(stage.found))


def medium(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page)


def bad(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page, _bad(stage.found))


def null(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    chambers = dict.fromkeys(stage.found.chambers, Level.NULL)
    stage.board.verdicts = Verdicts(reason="too few hits so far", chambers=chambers)
    stage.serve()
    stage.show(stage.run[1])
    open_page()
    _ready(page)


def waiting(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    stage.board.verdicts = Verdicts()
    stage.serve()
    stage.show(stage.run[0], state="waiting")
    open_page()
    _state(page, "waiting")


def starting(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    stage.serve()
    stage.dashboard.feed.say("Compiling kernels, which takes up to half a minute at the first use.")
    open_page()
    _state(page, "starting")


def paused(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page)
    page.keyboard.press("p")
    page.wait_for_selector("html[data-paused=true]")
    stage.board.verdicts = _bad(stage.found)


def focused(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    """Somebody types why an alarm is known, and graver ones come."""
    _running(stage, page, open_page)
    button = page.locator("#alarms .answer button").first
    if button.is_visible():  # not on the wall
        button.click()
        page.keyboard.type("a broken wi")
    stage.board.verdicts = _bad(stage.found)


def stale(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page, _bad(stage.found))
    stage.show(stage.run[-1], data_wall_time=time.time() - 90)
    _state(page, "stale")


def hung(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    stage.board.verdicts = _bad(stage.found)
    stage.serve()
    # a first message that has been waiting for a minute
    stage.show(stage.run[-1], wall_time=time.time() - 60, data_wall_time=time.time() - 60)
    stage.silence()
    open_page()
    _ready(page)
    _state(page, "hung")


def disconnected(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page, _bad(stage.found))
    stage.dashboard.stop()
    _state(page, "disconnected")


def unauthorised(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    """The engine was started again with a token that this page has not."""
    _running(stage, page, open_page, _bad(stage.found))
    stage.serve(stage.port, Access(token=Token(TOKEN)))
    _state(page, "refused")


def viewer(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    """Whoever looks may not acknowledge."""
    stage.board.verdicts = _bad(stage.found)
    stage.serve(access=Access(operator_token=Token(OPERATOR)))
    stage.show(stage.run[-1])
    open_page()
    _ready(page)


def ended(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page, _bad(stage.found))
    stage.show(stage.run[-1], state="ended", data_wall_time=time.time() - 600)
    _state(page, "ended")


def restarted(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    """The engine was killed, and goes on where it was; the page has been open all the time."""
    _running(stage, page, open_page)
    port = stage.port
    stage.dashboard.stop()
    _state(page, "disconnected")
    stage.serve(port)
    stage.show(stage.run[-1], restarts=1)
    _state(page, "running")


def reference(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page)
    if page.locator("#keep").is_visible():
        page.click("#keep")


def keys(stage: Stage, page: Page, open_page: Callable[[], None]) -> None:
    _running(stage, page, open_page)
    page.keyboard.press("?")


STATES: Final = {
    one.__name__: one
    for one in (
        good, medium, bad, null, waiting, starting, paused, focused, stale, hung, disconnected, unauthorised, viewer,
        ended, restarted, reference, keys,
    )
}  # fmt: skip
DETECTORS: Final = {"four": Detector.default, "seven": seven}


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser while the context lasts. Exits the program where there is none."""
    executable = find_chromium()
    if executable is None:
        sys.exit(f"needs Chromium: {CHROMIUM_HINT}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


def faults_of(page: Page) -> list[str]:
    """What axe finds in the page, and what is wider than the screen."""
    found = Axe().run(page, options=RULES)
    faults = [f"{one['id']}: {node['html'][:120]}" for one in found.response["violations"] for node in one["nodes"]]
    if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
        faults.append("the page is wider than the screen")
    return faults


def take(page: Page, screen: Screen, path: Path) -> None:
    """A picture of what the page shows now; on paper a PDF."""
    if screen.paper:
        page.pdf(path=path.with_suffix(".pdf"), prefer_css_page_size=True)
    else:
        page.screenshot(path=path.with_suffix(".png"), full_page=screen.whole)


def pictures(
    launched: Browser, stage: Stage, state: str, screen: Screen, theme: str, view: str, path: Path
) -> list[str]:
    """The picture of a state, and on the wall of each of its views; gives what is wrong, a line each."""
    context = launched.new_context(
        viewport={"width": screen.width, "height": screen.height},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="Europe/Rome",
    )
    try:
        page = context.new_page()
        page.set_default_timeout(LONGEST_WAIT_MS)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))

        def open_page() -> None:
            page.goto(f"{stage.dashboard.url}{screen.query}#{view}")

        STATES[state](stage, page, open_page)
        page.wait_for_timeout(SETTLED_MS)
        take(page, screen, path)
        faults += faults_of(page)
        if screen.query and state in ("medium", "bad"):
            for name in WALL_VIEWS[1:]:
                page.keyboard.press("ArrowRight")
                page.wait_for_selector(f"html[data-wall={name}]")
                page.wait_for_timeout(SETTLED_MS)
                take(page, screen, path.with_name(f"{path.name}-{name}"))
                faults += [f"{name}: {fault}" for fault in faults_of(page)]
        return faults
    finally:
        context.close()


def sheet(folder: Path) -> None:
    """All pictures of a folder beside one another, one file for each screen, as they are too many to open."""
    from PIL import Image, ImageDraw  # Bokeh brings it

    for screen in SCREENS:
        found = sorted(folder.glob(f"{screen}-*.png"))
        if not found:
            continue
        small = []
        for path in found:
            image = Image.open(path).convert("RGB")
            image = image.resize((SHEET_WIDTH, round(image.height * SHEET_WIDTH / image.width)))
            ImageDraw.Draw(image).text((4, 2), path.stem, fill="red")
            small.append(image)
        rows = [small[first : first + 3] for first in range(0, len(small), 3)]
        height = sum(max(image.height for image in row) for row in rows)
        whole = Image.new("RGB", (3 * SHEET_WIDTH, height), "white")
        top = 0
        for row in rows:
            for n, image in enumerate(row):
                whole.paste(image, (n * SHEET_WIDTH, top))
            top += max(image.height for image in row)
        whole.save(folder / f"sheet-{screen}.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures that are asked for; 1 if anything was wrong in one of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.screens", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    for name, allowed, default in (
        ("states", list(STATES), list(STATES)),
        ("screens", list(SCREENS), list(SCREENS)),
        ("themes", ["light", "dark"], ["light", "dark"]),
        ("views", ["overview", "occupancy", "timing", "orbits", "muons", "rates", "course", "system"], ["overview"]),
        ("detectors", list(DETECTORS), ["four"]),
    ):
        parser.add_argument(
            f"--{name}", type=lambda text: text.split(","), default=default, help=f"some of {','.join(allowed)}"
        )
        parser.set_defaults(**{f"allowed_{name}": allowed})
    parser.add_argument("--sheet", action="store_true", help="all pictures of a screen side by side in one file")
    asked = parser.parse_args(arguments)
    for name in ("states", "screens", "themes", "views", "detectors"):
        for one in getattr(asked, name):
            if one not in (allowed := getattr(asked, f"allowed_{name}")):
                parser.error(f"--{name}: found {one}, expected some of {','.join(allowed)}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with browser() as launched:
        for detector in asked.detectors:
            run, found = simulated(DETECTORS[detector](), large=detector == "seven")
            for state in asked.states:
                for screen in asked.screens:
                    for theme in asked.themes:
                        for view in asked.views:
                            name = "-".join((screen, detector, view, state, theme))
                            stage = Stage(run, found)
                            try:
                                shape = SCREENS[screen]
                                faults = pictures(launched, stage, state, shape, theme, view, asked.folder / name)
                            finally:
                                stage.close()
                            wrong += bool(faults)
                            print(name, *(faults or ["clean"]), sep="\n  " if faults else " ", flush=True)
    if asked.sheet:
        sheet(asked.folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
