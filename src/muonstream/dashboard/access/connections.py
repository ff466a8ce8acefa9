"""Connections to the page: limits on their number, and on the time until a request is complete.

A client that has not sent a complete request has not shown a token either. Such connections are closed after some
seconds and, when there are too many in all, give way to new ones, the oldest first. So strangers can exhaust neither
the process's files nor the places of viewers.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

AT_ONCE: Final = 8
"""Number of connections accepted before those that are open are served again."""
AGAIN_S: Final = 0.5
NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
FILES: Final = 4096
"""Number of files that the process wants to be able to open, of which the page takes half at most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """most: connections at a time; request_s: seconds that a request, or the handshake before it, may take"""

    most: int = 1024
    request_s: float = 10.0


@dataclass(slots=True)
class Counts:
    """Counts of accepted connections, and of those that were not served."""

    accepted: int = 0
    refused: int = 0
    """Refused at once, since there were too many, none of them waiting."""
    displaced: int = 0
    """Displaced by newer ones while they waited."""
    timed_out: int = 0
    """Closed before a complete request had come."""
    malformed: int = 0
    """Closed because of data that are not HTTP or TLS."""
    files_used_up: int = 0
    """How often the process, or the machine, could open no more files."""


def raise_file_limit(wanted: int = FILES) -> int:
    """Raise the soft limit of open files to what is wanted, as far as the hard limit allows; gives the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):  # macOS has a lower limit that it does not report
            return soft
    return max(allowed, soft)


class Visit:
    """One connection from its acceptance on: whether it still waits for a complete request, and until when."""

    def __init__(self, door: Door, connected: socket.socket) -> None:
        self._door = door
        self._socket = connected
        self._over = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def made(self, transport: asyncio.Transport) -> None:
        """The handshake is over, if there was one."""
        self._transport = transport

    @property
    def sending(self) -> bool:
        """Whether an answer is still in flight: a slow network does not end a connection."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    @property
    def open(self) -> bool:
        """Whether the connection is open; one that was ended here is closed in the loop's next turns."""
        return not self._over and self._socket.fileno() >= 0  # asyncio closes the socket, not another one in its place

    def wait(self) -> None:
        """Wait for a request from now on."""
        self.stop_waiting()
        self._door.waiting[self] = None
        self._timer = asyncio.get_running_loop().call_later(self._door.limits.request_s, self._time_out)

    def stop_waiting(self) -> None:
        """A complete request has come, or the connection has ended."""
        self._door.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def malformed(self) -> None:
        """The data were not a request."""
        self._door.counts.malformed += 1

    def displace(self) -> None:
        """Close it to make room for another."""
        self._door.counts.displaced += 1
        self._end()

    def _time_out(self) -> None:
        if self.sending:
            self.wait()
            return
        self._door.counts.timed_out += 1
        self._end()

    def _end(self) -> None:
        self._over = True
        self.stop_waiting()
        if self._transport is not None:
            self._transport.abort()
            return
        with suppress(OSError):
            # in the middle of a handshake: asyncio finds it closed
            self._socket.shutdown(socket.SHUT_RDWR)


class Connection(H11Protocol):
    """uvicorn's HTTP connection, which notifies its visit of complete requests."""

    def __init__(self, visit: Visit, **settings: Any) -> None:
        super().__init__(**settings)
        self._visit = visit
        self._upgraded = False
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is over, if there was one."""
        super().connection_made(transport)
        self._visit.made(transport)

    def data_received(self, data: bytes) -> None:
        """Take part of a request, or all of it."""
        super().data_received(data)
        if self._whole():
            self._visit.stop_waiting()

    def on_response_complete(self) -> None:
        """The next request is waited for; it may be there already."""
        if not self._lost:
            self._visit.wait()
        super().on_response_complete()
        if self._whole():
            self._visit.stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._lost = True
        self._visit.stop_waiting()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """It is a WebSocket from now on, which counts as a complete request."""
        self._upgraded = True
        self._visit.stop_waiting()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """The data were not HTTP."""
        self._visit.malformed()
        super().send_400_response(msg)

    def _whole(self) -> bool:
        """Whether a complete request has come and is being answered, so that nothing is waited for."""
        cycle = self.cycle
        return self._upgraded or (cycle is not None and not cycle.response_complete and not cycle.more_body)


class Door:
    """Accepts connections of a listening socket, within limits, and hands them to protocols."""

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[Visit], asyncio.Protocol],
        *,
        limits: Limits,
        counts: Counts,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits
        self.counts = counts
        self.waiting: dict[Visit, None] = {}
        self._visits: list[Visit] = []
        self._listening = listening
        self._protocol = protocol
        self._tls = tls
        self._handshakes: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._paused = False

    def open(self) -> None:
        """Accept from now on; in the loop's thread."""
        self._paused = False
        self._listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more."""
        asyncio.get_running_loop().remove_reader(self._listening)
        if self._again is not None:
            self._again.cancel()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connected, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in NO_ROOM:
                    # new connections wait in the kernel meanwhile
                    self.counts.files_used_up += 1
                    self.close()
                    self._paused = True
                    self._again = asyncio.get_running_loop().call_later(AGAIN_S, self.open)
                # any other is of one connection, which has ended before it was accepted
                return
            self._take(connected)

    def _take(self, connected: socket.socket) -> None:
        self.counts.accepted += 1
        self._visits = [visit for visit in self._visits if visit.open]
        if len(self._visits) >= self.limits.most:
            longest = next((visit for visit in self.waiting if not visit.sending), None)
            if longest is None:
                self.counts.refused += 1
                connected.close()
                return
            longest.displace()
        connected.setblocking(False)
        visit = Visit(self, connected)
        self._visits.append(visit)
        visit.wait()
        task = asyncio.create_task(self._greet(visit, connected))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _greet(self, visit: Visit, connected: socket.socket) -> None:
        """Set up a connection with its TLS handshake, which has the same time limit as a request."""
        seconds = None if self._tls is None else self.limits.request_s
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(visit),
                connected,
                ssl=self._tls,
                ssl_handshake_timeout=None if seconds is None else 2 * seconds,  # ours comes first
                ssl_shutdown_timeout=seconds,
            )
        except OSError:
            if visit in self.waiting:  # else it was ended here
                visit.stop_waiting()
                visit.malformed()

    @property
    def problem(self) -> str:
        """Why no connections are accepted now; "" if they are."""
        return "the page accepts no connections: too many files are open" if self._paused else ""

    def report(self) -> dict[str, int]:
        """The number of connections now, and the counts."""
        return {"open": sum(visit.open for visit in self._visits), **asdict(self.counts)}
