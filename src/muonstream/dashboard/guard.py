"""Who may see the page: hosts, origins and token are checked on every request and WebSocket, headers added."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
COOKIE_SECONDS: Final = 30 * 24 * 3600
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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether it is an IP address, which no foreign name server can point elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_hosts(bound_to: str) -> frozenset[str]:
    """Names, in lower case, by which a server bound to this host may be called, besides addresses."""
    bound_to = bound_to.lower()
    if is_loopback(bound_to):
        return frozenset({*LOOPBACK_NAMES, bound_to})
    return frozenset({*LOOPBACK_NAMES, bound_to, socket.gethostname().lower(), socket.getfqdn().lower()})


def split_host(value: str) -> tuple[str, int | None]:
    """Name (lower case, IPv6 without brackets) and port of a Host header. Raises ValueError for anything else."""
    parts = urlsplit(f"//{value}")
    if parts.netloc != value or "@" in value or not parts.hostname or any(c.isspace() for c in value):
        raise ValueError(f"no host: {value!r}")
    return parts.hostname.rstrip("."), parts.port


class Guard:
    """Wraps an app, for HTTP and WebSocket alike.

    Requests must name an allowed host (against DNS rebinding) and come from our own page or from no page at all. With
    a token, they must bring it: once in the query, `?token=`, which is exchanged for a cookie, or as a bearer token.
    """

    def __init__(self, app: ASGIApp, *, bound_to: str = "127.0.0.1", token: str | None = None) -> None:
        self.app = app
        self.allowed_hosts = own_hosts(bound_to)
        # a name that a stranger's DNS points here is none of ours; an address, nobody can point
        self.any_address = not is_loopback(bound_to)
        self.token = token
        # the cookie is not the token, so who sees the one has not the other
        self._cookie = hmac.new((token or "").encode(), b"muonstream dashboard", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                message = {**message, "headers": headers.raw}
            await send(message)

        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
        elif scope["type"] == "http":
            await refusal(scope, receive, send_with_headers)
        else:
            # before it is accepted, closing a WebSocket answers 403
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        """The answer instead of the app's, or None to let the request through."""
        headers = connection.headers
        host = headers.get("host", "")
        if not self._host_allowed(host):
            return PlainTextResponse("This host name is not allowed here.\n", 421)
        if not _same_origin(headers, host):
            return PlainTextResponse("Requests from other pages are not allowed.\n", 403)
        if self.token is None:
            return None
        cookie = self._cookie_name(host)
        given = connection.query_params.get("token")
        if given is not None and connection.scope["type"] == "http":
            return self._exchange(connection, cookie) if self._is_token(given) else _unauthorized()
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer):
            return None
        if hmac.compare_digest(connection.cookies.get(cookie, "").encode(), self._cookie.encode()):
            return None
        return _unauthorized()

    def _host_allowed(self, host: str) -> bool:
        try:
            name, _ = split_host(host)
        except ValueError:
            return False
        return name in self.allowed_hosts or (self.any_address and is_address(name))

    def _is_token(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def _cookie_name(self, host: str) -> str:
        # browsers share cookies between the ports of a host
        return f"muonstream_{split_host(host)[1] or 0}"

    def _exchange(self, connection: HTTPConnection, cookie: str) -> Response:
        """Give the cookie, and send the browser to the same place without the token in its address."""
        rest = [(key, value) for key, value in parse_qsl(connection.url.query) if key != "token"]
        name = connection.scope["path"].rpartition("/")[2]
        response: Response
        if connection.headers.get("sec-fetch-site") == "cross-site":
            # a redirect would still count as coming from the other site, and the strict cookie would stay at home
            response = HTMLResponse(_AGAIN)
        else:
            response = RedirectResponse(f"./{name}{'?' + urlencode(rest) if rest else ''}", 303)
        response.headers["Cache-Control"] = "no-store"
        response.set_cookie(
            cookie,
            self._cookie,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=connection.url.scheme == "https",
        )
        return response


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether the request comes from a page of this very host, or, without an Origin, from no page."""
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
        return False
    origin = headers.get("origin")
    return origin is None or origin in {f"http://{host}", f"https://{host}"}


def _unauthorized() -> Response:
    text = "This page needs its token: open the address that muonstream printed, which ends in ?token=...\n"
    return PlainTextResponse(text, 401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
