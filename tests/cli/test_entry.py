from __future__ import annotations

import sys

import pytest

import muonstream
from muonstream.cli import main


def test_a_script_can_start_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["muonstream", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert muonstream.__version__ in capsys.readouterr().out
