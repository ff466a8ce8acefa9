"""Words over connections: whatever senders do, each word is taken once, and none is lost in silence."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import pytest

from muonstream.formats.block import Block, SourceError
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.sources import word_socket
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_protocol import CREDIT_BYTES, WELCOME_BYTES, FrameHead, Hello, Kind, Status, Welcome
from muonstream.sources.word_sender import WordSender
from muonstream.sources.word_socket import WINDOW_WORDS, WordServer

WORDS = simulate_words(200_000, rate_hz=1e6)


class Receiving:
    """A server whose blocks are collected in a thread."""

    def __init__(self, address: str, token: bytes = b"") -> None:
        self.stop = Event()
        self.server = WordServer(replace(WordAddress.of(address), token=token), expected=Expected.any())
        self.address = replace(WordAddress.of(f"tcp://127.0.0.1:{self.server.port}"), token=token)
        self._pool = ThreadPoolExecutor(1)
        self._blocks: Future[list[Block]] = self._pool.submit(lambda: list(self.server.blocks(self.stop)))

    def blocks(self) -> list[Block]:
        return self._blocks.result(60)

    def close(self) -> None:
        self.stop.set()
        self._pool.shutdown()
        self.server.close()

    def status(self, name: str) -> Status:
        """What is said of a hello."""
        handle, welcome = self.raw(name)
        handle.close()
        return welcome.status

    def raw(self, name: str = "raw", token: bytes = b"") -> tuple[socket.socket, Welcome]:
        handle = socket.create_connection(("127.0.0.1", self.server.port), 10)
        handle.sendall(Hello(name, len(token)).pack() + token)
        return handle, Welcome.unpack(handle.recv(WELCOME_BYTES, socket.MSG_WAITALL))


@contextmanager
def receiving(address: str = "tcp://127.0.0.1:0", token: bytes = b"") -> Iterator[Receiving]:
    receiver = Receiving(address, token)
    try:
        yield receiver
    finally:
        receiver.close()


def words_of(blocks: list[Block], source: int = 0) -> list[int]:
    return [word for block in blocks if block.source == source for word in block.words.tolist()]


def notes_of(blocks: list[Block]) -> str:
    return "\n".join(note for block in blocks for note in block.notes)


def is_closed(handle: socket.socket) -> bool:
    try:
        return handle.recv(1) == b""
    except ConnectionResetError:
        return True


def test_words_of_several_senders_come_in_the_order_of_each() -> None:
    with receiving("tcp://127.0.0.1:0?senders=2") as receiver:
        senders = [WordSender(replace(receiver.address, sender=f"board{i}"), Event()) for i in range(2)]
        for begin in range(0, 100_000, 7_000):
            for i, sender in enumerate(senders):
                sender.put(WORDS[100_000 * i :][begin : min(begin + 7_000, 100_000)])
        for sender in senders:
            sender.end()
            sender.close()
        blocks = receiver.blocks()
    for source in range(2):
        assert words_of(blocks, source) == WORDS[100_000 * source :][:100_000].tolist()
    assert not re.search("lost|again|broke", notes_of(blocks))


@pytest.mark.parametrize("seed", range(3))
def test_connections_that_break_anywhere_cost_no_word_and_bring_none_twice(seed: int) -> None:
    rng = random.Random(seed)
    with receiving() as receiver, ThreadPoolExecutor(1) as pool:
        listening = socket.create_server(("127.0.0.1", 0))
        stop = Event()

        def cut() -> None:
            """A proxy that passes so many bytes on and then breaks the connection, again and again."""
            while not stop.is_set():
                listening.settimeout(0.1)
                try:
                    near, _ = listening.accept()
                except TimeoutError:
                    continue
                far = socket.create_connection(("127.0.0.1", receiver.server.port))
                left = rng.randrange(100, 400_000)
                near.settimeout(0.01)
                far.settimeout(0.01)
                while left > 0 and not stop.is_set():
                    for one, other in ((near, far), (far, near)):
                        try:
                            data = one.recv(min(left, 1 << 15))
                        except TimeoutError:
                            continue
                        if not data:
                            left = 0
                            break
                        other.settimeout(None)
                        other.sendall(data)
                        other.settimeout(0.01)
                        left -= len(data)
                near.close()
                far.close()

        cutting = pool.submit(cut)
        address = WordAddress.of(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        sender = WordSender(address, Event())
        for begin in range(0, len(WORDS), 9_000):
            assert sender.put(WORDS[begin : begin + 9_000]) == len(WORDS[begin : begin + 9_000])
        sender.end()
        sender.close()
        stop.set()
        cutting.result()
        listening.close()
        blocks = receiver.blocks()
    assert words_of(blocks) == WORDS.tolist()
    assert "broke off" in notes_of(blocks)


def test_a_sender_that_was_started_again_sends_what_is_missing() -> None:
    with receiving() as receiver:
        said: list[str] = []
        first = WordSender(receiver.address, Event(), resumes=True)
        first.put(WORDS[:50_000])
        first.close()
        again = WordSender(receiver.address, Event(), resumes=True, say=said.append)
        for begin in range(0, len(WORDS), 30_000):
            again.put(WORDS[begin : begin + 30_000])
        again.end()
        again.close()
        blocks = receiver.blocks()
    assert words_of(blocks) == WORDS.tolist()
    assert any("only what follows is sent" in line for line in said)


def test_a_sender_that_cannot_begin_again_is_told_so() -> None:
    with receiving() as receiver:
        first = WordSender(receiver.address, Event())
        first.put(WORDS[:1000])
        first.close()
        with pytest.raises(SourceError, match="it is another run"):
            WordSender(receiver.address, Event()).put(WORDS[:1000])


def test_words_that_are_missing_or_come_again_are_counted() -> None:
    with receiving() as receiver:
        handle, welcome = receiver.raw()
        assert welcome == Welcome(Status.OK, 0, WINDOW_WORDS)
        for first, end in ((0, 100), (50, 150), (170, 200), (20, 30)):
            handle.sendall(FrameHead(Kind.WORDS, end - first, first).pack() + WORDS[first:end].tobytes())
        handle.sendall(FrameHead(Kind.END, 0, 220).pack())
        blocks = receiver.blocks()
        handle.close()
    assert words_of(blocks) == [*WORDS[:150].tolist(), *WORDS[170:200].tolist()]
    report = [block.report for block in blocks if block.report is not None][-1]
    assert (report.lost, report.words) == (40, 180)
    assert "50 words from 51 on came again" in notes_of(blocks)
    assert "10 words from 21 on came again" in notes_of(blocks)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\n" + b" " * 64, ""),
        (FrameHead(Kind.WORDS, WINDOW_WORDS, 1).pack(), "allowed were 1,048,576"),
        (b"x" * 32, "where a frame begins"),
        (b"MUWF\1\0\0\0" + b"\xff" * 24, "found a frame of 4,294,967,295 words"),
    ],
)
def test_what_breaks_the_rules_is_closed_before_memory_is_taken(sent: bytes, said: str) -> None:
    with receiving() as receiver:
        if said:
            handle, _ = receiver.raw()
        else:
            handle = socket.create_connection(("127.0.0.1", receiver.server.port), 10)
        handle.sendall(sent)
        assert is_closed(handle)
        handle.close()
        sender = WordSender(replace(receiver.address, sender="raw"), Event())
        sender.put(WORDS[:10])
        sender.end()
        sender.close()
        blocks = receiver.blocks()
    assert words_of(blocks) == WORDS[:10].tolist()
    assert (said or "a stranger: found b'GET / HT'") in notes_of(blocks)


def test_a_sender_shows_its_token() -> None:
    with receiving(token=b"0123456789abcdef") as receiver:
        for token in (b"", b"0123456789abcdeF"):
            handle, welcome = receiver.raw(token=token)
            assert welcome.status is Status.TOKEN
            assert is_closed(handle)
            handle.close()
        with pytest.raises(SourceError, match="the token is wrong or missing"):
            WordSender(replace(receiver.address, token=b"wrong"), Event()).put(WORDS[:1])
        sender = WordSender(receiver.address, Event())
        sender.put(WORDS[:10])
        sender.end()
        sender.close()
        assert words_of(receiver.blocks()) == WORDS[:10].tolist()


def test_strangers_neither_stay_nor_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_socket, "HELLO_S", 0.2)
    with receiving() as receiver:
        silent = [socket.create_connection(("127.0.0.1", receiver.server.port), 10) for _ in range(40)]
        assert all(is_closed(one) for one in silent)
        for one in silent:
            one.close()
        sender = WordSender(receiver.address, Event())
        sender.put(WORDS[:10])
        sender.end()
        sender.close()
        assert words_of(receiver.blocks()) == WORDS[:10].tolist()


def test_names_and_numbers_of_senders_are_kept() -> None:
    with receiving("tcp://127.0.0.1:0?senders=2") as receiver:
        one, _ = receiver.raw("one")
        assert receiver.status("one") is Status.NAME_IN_USE
        two, _ = receiver.raw("two")
        assert receiver.status("three") is Status.FULL
        one.sendall(FrameHead(Kind.END, 0, 0).pack())
        one.recv(CREDIT_BYTES, socket.MSG_WAITALL)
        one.close()
        while (status := receiver.status("one")) is Status.NAME_IN_USE:
            pass
        assert status is Status.ENDED
        two.close()


def test_it_says_where_it_cannot_listen() -> None:
    with receiving() as receiver, pytest.raises(SourceError, match="cannot listen there"):
        WordServer(receiver.address, expected=Expected.any())
