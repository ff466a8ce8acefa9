"""The feed: the newest snapshot, and viewers who wait for the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from threading import Lock
from typing import Any, Final

from muonstream.dashboard.message.message import encode
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot
from muonstream.verdicts.verdicts import Verdicts

INTERVAL_S: Final = 1.0
EARLY: Final = 0.9
"""Tolerance, so that a publisher with the same interval does not narrowly miss every other turn."""


class Feed:
    """Holds the newest snapshot, and has it judged.

    A viewer who is slow misses the messages in between; nothing is queued for it.
    Viewers get a message an interval at most, made once for all of them, and none without viewers; a change of state
    comes at once. `publish`, `say` and `close` may be called from any thread, as often as one likes.
    """

    def __init__(
        self,
        *,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        board: Board | None = None,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.board = board or Board()
        self.reference_message: bytes | None = None
        self.reference_about: dict[str, Any] | None = None
        """Which runs it is made of, who set it and when, for people; None without one."""
        self.starting = ""
        """What is being done until the first snapshot comes, as text."""
        self.viewers = 0
        self._interval_s = EARLY * interval_s
        self._clock = clock
        self._lock = Lock()
        self._encoding = Lock()
        self._encoded: tuple[Snapshot, Verdicts, bytes] | None = None
        self._encoded_at = 0.0
        self._number = 0
        self._references = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False
        self._closing: list[Callable[[], None]] = []

    def refer_to(self, reference: Snapshot, about: dict[str, Any] | None = None) -> None:
        """Let viewers compare with this snapshot of another run, or of several; about: which, who set it and when."""
        self.reference_message, self.reference_about = encode(reference), about or {"runs": [reference.run]}
        self._references += 1
        self._wake()

    def share_reference(self, other: Feed) -> None:
        """Let viewers compare with what those of another feed do."""
        self.reference_message, self.reference_about = other.reference_message, other.reference_about

    def say(self, text: str) -> None:
        """Set the text of what is being done before there is anything to show."""
        self.starting = text
        self._wake()

    def publish(self, snapshot: Snapshot) -> None:
        """Show a snapshot to all viewers, with the verdicts on it."""
        self.board.update(snapshot)
        self.snapshot = snapshot
        self._wake()

    def acknowledge(self, check: str, subject: str, why: str, name: str = "") -> bool:
        """Acknowledge an alarm in this person's name, and show it; False when there is no such alarm."""
        known = self.board.acknowledge(check, subject, why, time.time(), name)
        self._wake()
        return known

    def acknowledge_all(self, why: str, name: str = "") -> int:
        """Acknowledge all alarms; gives how many had not been acknowledged before."""
        known = self.board.acknowledge_all(why, time.time(), name)
        self._wake()
        return known

    def retract(self, check: str, subject: str) -> bool:
        """Withdraw an acknowledgement; False when there is none."""
        taken = self.board.retract(check, subject)
        self._wake()
        return taken

    def close(self) -> None:
        """No more messages: viewers' streams end."""
        self._closed = True
        self._wake()
        for also in self._closing:
            also()

    def on_close(self, also: Callable[[], None]) -> None:
        """Have something else closed with it."""
        self._closing.append(also)

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def _current(self) -> tuple[int, bytes | None, float]:
        """The newest message that is due, its number, and in how many seconds there is a newer one (0: not known)."""
        with self._encoding:
            snapshot, verdicts = self.snapshot, self.board.verdicts
            if snapshot is None:
                return 0, None, 0.0
            if self._encoded is not None:
                shown, judged, message = self._encoded
                if shown is snapshot and judged is verdicts:
                    return self._number, message, 0.0
                wait_s = self._encoded_at + self._interval_s - self._clock()
                if wait_s > 0 and shown.state == snapshot.state:
                    return self._number, message, wait_s
            self._encoded_at = self._clock()
            message = encode(snapshot, verdicts)
            self._encoded = snapshot, verdicts, message
            self._number += 1
            return self._number, message, 0.0

    async def messages(self) -> AsyncGenerator[bytes | str, None]:
        """The newest message at once, if there is one, then the newest whenever the viewer is ready for it.

        Before the first one: what is being done until then, as text, whenever that is something else.
        """
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting.add(entry)
            self.viewers += 1
        seen, told, references = 0, "", self._references
        try:
            while not self._closed:
                event.clear()
                number, message, wait_s = self._current()
                if (message is None and self.starting != told) or self._references != references:
                    # a text is a greeting, after which pages ask for the reference
                    told, references = self.starting, self._references
                    yield told
                    continue
                if message is not None and number != seen:
                    seen = number
                    yield message
                    continue
                try:
                    await asyncio.wait_for(event.wait(), wait_s or None)
                except TimeoutError:
                    continue
        finally:
            with self._lock:
                self._waiting.discard(entry)
                self.viewers -= 1
