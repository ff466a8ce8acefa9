"""Who may see the page: Host, Origin and token are checked on every request and WebSocket."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "muonstream"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine only."""
    return host in LOOPBACK or host.startswith("127.")


def host_name(value: str) -> str:
    """The name or address in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, asks for the token if there is one, adds headers.

    A page on loopback answers to loopback's names only. Beyond it, to addresses and this machine's name: a name that a
    stranger's DNS points here is neither.
    """

    def __init__(self, app: ASGIApp, *, bound_to: str, token: str | None) -> None:
        self._app = app
        self._loopback = is_loopback(bound_to)
        self._names = {*LOOPBACK, bound_to, *(() if self._loopback else (socket.gethostname(), socket.getfqdn()))}
        self._token = token

    def _known_host(self, value: str) -> bool:
        name = host_name(value)
        return name in self._names or (not self._loopback and _is_address(name))

    def _has_token(self, given: str) -> bool:
        return self._token is None or hmac.compare_digest(given.encode(), self._token.encode())

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known_host(host):
            return PlainTextResponse("This host name is not the page's.", 421)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("Requests from other sites are refused.", 403)
        if self._token is None:
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and given and self._has_token(given):
            response = RedirectResponse(scope["path"], 303)
            response.set_cookie(COOKIE, given, httponly=True, samesite="strict")
            return response
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        if morsel is None or not self._has_token(morsel.value):
            return PlainTextResponse("A token is needed: open the address that muonstream printed.", 401)
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal is None:
            await self._app(scope, receive, with_headers)
        elif scope["type"] == "http":
            await refusal(scope, receive, with_headers)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
