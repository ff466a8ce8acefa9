from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import muonstream
from muonstream.cli import main
from muonstream.errors import TERMINATED


def test_a_script_can_start_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["muonstream", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert muonstream.__version__ in capsys.readouterr().out


def test_the_first_process_of_a_container_is_ended_by_sigterm() -> None:
    """The kernel keeps signals from it that it does not handle: run waits for standard input all its life here."""
    alone = ["--fork", "--pid", "--kill-child", "--map-root-user"]
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, *alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs unshare, and the right to make namespaces")
    program = "import os, signal, sys; import muonstream.cli; print(os.getpid(), flush=True); sys.stdin.read()"
    command = [unshare, *alone, sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        subprocess.run(["kill", "-TERM", child], check=True)
        try:
            assert process.wait(30) == TERMINATED
        finally:
            process.kill()
