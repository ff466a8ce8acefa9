"""A webhook: changes of verdicts, posted as JSON to an address, without ever holding up the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from threading import Condition
from typing import Any, Final

from muonstream.errors import MuonstreamError
from muonstream.sinks.posting import Address, AddressError, PostError, RedirectError, post, start_thread
from muonstream.verdicts.verdicts import Change

INTERVAL_S: Final = 10.0
"""Posts are at least so far apart; what changes in between goes into one."""
TRIES: Final = 5
FIRST_PAUSE_S: Final = 1.0
TIMEOUT_S: Final = 10.0
MOST_WAITING: Final = 1000
"""Beyond so many changes the oldest are dropped, and counted."""


class WebhookError(MuonstreamError, ValueError):
    """An address that cannot be posted to, in one line."""


class Webhook:
    """Posts changes from a thread of its own; failed posts are tried again, then dropped and told to `failed`.

    The body: {"run": ..., "dropped": n, "changes": [{"time", "data_time_s", "check", "subject", "before", "after",
    "reason"}, ...]}, levels as null, good, medium or bad. A redirect is not followed: it is a failure, told at once.
    No line that `failed` gets has more of the address than its host, since the rest may be a secret.

    Raises WebhookError for what is not an http or https address.
    """

    def __init__(
        self,
        url: str,
        run: str,
        *,
        failed: Callable[[str], None] = lambda text: None,
        interval_s: float = INTERVAL_S,
        first_pause_s: float = FIRST_PAUSE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        try:
            self._address = Address.parse(url)
        except AddressError as error:
            raise WebhookError(f"webhook: {error}") from None
        self._name = f"webhook at {self._address.host}"
        self._run = run
        self._failed = failed
        self._interval_s = interval_s
        self._first_pause_s = first_pause_s
        self._timeout_s = timeout_s
        self._changes: list[Change] = []
        self._dropped = 0
        self._closed = False
        self._wake = Condition()
        self._thread = start_thread("webhook", self._work, self._died)

    def __call__(self, change: Change) -> None:
        """Post this change soon."""
        with self._wake:
            self._changes.append(change)
            if len(self._changes) > MOST_WAITING:
                self._dropped += 1
                del self._changes[0]
            self._wake.notify()

    def close(self) -> None:
        """Post what waits, once, and end; what is still being posted after the timeout is reported."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(self._timeout_s)
        if self._thread.is_alive():
            self._failed(f"{self._name}: still no answer at the end of the run; its last changes may not have arrived")

    def _died(self, reason: str) -> None:
        self._failed(f"{self._name}: posting has ended ({reason}); no more changes are posted")

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
        pause_s = self._first_pause_s
        for attempt in range(TRIES):
            try:
                post(self._address, data, timeout_s=self._timeout_s)
                return
            except PostError as error:
                reason = str(error)
                if isinstance(error, RedirectError):  # it would say the same again
                    break
            with self._wake:
                if self._closed or attempt == TRIES - 1:
                    break
                self._wake.wait_for(lambda: self._closed, pause_s)
            pause_s *= 2
        n = len(body["changes"])
        self._failed(f"{self._name}: {n} change{'s' if n > 1 else ''} could not be posted: {reason}")


def _plain(change: Change) -> dict[str, Any]:
    return {"time": change.time, **change.as_plain()}
