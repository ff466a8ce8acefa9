from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest
from posting_servers import OK, SECRET, answering, free_port

from muonstream.detector.guidance import guidance_of
from muonstream.detector.level import Level
from muonstream.sinks.notify import MISSING, Notifier, NotifyError, Service
from muonstream.verdicts.notices import Event, Kind, Message, Notices

BAD = Event("noise", "Chamber 1", Level.BAD, 1e9, "1200 Hz, +82% against what it was", 0.82, 0.6)
OVER = Event("noise", "Chamber 1", Level.GOOD, 1e9 + 60, "as it should be again")


def address(port: int, options: str = "") -> str:
    return f"json://me:{SECRET}@localhost:{port}/{SECRET}{options}"


def notifier(url: str, failed: Callable[[str], None], *, limit: int = 20) -> Notifier:
    notices = Notices(limit=limit, remind_after_s=0)
    return Notifier(
        Service(url),
        notices,
        run="run 1",
        limit=limit,
        guidance=guidance_of,
        acknowledged=set,
        failed=failed,
        link=lambda: "http://page/",
    )


def test_an_alarm_and_its_end_reach_the_service() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(OK) as server:
        sender = notifier(address(server.port), told.put)
        sender(BAD)
        begins = server.body()
        sender(OVER)
        over = server.body()
        sender.close()
        assert server.requests.empty()
    assert (begins["title"], begins["type"]) == ("Bad: Chamber 1: noise (run 1)", "failure")
    for part in ("1200 Hz", "2001-09-", "limit 60 %", "http://page/"):
        assert part in begins["message"]
    assert guidance_of("noise") in begins["message"]
    assert (over["title"], over["type"]) == ("Over: Chamber 1: noise (run 1)", "success")
    assert told.empty()


def test_the_end_of_the_program_is_the_end_of_its_alarms() -> None:
    with answering(OK) as server:
        sender = notifier(address(server.port), pytest.fail)
        sender(BAD)
        server.body()
        sender.close()
        assert server.body()["title"] == "No longer watched: Chamber 1: noise (run 1)"


BROKEN: dict[str, tuple[bytes | None, str]] = {
    "not HTTP": (b"220 mail.example.org ESMTP\r\n", ""),
    "nothing": (b"", ""),
    "redirect": (
        b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:{port}/x\r\n\r\n",
        "302, a redirect, which is not followed",
    ),
    "error": (b"HTTP/1.1 500 x\r\n\r\n", "error=500"),
    "slow": (None, ""),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_could_not_be_sent_is_told_without_secrets_and_tried_again(kind: str) -> None:
    answer, reason = BROKEN[kind]
    with answering(OK) as other:
        answer = None if answer is None else answer.replace(b"{port}", str(other.port).encode())
        with answering(answer) as server:
            url = address(server.port, "?rto=0.3&cto=0.3")
            why = Service(url).send(Message(Kind.DIGEST, ()), "title", "body")
        assert other.requests.empty()
    assert why
    assert reason in why
    assert SECRET not in why
    assert why.isprintable()


def test_what_another_service_says_meanwhile_is_not_told_of_this_one() -> None:
    """The other's line is logged while this one's answer is awaited, and may have the other's secrets in it."""
    with answering(b"HTTP/1.1 500 x\r\n\r\n") as server:

        def other_service() -> None:
            logging.getLogger("apprise").warning("Failed to send to https://example.org/another-secret")

        server.before_answer = other_service
        why = Service(address(server.port)).send(Message(Kind.DIGEST, ()), "title", "body")
    assert "error=500" in why
    assert "another-secret" not in why


def test_a_closed_port_is_told_and_said_again_when_the_run_ends() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    sender = notifier(address(free_port()), told.put)
    sender(BAD)
    text = told.get(timeout=60)
    assert text.startswith("--notify 1 (json): a message could not be sent: ")
    assert text.endswith("; it is tried again in 60 s")
    assert sender.problem == text
    sender.close()
    last = told.get(timeout=60)
    assert last.startswith("--notify 1 (json): 1 alarm could not be sent: ")
    assert SECRET not in text + last


def test_a_thread_that_ends_is_told() -> None:
    told: SimpleQueue[str] = SimpleQueue()
    with answering(OK) as server:
        sender = notifier(address(server.port), told.put)
        sender(None)  # type: ignore[arg-type]
        text = "--notify 1 (json): sending has ended (AttributeError); no more messages are sent"
        assert told.get(timeout=60) == text
        assert sender.problem == text
        sender.close()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"slak://{SECRET}/", "--notify 2 (slak): found an address that this service does not understand"),
        (f"slack://{SECRET}", "--notify 2 (slack): found an address that this service does not understand"),
        (SECRET, "--notify 2 (no scheme): found no scheme"),
        ("", "--notify 2 (no scheme): found no scheme"),
    ],
)
def test_addresses_that_no_service_takes_are_refused_without_their_secrets(
    url: str, found: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotifyError) as refused:
        Service(url, 2)
    assert str(refused.value).startswith(found)
    assert "expected an address of apprise" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_without_apprise_there_is_one_line() -> None:
    program = (
        "import sys; sys.modules['apprise'] = None\n"
        "sys.argv = ['muonstream', 'run', 'sim:', '--no-page', '--notify', 'json://localhost']\n"
        "from muonstream.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"muonstream: {MISSING}\n")


def test_a_run_tells_people_of_its_alarms(tmp_path: Path) -> None:
    """Text that is cut off in a third of its rows: malformed input are Bad at the end of the run."""
    rows = [f"1,0,{i % 64},{i // 4},{i % 3564},{i % 30}" if i % 3 else "1,0,x" for i in range(3000)]
    (tmp_path / "run7.csv").write_text("\n".join(["HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS", *rows]) + "\n")
    (tmp_path / "mine.toml").write_text(
        'name = "x"\nchambers = [{ number = 1, name = "C", board = 0, first_channel = 0, '
        "layer_of_channel = [0, 2, 1, 3], layer_shift_mm = [0, 21, 0, 21], z_mm = 0 }]\n"
        '[guidance]\n"malformed input" = "Call Anna."\n'
    )
    with answering(OK) as server:
        command = [sys.executable, "-m", "muonstream", "run", "run7.csv", "--no-follow", "--no-stay", "--port", "0"]
        options = ["-d", "mine.toml", "--notify-limit", "5", "--workers", "0"]
        environment = {**os.environ, "MUONSTREAM_NOTIFY": address(server.port), "TZ": "Asia/Tokyo"}
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        messages = server.bodies()
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stderr
    begins, ended = messages
    assert (begins["title"], ended["title"]) == (
        "Bad: Stream: malformed input (run7)",
        "No longer watched: Stream: malformed input (run7)",
    )
    for part in ("+09:00", "Value: 33.3", "%, limit 1 %", "What to do: Call Anna.", "http://127.0.0.1:"):
        assert part in begins["message"]
