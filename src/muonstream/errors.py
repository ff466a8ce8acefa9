"""The root of all errors that muonstream raises for what users can cause, and the exit codes that they lead to."""

from __future__ import annotations

import unicodedata
from typing import ClassVar, Final

FAILED: Final = 1
USAGE: Final = 2
LOST: Final = 3
INTERRUPTED: Final = 130
TERMINATED: Final = 143
"""Exit codes beside 0: the command failed, an option is wrong, --strict found loss, Ctrl-C, SIGTERM."""

_TEXT_MOVERS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


class MuonstreamError(Exception):
    """An error with one line for the user: where it is, what was found, what is expected."""

    exit_code: ClassVar[int] = FAILED


class ToldError(MuonstreamError):
    """A command has not done all that it was asked for, and has said why: only its exit code is left."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code  # type: ignore[misc]


def printable(text: str) -> str:
    """A line of text for a terminal or a log: what would steer one, or end the line, is shown as an escape.

    Names of files, runs and topics come from elsewhere and may have anything in them. Tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c == "\t" or not (unicodedata.category(c) in ("Cc", "Cs") or c in _TEXT_MOVERS) else ascii(c)[1:-1]
        for c in text
    )


def printable_lines(message: str) -> list[str]:
    """The lines of a message; those after the first are indented, so that a name with a line's end forges none."""
    first, *others = message.split("\n")
    return [printable(first), *(f"  {printable(line)}" for line in others if line.strip())]


def shown(value: object) -> str:
    """A value as messages show what was found: at most 60 characters of it."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or an integer of thousands of digits
        text = f"<{type(value).__name__}, too large to show>"
    return text if len(text) <= 60 else f"{text[:57]}..."
