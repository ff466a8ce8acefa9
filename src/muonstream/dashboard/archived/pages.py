"""The pages of archived runs: the table's, and each run in the views of the live page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from threading import Lock
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from muonstream.archive.archive import state_of
from muonstream.archive.container import SUFFIX, ArchiveError
from muonstream.archive.index import Row
from muonstream.archive.overlaid import MOST_RUNS
from muonstream.dashboard.api import NOT_KEPT, caller_of
from muonstream.dashboard.archived.api import RunsApi
from muonstream.dashboard.archived.plots import PLOTS, THEMES, runs_plot
from muonstream.dashboard.archived.series import kept_snapshot
from muonstream.dashboard.archived.table import MOST_ROWS, address_of
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.assets import Asset, static_asset
from muonstream.dashboard.feed import Feed

KEPT: Final = 8
"""Archived runs whose pages are held, those that were opened last."""
COUNTS: Final = tuple(str(n + 1) for n in range(MOST_RUNS))
Routes = Callable[[Feed], list[BaseRoute]]


class ArchivedPages:
    """An archive's pages.

    routes: what a page of a run has, for the feed of it
    """

    def __init__(self, view: ArchiveView, feed: Feed, routes: Routes) -> None:
        self.view = view
        self._live = feed
        self._routes = routes
        self._kept: dict[tuple[str, float], tuple[Feed, Starlette]] = {}
        self._rows: dict[str, tuple[int, Row]] = {}
        self._lock = Lock()

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/runs", self.to_table),
            Route("/runs/", self.table),
            Route("/runs/plots.json", self.plots),
            Route("/runs/{run}", self.to_run),
            Mount("/runs/{run}", app=self.run),
            *RunsApi(self.view, self._live).routes(),
        ]

    async def to_table(self, _: Request) -> Response:
        """The table's address ends with a stroke."""
        return RedirectResponse("runs/", 308)

    async def table(self, request: Request) -> Response:
        """The page of the table."""
        asset = static_asset("runs.html")
        assert asset is not None
        return asset.response(request)

    async def plots(self, request: Request) -> Response:
        """The plot of ?plot=trend or overlay, ?theme=light or dark, ?runs=1 to 8 in an overlay."""
        asked = []
        for key, allowed in (("plot", PLOTS), ("theme", THEMES)):
            value = request.query_params.get(key, allowed[0])
            if value not in allowed:
                return PlainTextResponse(f"{key}: found {value[:40]!r}, expected {', '.join(allowed)}\n", 400, NOT_KEPT)
            asked.append(value)
        runs = request.query_params.get("runs", "1")
        if runs not in COUNTS:
            return PlainTextResponse(f"runs: found {runs[:40]!r}, expected 1 to {MOST_RUNS}\n", 400, NOT_KEPT)
        return JSONResponse(await asyncio.to_thread(runs_plot, *asked, int(runs)), headers=NOT_KEPT)

    async def to_run(self, request: Request) -> Response:
        """A run's address ends with a stroke: what its page asks for lies below it."""
        return RedirectResponse(f"{quote(request.path_params['run'], safe='')}/", 308)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is asked of one run: the page, its plots, its one message, its API."""
        name = scope["path_params"]["run"]
        answer: Starlette | Response
        try:
            row = await asyncio.to_thread(self._row, name)
            if address_of(row) != name and scope["type"] == "http":
                # a name or number, or `last`: the address that can be shared is the file's
                answer = RedirectResponse(f"../{quote(address_of(row), safe='')}/", 307)
            else:
                answer = await asyncio.to_thread(self._app, row)
        except ArchiveError as error:
            answer = PlainTextResponse(f"{error}\n", 404, NOT_KEPT)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "no such run"})
                return
        await answer(scope, receive, send)

    def _row(self, name: str) -> Row:
        """The run of an address, which is looked for again only when its file has changed. Raises ArchiveError."""
        path = self.view.archive.folder / f"{name}{SUFFIX}"
        try:
            written_ns = path.stat().st_mtime_ns if path.name == f"{name}{SUFFIX}" else 0
        except (OSError, ValueError):
            written_ns = 0
        kept = self._rows.get(name)
        if written_ns and kept is not None and kept[0] == written_ns:
            return kept[1]
        row = self.view.archive.find(name)
        if len(self._rows) > MOST_ROWS:
            self._rows.clear()
        self._rows[name] = written_ns, row
        return row

    def _app(self, row: Row) -> Starlette:
        """The application of a run's page; raises ArchiveError."""
        key = row.file, row.written
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept.pop(key)
                feed, app = self._kept[key]
            else:
                feed = Feed()
                # who wrote it may be at it still: what is shown is the run as it stood then
                feed.publish(replace(kept_snapshot(self.view.archive, row), state="ended"))
                own = [Route("/", self.page), Route("/api/access", self.access)]
                app = Starlette(routes=[*own, *self._routes(feed)])
                self._kept[key] = feed, app
                while len(self._kept) > KEPT:
                    self._kept.pop(next(iter(self._kept)))[0].close()
            feed.share_reference(self._live)
        return app

    def close(self) -> None:
        """Viewers' streams end."""
        with self._lock:
            for feed, _ in self._kept.values():
                feed.close()

    async def page(self, request: Request) -> Response:
        """The live page, which finds our own files two levels up."""
        return _lower_page().response(request)

    async def access(self, request: Request) -> Response:
        """As on the live page; and which run this is, and how it stands."""
        caller = caller_of(request)
        row = await asyncio.to_thread(self._row, request.path_params["run"])
        answer = {
            "user": caller.user,
            "may_act": caller.may_act,
            "why_not": caller.why_not,
            "runs": "../",
            "archived": {"run": address_of(row), "state": state_of(row), "written": row.written},
            "live": self.view.live,
        }
        return JSONResponse(answer, headers=NOT_KEPT)


@cache
def _lower_page() -> Asset:
    asset = static_asset("index.html")
    assert asset is not None
    text = asset.plain.decode()
    for folder in ("static", "bokeh"):
        text = text.replace(f'="{folder}/', f'="../../{folder}/')
    return Asset.of(text.encode(), asset.media_type)
