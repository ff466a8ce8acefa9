"""Addresses of sockets for words: `tcp://host:port`, with `?senders=4&token_file=…`."""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from muonstream.formats.block import SourceError
from muonstream.sources.word_protocol import MOST_TOKEN_BYTES

MOST_SENDERS: Final = 64
FEWEST_TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class WordAddress:
    """Where words come in, or go to.

    senders: whose ends are waited for; sender: this one's name, when it sends; token: b"" for none
    """

    name: str
    host: str
    port: int
    senders: int
    sender: str
    token: bytes

    @classmethod
    def of(cls, text: str) -> WordAddress:
        """Parse an address. Raises SourceError, which says what is wrong."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise SourceError(f"{text}: {error}") from None
        if not host or port is None or parts.path or parts.username is not None:
            raise SourceError(f"{text}: expected tcp://host:port, such as tcp://127.0.0.1:9900")
        options = {"senders": "1", "name": "sender", "token_file": ""}
        for key, value in parse_qsl(parts.query, keep_blank_values=True):
            if key not in options:
                raise SourceError(f"{text}: found {key!r}, expected {', '.join(options)}")
            options[key] = value
        if not options["senders"].isdecimal() or not 0 < int(options["senders"][:4]) <= MOST_SENDERS:
            raise SourceError(f"{text}: senders: found {options['senders']!r}, expected 1 to {MOST_SENDERS}")
        token = _token(text, options["token_file"]) if options["token_file"] else b""
        return cls(f"tcp://{parts.netloc}", host, port, int(options["senders"]), options["name"], token)

    def check_listening(self) -> None:
        """Raise SourceError where anybody could send words: beyond this machine a token is required."""
        if self.token or self.host == "localhost":
            return
        try:
            alone = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            alone = False
        if not alone:
            raise SourceError(
                f"{self.name}: other machines can reach {self.host}, so a token is required: ?token_file=PATH, a file "
                f"of mode 600 with at least {FEWEST_TOKEN_BYTES} characters"
            )


def _token(text: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(MOST_TOKEN_BYTES + 2).strip()
    except OSError as error:
        raise SourceError(f"{text.partition('?')[0]}: token_file: {path}: {error.strerror or error}") from None
    if mode & 0o077:
        raise SourceError(f"{text.partition('?')[0]}: token_file: {path}: found mode {mode:o}, expected 600")
    if not FEWEST_TOKEN_BYTES <= len(token) <= MOST_TOKEN_BYTES:
        raise SourceError(
            f"{text.partition('?')[0]}: token_file: {path}: found {len(token)} characters, expected "
            f"{FEWEST_TOKEN_BYTES} to {MOST_TOKEN_BYTES}"
        )
    return token
