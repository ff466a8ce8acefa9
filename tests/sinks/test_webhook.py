from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest
from posting_servers import OK, answering

from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.snapshot_codec import encode
from muonstream.simulation.telescope import simulate_words
from muonstream.sinks.webhook import TRIES, Webhook, WebhookError
from muonstream.verdicts.verdicts import Change


class Receiver(ThreadingHTTPServer):
    """Takes posts, and refuses the first few of them."""

    def __init__(self, refuse: int = 0) -> None:
        self.bodies: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.refuse = refuse
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?key=secret"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = self.server.refuse > 0
        self.server.refuse -= 1
        self.send_response(503 if refused else 204)
        self.end_headers()
        if not refused:
            self.server.bodies.put(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def change(subject: str) -> Change:
    return Change(1.0, 2.0, "t0", subject, Level.GOOD, Level.BAD, "late")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_changes_are_posted_and_those_in_between_together(receiver: Receiver) -> None:
    hook = Webhook(receiver.url, "run 1", interval_s=3600)
    hook(change("first"))
    first = receiver.bodies.get(timeout=60)
    assert first["run"] == "run 1"
    assert first["changes"] == [
        {
            "time": 1.0,
            "data_time_s": 2.0,
            "check": "t0",
            "subject": "first",
            "reason": "late",
            "before": "good",
            "after": "bad",
        }
    ]
    hook(change("second"))
    hook(change("third"))
    assert receiver.bodies.empty()  # the interval is not over
    hook.close()
    assert [found["subject"] for found in receiver.bodies.get(timeout=60)["changes"]] == ["second", "third"]


def test_a_refused_post_is_tried_again(receiver: Receiver) -> None:
    receiver.refuse = 2
    hook = Webhook(receiver.url, "run", first_pause_s=0.001)
    hook(change("first"))
    assert receiver.bodies.get(timeout=60)["changes"][0]["subject"] == "first"
    hook.close()


def test_what_cannot_be_posted_is_told_without_the_address(receiver: Receiver) -> None:
    receiver.refuse = TRIES
    told: SimpleQueue[str] = SimpleQueue()
    hook = Webhook(receiver.url, "run", failed=told.put, first_pause_s=0.001)
    hook(change("first"))
    text = told.get(timeout=60)
    assert text.startswith("webhook at 127.0.0.1: 1 change could not be posted: ")
    assert "secret" not in text
    hook.close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", "nonsense", "http://a b/"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(WebhookError, match=r"webhook: found .*; expected an address of http or https"):
        Webhook(url, "run")


def test_a_server_that_speaks_no_http_costs_one_post_and_not_the_next() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(*[b"no HTTP\r\n"] * TRIES, OK) as server:
        hook = Webhook(server.url, "run", failed=told.put, first_pause_s=0.001, interval_s=0)
        hook(change("first"))
        text = told.get(timeout=60)
        hook(change("second"))
        hook.close()
        posted = [body["changes"][0]["subject"] for body in server.bodies()]
    assert text.startswith("webhook at 127.0.0.1: 1 change could not be posted: the server does not speak HTTP")
    assert posted == ["first"] * TRIES + ["second"]
    assert told.empty()


def test_a_redirect_is_told_at_once_and_not_followed() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(OK) as other, answering(f"HTTP/1.1 302 x\r\nLocation: {other.url}\r\n\r\n".encode()) as server:
        hook = Webhook(server.url, "run", failed=told.put)
        hook(change("first"))
        assert "1 change could not be posted: it answered 302, a redirect, which is not followed" in told.get(
            timeout=60
        )
        hook.close()
        assert server.requests.qsize() == 1
        assert other.requests.empty()


def test_a_thread_that_ends_is_told() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(OK) as server:
        hook = Webhook(server.url, "run", failed=told.put)
        hook(replace(change("first"), reason=object()))  # type: ignore[arg-type]
        assert told.get(timeout=60) == (
            "webhook at 127.0.0.1: posting has ended (TypeError); no more changes are posted"
        )
        hook.close()


def test_a_server_that_does_not_answer_does_not_hold_up_the_end() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(None) as server:
        hook = Webhook(server.url, "run", failed=told.put, timeout_s=0.2, first_pause_s=3600)
        hook(change("first"))
        server.requests.get(timeout=60)
        hook.close()
    assert "webhook at 127.0.0.1: " in told.get(timeout=60)


def test_a_run_posts_its_alarms_and_compares_with_a_reference(receiver: Receiver, tmp_path: Path) -> None:
    words = simulate_words(300_000, seed=5)
    words.astype("<u8").tofile(tmp_path / "good.dat")
    with Pipeline(Detector.default(), run="good", workers=0) as pipeline:
        pipeline.push(words)
        pipeline.finish()
        (tmp_path / "good.musn").write_bytes(encode(pipeline.snapshot("ended")))
    half = simulate_words(300_000, seed=5, rate_hz=9300)
    half.astype("<u8").tofile(tmp_path / "noisy.dat")
    command = [sys.executable, "-m", "muonstream", "run", str(tmp_path / "noisy.dat"), "--no-page", "--no-follow"]
    options = ["--reference", str(tmp_path / "good.musn"), "--webhook", receiver.url]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    changes = []
    while not receiver.bodies.empty():
        changes += receiver.bodies.get()["changes"]
    noisy = {found["subject"] for found in changes if (found["check"], found["after"]) == ("noise", "bad")}
    assert noisy == {chamber.name for chamber in Detector.default().chambers}
    assert "Bad: Chamber 1: noise: " in done.stderr


def test_a_reference_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.musn").write_bytes(b"nothing")
    command = [sys.executable, "-m", "muonstream", "run", "sim:", "--no-page", "--reference", str(tmp_path / "x.musn")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    expected = (
        "x.musn: found 7 bytes that are not a snapshot; expected an archived run, or a snapshot as a page gives it"
    )
    assert expected in done.stderr
