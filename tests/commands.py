"""The command line as tests run it: in their own process, or as a process of its own where that is what is tested."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from typer.testing import CliRunner

from muonstream.cli.app import app

COMMAND: Final = (sys.executable, "-m", "muonstream")


def muonstream(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a new one needs seconds to import and to load compiled kernels.

    An exception that the command does not turn into a message is raised.
    """
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def as_process(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as users do: with file descriptors, interpreter and exit of its own."""
    done = subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, check=False, timeout=300)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def run_command(*arguments: object) -> int:
    """Run a command in this process, for tests that read what it prints with pytest's capture; gives the exit code.

    A wrong option raises typer.BadParameter.
    """
    return int(app([str(one) for one in arguments], standalone_mode=False) or 0)


def as_options(**options: object) -> list[str]:
    """Options as they are typed: run_number=5 is --run-number 5, strict=True is --strict; None and False are none."""
    typed: list[str] = []
    for name, value in options.items():
        if value is not None and value is not False:
            typed += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return typed
