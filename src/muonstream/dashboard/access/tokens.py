"""Persistent tokens: in a file that only its owner can read, or in the environment."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from muonstream.errors import MuonstreamError

SHORTEST: Final = 12
LONGEST: Final = 200
_ALLOWED: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # as RFC 6750 has it for Authorization: Bearer


class TokenError(MuonstreamError):
    """A token that cannot be used, in one line."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and where a person finds it ("" when only muonstream has it)."""

    text: str = field(repr=False)
    place: str = ""

    def matches(self, given: str) -> bool:
        """Whether the text is the same, compared in constant time."""
        return hmac.compare_digest(given.encode(), self.text.encode())

    @property
    def cookie(self) -> str:
        """The browser's cookie, always the same for a token, so that it survives a restart; not the token itself."""
        return hmac.new(self.text.encode(), b"muonstream dashboard", hashlib.sha256).hexdigest()


def made_up() -> str:
    """A new token, 24 random bytes."""
    return secrets.token_urlsafe(24)


def checked(text: str, name: str) -> str:
    """A valid token; the error's message never shows it. Raises TokenError."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise TokenError(f"{name}: found a token of {len(text)} characters, expected {SHORTEST} to {LONGEST}")
    if _ALLOWED.fullmatch(text) is None:
        raise TokenError(f"{name}: found a token with other characters than expected: letters, digits and ._~+/-")
    return text


def token_of_file(path: Path, option: str) -> Token:
    """The token of a file; a missing file is created, mode 600, with a new token. Raises TokenError."""
    name = f"{option}: {path}"
    try:
        if not path.exists():
            _make(path)
        return Token(checked(_read(path, name), name), str(path))
    except OSError as error:
        raise TokenError(f"{name}: cannot be read or made: {error.strerror or error}") from None


def _make(path: Path) -> None:
    """Write a new token: the file is complete as soon as it exists; one that another process created stays."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:  # mkstemp made it with mode 600
            file.write(f"{made_up()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _read(path: Path, name: str) -> str:
    """The text of a file that only its owner can read. Raises OSError and TokenError."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise TokenError(f"{name}: found something other than a file, expected a file with a token")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise TokenError(f"{name}: found mode {mode:o}, which others can read, expected 600: chmod 600 {path}")
        data = file.read(LONGEST + 3)
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise TokenError(f"{name}: found something other than ASCII, expected a token") from None


def token_of_environment(variable: str) -> Token | None:
    """The token that an environment variable holds, None without one. Raises TokenError."""
    text = os.environ.get(variable)
    return None if text is None else Token(checked(text.strip(), variable), f"${variable}")
