"""The API for programs: snapshot, histograms, verdicts and alarms, metrics, and their description."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from muonstream import __version__
from muonstream.dashboard.access.guard import CALLER
from muonstream.dashboard.access.options import LONGEST_USER, Caller
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.message.message import verdicts_json
from muonstream.dashboard.message.muons import event_json
from muonstream.dashboard.metrics import CONTENT_TYPE, metrics
from muonstream.dashboard.rootjson import root_json
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import encode as encode_whole
from muonstream.run.summary import summary

NOT_KEPT: Final = {"Cache-Control": "no-store"}
LONGEST_TEXT: Final = 500
PERIODS: Final = ("run", "recent")
FORMATS: Final = ("plain", "root")


def nothing_yet() -> Response:
    """The answer before the first snapshot."""
    return PlainTextResponse("nothing has been published yet\n", 503, {"Retry-After": "1", **NOT_KEPT})


class Api:
    """The answers of the API; archived: the paths of those about archived runs, None where there are none."""

    def __init__(self, feed: Feed, *, archived: Mapping[str, Any] | None = None) -> None:
        self.feed = feed
        self._archived = archived

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/metrics", self.metrics),
            Route("/api/openapi.json", self.description),
            Route("/api/snapshot", self.snapshot),
            Route("/api/snapshot.musn", self.whole),
            Route("/api/muons", self.muons),
            Route("/api/histograms", self.histograms),
            Route("/api/histograms/{name}", self.histogram),
            Route("/api/verdicts", self.verdicts),
            Route("/api/alarms", self.alarms),
            Route("/api/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/api/acknowledge-all", self.acknowledge_all, methods=["POST"]),
            Route("/api/retract", self.retract, methods=["POST"]),
            Route("/api/access", self.access),
        ]

    def reading_routes(self) -> list[Route]:
        """Those of a run that is over: nothing that changes it, nor what is of the server."""
        over = {"/metrics", "/api/access", "/api/openapi.json"}
        return [route for route in self.routes() if route.path not in over and "POST" not in (route.methods or ())]

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        return Response(metrics(self.feed), headers={"Content-Type": CONTENT_TYPE, **NOT_KEPT})

    async def description(self, _: Request) -> Response:
        """What there is, as OpenAPI."""
        whole = openapi()
        return JSONResponse({**whole, "paths": {**whole["paths"], **(self._archived or {})}})

    async def snapshot(self, _: Request) -> Response:
        """The newest snapshot's summary."""
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        return JSONResponse(await asyncio.to_thread(summary, snapshot), headers=NOT_KEPT)

    async def whole(self, _: Request) -> Response:
        """The newest snapshot whole, as a file that can be a reference."""
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        data = await asyncio.to_thread(encode_whole, snapshot)
        return Response(data, media_type="application/octet-stream", headers=NOT_KEPT)

    async def muons(self, _: Request) -> Response:
        """The newest muons, hit by hit, the oldest of them first; none without reconstruction."""
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        found = [event_json(event, snapshot) for event in snapshot.muons]
        return JSONResponse({"run": snapshot.run, "muons": found}, headers=NOT_KEPT)

    async def histograms(self, _: Request) -> Response:
        """The catalogue: names, titles, shapes and axes."""
        snapshot = self.feed.snapshot
        if snapshot is None:
            return nothing_yet()
        return JSONResponse({name: _described(snapshot, name) for name in snapshot.catalogue.entries}, headers=NOT_KEPT)

    async def histogram(self, request: Request) -> Response:
        """One histogram of the run, or of the last 30 s, as plain JSON or as ROOT's object."""
        snapshot, name = self.feed.snapshot, request.path_params["name"]
        if snapshot is None:
            return nothing_yet()
        if name not in snapshot.catalogue.entries:
            known = ", ".join(snapshot.catalogue.entries)
            return PlainTextResponse(f"histogram: found {name[:60]!r}, expected {known}\n", 404, NOT_KEPT)
        asked = {}
        for key, allowed in (("period", PERIODS), ("format", FORMATS)):
            asked[key] = request.query_params.get(key, allowed[0])
            if asked[key] not in allowed:
                text = f"{key}: found {asked[key][:60]!r}, expected {', '.join(allowed)}\n"
                return PlainTextResponse(text, 400, NOT_KEPT)
        data = snapshot.total if asked["period"] == "run" else snapshot.recent
        values = snapshot.catalogue.view(data, name)
        if asked["format"] == "root":
            return JSONResponse(root_json(snapshot.catalogue.entries[name], values), headers=NOT_KEPT)
        return JSONResponse({**_described(snapshot, name), "values": values.tolist()}, headers=NOT_KEPT)

    async def verdicts(self, _: Request) -> Response:
        """The verdict board, with alarms and history."""
        return JSONResponse(self._verdicts(), headers=NOT_KEPT)

    async def alarms(self, _: Request) -> Response:
        """What is medium or bad."""
        return JSONResponse(self._verdicts()["alarms"], headers=NOT_KEPT)

    def _verdicts(self) -> dict[str, Any]:
        snapshot = self.feed.snapshot
        return verdicts_json(self.feed.board.verdicts, ended=snapshot is not None and snapshot.state == "ended")

    async def acknowledge(self, request: Request) -> Response:
        """Acknowledge an alarm: {"check": ..., "subject": ..., "why": ..., "name": ...}.

        The name is optional; a trusted proxy's user takes precedence.
        """
        given = await _texts(request, ("check", "subject", "why"))
        if isinstance(given, Response):
            return given
        name = caller_of(request).user or given["name"]
        if not self.feed.acknowledge(given["check"], given["subject"], given["why"], name):
            return PlainTextResponse("there is no such alarm\n", 404, NOT_KEPT)
        return JSONResponse({"acknowledged": True, "name": name}, headers=NOT_KEPT)

    async def acknowledge_all(self, request: Request) -> Response:
        """Acknowledge all alarms that have not been acknowledged: {"why": ..., "name": ...}."""
        given = await _texts(request, ("why",))
        if isinstance(given, Response):
            return given
        name = caller_of(request).user or given["name"]
        return JSONResponse({"acknowledged": self.feed.acknowledge_all(given["why"], name)}, headers=NOT_KEPT)

    async def retract(self, request: Request) -> Response:
        """Withdraw an acknowledgement: {"check": ..., "subject": ...}."""
        given = await _texts(request, ("check", "subject"))
        if isinstance(given, Response):
            return given
        if not self.feed.retract(given["check"], given["subject"]):
            return PlainTextResponse("there is no such acknowledgement\n", 404, NOT_KEPT)
        return JSONResponse({"acknowledged": False}, headers=NOT_KEPT)

    async def access(self, request: Request) -> Response:
        """The sender's identity, and whether it may acknowledge, or why not."""
        caller = caller_of(request)
        answer: dict[str, Any] = {"user": caller.user, "may_act": caller.may_act, "why_not": caller.why_not}
        if self._archived is not None:
            answer["runs"] = "runs/"
        return JSONResponse(answer, headers=NOT_KEPT)


def caller_of(request: Request) -> Caller:
    """The sender of a request, as the guard found."""
    caller: Caller = request.scope.get(CALLER) or Caller()
    return caller


def _described(snapshot: Snapshot, name: str) -> dict[str, Any]:
    entry = snapshot.catalogue.entries[name]
    axis = {key: getattr(entry.axis, key) for key in ("label", "unit", "bins", "start", "step", "flow")}
    return {"title": entry.title, "per": entry.per, "shape": list(entry.shape), "axis": axis}


async def given_object(request: Request, expected: str = "an object") -> dict[str, Any] | Response:
    """The object that a request brings as JSON; or the answer that refuses it, and says what is expected."""
    # a form of another site cannot send JSON
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        return PlainTextResponse("expected application/json\n", 415, NOT_KEPT)
    try:
        given = json.loads(await _limited(request))
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return PlainTextResponse(f"expected {expected}\n", 400, NOT_KEPT)
    return given


async def _texts(request: Request, keys: tuple[str, ...]) -> dict[str, str] | Response:
    """The texts that a request brings as JSON, a name among them, "" without one; or the answer that refuses it."""
    expected = f"{', '.join(keys)}, each text of 1 to {LONGEST_TEXT} characters, and a name of at most {LONGEST_USER}"
    given = await given_object(request, expected)
    if isinstance(given, Response):
        return given
    try:
        texts = {key: given[key] for key in keys}
        if not all(isinstance(text, str) and 0 < len(text) <= LONGEST_TEXT for text in texts.values()):
            raise ValueError("text")
        name = given.get("name", "")
        if not isinstance(name, str) or len(name) > LONGEST_USER:
            raise ValueError("name")
        "".join((*texts.values(), name)).encode()  # JSON may have half a pair of UTF-16, which nothing can show
    except (ValueError, KeyError):
        return PlainTextResponse(f"expected {expected}\n", 400, NOT_KEPT)
    return {**texts, "name": name.strip()}


async def _limited(request: Request) -> bytes:
    """The body, up to the largest allowed size."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 8 * LONGEST_TEXT:
            break
    return body


def openapi() -> dict[str, Any]:
    """The description of the API, OpenAPI 3.1."""
    early = {"503": {"description": "Nothing has been published yet."}}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}

    def choice(key: str, allowed: tuple[str, ...]) -> dict[str, Any]:
        return {"name": key, "in": "query", "schema": {"enum": list(allowed), "default": allowed[0]}}

    def get(text: str, kind: str = "application/json", **more: Any) -> dict[str, Any]:
        answers = {"200": {"description": text, "content": {kind: {}}}, **more.pop("answers", {})}
        return {"get": {"summary": text, "responses": answers, **more}}

    texts = {key: {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT} for key in ("check", "subject", "why")}
    who = {
        "name": {
            "type": "string",
            "maxLength": LONGEST_USER,
            "description": "The person's name; a proxy's user takes precedence.",
        }
    }

    def post(text: str, keys: tuple[str, ...], missing: str = "") -> dict[str, Any]:
        schema = {"type": "object", "required": list(keys), "properties": {**{k: texts[k] for k in keys}, **who}}
        responses = {
            "200": {"description": "Noted."},
            "400": {"description": "Something other than these texts."},
            "403": {"description": "The sender may see the page, but not act."},
            "415": {"description": "Something other than JSON."},
        }
        if missing:
            responses["404"] = {"description": missing}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        return {"post": {"summary": text, "requestBody": body, "responses": responses}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "muonstream", "version": __version__},
        "paths": {
            "/api/snapshot": get("The run's numbers: all counts, as a summary.", answers=early),
            "/api/snapshot.musn": get("The complete snapshot, as a file.", "application/octet-stream", answers=early),
            "/api/muons": get("The newest muons, hit by hit; none without reconstruction.", answers=early),
            "/api/histograms": get("All histograms: titles, shapes and axes.", answers=early),
            "/api/histograms/{name}": get(
                "One histogram, as plain JSON or as ROOT's object.",
                parameters=[name, choice("period", PERIODS), choice("format", FORMATS)],
                answers={
                    "400": {"description": "A choice that is not allowed."},
                    "404": {"description": "No such histogram."},
                    **early,
                },
            ),
            "/api/verdicts": get("The verdict board: levels, alarms, all checks, history."),
            "/api/alarms": get("What is medium or bad, gravest first."),
            "/api/acknowledge": post("Acknowledge an alarm.", ("check", "subject", "why"), "There is no such alarm."),
            "/api/acknowledge-all": post("Acknowledge all alarms.", ("why",)),
            "/api/retract": post(
                "Withdraw an acknowledgement.", ("check", "subject"), "There is no such acknowledgement."
            ),
            "/api/access": get("Who the sender is, by a trusted proxy, and whether it may acknowledge, else why not."),
            "/metrics": get("The run for Prometheus, in OpenMetrics.", CONTENT_TYPE),
            "/healthz": get("Whether all is well, and why not.", answers={"503": {"description": "All is not well."}}),
        },
    }
