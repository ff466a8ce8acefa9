"""A real browser for tests, and what a page in it complains of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from muonstream.dashboard.server import Dashboard
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.verdicts import Verdicts
from tools.machine import CHROMIUM_HINT, find_chromium, in_ci

LONGEST_WAIT_MS: Final = 120_000
"""A page that is not ready by then never will be: a busy machine takes a tenth of that."""


BEAT_S: Final = 1.0
"""Half as often as an engine publishes: every beat has the page drawn again, most of what these tests cost."""
SELDOM_S: Final = 2.5
"""For tests that do not wait for a beat; after 6 s without one the page calls the engine hung."""


class Beating(Dashboard):
    """A dashboard whose engine is alive: what was published last is published again and again, as of now."""

    def __init__(self, *, beat_s: float = BEAT_S, **kwargs: Any) -> None:
        super().__init__(**({"port": 0} | kwargs))
        self._beat_s = beat_s
        self._newest: Snapshot | None = None
        self._turn = Lock()
        self._over = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    def start(self) -> None:
        super().start()
        self._heart.start()

    def stop(self) -> None:
        self._over.set()
        self._heart.join()
        super().stop()

    def publish(self, snapshot: Snapshot) -> None:
        with self._turn:
            self._newest = snapshot
            super().publish(snapshot)

    def _beat(self) -> None:
        while not self._over.wait(self._beat_s):
            with self._turn:
                if self._newest is not None:
                    super().publish(replace(self._newest, wall_time=time.time()))


class Still(Board):
    """A board that shows the verdicts that it is given."""

    def update(self, snapshot: Snapshot) -> Verdicts:
        return self.verdicts


def inaccessible(page: Page) -> list[str]:
    """What axe finds in the page as it is, a line each; nodes are gathered of what is wrong alone, which is faster."""
    rules = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response
    assert len(found["passes"]) > 10
    return [
        f"{fault['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


class Faults(list[str]):
    """What a page complains of, and requests that leave the host; printed too, for tests that wait in vain."""

    def watch(self, page: Page, url: str) -> None:
        page.on("console", lambda message: self._note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else self._note(asked.url),
        )

    def _note(self, fault: str) -> None:
        print(f"the page: {fault}")
        self.append(fault)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's executable, for tests marked `browser`; without one they are skipped, and fail with CI=true."""
    found = find_chromium()
    if found is not None:
        return found
    reason = f"needs Chromium: {CHROMIUM_HINT}"
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def running_browser(chromium: Path) -> Iterator[Browser]:
    """A browser for all tests of a module: no longer, since asyncio cannot run beside it."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"],
        )
        yield launched
        launched.close()


@pytest.fixture
def browser(running_browser: Browser) -> Iterator[Browser]:
    """A browser without pages; those left open would go on working, and slow down the next."""
    yield running_browser
    for context in running_browser.contexts:
        context.close()
