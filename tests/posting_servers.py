"""Servers on this machine for what is posted: answers of all kinds, none at all, and what they were sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

OK = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
SECRET = "s3cr3t-t0ken"


class RawServer:
    """Takes one connection at a time, reads a request, and answers with the next of some bytes; the last stays.

    None for an answer holds the connection without one until the server is closed.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: SimpleQueue[bytes] = SimpleQueue()
        self.before_answer: Callable[[], None] = lambda: None
        """What is done, in the server's thread, when a request has come and before it is answered."""
        self._answers = list(answers)
        self._closed = Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, with a token in path and query."""
        return f"http://127.0.0.1:{self.port}/{SECRET}?key={SECRET}"

    def bodies(self) -> list[dict[str, Any]]:
        """What was posted so far, decoded."""
        found = []
        while not self.requests.empty():
            found.append(json.loads(self.requests.get().partition(b"\r\n\r\n")[2]))
        return found

    def body(self) -> dict[str, Any]:
        """The next that is posted, waited for."""
        body: dict[str, Any] = json.loads(self.requests.get(timeout=60).partition(b"\r\n\r\n")[2])
        return body

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.put(head + b"\r\n\r\n" + body)
        self.before_answer()
        if answer is None:
            self._closed.wait()
        else:
            connection.sendall(answer)

    def close(self) -> None:
        """No more connections."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def answering(*answers: bytes | None) -> Iterator[RawServer]:
    """A server that gives these answers in turn."""
    server = RawServer(*answers)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
    return port
