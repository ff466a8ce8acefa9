from __future__ import annotations

from base64 import b64encode
from queue import SimpleQueue

import pytest
from posting_servers import OK, SECRET, answering, free_port

from muonstream.sinks.posting import Address, AddressError, PostError, RedirectError, post, start_thread

BROKEN = {
    "not HTTP": (b"220 mail.example.org ESMTP " + SECRET.encode() + b"\r\n", "does not speak HTTP (BadStatusLine)"),
    "noise": (b"\x00\xff" * 40 + b"\n", "does not speak HTTP (BadStatusLine)"),
    "nothing": (b"", "the connection was closed without an answer"),
    "endless line": (b"HTTP/1.1 200 " + b"x" * 100_000, "does not speak HTTP (LineTooLong)"),
    "error": (b"HTTP/1.1 500 \x1b[31m" + SECRET.encode() + b"\r\n\r\n", "it answered 500 Internal Server Error"),
    "unknown code": (b"HTTP/1.1 799 x\r\n\r\n", "it answered 799"),
    "code that is no number": (b"HTTP/1.1 abc x\r\n\r\n", "does not speak HTTP (BadStatusLine)"),
    "slow": (None, "no answer within 0.3 s"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_answers_is_one_line_without_secrets(kind: str) -> None:
    answer, text = BROKEN[kind]
    with answering(answer) as server, pytest.raises(PostError) as failed:
        post(Address.parse(server.url), b"{}", timeout_s=0.3)
    assert text in str(failed.value)
    assert SECRET not in str(failed.value)
    assert str(failed.value).isprintable()


def test_a_closed_port_is_one_line() -> None:
    with pytest.raises(PostError, match="Connection refused"):
        post(Address.parse(f"http://127.0.0.1:{free_port()}/{SECRET}"), b"{}", timeout_s=10)


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("where", ["there", "file:///etc/passwd", None])
def test_redirects_are_never_followed(code: int, where: str | None) -> None:
    with answering(OK) as other:
        location = f"Location: {other.url if where == 'there' else where}\r\n" if where else ""
        with answering(f"HTTP/1.1 {code} x\r\n{location}\r\n".encode()) as server:
            with pytest.raises(RedirectError, match=f"it answered {code}, a redirect, which is not followed"):
                post(Address.parse(server.url), b"{}", timeout_s=10)
            assert server.requests.qsize() == 1
        assert other.requests.empty()


def test_what_is_posted_arrives_with_its_login() -> None:
    with answering(OK) as server:
        post(Address.parse(f"http://anna:p%40ss@127.0.0.1:{server.port}/hook#part"), b'{"a": 1}', timeout_s=10)
        request = server.requests.get()
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"Authorization: Basic " + b64encode(b"anna:p@ss") in request
    assert request.endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"http://a {SECRET}/", "found a space at place 9 of the address"),
        (f"http://a/{SECRET}\n", "found a character that is not printable ASCII at place 22"),
        (f"http://a/{SECRET}é", "found a character that is not printable ASCII"),
        (f"http://a:{SECRET}@b:99999/", "found an invalid host or port"),
        (f"http://a:{SECRET}/", "found an invalid host or port"),
        (f"http://[{SECRET}/", "found an invalid host or port"),
        (f"http:///{SECRET}", "found no host"),
        (f"http://:80/{SECRET}", "found no host"),
        (f"http://a:0/{SECRET}", "found port 0"),
        (f"htps://a/{SECRET}", "found the scheme 'htps'"),
        (f"file:///{SECRET}", "found the scheme 'file'"),
        (f"a/{SECRET}", "found no scheme"),
        ("", "found no scheme"),
    ],
)
def test_addresses_that_cannot_be_are_named_without_their_secrets(url: str, found: str) -> None:
    with pytest.raises(AddressError) as refused:
        Address.parse(url)
    assert str(refused.value).startswith(found)
    assert "expected an address of http or https" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_address_never_shows_more_than_its_host() -> None:
    assert repr(Address.parse(f"https://me:{SECRET}@host/{SECRET}")) == "Address(host='host')"


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyboardInterrupt(), SystemExit(3)])
def test_a_thread_that_dies_is_told(error: BaseException) -> None:
    told: SimpleQueue[str] = SimpleQueue()

    def work() -> None:
        raise error

    start_thread("x", work, told.put).join()
    assert told.get_nowait() == type(error).__name__
