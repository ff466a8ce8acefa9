"""The root of all errors that muonstream raises for what users can cause, and the exit codes that they lead to."""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar, Final

FAILED: Final = 1
USAGE: Final = 2
LOST: Final = 3
INTERRUPTED: Final = 130
TERMINATED: Final = 143
"""Exit codes beside 0: the command failed, an option is wrong, --strict found loss, Ctrl-C, SIGTERM."""

_TEXT_MOVERS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")

_LOGIN: Final = re.compile(
    # user:password@ in front of a host; a password may have slashes in it, if what follows the colon is not a port
    r"(?<=://)(?:[^/?#\s]*@|[^/?#\s:@]*:(?!:|\d{1,5}[/,?#\s])[^\s@]*@)"
)
_SECRET_VALUE: Final = re.compile(
    r"([?&;][^=&;\s]*(?:token|secret|passw|signature|credential|key|auth|\bsig\b)[^=&;\s]*=)[^&;#\s'\"]*[^&;#\s'\",:.)]",
    re.IGNORECASE,
)
NOT_SHOWN: Final = "(not shown)"
OWN_TOKEN: Final = "names_its_own_token"
"""Set on a log record whose line has to have the token of the page that was made just now: no other place has it."""


class MuonstreamError(Exception):
    """An error with one line for the user: where it is, what was found, what is expected."""

    exit_code: ClassVar[int] = FAILED


class ToldError(MuonstreamError):
    """A command has not done all that it was asked for, and has said why: only its exit code is left."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code  # type: ignore[misc]


def without_secrets(text: str, *, of: str = "") -> str:
    """A text whose addresses have no user, password, token or signature: what is kept, printed or logged.

    Addresses of files come from the user, and some have what gives access in them: https://me:secret@host/run.dat, or
    ?X-Amz-Signature=... of an address that a store has signed.
    of: an address of which the text may have a part alone, such as what a library says of it
    """
    if of:
        for login in _LOGIN.findall(of):
            text = text.replace(login, "")
    if "://" not in text and not (of and "?" in of):
        return text
    return _SECRET_VALUE.sub(r"\1***", _LOGIN.sub("", text))


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
