"""The live page's server, in a thread of the process that computes."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Thread
from typing import Final
from urllib.parse import quote

import uvicorn

from muonstream.dashboard.access.connections import Connection, Counts, Door, Limits, Visit, raise_file_limit
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.app import create_app, prepare_plots
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.detector.model import Detector
from muonstream.errors import MuonstreamError
from muonstream.run.board import Board
from muonstream.run.monitor import Snapshot

UP_AGAIN_S: Final = 0.2
WAITING_IN_KERNEL: Final = 128


class DashboardError(MuonstreamError):
    """A page that cannot be served, in one line."""


def _worth_saying(record: logging.LogRecord) -> bool:
    """Drops uvicorn's line on a refused WebSocket: a page with an old token would cause it every few seconds."""
    return "without completing handshake" not in record.getMessage()


class _Server(uvicorn.Server):
    """uvicorn's server with our own acceptor, which reports when it is up and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, up: Event, access: Access, limits: Limits) -> None:
        super().__init__(config)
        self.counts = Counts()
        self.door: Door | None = None
        self._up = up
        self._tls = access.tls
        self._limits = limits

    def _connection(self, visit: Visit) -> Connection:
        return Connection(
            visit, config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        for listening in sockets or ():
            self.door = Door(listening, self._connection, limits=self._limits, counts=self.counts, tls=self._tls)
            self.door.open()
        self._up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.door is not None:
            self.door.close()
        await super().shutdown(sockets)


class Dashboard:
    """Serves the page on host and port (0: a free one), to those to whom `access` allows it."""

    def __init__(
        self,
        port: int = 8765,
        *,
        access: Access | None = None,
        board: Board | None = None,
        stale_after_s: float = STALE_AFTER_S,
        problems: Callable[[], Sequence[str]] | None = None,
        limits: Limits | None = None,
        archive: ArchiveView | None = None,
    ) -> None:
        self.feed = Feed(board=board)
        self._access = access or Access()
        self._stale_after_s = stale_after_s
        self._problems = problems
        self._limits = limits or Limits()
        self._archive = archive
        self._host = self._access.bound_to
        self._port = port
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self._prepared: Detector | None = None

    def start(self) -> None:
        """Bind and serve. Raises DashboardError when the address is not available."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio disables Nagle's delay only if it sees that this is TCP
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._port))
        except OSError as error:
            listening.close()
            raise DashboardError(
                f"port {self._port} of {self._host} is not available ({error.strerror or error}); "
                "choose another with --port, 0 for a free one"
            ) from None
        listening.listen(WAITING_IN_KERNEL)
        self._port = listening.getsockname()[1]
        app = create_app(
            self.feed,
            access=self._access,
            stale_after_s=self._stale_after_s,
            problems=self._all_problems,
            connections=self.connections,
            archive=self._archive,
        )
        config = uvicorn.Config(
            app,
            log_level="error",  # strangers' malformed requests are counted, not printed
            access_log=False,  # the line would contain the token
            server_header=False,
            proxy_headers=False,  # the guard decides which proxies are trusted, and for what
            loop="asyncio",
            http="h11",
            ws_max_size=1024,
            ws_per_message_deflate=False,  # messages are compressed once for all viewers
            lifespan="off",
        )
        logging.getLogger("uvicorn.error").addFilter(_worth_saying)
        # half of the files are left for the computation
        most = min(self._limits.most, raise_file_limit() // 2)
        limits = replace(self._limits, most=most)
        up = Event()
        self._server = _Server(config, up, self._access, limits)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [listening]}, name="dashboard", daemon=True)
        self._thread.start()
        while not up.wait(UP_AGAIN_S):
            if not self._thread.is_alive():
                listening.close()
                raise DashboardError(f"the page's server at port {self._port} of {self._host} has not come up")

    def connections(self) -> dict[str, int]:
        """The number of connections, and counts of those that were not served."""
        return {} if self._server is None or self._server.door is None else self._server.door.report()

    def _all_problems(self) -> Sequence[str]:
        door = None if self._server is None else self._server.door
        own = [door.problem] if door is not None and door.problem else []
        return [*own, *(self._problems() if self._problems else ())]

    def prepare(self, detector: Detector) -> None:
        """Describe the plots that a viewer sees first, beside all else: the first time it takes more than a second."""
        self._prepared = detector
        Thread(target=prepare_plots, args=(detector,), name="plots", daemon=True).start()

    def publish(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self.feed.publish(snapshot)
        if self._prepared is None:
            self.prepare(snapshot.detector)

    @property
    def url(self) -> str:
        """The page's address, with its token if that was just created."""
        token, public = self._access.token, self._access.public
        query = "" if token is None or token.place else f"?token={quote(token.text, safe='')}"
        if public is not None:
            return f"{public}{query}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        if host in ("0.0.0.0", "[::]"):
            host = socket.gethostname()
        scheme = "http" if self._access.tls is None else "https"
        return f"{scheme}://{host}:{self._port}/{query}"

    @property
    def notice(self) -> str:
        """The page's address and where its tokens are, as text."""
        found = [self.url]
        for who, token in (("to see it", self._access.token), ("to act", self._access.operator_token)):
            if token is not None and token.place:
                found.append(f"{who}, add ?token= and the token in {token.place}")
        return "; ".join(found)

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self.feed.close()
            self._server.should_exit = True
            self._thread.join(timeout=5)
