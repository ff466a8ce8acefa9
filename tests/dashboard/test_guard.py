from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from muonstream.dashboard.access.guard import CALLER, SECURITY_HEADERS, Guard
from muonstream.dashboard.access.hosts import Origin, PublicUrl, is_address, is_loopback, own_hosts, split_host
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token

TOKEN = "secret-secret"


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("seen")


async def feed(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("seen")
    await socket.close()


async def who(request: Request) -> JSONResponse:
    caller = request.scope[CALLER]
    return JSONResponse([caller.user, caller.may_act])


ACTING = ["POST", "PUT", "DELETE", "PATCH"]
APP = Starlette(
    routes=[
        Route("/", page),
        Route("/folder/page", page),
        Route("/who", who),
        Route("/act", page, methods=ACTING),
        WebSocketRoute("/feed", feed),
    ]
)


def client(
    base_url: str = "http://127.0.0.1:8050", *, bound_to: str = "127.0.0.1", token: str | None = None
) -> TestClient:
    return asking(Access(bound_to=bound_to, token=None if token is None else Token(token)), base_url)


def asking(access: Access, base_url: str = "http://127.0.0.1:8050", address: str = "127.0.0.1") -> TestClient:
    """A client of this address, which is guarded in this way."""
    return TestClient(Guard(APP, access=access), base_url=base_url, follow_redirects=False, client=(address, 50_000))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("host", "expected"), [("1.2.3.4", True), ("::1", True), ("1.2.3.4.example", False), ("1.2.3", False), ("", False)]
)
def test_an_address_is_no_name(host: str, expected: bool) -> None:
    assert is_address(host) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("localhost", ("localhost", None)),
        ("LabPC.Example.:8050", ("labpc.example", 8050)),
        ("[::1]:80", ("::1", 80)),
        ("10.0.0.1", ("10.0.0.1", None)),
    ],
)
def test_a_host_is_a_name_and_a_port(value: str, expected: tuple[str, int | None]) -> None:
    assert split_host(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":80",
        "a b",
        "a\t",
        "user@localhost",
        "localhost/path",
        "localhost?x",
        "localhost#x",
        "localhost:x",
        "a:99999",
        "[::1",
    ],
)
def test_what_is_no_host_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_host(value)
    assert client().get("/", headers={"host": value}).status_code == 421


@pytest.mark.parametrize(
    ("host", "bound_to", "status"),
    [
        ("localhost:8050", "127.0.0.1", 200),
        ("[::1]:8050", "::1", 200),
        ("LOCALHOST.", "127.0.0.1", 200),
        ("192.168.1.2", "127.0.0.1", 421),
        ("192.168.1.2", "0.0.0.0", 200),
        ("evil.example", "127.0.0.1", 421),
        ("evil.example", "0.0.0.0", 421),
        ("127.0.0.1.evil.example", "0.0.0.0", 421),
        ("labpc.example", "LabPC.example", 200),
    ],
)
def test_a_host_must_be_one_of_ours(host: str, bound_to: str, status: int) -> None:
    assert client(bound_to=bound_to).get("/", headers={"host": host}).status_code == status


def test_bound_to_all_addresses_our_own_names_are_ours() -> None:
    assert {"localhost", "127.0.0.1", "::1"} < own_hosts("0.0.0.0")
    assert own_hosts("127.0.0.1") == {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8050"}, 200),
        ({"origin": "https://127.0.0.1:8050"}, 200),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
    ],
)
def test_requests_come_from_our_own_page_or_from_none(headers: dict[str, str], status: int) -> None:
    assert client().get("/", headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/", "/none"])
@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_every_answer_carries_the_headers(path: str, host: str) -> None:
    answer = client().get(path, headers={"host": host})
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        (TOKEN, 401),
    ],
)
def test_a_program_brings_its_token_as_bearer(authorization: str, status: int) -> None:
    answer = client(token=TOKEN).get("/", headers={"authorization": authorization})
    assert answer.status_code == status
    assert status == 200 or answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["", "wrong", "é", TOKEN[:-1], TOKEN.upper()])
def test_a_wrong_token_is_no_use(given: str) -> None:
    answer = client(token=TOKEN).get("/", params={"token": given})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (f"/?token={TOKEN}", "./"),
        (f"/?a=1&token={TOKEN}&b=x%26y", "./?a=1&b=x%26y"),
        (f"/folder/page?token={TOKEN}", "./page"),
        (f"//evil.example/?token={TOKEN}", "./"),
        (f"//evil.example?token={TOKEN}", "./evil.example"),
    ],
)
def test_the_token_goes_from_the_address_into_a_cookie(path: str, location: str) -> None:
    browser = client(token=TOKEN)
    answer = browser.get(f"http://127.0.0.1:8050{path}")
    assert (answer.status_code, answer.headers["location"]) == (303, location)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("muonstream_8050=")
    assert TOKEN not in cookie
    for part in ("HttpOnly", "SameSite=strict"):
        assert part in cookie
    assert "Secure" not in cookie
    assert answer.headers["cache-control"] == "no-store"
    assert browser.get("/").text == "seen"


def test_over_tls_the_cookie_stays_there() -> None:
    answer = client("https://127.0.0.1:8050", token=TOKEN).get("/", params={"token": TOKEN})
    assert "Secure" in answer.headers["set-cookie"]


def test_from_another_site_the_page_is_opened_once_more() -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = client(token=TOKEN).get("/", params={"token": TOKEN}, headers=headers)
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert TOKEN not in answer.text
    assert "set-cookie" in answer.headers


def test_the_cookie_of_another_token_or_port_is_no_use() -> None:
    cookie = client(token=TOKEN).get("/", params={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    assert client(token=TOKEN).get("/", headers={"cookie": cookie}).status_code == 200
    assert client(token="another").get("/", headers={"cookie": cookie}).status_code == 401
    elsewhere = client("http://127.0.0.1:8051", token=TOKEN)
    assert elsewhere.get("/", headers={"cookie": cookie}).status_code == 401


@pytest.mark.parametrize(
    ("path", "headers", "refused"),
    [
        ("/feed", {}, 401),
        (f"/feed?token={TOKEN}", {}, 401),
        ("/feed", {"authorization": f"Bearer {TOKEN}"}, None),
        ("/feed", {"authorization": f"Bearer {TOKEN}", "origin": "http://127.0.0.1:8050"}, None),
        ("/feed", {"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example"}, 403),
        ("/feed", {"authorization": f"Bearer {TOKEN}", "host": "evil.example"}, 421),
        # as a browser sends it that was led here by a foreign name
        ("/feed", {"host": "evil.example", "origin": "http://evil.example"}, 421),
        ("/feed", {"host": "evil.example", "origin": "http://other.example"}, 421),
    ],
)
def test_a_websocket_is_guarded_as_well(path: str, headers: dict[str, str], refused: int | None) -> None:
    browser = client(token=TOKEN)
    if refused is None:
        with browser.websocket_connect(path, headers={"host": "127.0.0.1:8050", **headers}) as socket:
            assert socket.receive_text() == "seen"
        return
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        browser.websocket_connect(path, headers={"host": "127.0.0.1:8050", **headers}),
    ):
        pass
    assert caught.value.status_code == refused


OPERATOR = "operators-secret"
PUBLIC = PublicUrl.parse("https://lab.it/muon/")
SEEN = (200, "seen")


def answered(browser: TestClient, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str]:
    answer = browser.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    return answer.status_code, answer.text


@pytest.mark.parametrize("token", [None, Token(TOKEN)])
@pytest.mark.parametrize("method", ACTING)
def test_acting_needs_the_operators_token_where_there_is_one(token: Token | None, method: str) -> None:
    browser = asking(Access(token=token, operator_token=Token(OPERATOR)))
    seeing = {"authorization": f"Bearer {TOKEN}"}
    assert answered(browser, **seeing) == SEEN
    status, text = answered(browser, "/act", method, **seeing)
    assert (status, text) == (403, "You may see this page, but not act: this needs the operators' token.\n")
    assert answered(browser, "/act", method, authorization=f"Bearer {OPERATOR}") == SEEN
    assert answered(browser, "/act", method)[0] == (403 if token is None else 401)
    assert browser.get("/", params={"token": OPERATOR}).status_code == 303
    assert answered(browser, "/act", method) == SEEN


def test_without_an_operators_token_whoever_sees_may_act() -> None:
    assert answered(asking(Access()), "/act", "POST") == SEEN
    assert answered(asking(Access(token=Token(TOKEN))), "/act", "POST", authorization=f"Bearer {TOKEN}") == SEEN


def test_a_cookie_outlives_the_process_that_gave_it() -> None:
    first = asking(Access(token=Token(TOKEN), operator_token=Token(OPERATOR)))
    for token, status in ((TOKEN, 403), (OPERATOR, 200)):
        cookie = first.get("/", params={"token": token}).headers["set-cookie"].partition(";")[0]
        second = asking(Access(token=Token(TOKEN), operator_token=Token(OPERATOR)))
        assert answered(second, cookie=cookie) == SEEN
        assert answered(second, "/act", "POST", cookie=cookie)[0] == status


@pytest.mark.parametrize(
    ("address", "user", "caller"),
    [
        ("127.0.0.1", "ann", ("ann", True)),
        ("10.0.0.5", "bob", ("bob", False)),
        ("10.0.0.5", "J\u00fcrgen", ("J\u00fcrgen", False)),
        ("10.0.0.6", "ann", None),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "a\tb", None),
        ("127.0.0.1", "x" * 101, None),
    ],
)
def test_a_trusted_proxy_says_who_it_is(address: str, user: str, caller: tuple[str, bool] | None) -> None:
    access = Access(
        token=Token(TOKEN),
        user_header="x-remote-user",
        proxies=(ip_network("10.0.0.5"),),
        operators=frozenset({"ann"}),
    )
    browser = asking(access, address=address)
    answer = browser.get("/who", headers=[(b"x-remote-user", user.encode())])
    if caller is None:
        assert answer.status_code == 401
    else:
        assert answer.json() == list(caller)
    assert browser.get("/who", headers={"authorization": f"Bearer {TOKEN}"}).json() == ["", False]


def test_a_user_who_is_named_twice_is_nobody() -> None:
    browser = asking(Access(token=Token(TOKEN), user_header="x-remote-user"))
    twice = [(b"x-remote-user", b"ann"), (b"x-remote-user", b"bob")]
    assert browser.get("/who", headers=twice).status_code == 401


def test_forwarded_addresses_make_nobody_trusted() -> None:
    browser = asking(Access(token=Token(TOKEN), user_header="x-remote-user"), address="10.0.0.6")
    status, _ = answered(browser, x_remote_user="ann", x_forwarded_for="127.0.0.1", forwarded="for=127.0.0.1")
    assert status == 401


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/muon/", {"host": "lab.it"}, 200),  # the proxy keeps both
        ("/", {"host": "lab.it"}, 200),  # takes the prefix off
        ("/muon/", {"host": "127.0.0.1:8765"}, 200),  # or names us
        ("/muon/folder/page", {"host": "lab.it"}, 200),
        ("/muon", {"host": "lab.it"}, 308),
        ("/muonstream/", {"host": "lab.it"}, 404),
        ("/", {"host": "other.it"}, 421),
        ("/", {"host": "lab.it", "origin": "https://lab.it"}, 200),
        ("/", {"host": "127.0.0.1:8765", "origin": "https://lab.it"}, 200),
        ("/", {"host": "127.0.0.1:8765", "origin": "http://lab.it"}, 403),
        ("/", {"host": "lab.it", "origin": "https://lab.it.evil.example"}, 403),
    ],
)
def test_behind_a_proxy_the_public_address_is_ours(path: str, headers: dict[str, str], expected: int) -> None:
    assert asking(Access(public=PUBLIC)).get(path, headers=headers).status_code == expected


def test_the_bare_prefix_leads_to_the_page() -> None:
    assert asking(Access(public=PUBLIC)).get("/muon", headers={"host": "lab.it"}).headers["location"] == "/muon/"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/muon/", {"host": "lab.it"}),
        ("/", {"host": "lab.it"}),
        ("/", {"host": "127.0.0.1:8765", "x-forwarded-host": "lab.it"}),
        ("/muon/", {"host": "127.0.0.1:8765"}),
    ],
)
def test_the_public_cookie_is_for_its_prefix_and_tls_alone(path: str, headers: dict[str, str]) -> None:
    browser = asking(Access(public=PUBLIC, token=Token(TOKEN)))
    answer = browser.get(path, params={"token": TOKEN}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie, *rest = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith("muonstream_443_muon=")
    assert {"Path=/muon/", "Secure", "HttpOnly", "SameSite=strict"} <= set(rest)
    assert answered(browser, path, cookie=cookie, **headers) == SEEN
    # without TLS no browser would send it back
    direct = browser.get("/", params={"token": TOKEN}, headers={"host": "127.0.0.1:8765"}).headers["set-cookie"]
    assert direct.startswith("muonstream_8765=")
    assert "Path=/;" in direct
    assert "Secure" not in direct


def test_further_names_are_ours_if_they_are_allowed() -> None:
    access = Access(hosts=frozenset({"muon.lab.it"}))
    assert answered(asking(access), host="muon.lab.it:8765") == SEEN
    assert answered(asking(access), host="lab.it")[0] == 421


def test_only_sites_that_are_named_may_show_the_page_in_a_frame() -> None:
    access = Access(public=PUBLIC, token=Token(TOKEN), frames=(Origin.parse("https://wall.it"),))
    headers = {"host": "lab.it", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = asking(access).get("/muon/", params={"token": TOKEN}, headers=headers)
    assert "frame-ancestors 'self' https://wall.it" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers
    # in another site's frame, a browser would keep no strict cookie
    for part in ("SameSite=none", "Secure", "Partitioned"):
        assert part in answer.headers["set-cookie"]


def test_a_request_whose_end_is_in_doubt_is_refused() -> None:
    headers = {"content-length": "3", "transfer-encoding": "chunked"}
    answer = client().post("/", headers=headers, content=b"abc")
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"host": "evil"}, 421), ({"origin": "http://evil"}, 403)])
def test_a_refusal_ends_the_connection(headers: dict[str, str], status: int) -> None:
    answer = client(token=TOKEN).get("/", headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (status, "close")
