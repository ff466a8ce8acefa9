"""Runs that an engine elsewhere counts: the newest snapshot of its page, or of a topic of snapshots."""

from __future__ import annotations

import os
import time
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from muonstream.errors import MuonstreamError
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import SnapshotError, decode

SNAPSHOT: Final = "/api/snapshot.musn"
MOST_BYTES: Final = 256 << 20
PAGES: Final = ("http://", "https://")
TOPICS: Final = "kafka://"


class ElsewhereError(MuonstreamError):
    """A page or a topic that gives no snapshot: one line, without tokens."""


class _Stays(HTTPRedirectHandler):
    """Follows no redirect: a token is for one server alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def of_page(address: str, *, token: str = "", timeout_s: float = 10.0) -> Snapshot:
    """The snapshot that a live page shows now.

    address: the page's, as it stands in a browser, with ?token= where one is needed; or token: by itself
    Raises ElsewhereError.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ElsewhereError(f"{address.partition('?')[0]}: cannot be read: {error}") from None
    token = token or parse_qs(parts.query).get("token", [""])[0]
    path = parts.path.rstrip("/")
    plain = urlunsplit((parts.scheme, parts.netloc, path.removesuffix(SNAPSHOT) + SNAPSHOT, "", ""))
    where = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with build_opener(_Stays).open(Request(plain, headers=headers), timeout=timeout_s) as answer:
            data = answer.read(MOST_BYTES + 1)
    except HTTPError as error:
        with error:
            if error.code in (401, 403):
                expected = "expected its token: open(address, token=...)"
                raise ElsewhereError(f"{where}: the page refused us ({error.code}), {expected}") from None
            raise ElsewhereError(f"{where}: found the answer {error.code} {error.reason}, expected a page") from None
    except URLError as error:
        raise ElsewhereError(f"{where}: cannot be reached: {_reason(error.reason)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise ElsewhereError(f"{where}: cannot be read: {_reason(error)}") from None
    if len(data) > MOST_BYTES:
        raise ElsewhereError(f"{where}: found more than {MOST_BYTES:,} bytes, expected a snapshot")
    try:
        return decode(data)
    except SnapshotError as error:
        raise ElsewhereError(f"{where}: {error}") from None


def of_topic(
    address: str,
    *,
    run: str = "",
    properties: str | os.PathLike[str] | None = None,
    timeout_s: float = 10.0,
) -> Snapshot:
    """The newest snapshot of a topic, of the run of that name if one is named.

    address: kafka://host:port/topic, without a topic that of snapshots; properties: a file with how to log in
    Raises KafkaAccessError where there is no broker or no topic, ElsewhereError for a topic without a snapshot.
    """
    from muonstream.kafka.address import KafkaAddress, Login
    from muonstream.kafka.client import Connection
    from muonstream.kafka.snapshots import follow_snapshots
    from muonstream.kafka.topics import SNAPSHOTS

    where = KafkaAddress.parse(address, default_topic=SNAPSHOTS)
    connection = Connection(where, Login.read(None if properties is None else Path(properties)), timeout_s=timeout_s)
    end = time.monotonic() + timeout_s
    for snapshot in follow_snapshots(connection, Event(), run=run):
        if snapshot is not None:
            return snapshot
        if time.monotonic() >= end:
            break
    named = f" of the run {run!r}" if run else ""
    raise ElsewhereError(f"{where}: found no snapshot{named} in {timeout_s:g} s")


def _reason(error: object) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
