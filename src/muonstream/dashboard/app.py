"""The page's server application: the page, its plots, its feed."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing, suppress
from functools import lru_cache
from pathlib import Path

import bokeh
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from muonstream.analysis.histograms import Catalogue
from muonstream.analysis.summary import summary
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.guard import Guard
from muonstream.dashboard.plots import plots_json
from muonstream.detector import Detector

STATIC = Path(__file__).parent / "static"
BOKEH_JS = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
STALE_S = 10.0


@lru_cache(maxsize=4)
def _plots(detector: Detector) -> bytes:
    return json.dumps(plots_json(Catalogue(detector))).encode()


def create_app(feed: Feed, *, bound_to: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The application; `bound_to` is the address that it serves, which says which Host names are its own."""

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def bokeh_js(request: Request) -> Response:
        return FileResponse(BOKEH_JS, media_type="text/javascript")

    async def plots(request: Request) -> Response:
        if feed.snapshot is None:
            return Response("nothing has been published yet", 503)
        return Response(_plots(feed.snapshot.detector), media_type="application/json")

    async def health(request: Request) -> Response:
        snapshot = feed.snapshot
        if snapshot is None:
            return JSONResponse({"state": "starting", "healthy": True})
        age_s = time.time() - snapshot.wall_time
        healthy = (snapshot.state == "ended" or age_s < STALE_S) and snapshot.account.balanced
        report = {
            "state": snapshot.state,
            "healthy": healthy,
            "snapshot_age_s": age_s,
            "data_age_s": time.time() - snapshot.data_wall_time,
            "viewers": feed.viewers,
        }
        return JSONResponse(report, 200 if healthy else 503)

    async def api_snapshot(request: Request) -> Response:
        if feed.snapshot is None:
            return JSONResponse({"state": "starting"}, 503)
        return JSONResponse(summary(feed.snapshot))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        sending = asyncio.create_task(_send(websocket))
        leaving = asyncio.create_task(_wait_for_end(websocket))
        done, rest = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if leaving not in done:
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close()

    async def _send(websocket: WebSocket) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            async with aclosing(feed.messages()) as messages:
                async for message in messages:
                    await websocket.send_bytes(message)

    async def _wait_for_end(websocket: WebSocket) -> None:
        """Viewers have nothing to say; what comes is read until they go."""
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass

    return Starlette(
        routes=[
            Route("/", page),
            Route("/bokeh.min.js", bokeh_js),
            Route("/plots.json", plots),
            Route("/healthz", health),
            Route("/api/snapshot", api_snapshot),
            WebSocketRoute("/ws", socket),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, bound_to=bound_to, token=token)],
    )
