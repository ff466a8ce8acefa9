"""The sending side of `tcp://host:port`: words in order, none lost and none twice over broken connections."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Final

import numpy as np

from muonstream.formats.block import SourceError
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_protocol import (
    CREDIT_BYTES,
    WELCOME_BYTES,
    WHY,
    Credit,
    FrameHead,
    Hello,
    Kind,
    ProtocolError,
    Status,
    Welcome,
)
from muonstream.words import Words

PIECE_WORDS: Final = 1 << 16
WAIT_S: Final = 0.05
AGAIN_S: Final = 0.5
CONNECT_S: Final = 5.0
MOST_TRIES: Final = 20
"""A sender whose name is in use tries again so often."""


class WordSender:
    """Sends words to a socket and keeps those that are not known to have been received.

    resumes: whether the words that are put in are those of the run from its beginning, also when this program was
    started again: then those that the receiver has are passed over
    say: is given a line for each trouble with the connection, which is then tried again until `stop` is set
    """

    def __init__(
        self,
        address: WordAddress,
        stop: Event,
        *,
        resumes: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._address, self._stop, self._say, self._resumes = address, stop, say, resumes
        self._handle: socket.socket | None = None
        self._kept: deque[tuple[int, Words]] = deque()
        self.sent = 0
        self._received = self._limit = 0
        self._partial = b""
        self._ended = False
        self._tries = 0
        self._said = ""

    def put(self, words: Words) -> int:
        """Send words (uint64[n]) as credit comes; gives how many, fewer once `stop` is set. Raises SourceError."""
        done = 0
        while done < len(words) and not self._stop.is_set():
            if not self._connected():
                continue
            known = min(self._received - self.sent, len(words) - done)
            if known > 0:  # of a run that was begun before
                self.sent += known
                done += known
                continue
            n = min(PIECE_WORDS, len(words) - done, self._limit - self.sent)
            if n <= 0:
                self._listen(WAIT_S)
                continue
            piece = np.array(words[done : done + n])
            self._kept.append((self.sent, piece))
            self.sent += n
            done += n
            self._try(FrameHead(Kind.WORDS, n, self.sent - n), piece)
            self._listen(0.0)
        return done

    def end(self) -> None:
        """Say that the words have ended, and wait until all were received, or `stop` is set. Raises SourceError."""
        told = None
        while not self._stop.is_set():
            if not self._connected():
                continue
            if told is not self._handle:
                told = self._handle
                self._try(FrameHead(Kind.END, 0, self.sent), None)
            self._listen(WAIT_S)
            if self._ended:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _connected(self) -> bool:
        """Whether there is a connection; if not, it is tried once. Raises SourceError where it will never be."""
        if self._handle is not None:
            return True
        address = self._address
        try:
            handle = socket.create_connection((address.host, address.port), CONNECT_S)
        except OSError as error:
            self._trouble(error)
            return False
        try:
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handle.sendall(Hello(address.sender, len(address.token)).pack() + address.token)
            answer = b""
            while len(answer) < WELCOME_BYTES:
                data = handle.recv(WELCOME_BYTES - len(answer))
                if not data:
                    raise ConnectionResetError("the connection was closed")
                answer += data
            welcome = Welcome.unpack(answer)
        except OSError as error:
            handle.close()
            self._trouble(error)
            return False
        except ProtocolError as error:
            handle.close()
            raise SourceError(f"{address.name}: {error}") from None
        if welcome.status is Status.NAME_IN_USE and self._tries < MOST_TRIES:
            # most likely a broken connection of our own, which is not noticed there yet
            self._tries += 1
            handle.close()
            self._stop.wait(AGAIN_S)
            return False
        if welcome.status is not Status.OK:
            handle.close()
            raise SourceError(f"{address.name}: refused {address.sender}: {WHY[welcome.status]}")
        self._handle, self._partial, self._tries = handle, b"", 0
        self._resume(welcome)
        return True

    def _resume(self, welcome: Welcome) -> None:
        """Send again what had not been received when the last connection broke."""
        begun = self._resumes and not self.sent
        if begun and welcome.received:
            self._say(f"{self._address.name}: has {welcome.received:,} words of this run; only what follows is sent")
        elif not self._received <= welcome.received <= self.sent:
            self.close()
            raise SourceError(
                f"{self._address.name}: has {welcome.received:,} words of {self._address.sender}, expected "
                f"{self._received:,} to {self.sent:,}: it is another run; start this one again"
            )
        self._received, self._limit = welcome.received, welcome.limit
        self._forget()
        for first, words in list(self._kept):
            self._try(FrameHead(Kind.WORDS, len(words), first), words)

    def _try(self, head: FrameHead, words: Words | None) -> None:
        handle = self._handle
        if handle is None:
            return
        handle.settimeout(WAIT_S)
        try:
            for part in (head.pack(), b"" if words is None else words.view(np.uint8).data):
                rest = memoryview(part)
                while len(rest):
                    with suppress(TimeoutError):
                        rest = rest[handle.send(rest) :]
                    if len(rest) and self._stop.is_set():
                        raise ConnectionAbortedError("stopped in the middle of a frame")
        except OSError as error:
            self._broken(error)

    def _listen(self, seconds: float) -> None:
        """Take the credit that has come."""
        if self._handle is None:
            return
        self._handle.settimeout(seconds)
        try:
            data = self._handle.recv(64 * CREDIT_BYTES)
        except (TimeoutError, BlockingIOError):
            return
        except OSError as error:
            self._broken(error)
            return
        if not data:
            self._broken(ConnectionResetError("the connection was closed"))
            return
        self._partial += data
        while len(self._partial) >= CREDIT_BYTES:
            try:
                credit = Credit.unpack(self._partial[:CREDIT_BYTES])
            except ProtocolError as error:
                raise SourceError(f"{self._address.name}: {error}") from None
            self._partial = self._partial[CREDIT_BYTES:]
            self._received, self._limit = credit.received, credit.limit
            self._ended = credit.ended
        self._forget()

    def _forget(self) -> None:
        while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= self._received:
            self._kept.popleft()

    def _broken(self, error: OSError) -> None:
        self.close()
        self._trouble(error)

    def _trouble(self, error: OSError) -> None:
        line = f"{self._address.name}: {error.strerror or error}; trying again"
        if line != self._said:
            self._say(line)
        self._said = line
        self._stop.wait(AGAIN_S)
