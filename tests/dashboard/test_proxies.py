"""The page behind real proxies: prefix, live stream, TLS, users; and in another site's frame."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Final, NamedTuple

import pytest
from browser_fixtures import LONGEST_WAIT_MS
from certificates import certificate
from playwright.sync_api import Browser
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from muonstream.dashboard.access.options import Access, PageOptions
from muonstream.dashboard.server import Dashboard
from tools.machine import APACHE_HINT, CADDY_HINT, NGINX_HINT, find_apache, find_caddy, find_nginx, in_ci

__all__ = ["certificate"]  # a fixture

LONG_S: Final = 60.0
TOKEN: Final = "a-token-that-lasts"
MODULES: Final = (
    "mpm_event authn_core authn_file authz_core authz_user auth_basic headers proxy proxy_http proxy_wstunnel"
)
APACHE_MODULES: Final = "/usr/lib/apache2/modules"
BCRYPT: Final = "$2y$04$GzuJAiXWv1eCh.yQWAXTV.a3rauLBaarjKEqbR5ngGCQvDX3iTUli"
"""Of the word secret."""
DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "access.md").read_text("utf-8")


def example(kind: str, page: int) -> str:
    """What the document has a proxy's configuration say, for a page at this port."""
    found = DOCUMENT.partition(f"```{kind}\n")[2].partition("```")[0]
    assert found, kind
    return found.replace("127.0.0.1:8765", f"127.0.0.1:{page}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that also the proxies' own users can look into."""
    with tempfile.TemporaryDirectory(prefix="muonstream-proxy-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        password = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
        (path / "users").write_text(f"ann:{{SHA}}{password}\nbob:{{SHA}}{password}\n", "ascii")
        yield path


class Proxy:
    """A proxy's program and configuration: `users` has it ask for passwords, tls is a certificate and its key."""

    def __init__(self, folder: Path, page: int, *, users: bool = False, tls: tuple[Path, Path] | None = None) -> None:
        self.folder, self.page, self.users, self.tls, self.port = folder, page, users, tls, free_port()

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/muon/"

    @contextmanager
    def running(self) -> Iterator[None]:
        log = self.folder / "output"
        with open(log, "wb") as output, subprocess.Popen(self.command(), stdout=output, stderr=output) as process:
            try:
                while True:
                    assert process.poll() is None, log.read_text("utf-8") + (self.folder / "error.log").read_text(
                        "utf-8"
                    )
                    try:
                        socket.create_connection(("127.0.0.1", self.port), timeout=LONG_S).close()
                        break
                    except ConnectionRefusedError:
                        continue
                yield
            finally:
                process.terminate()


class Nginx(Proxy):
    def command(self) -> list[str]:
        folder = self.folder
        asked = f'auth_basic "muons"; auth_basic_user_file {folder}/users;' if self.users else ""
        tls = "" if self.tls is None else f"ssl_certificate {self.tls[0]}; ssl_certificate_key {self.tls[1]};"
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        listen = f"listen 127.0.0.1:{self.port}{'' if self.tls is None else ' ssl'};"
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; worker_processes 1; events {{}}\n"
            f"http {{ access_log off; {temporary}\n{example('nginx-map', self.page)}\n"
            f"server {{ {listen} {tls} {asked}\n{example('nginx', self.page)} }} }}\n",
            "utf-8",
        )
        return [str(find_nginx()), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


class Apache(Proxy):
    def command(self) -> list[str]:
        folder = self.folder
        ask = f"AuthType Basic\nAuthName muons\nAuthUserFile {folder}/users\nRequire valid-user"
        asked = f"<Location /muon/>\n{ask}\n</Location>" if self.users else ""
        load = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in MODULES.split())
        (folder / "apache.conf").write_text(
            f"ServerRoot {folder}\nServerName 127.0.0.1\nListen 127.0.0.1:{self.port}\nPidFile {folder}/pid\n"
            f"ErrorLog {folder}/error.log\n{load}\nUser nobody\nGroup nogroup\nStartServers 1\n"
            f"{asked}\n{example('apache', self.page)}\n",
            "utf-8",
        )
        return [str(find_apache()), "-f", str(folder / "apache.conf"), "-DFOREGROUND"]


class Caddy(Proxy):
    def command(self) -> list[str]:
        folder = self.folder
        (folder / "error.log").touch()  # its errors go to its output
        asked = f"basicauth {{\nann {BCRYPT}\nbob {BCRYPT}\n}}" if self.users else ""
        (folder / "Caddyfile").write_text(
            f"{{\nadmin off\nauto_https off\nstorage file_system {folder}\n}}\n"
            f"http://127.0.0.1:{self.port} {{\nbind 127.0.0.1\n{asked}\n{example('caddy', self.page)}}}\n",
            "utf-8",
        )
        # it keeps its last configuration in a folder of its user
        kept = ["env", f"HOME={folder}", f"XDG_CONFIG_HOME={folder}"]
        return [*kept, str(find_caddy()), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def needed(name: str, found: Path | None, hint: str) -> None:
    """Skip a test that needs what this machine lacks; with CI=true it fails."""
    reason = f"needs {name}: {hint}"
    if found is None and in_ci():
        pytest.fail(reason)
    if found is None:
        pytest.skip(reason)


@pytest.fixture
def nginx(folder: Path) -> Callable[..., Proxy]:
    """Makes an nginx before the page at a port."""
    needed("nginx", find_nginx(), NGINX_HINT)
    return partial(Nginx, folder)


@pytest.fixture
def apache(folder: Path) -> Callable[..., Proxy]:
    """Makes an Apache before the page at a port."""
    needed("Apache", find_apache(), APACHE_HINT)
    return partial(Apache, folder)


@pytest.fixture
def caddy(folder: Path) -> Callable[..., Proxy]:
    """Makes a Caddy before the page at a port."""
    needed("Caddy", find_caddy(), CADDY_HINT)
    return partial(Caddy, folder)


@pytest.fixture(params=["nginx", "apache", "caddy"])
def proxy(request: pytest.FixtureRequest) -> Callable[..., Proxy]:
    """Each proxy in turn."""
    made: Callable[..., Proxy] = request.getfixturevalue(request.param)
    return made


@contextmanager
def served(port: int, options: PageOptions) -> Iterator[Dashboard]:
    dashboard = Dashboard(port=port, access=Access.of(options))
    dashboard.start()
    try:
        yield dashboard
    finally:
        dashboard.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN, "ascii")
    path.chmod(0o600)
    return path


class Answer(NamedTuple):
    """What the proxy answered."""

    status: int
    headers: Message
    text: str


def asked(proxy: Proxy, path: str, method: str = "GET", **headers: str) -> Answer:
    """The answer to a request of a browser that is at the proxy's address."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=LONG_S)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, f"/muon/{path}", headers=named, body="{}" if method == "POST" else None)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Answer(answer.status, answer.headers, text)


def test_the_page_and_its_live_stream_pass_a_proxy_with_a_prefix(proxy: Callable[..., Proxy], token_file: Path) -> None:
    before = proxy(free_port())
    options = PageOptions(token_file=token_file, public_url=before.url)
    with served(before.page, options) as dashboard, before.running():
        assert dashboard.url == before.url
        assert asked(before, "").status == 401
        entered = asked(before, f"?token={TOKEN}")
        assert (entered.status, entered.headers["location"]) == (303, "./")
        cookie, *rest = entered.headers["set-cookie"].split("; ")
        assert "Path=/muon/" in rest
        for path in ("", "static/app.js", "bokeh/bokeh.min.js", "api/verdicts", "healthz"):
            assert asked(before, path, cookie=cookie).status == 200, path
        origin = before.url.removesuffix("/muon/")
        sent = {"cookie": cookie, "content_type": "application/json"}
        assert asked(before, "api/acknowledge", "POST", origin=origin, **sent).status == 400
        assert asked(before, "api/acknowledge", "POST", origin="http://evil.example", **sent).status == 403

        address = f"ws://127.0.0.1:{before.port}/muon/ws"
        dashboard.feed.say("First.")
        with connect(address, additional_headers={"Cookie": cookie, "Origin": origin}) as viewer:
            assert json.loads(viewer.recv())["starting"] == "First."
            assert json.loads(viewer.recv())["starting"] == "First."
            for text in ("Second.", "Third."):
                dashboard.feed.say(text)
                assert json.loads(viewer.recv())["starting"] == text
        for headers, status in (({}, 401), ({"Cookie": cookie, "Origin": "http://evil.example"}, 403)):
            with pytest.raises(InvalidStatus) as caught, connect(address, additional_headers=headers):
                pass
            assert caught.value.response.status_code == status


def test_users_of_a_proxy_are_known_and_cannot_call_themselves_others(proxy: Callable[..., Proxy]) -> None:
    before = proxy(free_port(), users=True)
    options = PageOptions(public_url=before.url, user_header="X-Remote-User", operator=["ann"])
    with served(before.page, options), before.running():
        assert asked(before, "api/access", x_remote_user="ann").status == 401
        for name, may_act, status in (("ann", True, 400), ("bob", False, 403)):
            password = {"authorization": f"Basic {base64.b64encode(f'{name}:secret'.encode()).decode()}"}
            answer = asked(before, "api/access", x_remote_user="ann", **password)
            found = json.loads(answer.text)
            assert (found["user"], found["may_act"], found["why_not"] == "") == (name, may_act, may_act)
            sent = {"content_type": "application/json", **password}
            assert asked(before, "api/acknowledge", "POST", x_remote_user="ann", **sent).status == status


@pytest.mark.browser
def test_in_a_browser_a_page_behind_tls_and_a_prefix_outlives_a_restart_and_says_401(
    browser: Browser, nginx: Callable[..., Proxy], token_file: Path, certificate: tuple[Path, Path]
) -> None:
    before = nginx(free_port(), tls=certificate)
    options = PageOptions(token_file=token_file, public_url=before.url)
    page = browser.new_context(ignore_https_errors=True).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    foreign: list[str] = []
    page.on("request", lambda sent: None if sent.url.startswith(before.url) else foreign.append(sent.url))
    with before.running():
        with served(before.page, options) as dashboard:
            dashboard.feed.say("The first engine.")
            page.goto(f"{before.url}?token={TOKEN}")
            page.wait_for_selector("html[data-state=starting]")
            page.wait_for_selector("#empty-text:text('The first engine.')")
            assert page.url.partition("#")[0] == before.url
        page.wait_for_selector("html[data-state=connecting]")
        with served(before.page, options) as dashboard:
            dashboard.feed.say("The second engine.")
            page.wait_for_selector("#empty-text:text('The second engine.')")
        token_file.write_text(f"{TOKEN}-renewed", "ascii")
        with served(before.page, options):
            page.wait_for_selector("html[data-state=refused]")
            assert "401" in page.locator("#empty").inner_text()
    assert [url for url in foreign if not url.startswith(("data:", "blob:"))] == []


@contextmanager
def wall(shown: str) -> Iterator[str]:
    """Another site's page, which shows an address in a frame; gives its own address."""

    class Wall(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<iframe src="{shown}" width="1200" height="700"></iframe>'.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Wall)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize("allowed", [True, False])
def test_in_a_browser_only_an_allowed_site_shows_the_page_in_its_frame(
    browser: Browser, token_file: Path, certificate: tuple[Path, Path], allowed: bool
) -> None:
    port = free_port()
    with wall(f"https://127.0.0.1:{port}/?token={TOKEN}") as site:
        cert, key = certificate
        frame = site if allowed else "http://localhost:1"
        options = PageOptions(token_file=token_file, tls_cert=cert, tls_key=key, allow_frame=[frame])
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.set_default_timeout(LONGEST_WAIT_MS)
        with served(port, options) as dashboard:
            dashboard.feed.say("On the wall.")
            if allowed:
                page.goto(site)
                page.frame_locator("iframe").locator("#empty-text:text('On the wall.')").wait_for()
            else:
                with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
                    page.goto(site)
