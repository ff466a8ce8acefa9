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
    assert "'flink'" in found.output
    assert "'spark'" in found.output
