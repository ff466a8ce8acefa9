"""The image of a container: what can be checked of it without an engine; `make image` builds and runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import muonstream
from tools import image
from tools.hashed import EXTRAS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
WELL = b'{"healthy": true, "reasons": [], "state": "running"}'
IMAGES = [DEPLOY / "Dockerfile", DEPLOY / "kubernetes" / "Dockerfile"]


@contextmanager
def page(status: int, body: bytes, token: str = "") -> Iterator[int]:
    """A page whose /healthz answers so to those who have the token; gives its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/healthz" and self.headers.get("Authorization", "") == (
                f"Bearer {token}" if token else ""
            )
            self.send_response(status if known else 401)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def asked(port: int, **variables: str) -> tuple[int, str]:
    """The exit code of the image's health check, and what it prints."""
    environment = {"MUONSTREAM_PORT": str(port), "http_proxy": "http://127.0.0.1:9", **variables}
    command = [sys.executable, "-I", str(DEPLOY / "health.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def test_the_health_check_says_what_the_page_says(tmp_path: Path) -> None:
    with page(200, WELL) as port:
        assert asked(port) == (0, "running")
    (tmp_path / "token").write_text("secret-of-the-page\n", "utf-8")
    with page(200, WELL, token="secret-of-the-page") as port:
        assert asked(port, MUONSTREAM_TOKEN="secret-of-the-page") == (0, "running")
        assert asked(port, MUONSTREAM_TOKEN_FILE=str(tmp_path / "token")) == (0, "running")
        code, said = asked(port)
        assert (code, said.endswith("set MUONSTREAM_TOKEN")) == (1, True)
    reasons = json.dumps({"healthy": False, "reasons": ["no data have come for 40 s", "x: cannot be written"]}).encode()
    with page(503, reasons) as port:
        assert asked(port) == (1, "no data have come for 40 s; x: cannot be written")
    with page(503, b"<html>") as port:
        assert asked(port)[1].endswith("found status 503, expected 200")


@pytest.mark.parametrize(
    "variables",
    [{}, {"MUONSTREAM_TOKEN_FILE": "/nowhere"}, {"MUONSTREAM_PORT": "a"}],
    ids=["no page", "no file", "no port"],
)
def test_the_health_check_fails_in_one_line(variables: dict[str, str]) -> None:
    with page(200, b"") as port:
        pass
    code, said = asked(port, **variables)
    assert (code, len(said.splitlines())) == (1, 1)


@pytest.mark.parametrize("path", IMAGES, ids=["muonstream", "Spark"])
def test_an_image_runs_as_a_user_with_a_name_and_is_told_its_tag(path: Path) -> None:
    text = path.read_text("utf-8")
    [user] = re.findall(r"^USER (\d+):", text, re.MULTILINE)
    assert int(user) > 0
    assert f"useradd --uid {user} " in text[: text.index("\nUSER ")]
    assert re.findall(rf"-t muonstream:{muonstream.__version__}(?:-spark)? \.", text)


def test_the_image_has_a_health_check_and_is_ended_by_sigterm() -> None:
    assert re.search(r'^HEALTHCHECK .* CMD \["muonstream-health"\]$', DOCKERFILE, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", DOCKERFILE, re.MULTILINE)
    # no shell between the engine and the program, which would keep signals to itself
    assert re.search(r'^ENTRYPOINT \["muonstream"\]$', DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert "FROM scratch" not in DOCKERFILE


def test_the_python_of_the_image_has_checksums() -> None:
    [version] = set(re.findall(r"^FROM python:(3\.\d+)-slim", DOCKERFILE, re.MULTILINE))
    first = (DEPLOY / "requirements.txt").read_text("utf-8").splitlines()[0]
    assert version in first
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(EXTRAS) <= set(project["optional-dependencies"])


def test_without_an_engine_one_line_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "DOCKER", "no-such-engine")
    assert image.main([]) == 1
    expected = "tools.image: found no program no-such-engine, expected Docker or an engine with the same command line\n"
    assert capsys.readouterr().err == expected
