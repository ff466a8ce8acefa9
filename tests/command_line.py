"""The command line called in this process, for tests that read what it prints with pytest's capture."""

from __future__ import annotations

from muonstream.cli.app import app


def run_command(*arguments: object) -> int:
    """Run `muonstream` with arguments; gives the exit code. A wrong option raises typer.BadParameter."""
    return int(app([str(one) for one in arguments], standalone_mode=False) or 0)


def as_options(**options: object) -> list[str]:
    """Options as they are typed: run_number=5 is --run-number 5, strict=True is --strict; None and False are none."""
    typed: list[str] = []
    for name, value in options.items():
        if value is not None and value is not False:
            typed += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return typed
