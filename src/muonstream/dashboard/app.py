"""The page's server application: the page, its plots, its feed over a WebSocket, and answers for programs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import lru_cache
from threading import Thread
from typing import Final, cast, get_args

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from muonstream.dashboard.access.guard import Guard
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.api import NOT_KEPT, Api, nothing_yet
from muonstream.dashboard.archived.api import described
from muonstream.dashboard.archived.pages import ArchivedPages
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.assets import Asset, bokeh_asset, static_asset
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.dashboard.health import health as check_health
from muonstream.dashboard.message.message import detector_key
from muonstream.dashboard.message.muons import telescope_json
from muonstream.dashboard.plots.chambers import ScaleName, TabName
from muonstream.dashboard.plots.tabs import ReferenceName, plots_json
from muonstream.dashboard.plots.themes import ThemeName
from muonstream.detector.model import Detector

CHOICES: Final = {
    "tab": get_args(TabName),
    "theme": get_args(ThemeName),
    "scale": get_args(ScaleName),
    "reference": get_args(ReferenceName),
}
MAX_VIEWERS: Final = 256
TRY_AGAIN_LATER: Final = 1013


def create_app(
    feed: Feed,
    *,
    access: Access | None = None,
    stale_after_s: float = STALE_AFTER_S,
    problems: Callable[[], Sequence[str]] | None = None,
    connections: Callable[[], Mapping[str, int]] | None = None,
    archive: ArchiveView | None = None,
) -> Starlette:
    """The application; `access` says who may see it and which Host names are its own: without it, this machine's users.

    stale_after_s, problems, connections: what /healthz reports, see `muonstream.dashboard.health`
    archive: whose runs are shown as well
    """
    pages = Pages(feed, stale_after_s, problems, connections)
    routes: list[BaseRoute] = [
        Route("/", pages.page if archive is None or archive.live else pages.to_runs),
        Route("/static/{name}", pages.static),
        Route("/bokeh/{name}", pages.bokeh),
        Route("/healthz", pages.health),
        *_of_one_run(pages),
        *Api(feed, archived=None if archive is None else described()).routes(),
    ]
    if archive is not None:
        # programs ask an archived run as they ask the live one; what is over has no alarms to be acknowledged
        archived = ArchivedPages(archive, feed, lambda of: [*_of_one_run(Pages(of)), *Api(of).reading_routes()])
        routes += archived.routes()
        feed.on_close(archived.close)
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={ClientDisconnect: _disconnected},
    )


def _of_one_run(pages: Pages) -> list[BaseRoute]:
    """What a page asks for of its run."""
    return [
        Route("/plots.json", pages.plots),
        Route("/telescope.json", pages.telescope),
        Route("/reference", pages.reference),
        WebSocketRoute("/ws", pages.socket),
    ]


class Pages:
    """The answers of the application."""

    def __init__(
        self,
        feed: Feed,
        stale_after_s: float = STALE_AFTER_S,
        problems: Callable[[], Sequence[str]] | None = None,
        connections: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self.feed = feed
        self._stale_after_s = stale_after_s
        self._problems = problems
        self._connections = connections
        self._places = MAX_VIEWERS
        self._seen: set[tuple[Detector | str, ...]] = set()

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return _found(static_asset("index.html"), request)

    async def to_runs(self, _: Request) -> Response:
        """The live page; the table of runs where all of them are archived."""
        return RedirectResponse("runs/", 307)

    async def static(self, request: Request) -> Response:
        """A file of ours."""
        return _found(static_asset(request.path_params["name"]), request)

    async def bokeh(self, request: Request) -> Response:
        """BokehJS, from the installed package."""
        return _found(await asyncio.to_thread(bokeh_asset, request.path_params["name"]), request)

    async def plots(self, request: Request) -> Response:
        """The plots of ?tab=overview or another, ?theme=light or dark, ?scale=linear or log, ?reference=off or on."""
        asked = [request.query_params.get(key, allowed[0]) for key, allowed in CHOICES.items()]
        for value, (key, allowed) in zip(asked, CHOICES.items(), strict=True):
            if value not in allowed:
                return PlainTextResponse(f"{key}: found {value[:40]!r}, expected {', '.join(allowed)}\n", 400)
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        asset = await asyncio.to_thread(_plots_asset, snapshot.detector, *asked)
        if (seen := (snapshot.detector, *asked[1:])) not in self._seen:
            # a viewer of one view is likely to open others, with the same choices
            self._seen.add(seen)
            Thread(target=describe, args=(snapshot.detector, CHOICES["tab"], *asked[1:]), daemon=True).start()
        return asset.response(request)

    async def telescope(self, request: Request) -> Response:
        """Where the cells of each chamber are."""
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        return _telescope_asset(snapshot.detector).response(request)

    async def reference(self, _: Request) -> Response:
        """The message of the reference, if there is one."""
        message = self.feed.reference_message
        if message is None:
            return Response(status_code=204, headers=NOT_KEPT)
        return Response(message, media_type="application/octet-stream", headers=NOT_KEPT)

    async def health(self, _: Request) -> Response:
        """Whether all is well, 200 or 503 with the reasons."""
        report = check_health(
            self.feed.snapshot,
            now=time.time(),
            viewers=self.feed.viewers,
            stale_after_s=self._stale_after_s,
            problems=self._problems() if self._problems else (),
            connections=self._connections() if self._connections else None,
        )
        return JSONResponse(report, 200 if report["healthy"] else 503, NOT_KEPT)

    async def socket(self, websocket: WebSocket) -> None:
        """Send messages as they are made, until the viewer leaves."""
        # the place is taken before the first await, or viewers who come at once would all find the same one free
        if self._places <= 0:
            await websocket.accept()
            await websocket.close(TRY_AGAIN_LATER, "too many viewers")
            return
        self._places -= 1
        try:
            await websocket.accept()
            await self._show(websocket)
        finally:
            self._places += 1

    async def _show(self, websocket: WebSocket) -> None:
        sending = asyncio.create_task(self._send(websocket))
        leaving = asyncio.create_task(_until_left(websocket))
        done, rest = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if leaving not in done:
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close()

    async def _send(self, websocket: WebSocket) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            await websocket.send_text(_greeting(self.feed.starting))
            async with aclosing(self.feed.messages()) as messages:
                async for message in messages:
                    if isinstance(message, str):
                        await websocket.send_text(_greeting(message))
                    else:
                        await websocket.send_bytes(message)


async def _disconnected(_: Request, error: Exception) -> Response:
    """The answer to a request whose sender disconnected before it was complete; it is not delivered."""
    return PlainTextResponse("the request was not whole\n", 400, NOT_KEPT)


def _greeting(starting: str) -> str:
    """What is being done, and the server's time, since the browser's may be wrong and it shows the age of data."""
    return json.dumps({"server_time": time.time(), "starting": starting})


async def _until_left(websocket: WebSocket) -> None:
    """Read and ignore what viewers send, until they leave."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


@lru_cache(maxsize=64)
def _plots_asset(detector: Detector, tab: str, theme: str, scale: str, reference: str) -> Asset:
    plots = plots_json(
        detector,
        cast(TabName, tab),
        cast(ThemeName, theme),
        cast(ScaleName, scale),
        cast(ReferenceName, reference),
    )
    return Asset.of(json.dumps(plots).encode(), "application/json")


def describe(detector: Detector, tabs: Sequence[str], *chosen: str) -> None:
    """Prepare the plots of tabs before they are requested; chosen: theme, scale and reference."""
    for tab in tabs:
        _plots_asset(detector, tab, *chosen)


def prepare_plots(detector: Detector) -> None:
    """Prepare the plots of the first view before they are requested, in both themes."""
    for theme in CHOICES["theme"]:
        describe(detector, CHOICES["tab"][:1], theme, *(allowed[0] for allowed in list(CHOICES.values())[2:]))


@lru_cache(maxsize=8)
def _telescope_asset(detector: Detector) -> Asset:
    description = {"detector": detector_key(detector), "chambers": telescope_json(detector)}
    return Asset.of(json.dumps(description).encode(), "application/json")


def _found(asset: Asset | None, request: Request) -> Response:
    return PlainTextResponse("not found\n", 404, NOT_KEPT) if asset is None else asset.response(request)
