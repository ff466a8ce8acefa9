"""Connections to a real server: strangers, however many and slow, take nothing from others."""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from websockets.asyncio.client import connect as connect_later
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from muonstream.dashboard.access.connections import Limits, raise_file_limit
from muonstream.dashboard.access.options import Access, PageOptions
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.server import Dashboard

__all__ = ["certificate"]  # a fixture

TOKEN = "a-token-that-lasts"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
LONG_S = 60.0
"""A test that waits for so long has failed."""
FOR_GOOD = 3600.0


@contextmanager
def served(limits: Limits, access: Access | None = None) -> Iterator[tuple[Dashboard, int]]:
    """A page that asks for a token, and its port."""
    dashboard = Dashboard(port=0, access=access or Access(token=Token(TOKEN)), limits=limits)
    dashboard.start()
    try:
        yield dashboard, int(dashboard.url.split(":")[2].split("/")[0])
    finally:
        dashboard.stop()


def asked(port: int, path: str = "/healthz", **headers: str) -> tuple[int, Any]:
    """The answer's status and JSON to a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_S)
    connection.request("GET", path, headers=headers or SHOWN)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if answer.status == 200 else text


def opened(stack: ExitStack, port: int, sent: bytes = b"") -> socket.socket:
    """A connection that has sent this and says no more."""
    made = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LONG_S))
    made.sendall(sent)
    return made


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1"])
def test_connections_that_wait_give_way_to_new_ones(sent: bytes) -> None:
    with served(Limits(most=8, request_s=FOR_GOOD)) as (dashboard, port), ExitStack() as stack:
        strangers = [opened(stack, port, sent) for _ in range(100)]
        assert [rest(one) for one in strangers[:90]] == [b""] * 90
        status, report = asked(port)
        assert (status, report["healthy"]) == (200, True)
        found = report["connections"]
        assert (found["displaced"], found["refused"], found["timed_out"]) == (93, 0, 0)
        assert found["open"] == 8
        assert dashboard.connections()["accepted"] == 101


POST = b"POST /api/acknowledge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX: ", b"x"),
        (POST + b"Content-Length: 4000\r\n\r\n", b"x"),
        (POST + f"Authorization: Bearer {TOKEN}\r\nContent-Length: 4000\r\n\r\n".encode(), b"x"),
    ],
)
def test_a_request_that_does_not_end_is_given_up(capfd: pytest.CaptureFixture[str], sent: bytes, drip: bytes) -> None:
    with served(Limits(request_s=0.3)) as (dashboard, port), ExitStack() as stack:
        slow = opened(stack, port, sent)
        slow.settimeout(0.02)
        ended = False
        while not ended:
            try:
                slow.sendall(drip)
                ended = slow.recv(1000) == b""
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                ended = True
        assert asked(port)[0] == 200
        assert dashboard.connections()["timed_out"] == 1
    assert capfd.readouterr().err == ""


def test_a_sender_who_leaves_in_the_middle_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with served(Limits()) as (_, port):
        for authorization in (f"Authorization: Bearer {TOKEN}\r\n".encode(), b""):
            with ExitStack() as stack:
                one = opened(stack, port, POST + authorization + b"Content-Length: 100\r\n\r\n{")
                one.shutdown(socket.SHUT_WR)
                rest(one)
        while asked(port)[1]["connections"]["open"] > 1:
            pass
    assert capfd.readouterr().err == ""


def test_what_is_no_http_is_counted_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with served(Limits()) as (_, port), ExitStack() as stack:
        assert rest(opened(stack, port, b"\x16\x03\x01 nothing\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert asked(port)[1]["connections"]["malformed"] == 1
    assert capfd.readouterr().err == ""


def test_no_more_connections_than_the_limit_are_open() -> None:
    with served(Limits(most=4, request_s=FOR_GOOD)) as (dashboard, port), ExitStack() as stack:
        address = f"ws://127.0.0.1:{port}/ws"
        viewers = [stack.enter_context(connect(address, additional_headers=SHOWN)) for _ in range(4)]
        assert [json.loads(viewer.recv())["starting"] for viewer in viewers] == [""] * 4
        assert rest(opened(stack, port)) == b""
        assert dashboard.connections()["refused"] == 1
        viewers[0].close()
        while dashboard.connections()["open"] > 3:
            pass
        assert asked(port)[0] == 200


def test_viewers_keep_their_places_whoever_waits() -> None:
    with served(Limits(most=6, request_s=FOR_GOOD)) as (dashboard, port), ExitStack() as stack:
        address = f"ws://127.0.0.1:{port}/ws"
        viewers = [stack.enter_context(connect(address, additional_headers=SHOWN)) for _ in range(4)]
        strangers = [opened(stack, port) for _ in range(50)]
        assert [rest(one) for one in strangers[:48]] == [b""] * 48
        dashboard.feed.say("Still here.")
        for viewer in viewers:
            while json.loads(viewer.recv())["starting"] != "Still here.":
                pass
        assert asked(port)[0] == 200


def test_viewers_who_come_all_at_once_get_no_more_places_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.dashboard.app.MAX_VIEWERS", 5)

    async def seen(port: int, first: asyncio.Event) -> int:
        async with connect_later(f"ws://127.0.0.1:{port}/ws", additional_headers=SHOWN) as socket:
            try:
                await socket.recv()
            except ConnectionClosed as error:
                return error.rcvd.code if error.rcvd else 0
            await first.wait()  # stay until all know
            return 1000

    async def all_at_once(port: int) -> list[int]:
        first = asyncio.Event()
        viewers = [asyncio.create_task(seen(port, first)) for _ in range(60)]
        done: set[asyncio.Task[int]] = set()
        while len(done) < 55:
            done |= (await asyncio.wait(set(viewers) - done, return_when=asyncio.FIRST_COMPLETED, timeout=LONG_S))[0]
        first.set()
        return sorted(await asyncio.gather(*viewers))

    with served(Limits()) as (_, port):
        assert asyncio.run(all_at_once(port)) == [1000] * 5 + [1013] * 55
        with connect(f"ws://127.0.0.1:{port}/ws", additional_headers=SHOWN) as later:
            assert "starting" in json.loads(later.recv())


def test_answers_are_sent_at_once() -> None:
    with served(Limits()) as (dashboard, port), ExitStack() as stack:
        answer = opened(stack, port)
        assert dashboard._server is not None
        while not dashboard._server.server_state.connections:
            pass
        [held] = dashboard._server.server_state.connections
        inside = held.transport.get_extra_info("socket")
        assert inside.getpeername() == answer.getsockname()
        assert inside.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


FULL = """
import asyncio, os, resource, socket, sys
import uvicorn
from uvicorn.server import ServerState
from muonstream.dashboard.access.connections import Connection, Counts, Door, Limits

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})

async def main():
    config = uvicorn.Config(app, lifespan="off", access_log=False)
    config.load()
    listening = socket.create_server(("127.0.0.1", 0))
    counts = Counts()
    made = lambda visit: Connection(visit, config=config, server_state=ServerState(), app_state={}, _loop=None)
    door = Door(listening, made, limits=Limits(), counts=counts)
    door.open()
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        print(listening.getsockname()[1], flush=True)
    while not counts.files_used_up:
        await asyncio.sleep(0)
    print(door.problem)
    for one in taken:
        os.close(one)
    while not door.report()["open"]:
        await asyncio.sleep(0)
    print(repr(door.problem), flush=True)
    while door.report()["open"]:
        await asyncio.sleep(0)
    door.close()

asyncio.run(main())
"""


def test_without_files_connections_wait_until_there_are_some() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FULL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert asked(int(process.stdout.readline())) == (200, {})
        told = "the page accepts no connections: too many files are open\n''\n"
        assert process.communicate() == (told, "")


def test_the_soft_limit_of_files_is_raised_as_far_as_it_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = raise_file_limit()
    assert min(before[0], limit) <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    program = (
        "import resource; from muonstream.dashboard.access.connections import raise_file_limit as up;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "print(up(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], up(50))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["300", "300", "50"]


def test_tls_is_served_and_its_handshake_is_bounded_too(
    certificate: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    cert, key = certificate
    access = Access.of(PageOptions(port=0, tls_cert=cert, tls_key=key))
    limits = Limits(most=4, request_s=FOR_GOOD)
    with served(limits, access) as (dashboard, port), ExitStack() as stack:
        assert dashboard.url == f"https://127.0.0.1:{port}/"
        trusted = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=LONG_S, context=trusted)
        strangers = [opened(stack, port) for _ in range(10)]
        assert [rest(one) for one in strangers[:6]] == [b""] * 6
        connection.request("GET", "/healthz")
        assert json.loads(connection.getresponse().read())["healthy"]
        with connect(f"wss://127.0.0.1:{port}/ws", ssl=trusted) as viewer:
            assert "starting" in json.loads(viewer.recv())
        rest(opened(stack, port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
        while not dashboard.connections()["malformed"]:
            pass
        connection.close()
    with served(Limits(request_s=0.3), access) as (dashboard, port), ExitStack() as stack:
        assert rest(opened(stack, port)) == b""
        assert dashboard.connections()["timed_out"] == 1
    assert capfd.readouterr().err == ""


def test_a_page_whose_token_is_refused_again_and_again_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    dashboard = Dashboard(port=0, access=Access(token=Token("another-token-than-theirs")))
    dashboard.start()
    try:
        address = dashboard.url.partition("?")[0].replace("http", "ws", 1)
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught, connect(f"{address}ws"):
                pass
            assert caught.value.response.status_code == 401
    finally:
        dashboard.stop()
    assert capfd.readouterr() == ("", "")
