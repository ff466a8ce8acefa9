"""The guard of the page: checks hosts, origins and tokens of every request and WebSocket, and adds headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muonstream.dashboard.access.hosts import is_address, is_loopback, split_host
from muonstream.dashboard.access.options import Access, Caller, checked_user
from muonstream.dashboard.access.tokens import Token

COOKIE_SECONDS: Final = 30 * 24 * 3600
CALLER: Final = "muonstream.caller"
"""The key of a request's scope that has its Caller."""
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; any other one is an action."""
LONGEST_REFUSED_BODY: Final = 1 << 16
PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via")
SECURITY_HEADERS: Final = {
    # BokehJS puts its styles into the page; no script may be inline
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_AGAIN: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=./">'
    '<title>muonstream</title><p><a href="./">Open the live page</a></p></html>'
)


class Guard:
    """Wraps an app, for HTTP and WebSocket alike.

    Requests must name an allowed host (against DNS rebinding) and come from the page itself or from no page at all. If
    there is a token, they must carry it: once in the query, `?token=`, which is exchanged for a cookie, or as a bearer
    token; or a trusted proxy names their user. The prefix of the public address is removed unless the proxy has done
    so.
    """

    def __init__(self, app: ASGIApp, *, access: Access | None = None) -> None:
        self.app = app
        self.access = access or Access()
        self._names = self.access.names
        # a foreign DNS name may point here; an address cannot be pointed elsewhere
        self._any_address = not is_loopback(self.access.bound_to)
        public = self.access.public
        self._prefix = "/" if public is None else public.prefix
        self._headers = dict(SECURITY_HEADERS)
        if self.access.frames:
            allowed = " ".join(["'self'", *map(str, self.access.frames)])
            policy = self._headers["Content-Security-Policy"]
            self._headers["Content-Security-Policy"] = policy.replace("ancestors 'none'", f"ancestors {allowed}")
            del self._headers["X-Frame-Options"]  # which cannot name a site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(raw=message["headers"])
                for name, value in self._headers.items():
                    headers[name] = value
                message = {**message, "headers": headers.raw}
            await send(message)

        caller = self._judged(HTTPConnection(scope))
        if isinstance(caller, Caller):
            await self.app({**scope, **self._without_prefix(scope), CALLER: caller}, receive, send_with_headers)
            return
        if scope["type"] == "http":
            await _read_off(receive)
        elif "websocket.http.response" not in scope.get("extensions", {}):
            # before it is accepted, closing a WebSocket answers 403
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        await caller(scope, receive, send_with_headers)

    def _without_prefix(self, scope: Scope) -> dict[str, object]:
        """The path without the public prefix, which a proxy may have removed already."""
        path = scope["path"]
        return {"path": path[len(self._prefix) - 1 :]} if path.startswith(self._prefix) else {}

    def _judged(self, connection: HTTPConnection) -> Caller | Response:
        """The sender of the request, or the answer that refuses it."""
        headers = connection.headers
        host = headers.get("host", "")
        if "transfer-encoding" in headers and "content-length" in headers:
            # a proxy and this server might disagree on where such a request ends
            return _refused("Content-Length and Transfer-Encoding were found, expected is one of them.", 400)
        if not self._host_allowed(host):
            return _refused("This host name is not allowed here; --public-url or --allow-host would allow it.", 421)
        if not self._same_origin(headers, host):
            return _refused("Requests from other pages are not allowed; behind a proxy, --public-url names ours.", 403)
        if self._prefix != "/" and f"{connection.scope['path']}/" == self._prefix:
            return RedirectResponse(self._prefix, 308)
        caller = self._caller(connection)
        if isinstance(caller, Caller) and not caller.may_act and connection.scope.get("method", "GET") not in READING:
            return _refused(caller.why_not, 403)
        return caller

    def _caller(self, connection: HTTPConnection) -> Caller | Response:
        access, headers = self.access, connection.headers
        user = self._user(connection)
        given = connection.query_params.get("token")
        if given is not None and connection.scope["type"] == "http" and any(self._tokens()):
            token = self._matching(given)
            return _unauthorized() if token is None else self._exchange(connection, token)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        token = self._matching(bearer) if scheme.lower() == "bearer" else None
        if token is None:
            token = self._of_cookies(connection)
        if access.token is None or token is not None or user:
            return access.caller(token, user)
        return _unauthorized()

    def _tokens(self) -> Iterator[Token]:
        return (token for token in (self.access.token, self.access.operator_token) if token is not None)

    def _matching(self, given: str) -> Token | None:
        return next((token for token in self._tokens() if token.matches(given)), None)

    def _of_cookies(self, connection: HTTPConnection) -> Token | None:
        """The token whose cookie the browser has; an operator's takes precedence."""
        given = {connection.cookies.get(name, "") for name in (self._cookie(connection)[0], self._public_cookie()[0])}
        held = [token for token in self._tokens() if any(Token(token.cookie).matches(cookie) for cookie in given)]
        return held[-1] if held else None

    def _user(self, connection: HTTPConnection) -> str:
        """The user whom a trusted proxy names, "" without one; a header that comes twice names no user."""
        if not self.access.user_header or connection.client is None:
            return ""
        named = connection.headers.getlist(self.access.user_header)
        if len(named) != 1 or not self.access.believes(connection.client.host):
            return ""
        try:
            return checked_user(named[0].encode("latin-1").decode("utf-8"))
        except ValueError:
            return ""

    def _host_allowed(self, host: str) -> bool:
        try:
            name, _ = split_host(host)
        except ValueError:
            return False
        return name in self._names or (self._any_address and is_address(name))

    def _same_origin(self, headers: Headers, host: str) -> bool:
        """Whether the request comes from a page of this very host, or, without an Origin, from no page."""
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        if site in {"cross-site", "same-site"} and mode != "navigate":
            return False
        origin = headers.get("origin")
        public = () if self.access.public is None else (str(self.access.public.origin),)
        return origin is None or origin in {f"http://{host}", f"https://{host}", *public}

    def _is_public(self, connection: HTTPConnection) -> bool:
        """Whether the request came through the proxy: by its host, by what proxies add, or by the prefix."""
        public = self.access.public
        if public is None:
            return False
        headers = connection.headers
        name, port = split_host(headers.get("host", ""))
        return (
            (name == public.origin.host and port in (None, public.origin.port))
            or any(header in headers for header in PROXY_HEADERS)
            or (self._prefix != "/" and connection.scope["path"].startswith(self._prefix))
        )

    def _public_cookie(self) -> tuple[str, str, bool]:
        """Name and path of the cookie of the public address, and whether it is for TLS only."""
        public = self.access.public
        if public is None:
            return "", "/", False
        suffix = re.sub(r"[^A-Za-z0-9]+", "_", public.prefix).rstrip("_")
        return f"muonstream_{public.origin.port}{suffix}", public.prefix, public.origin.scheme == "https"

    def _cookie(self, connection: HTTPConnection) -> tuple[str, str, bool]:
        """Name, path and TLS of the cookie for the address by which the request came."""
        if self._is_public(connection):
            return self._public_cookie()
        # browsers share cookies between the ports of a host
        port = split_host(connection.headers.get("host", ""))[1] or 0
        return f"muonstream_{port}", "/", connection.url.scheme == "https"

    def _exchange(self, connection: HTTPConnection, token: Token) -> Response:
        """Set the cookie, and redirect the browser to the same page without the token in its address."""
        rest = [(key, value) for key, value in parse_qsl(connection.url.query) if key != "token"]
        name = connection.scope["path"].rpartition("/")[2]
        response: Response
        if connection.headers.get("sec-fetch-site") == "cross-site":
            # a redirect would still count as coming from the other site, and the strict cookie would stay at home
            response = HTMLResponse(_AGAIN)
        else:
            response = RedirectResponse(f"./{name}{'?' + urlencode(rest) if rest else ''}", 303)
        response.headers["Cache-Control"] = "no-store"
        cookie, path, secure = self._cookie(connection)
        # in another site's frame, browsers keep only partitioned cookies, and only over TLS
        framed = secure and bool(self.access.frames)
        response.set_cookie(
            cookie,
            token.cookie,
            max_age=COOKIE_SECONDS,
            path=path,
            httponly=True,
            samesite="none" if framed else "strict",
            secure=secure,
        )
        if framed:
            response.headers["Set-Cookie"] += "; Partitioned"
        return response


async def _read_off(receive: Receive) -> None:
    """Read a short body, since closing a connection with unread data loses the answer."""
    length, more = 0, True
    while more and length <= LONGEST_REFUSED_BODY:
        message = await receive()
        length += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _refused(text: str, status: int, **headers: str) -> Response:
    """A refusal, which also closes the connection, so that refused clients hold none."""
    return PlainTextResponse(f"{text}\n", status, {"Cache-Control": "no-store", "Connection": "close", **headers})


def _unauthorized() -> Response:
    text = (
        "This page needs its token: open its address once with ?token=... at the end. "
        "muonstream printed that address, or says where the token is."
    )
    return _refused(text, 401, **{"WWW-Authenticate": "Bearer"})
