"""A socket on which programs send words, `tcp://host:port`: back-pressure by credit, nothing lost, nothing twice."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from threading import Event
from typing import Final

import numpy as np

from muonstream.buffers import Buffers
from muonstream.formats.block import Block, SourceError, counted
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format, Wanted
from muonstream.sources.files import ASK_S, BUFFERS, IDLE_S
from muonstream.sources.gathered import gathered
from muonstream.sources.reader import InputReader
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_protocol import (
    FRAME_BYTES,
    HELLO_BYTES,
    VERSION,
    Credit,
    FrameHead,
    Hello,
    Kind,
    ProtocolError,
    Status,
    Welcome,
    is_token,
)
from muonstream.words import WORD_BYTES

GATHERED_WORDS: Final = 1 << 18
WINDOW_WORDS: Final = 1 << 20
"""Words that a sender may be ahead of what was received."""
HELLO_S: Final = 5.0
MOST_STRANGERS: Final = 16
"""Connections that have not said hello yet; more are closed at once."""


class _Sender:
    """What is known of a sender by its name, over all its connections."""

    def __init__(self, source: int, reader: InputReader) -> None:
        self.source = source
        self.reader = reader
        self.received = 0
        self.ended = False
        self.connected = False


class _Connection:
    """One connection: bytes are collected until a whole message, or a frame's words, are there."""

    def __init__(self, handle: socket.socket, now: float) -> None:
        self.handle = handle
        self.since = now
        self.sender: _Sender | None = None
        self.hello: Hello | None = None
        self.head: FrameHead | None = None
        self.told = 0
        self._room = memoryview(bytearray(HELLO_BYTES))
        self._at = 0

    def expect(self, room: memoryview) -> None:
        """The next bytes go there."""
        self._room, self._at = room, 0

    def fill(self) -> memoryview | None:
        """Take what has come: the room once it is full, None before. Raises ConnectionError at the other's end."""
        while self._at < len(self._room):
            try:
                n = self.handle.recv_into(self._room[self._at :])
            except BlockingIOError:
                return None
            if n == 0:
                raise ConnectionResetError
            self._at += n
        return self._room


class WordServer:
    """Takes words from senders; `blocks` gives them. Raises SourceError where it cannot listen."""

    def __init__(self, address: WordAddress, *, expected: Expected, format: Format = Format.WORDS) -> None:
        address.check_listening()
        self.address = address
        self._wanted = Wanted(expected, format)
        self._senders: dict[str, _Sender] = {}
        self._connections: set[_Connection] = set()
        self._buffers = Buffers(BUFFERS)
        self._selector = selectors.DefaultSelector()
        try:
            family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
            self._listening = socket.create_server((address.host, address.port), family=family, backlog=16)
        except OSError as error:
            raise SourceError(f"{address.name}: cannot listen there: {error.strerror or error}") from None
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        """The port it listens on, also where the address says 0."""
        return int(self._listening.getsockname()[1])

    @property
    def over(self) -> bool:
        """Whether as many senders as are expected have said that they have ended, and none is left that has not."""
        ended = [one.ended for one in self._senders.values()]
        return len(ended) >= self.address.senders and all(ended)

    def blocks(self, stop: Event, clock: Callable[[], float] = time.monotonic) -> Iterator[Block]:
        """Blocks of words, each with its sender's source number, until all have ended or `stop` is set."""
        return gathered(self._blocks(stop, clock), GATHERED_WORDS)

    def _blocks(self, stop: Event, clock: Callable[[], float]) -> Iterator[Block]:
        began, said = clock(), False
        while not self.over and not stop.is_set():
            ready = self._selector.select(IDLE_S)
            notes: list[str] = []
            if not said and not self._senders and clock() - began > ASK_S:
                said = True
                notes.append(f"{self.address.name}: no sender has connected yet; waiting for one")
            if not ready or notes:
                yield Block(idle=not ready, notes=notes)
            for key, _ in ready:
                if key.data is None:
                    self._accept(clock())
                else:
                    yield from self._serve(key.data)
            for one in [one for one in self._connections if one.sender is None and clock() - one.since > HELLO_S]:
                self._close(one)
        for sender in self._senders.values():
            if sender.reader.raw_bytes:
                yield from self._of(sender, sender.reader.finish())

    def close(self) -> None:
        """Close all connections."""
        for one in list(self._connections):
            self._close(one)
        self._selector.close()
        self._listening.close()

    def _accept(self, now: float) -> None:
        try:
            handle, _ = self._listening.accept()
        except OSError:  # it is gone already, or no more files can be opened, which is waited out
            time.sleep(IDLE_S)
            return
        if sum(one.sender is None for one in self._connections) >= MOST_STRANGERS:
            handle.close()
            return
        handle.setblocking(False)
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(handle, now)
        self._connections.add(connection)
        self._selector.register(handle, selectors.EVENT_READ, connection)

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.handle)
        connection.handle.close()
        if connection.sender is not None:
            connection.sender.connected = False

    def _serve(self, connection: _Connection) -> Iterator[Block]:
        """Take what has come on a connection; at most one frame, so that all have their turn."""
        try:
            yield from self._take(connection)
        except ProtocolError as error:
            name = connection.hello.name if connection.sender is not None and connection.hello else "a stranger"
            self._close(connection)
            yield Block(notes=[f"{self.address.name}: {name}: {error}; the connection is closed"])
        except OSError:
            sender, ended = connection.sender, connection.sender is not None and connection.sender.ended
            self._close(connection)
            if sender is not None and not ended:
                note = f"{sender.reader.name}: the connection broke off after {counted(sender.received, 'word')}"
                yield Block(notes=[f"{note}; waiting for this sender to come back"])

    def _take(self, connection: _Connection) -> Iterator[Block]:
        got = connection.fill()
        if got is None:
            return
        if connection.hello is None:
            connection.hello = Hello.unpack(bytes(got))
            connection.expect(memoryview(bytearray(connection.hello.token_bytes)))
            got = connection.fill()
            if got is None:
                return
        if connection.sender is None:
            yield from self._welcome(connection, bytes(got))
        elif connection.head is None:
            head = FrameHead.unpack(bytes(got))
            if head.kind is Kind.END:
                yield from self._end(connection.sender, head)
                self._give_credit(connection, connection.sender)
                self._expect_head(connection)
                return
            if head.first + head.words > connection.told:
                raise ProtocolError(
                    f"sent words up to {head.first + head.words:,}, allowed were {connection.told:,} (its credit)"
                )
            connection.head = head
            connection.expect(self._buffers.room(head.words)[: head.words].view(np.uint8).data)
            if head.words == 0:
                self._expect_head(connection)
        else:
            yield from self._words(connection, connection.sender, connection.head, got)

    def _expect_head(self, connection: _Connection) -> None:
        connection.head = None
        connection.expect(memoryview(bytearray(FRAME_BYTES)))

    def _welcome(self, connection: _Connection, token: bytes) -> Iterator[Block]:
        hello = connection.hello
        assert hello is not None, "the hello comes before the token"
        sender = self._senders.get(hello.name)
        status = Status.OK
        if hello.version != VERSION:
            status = Status.VERSION
        elif not is_token(token, self.address.token):
            status = Status.TOKEN
        elif sender is not None and sender.connected:
            status = Status.NAME_IN_USE
        elif sender is not None and sender.ended:
            status = Status.ENDED
        elif sender is None and len(self._senders) >= self.address.senders:
            status = Status.FULL
        if status is not Status.OK:
            connection.handle.send(Welcome(status).pack())
            self._close(connection)
            return
        if sender is None:
            reader = InputReader(f"{self.address.name} {hello.name}", self._wanted)
            sender = self._senders[hello.name] = _Sender(len(self._senders), reader)
        else:
            yield Block(notes=[f"{sender.reader.name}: connected again, after {counted(sender.received, 'word')}"])
        sender.connected, connection.sender = True, sender
        connection.told = sender.received + WINDOW_WORDS
        connection.handle.send(Welcome(Status.OK, sender.received, connection.told).pack())
        self._expect_head(connection)

    def _words(self, connection: _Connection, sender: _Sender, head: FrameHead, got: memoryview) -> Iterator[Block]:
        """Count a frame's words: what is missing before them is lost, what was received before is passed over."""
        self._expect_head(connection)
        if head.first > sender.received:
            yield from self._lose(sender, head.first)
        known = min(sender.received - head.first, head.words)
        sender.received += head.words - known
        if known:
            note = f"{sender.reader.name}: {counted(known, 'word')} from {head.first + 1:,} on came again; passed over"
            yield Block(source=sender.source, notes=[note])
        if known < head.words:
            yield from self._of(sender, sender.reader.feed(got[known * WORD_BYTES :]))
        # asked for only when the words were taken: that is the back-pressure
        if sender.received + WINDOW_WORDS - connection.told >= WINDOW_WORDS // 4:
            self._give_credit(connection, sender)

    def _give_credit(self, connection: _Connection, sender: _Sender) -> None:
        if connection.handle.fileno() >= 0:
            connection.told = sender.received + WINDOW_WORDS
            connection.handle.send(Credit(sender.received, connection.told, sender.ended).pack())

    def _end(self, sender: _Sender, head: FrameHead) -> Iterator[Block]:
        if head.first < sender.received:
            raise ProtocolError(f"said that it ended after {head.first:,} words, {sender.received:,} were received")
        if head.first > sender.received:
            yield from self._lose(sender, head.first)
        sender.ended = True

    def _lose(self, sender: _Sender, first: int) -> Iterator[Block]:
        lost, sender.received = first - sender.received, first
        block = sender.reader.lose(lost, f"words {first - lost + 1:,} to {first:,} were not sent again")
        yield from self._of(sender, iter([block]))

    def _of(self, sender: _Sender, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            block.source = sender.source
            yield block


def socket_blocks(name: str, *, expected: Expected, stop: Event, format: Format = Format.WORDS) -> Iterator[Block]:
    """Blocks of the words that programs send to `tcp://host:port`. Raises SourceError."""
    with ExitStack() as stack:
        server = WordServer(WordAddress.of(name), expected=expected, format=format)
        stack.callback(server.close)
        yield from server.blocks(stop)
