"""Posting over HTTP from a thread: addresses checked, no redirects, every failure in a line without secrets."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from threading import Thread
from typing import IO, Any, Self
from urllib.parse import unquote, urlsplit

from muonstream.errors import MuonstreamError

ALLOWED = "expected an address of http or https, such as https://example.org/hook"
REDIRECTED = "it answered {}, a redirect, which is not followed; give the address that it leads to"


class AddressError(MuonstreamError, ValueError):
    """An address that cannot be posted to: one line, with nothing of the address that may be a secret."""


class PostError(Exception):
    """A post that failed, in one line."""


class RedirectError(PostError):
    """A post that was answered with another address, which is never followed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to post: the address without login, its host, which alone may be shown, and the headers of its login."""

    url: str = field(repr=False)
    host: str
    headers: dict[str, str] = field(repr=False, default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises AddressError unless it is an http or https address."""
        for at, character in enumerate(text):
            if not "!" <= character <= "~":
                kind = "a space" if character == " " else "a character that is not printable ASCII"
                raise AddressError(f"found {kind} at place {at + 1} of the address; {ALLOWED}")
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            raise AddressError(f"found an invalid host or port; {ALLOWED}") from None
        if scheme not in ("http", "https"):
            found = f"the scheme {scheme!r}" if scheme and "://" in text else "no scheme"
            raise AddressError(f"found {found}; {ALLOWED}")
        if not host or port == 0:
            raise AddressError(f"found {'port 0' if host else 'no host'}; {ALLOWED}")
        headers = {}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        place = parts.netloc.rpartition("@")[2]
        return cls(parts._replace(netloc=place, fragment="").geturl(), host, headers)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses to go where an answer points: it may be an address that only this machine reaches."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage | Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        raise RedirectError(REDIRECTED.format(code))


_opener = urllib.request.build_opener(_NoRedirects)


def post(address: Address, body: bytes, *, timeout_s: float) -> None:
    """Post JSON. Raises PostError, whatever goes wrong; its text has nothing that the server said."""
    headers = {"Content-Type": "application/json", **address.headers}
    try:
        request = urllib.request.Request(address.url, body, headers, method="POST")
        with _opener.open(request, timeout=timeout_s) as answer:
            code = answer.status
    except PostError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            raise RedirectError(REDIRECTED.format(error.code)) from None
        raise PostError(f"it answered {_status(error.code)}") from None
    except Exception as error:
        raise PostError(_reason(error, timeout_s)) from None
    if not 200 <= code < 300:
        raise PostError(f"it answered {_status(code)}")


def _status(code: int) -> str:
    return f"{code} {http.client.responses.get(code, '')}".rstrip()


def _reason(error: BaseException, timeout_s: float) -> str:
    """What went wrong, in our words or the system's: a server's own may hold anything."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ConnectionError):
        return error.strerror or "the connection was closed without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"the server does not speak HTTP ({type(error).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def start_thread(name: str, work: Callable[[], Any], died: Callable[[str], None]) -> Thread:
    """Do `work` in a thread; an error that ends it is told to `died` by its kind: its text may hold a secret."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            died(type(error).__name__)

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
