"""The feed: the newest message, and viewers who wait for the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from threading import Lock

from muonstream.analysis.monitor import Snapshot
from muonstream.dashboard.message import encode_snapshot


class Feed:
    """Holds one message, the newest. A viewer who is slow misses those in between; nothing is queued for it."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self._message: bytes | None = None
        self._number = 0
        self._lock = Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.viewers = 0
        self._closed = False

    def publish(self, snapshot: Snapshot) -> None:
        """Show a snapshot to all viewers; may be called from any thread."""
        message = encode_snapshot(snapshot)
        with self._lock:
            self.snapshot, self._message = snapshot, message
            self._number += 1
        self._wake()

    def close(self) -> None:
        """No more messages: viewers' streams end."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """The newest message at once, if there is one, then the newest whenever the viewer is ready for it."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting.add(entry)
            self.viewers += 1
        seen = 0
        try:
            while not self._closed:
                with self._lock:
                    number, message = self._number, self._message
                if number != seen and message is not None:
                    seen = number
                    yield message
                    continue
                await event.wait()
                event.clear()
        finally:
            with self._lock:
                self._waiting.discard(entry)
                self.viewers -= 1
