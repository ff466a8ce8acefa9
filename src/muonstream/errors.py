"""The root of all errors that muonstream raises for what users can cause, and the exit codes that they lead to."""

from __future__ import annotations

import re
from typing import ClassVar, Final

FAILED: Final = 1
USAGE: Final = 2
LOST: Final = 3
INTERRUPTED: Final = 130
TERMINATED: Final = 143
"""Exit codes beside 0: the command failed, an option is wrong, --strict found loss, Ctrl-C, SIGTERM."""


class MuonstreamError(Exception):
    """An error with one line for the user: where it is, what was found, what is expected."""

    exit_code: ClassVar[int] = FAILED


class ToldError(MuonstreamError):
    """A command has not done all that it was asked for, and has said why: only its exit code is left."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code  # type: ignore[misc]


_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that move the cursor, colour, hide or turn round what is shown."""


def printable(line: str) -> str:
    """A line with control characters as escapes: names come from outside, and none of them may steer a terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], line)


def shown(value: object) -> str:
    """A value as messages show what was found: at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
