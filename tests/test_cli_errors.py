from __future__ import annotations

import pytest
from typer.testing import CliRunner

from muonstream.cli import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["simulate", "x", "--words", "0"], "'--words': found '0', allowed is greater than or equal to 1"),
        (["run", "sim:", "--port", "abc"], "'--port': found 'abc', allowed is a valid integer"),
        (["run", "sim:", "--port", "99999"], "'--port': found '99999', allowed is less than or equal to 65535"),
        (["topics", "create", "kafka://x", "--retention-hours", "-1"], "'--retention-hours': found '-1', allowed is "),
    ],
)
def test_wrong_options_say_what_was_found_and_what_is_allowed(command: list[str], line: str) -> None:
    found = RUNNER.invoke(app, command)
    assert found.exit_code == 2
    assert f"Error: Invalid value for {line}" in found.output


def test_a_choice_that_is_none_is_named_with_those_there_are() -> None:
    found = RUNNER.invoke(app, ["run", "sim:", "--engine", "flink"])
    assert found.exit_code == 2
    assert "Invalid value for '--engine': found 'flink', allowed are local, spark" in found.output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sim:", "--engine", "spark"], "--engine spark: found sim:, allowed is a topic: "),
        (["sim:", "--store-every", "1"], "--store-every: found sim:, allowed is a topic: "),
        (["sim:", "--kafka-properties", "x"], "--kafka-properties: found sim:, allowed is a topic: "),
        (["sim:", "--trigger", "1s"], "--trigger: found --engine local, allowed with --engine spark only"),
        (["kafka://h/x", "-f", "json"], "--format: found kafka://h/x, allowed are files, "),
        (["kafka://h/x", "--pace", "5"], "--pace: found kafka://h/x, allowed are files, "),
        (["kafka://h/x", "--engine", "spark", "--workers", "2"], "--workers: found --engine spark, allowed is "),
        (["kafka://h/x", "--engine", "spark", "--store-every", "2"], "--store-every: found --engine spark, allowed "),
        (["kafka://h/x", "--engine", "spark", "--follow"], "--follow: found --engine spark, allowed is "),
    ],
)
def test_options_that_would_do_nothing_are_refused(arguments: list[str], line: str) -> None:
    found = RUNNER.invoke(app, ["run", *arguments])
    assert found.exit_code == 1
    assert found.stderr.startswith(f"muonstream: {line}")
