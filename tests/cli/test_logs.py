"""What commands say: plain for people, stamped, or one JSON object a line, from a level on."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.cli.logs import LOGGER, LogFormat, LogLevel, begin_logging

SAID = logging.getLogger("muonstream.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers, level = list(LOGGER.handlers), LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def say() -> None:
    SAID.debug("small")
    SAID.info("one %s", "line")
    SAID.warning("two\nlines")


def test_plain_lines_are_what_is_said_and_name_the_program_where_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_logging()
    say()
    assert capsys.readouterr().err == "one line\nmuonstream: two\nmuonstream:   lines\n"


def test_stamped_lines_have_date_time_zone_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    begin_logging(format=LogFormat.stamped)
    say()
    found = capsys.readouterr().err.splitlines()
    assert [line[30:] for line in found] == ["INFO    one line", "WARNING two", "WARNING   lines"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line[:29]) for line in found)


def test_json_is_one_object_a_line_whatever_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    begin_logging(LogLevel.debug, LogFormat.json)
    say()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["message"] for one in found] == ["small", "one line", "two\nlines"]
    assert [one["level"] for one in found] == ["debug", "info", "warning"]
    assert {one["logger"] for one in found} == {"muonstream.test"}
    assert datetime.fromisoformat(found[0]["time"]).utcoffset() is not None


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 0)])
def test_a_level_leaves_out_what_is_below_it(capsys: pytest.CaptureFixture[str], level: str, lines: int) -> None:
    begin_logging(LogLevel(level))
    say()
    assert len(capsys.readouterr().err.splitlines()) == lines


@pytest.mark.parametrize("format", LogFormat)
def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str], format: LogFormat) -> None:
    begin_logging(format=format)
    SAID.warning("%s", "a\x1b]0;b\x07\x9b31mc\rd\u202ee\u2028f")
    found = capsys.readouterr().err
    assert found.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", found)


def test_called_again_it_says_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    begin_logging()
    begin_logging()
    say()
    assert capsys.readouterr().err.count("one line") == 1


def test_a_failed_command_tells_machines_too() -> None:
    found = CliRunner().invoke(app, ["process", "none.dat", "--log-format", "json"])
    assert found.exit_code == 1
    assert json.loads(found.stderr)["message"] == "none.dat: no such file"
