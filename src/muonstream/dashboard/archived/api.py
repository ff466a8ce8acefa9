"""The API of archived runs: the table, rates, trends, overlays, comments and flags, the reference."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from muonstream.archive.archive import state_of
from muonstream.archive.container import ArchiveError
from muonstream.archive.overlaid import MOST_RUNS, OverlayError
from muonstream.archive.people import EFFECTS, Flag, PeopleError
from muonstream.dashboard.access.options import LONGEST_USER
from muonstream.dashboard.api import LONGEST_TEXT, NOT_KEPT, caller_of, given_object
from muonstream.dashboard.archived.series import overlay_json, quantities_json, sparks, trend_json
from muonstream.dashboard.archived.table import (
    LEVELS,
    LONGEST,
    MOST_OFFSET,
    MOST_ROWS,
    SORTED,
    STATES,
    Query,
    QueryError,
    row_json,
)
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.feed import Feed
from muonstream.errors import MuonstreamError

MOST_REFERENCES: Final = 50
Answer = dict[str, Any] | list[dict[str, str]]


class NoEngineError(MuonstreamError):
    """No engine is connected that could do what was asked: one line."""


class RunsApi:
    """The answers about an archive's runs."""

    def __init__(self, view: ArchiveView, feed: Feed) -> None:
        self.view = view
        self.feed = feed

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/api/runs", self.table),
            Route("/api/runs/rates", self.rates),
            Route("/api/runs/quantities", self.quantities),
            Route("/api/runs/trend", self.trend),
            Route("/api/runs/overlay", self.overlay),
            Route("/api/runs/{run}", self.one),
            Route("/api/runs/{run}/comment", self.comment, methods=["POST"]),
            Route("/api/runs/{run}/flag", self.flag, methods=["POST"]),
            Route("/api/reference", self.refer, methods=["POST"]),
        ]

    async def table(self, request: Request) -> Response:
        """Runs that match, sorted, from an offset on, with how many there are; and the engine's reference."""

        def found() -> Answer:
            query = Query.of(request.query_params)
            answer = query.answer(self.view.archive.rows())
            return {
                **answer,
                "live": self.view.live,
                "refers": self.view.refer is not None,
                "reference": self.feed.reference_about,
            }

        return await _answered(found)

    async def rates(self, request: Request) -> Response:
        """The hit rate in the course of each ?run=, for a small picture."""

        def found() -> Answer:
            runs = request.query_params.getlist("run")
            if len(runs) > MOST_ROWS:
                raise QueryError(f"run: found {len(runs)} runs, expected at most {MOST_ROWS}")
            return {"rates": sparks(self.view.archive, runs)}

        return await _answered(found)

    async def quantities(self, _: Request) -> Response:
        """The quantities of which there are trends: name, subject, unit."""
        return await _answered(lambda: quantities_json(self.view.archive))

    async def trend(self, request: Request) -> Response:
        """?quantity=, ?of=: a quantity of all runs that have it, with errors, by the time of their beginning."""
        asked = request.query_params
        return await _answered(lambda: trend_json(self.view.archive, asked.get("quantity", ""), asked.get("of", "")))

    async def overlay(self, request: Request) -> Response:
        """?run=, up to eight times, ?histogram=, ?of=: a histogram of several runs, scaled to the first one's sum."""
        asked = request.query_params
        runs, name, subject = asked.getlist("run"), asked.get("histogram", "drift_tdc"), asked.get("of", "")

        def found() -> Answer:
            if not 1 <= len(runs) <= MOST_RUNS:
                raise QueryError(f"run: found {len(runs)} runs, expected 1 to {MOST_RUNS}")
            return overlay_json(self.view.archive, runs, name, subject)

        return await _answered(found)

    async def one(self, request: Request) -> Response:
        """A run's row, with its comments and flags."""

        def found() -> Answer:
            row = self.view.archive.find(request.path_params["run"])
            return {**row_json(row), **self.view.archive.people(row).as_plain(), "state": state_of(row)}

        return await _answered(found)

    async def comment(self, request: Request) -> Response:
        """Add a comment: {"text": ..., "name": ...}."""

        def done(given: dict[str, Any], name: object) -> Answer:
            text = given.get("text")
            if not isinstance(text, str) or len(text) > LONGEST_TEXT:
                raise PeopleError(f"text: expected 1 to {LONGEST_TEXT} characters")
            self.view.archive.comment(request.path_params["run"], _clean(text), name=_name(name))
            return {"added": True, "name": name}

        return await _acted(request, done)

    async def flag(self, request: Request) -> Response:
        """Add a flag: {"effect": ..., "cause": ..., "part": ..., "from_s": ..., "to_s": ..., "name": ...}."""

        def done(given: dict[str, Any], name: object) -> Answer:
            texts = {key: given.get(key, "") for key in ("effect", "cause", "part")}
            if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts.values()):
                raise PeopleError(f"flag: expected effect ({', '.join(EFFECTS)}), cause and part as texts")
            times = {key: given.get(key) for key in ("from_s", "to_s")}
            if any(isinstance(time_s, bool) or not isinstance(time_s, int | float | None) for time_s in times.values()):
                raise PeopleError("flag: expected from_s and to_s as seconds of data time, or null")
            effect, cause, part = (_clean(text) for text in texts.values())
            flag = Flag(effect, cause, part, times["from_s"], times["to_s"], _name(name), time.time())
            self.view.archive.flag(request.path_params["run"], flag)
            return {"added": True, "name": name}

        return await _acted(request, done)

    async def refer(self, request: Request) -> Response:
        """Make runs the engine's reference, for its verdicts and everybody's page: {"runs": [...], "name": ...}."""

        def done(given: dict[str, Any], name: object) -> Answer:
            refer = self.view.refer
            if refer is None:
                raise NoEngineError("no engine runs here that could be given a reference")
            runs = given.get("runs")
            if not isinstance(runs, list) or not 1 <= len(runs) <= MOST_REFERENCES:
                raise QueryError(f"runs: expected a list of 1 to {MOST_REFERENCES} runs")
            if not all(isinstance(run, str) for run in runs):
                raise QueryError("runs: expected texts")
            refer(self.view.archive.find_all(runs), _name(name))
            return {"reference": self.feed.reference_about}

        return await _acted(request, done)


def described() -> dict[str, Any]:
    """The paths of these answers, for the description of the API in OpenAPI."""
    wrong = {"400": {"description": "Something else is expected, as the answer says."}}
    missing = {"404": {"description": "There is no such run or quantity."}}
    run = {"name": "run", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    runs = {"name": "run", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}

    some = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_RUNS}
    overlaid = {"name": "run", "in": "query", "required": True, "schema": some}

    def query(*names: str, **schemas: dict[str, Any]) -> list[dict[str, Any]]:
        every = {**{name: {"type": "string"} for name in names}, **schemas}
        return [{"name": name, "in": "query", "schema": schema} for name, schema in every.items()]

    def get(text: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        answers = {"200": {"description": text, "content": {"application/json": {}}}, **wrong, **missing}
        return {"get": {"summary": text, "parameters": parameters, "responses": answers}}

    def post(said: str, parameters: list[dict[str, Any]], required: list[str], **properties: Any) -> dict[str, Any]:
        who = {"name": {"type": "string", "maxLength": LONGEST_USER}}
        schema = {"type": "object", "required": required, "properties": {**properties, **who}}
        answers = {
            "200": {"description": "Done."},
            **wrong,
            **missing,
            "403": {"description": "The sender may see the page, but not act."},
            "409": {"description": "The runs cannot be compared with, or no engine runs here."},
            "415": {"description": "Something other than JSON."},
        }
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        return {"post": {"summary": said, "parameters": parameters, "requestBody": body, "responses": answers}}

    text = {"type": "string", "maxLength": LONGEST_TEXT}
    time_s = {"type": ["number", "null"], "minimum": 0}
    said = {**text, "minLength": 1, "pattern": r"\S"}
    filters = query(
        matching={"type": "string", "maxLength": LONGEST},
        state={"enum": list(STATES)},
        level={"enum": list(LEVELS)},
        flag={"enum": [*EFFECTS, "none"]},
        sort={"enum": [f"{sign}{name}" for name in SORTED for sign in ("", "-")]},
        limit={"type": "integer", "minimum": 0, "maximum": MOST_ROWS},
        offset={"type": "integer", "minimum": 0, "maximum": MOST_OFFSET},
    )
    return {
        "/api/runs": get("Archived runs that match, sorted, and how many there are.", filters),
        "/api/runs/rates": get("The hit rate in the course of each run, Hz.", [runs]),
        "/api/runs/quantities": get("The quantities of which there are trends.", []),
        "/api/runs/trend": get("A quantity of all runs that have it.", query("quantity", "of")),
        "/api/runs/overlay": get(
            f"A histogram of up to {MOST_RUNS} runs, scaled to the first.", [overlaid, *query("histogram", "of")]
        ),
        "/api/runs/{run}": get("A run, with its comments and flags.", [run]),
        "/api/runs/{run}/comment": post("Add a comment.", [run], ["text"], text=said),
        "/api/runs/{run}/flag": post(
            "Add a flag.",
            [run],
            ["effect"],
            effect={"enum": list(EFFECTS)},
            cause=text,
            part=text,
            from_s=time_s,
            to_s=time_s,
        ),
        "/api/reference": post(
            "Make runs what verdicts and all pages compare with.",
            [],
            ["runs"],
            runs={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_REFERENCES},
        ),
    }


def _name(name: object) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_USER:
        raise PeopleError(f"name: expected a text of at most {LONGEST_USER} characters")
    return _clean(name)


def _clean(text: str) -> str:
    """A text without blanks around it. Raises PeopleError for half a pair of UTF-16, which nothing can show."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PeopleError("expected text that is valid Unicode") from None
    return text.strip()


async def _acted(request: Request, done: Callable[[dict[str, Any], object], Answer]) -> Response:
    """What a function gives that gets the object a request brings, and who sent it; else as `_answered`."""
    given = await given_object(request)
    if isinstance(given, Response):
        return given
    return await _answered(lambda: done(given, caller_of(request).user or given.get("name", "")))


async def _answered(found: Callable[[], Answer]) -> Response:
    """What a function gives, as JSON, out of a thread; what is wrong with what was asked, in one line."""
    try:
        return JSONResponse(await asyncio.to_thread(found), headers=NOT_KEPT)
    except (QueryError, PeopleError, OverlayError) as error:
        return PlainTextResponse(f"{error}\n", 400, NOT_KEPT)
    except ArchiveError as error:
        return PlainTextResponse(f"{error}\n", 404, NOT_KEPT)
    except MuonstreamError as error:
        return PlainTextResponse(f"{error}\n", 409, NOT_KEPT)
