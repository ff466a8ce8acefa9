"""The live page's server, in a thread of the process that computes."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Final

import uvicorn

from muonstream.analysis.board import Board
from muonstream.analysis.monitor import Snapshot
from muonstream.dashboard.app import create_app, prepare_plots
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.guard import is_loopback
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.detector import Detector

SHORTEST_TOKEN: Final = 12
UP_AGAIN_S: Final = 0.2


class DashboardError(Exception):
    """A page that cannot be served, in one line."""


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is up and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, up: Event) -> None:
        super().__init__(config)
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()


class Dashboard:
    """Serves the page on host and port (0: a free one). Beyond loopback a token is asked for, made up if not given.

    Raises DashboardError for a token that is too short.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        token: str | None = None,
        board: Board | None = None,
        stale_after_s: float = STALE_AFTER_S,
        problems: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.feed = Feed(board=board)
        self._stale_after_s = stale_after_s
        self._problems = problems
        self._host = host
        self._port = port
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise DashboardError(f"token: found {len(token)} characters, allowed are {SHORTEST_TOKEN} or more")
        self._token = token or (None if is_loopback(host) else secrets.token_urlsafe(24))
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self._prepared: Detector | None = None

    def start(self) -> None:
        """Bind and serve. Raises DashboardError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._port))
        except OSError as error:
            listening.close()
            raise DashboardError(
                f"port {self._port} of {self._host} cannot be had ({error.strerror or error}); "
                "choose another with --port, 0 for a free one"
            ) from None
        self._port = listening.getsockname()[1]
        app = create_app(
            self.feed,
            bound_to=self._host,
            token=self._token,
            stale_after_s=self._stale_after_s,
            problems=self._problems,
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # it would have the token in it
            server_header=False,
            ws_max_size=1024,
            ws_per_message_deflate=False,  # messages are compressed once for all
            lifespan="off",
        )
        up = Event()
        self._server = _Server(config, up)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [listening]}, name="dashboard", daemon=True)
        self._thread.start()
        while not up.wait(UP_AGAIN_S):
            if not self._thread.is_alive():
                listening.close()
                raise DashboardError(f"the page's server at port {self._port} of {self._host} has not come up")

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
        """Where the page is, with the token that it asks for."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        if host in ("0.0.0.0", "[::]"):
            host = socket.gethostname()
        return f"http://{host}:{self._port}/" + (f"?token={self._token}" if self._token else "")

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self.feed.close()
            self._server.should_exit = True
            self._thread.join(timeout=5)
