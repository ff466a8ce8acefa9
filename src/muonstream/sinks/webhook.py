"""A webhook: changes of verdicts, posted as JSON to an address, without ever holding up the run."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, Final
from urllib.parse import urlsplit

from muonstream.analysis.verdicts import Change

INTERVAL_S: Final = 10.0
"""Posts are at least so far apart; what changes in between goes into one."""
TRIES: Final = 5
FIRST_PAUSE_S: Final = 1.0
TIMEOUT_S: Final = 10.0
MOST_WAITING: Final = 1000
"""Beyond so many changes the oldest are dropped, and counted."""


class WebhookError(ValueError):
    """An address that cannot be posted to, in one line."""


class Webhook:
    """Posts changes from a thread of its own; failed posts are tried again, then dropped and told to `failed`.

    The body: {"run": ..., "dropped": n, "changes": [{"time", "data_time_s", "check", "subject", "before", "after",
    "reason"}, ...]}, levels as null, good, medium or bad. Raises WebhookError for what is no http or https address.
    """

    def __init__(
        self,
        url: str,
        run: str,
        *,
        failed: Callable[[str], None] = lambda text: None,
        interval_s: float = INTERVAL_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WebhookError(f"webhook: found {url[:100]!r}, allowed are addresses of http and https")
        # the address may hold a secret, so only the host is ever told
        self._host = parts.hostname
        self._url = url
        self._run = run
        self._failed = failed
        self._interval_s = interval_s
        self._first_pause_s = first_pause_s
        self._changes: list[Change] = []
        self._dropped = 0
        self._closed = False
        self._wake = Condition()
        self._thread = Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def __call__(self, change: Change) -> None:
        """Post this change soon."""
        with self._wake:
            self._changes.append(change)
            if len(self._changes) > MOST_WAITING:
                self._dropped += 1
                del self._changes[0]
            self._wake.notify()

    def close(self) -> None:
        """Post what waits, once, and end."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(TIMEOUT_S)

    def _work(self) -> None:
        posted_at = -self._interval_s
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._changes or self._closed)
                wait_s = posted_at + self._interval_s - time.monotonic()
                if wait_s > 0:
                    self._wake.wait_for(lambda: self._closed, wait_s)
                changes, self._changes = self._changes, []
                dropped, self._dropped = self._dropped, 0
                closed = self._closed
            if changes:
                self._post({"run": self._run, "dropped": dropped, "changes": [_plain(change) for change in changes]})
                posted_at = time.monotonic()
            if closed:
                return

    def _post(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._url, data, {"Content-Type": "application/json"}, method="POST")
        pause_s = self._first_pause_s
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                    return
            except (OSError, ValueError) as error:
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
            with self._wake:
                if self._closed or attempt == TRIES - 1:
                    break
                self._wake.wait_for(lambda: self._closed, pause_s)
            pause_s *= 2
        self._failed(f"webhook at {self._host}: {len(body['changes'])} changes could not be posted: {reason}")


def _plain(change: Change) -> dict[str, Any]:
    return {
        **{key: getattr(change, key) for key in ("time", "data_time_s", "check", "subject", "reason")},
        "before": change.before.name.lower(),
        "after": change.after.name.lower(),
    }
