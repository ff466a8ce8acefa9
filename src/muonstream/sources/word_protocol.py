"""The messages by which programs send words over a connection: pure bytes, no sockets. See docs/local-sources.md.

A sender says hello; the receiver welcomes it and says how many words it has of this sender and up to which number it
takes more (its credit). The sender sends words in frames, never beyond its credit, and at last the end of the run.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

VERSION: Final = 1
MOST_FRAME_WORDS: Final = 1 << 20
MOST_TOKEN_BYTES: Final = 256
NAME_BYTES: Final = 32
_HELLO: Final = struct.Struct("<8sII32sQQ")
_WELCOME: Final = struct.Struct("<8sIIQQ")
_FRAME: Final = struct.Struct("<4sIIIQQ")
_CREDIT: Final = struct.Struct("<4sIQQ")
HELLO_BYTES, WELCOME_BYTES, FRAME_BYTES, CREDIT_BYTES = _HELLO.size, _WELCOME.size, _FRAME.size, _CREDIT.size
_MAGIC, _FRAME_MAGIC, _CREDIT_MAGIC = b"MUONWORD", b"MUWF", b"MUWC"


class ProtocolError(Exception):
    """Bytes that are not such a message, in one line."""


class Status(IntEnum):
    """What a receiver says of a hello."""

    OK = 0
    VERSION = 1
    TOKEN = 2
    NAME_IN_USE = 3
    FULL = 4
    ENDED = 5


WHY: Final = {
    Status.VERSION: f"it speaks another version than {VERSION}",
    Status.TOKEN: "the token is wrong or missing",
    Status.NAME_IN_USE: "another sender with this name is connected",
    Status.FULL: "it takes no more senders",
    Status.ENDED: "it has had the end of this sender's words",
}


class Kind(IntEnum):
    """What a frame brings."""

    WORDS = 1
    END = 2


@dataclass(frozen=True, slots=True)
class Hello:
    """A sender's name and version, and how many bytes of a token follow."""

    name: str
    token_bytes: int
    version: int = VERSION

    def pack(self) -> bytes:
        """64 bytes. Raises ProtocolError for a name that is empty or too long."""
        name = self.name.encode()
        if not 0 < len(name) <= NAME_BYTES:
            raise ProtocolError(f"a sender's name: found {len(name)} bytes, expected 1 to {NAME_BYTES}")
        return _HELLO.pack(_MAGIC, self.version, self.token_bytes, name, 0, 0)

    @classmethod
    def unpack(cls, data: bytes) -> Hello:
        """Raises ProtocolError."""
        magic, version, token_bytes, name, *_ = _HELLO.unpack(data)
        if magic != _MAGIC:
            raise ProtocolError(f"found {magic!r} where a sender says hello, expected {_MAGIC!r}")
        if token_bytes > MOST_TOKEN_BYTES:
            raise ProtocolError(f"found a token of {token_bytes:,} bytes, expected {MOST_TOKEN_BYTES} at most")
        try:
            text = name.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            raise ProtocolError("found a sender's name that is not UTF-8") from None
        if not text or not text.isprintable():
            raise ProtocolError("found a sender's name that is empty or cannot be printed")
        return cls(text, token_bytes, version)


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer: words received of this sender so far, and the number of words up to which it may send."""

    status: Status
    received: int = 0
    limit: int = 0

    def pack(self) -> bytes:
        """32 bytes."""
        return _WELCOME.pack(_MAGIC, VERSION, self.status, self.received, self.limit)

    @classmethod
    def unpack(cls, data: bytes) -> Welcome:
        """Raises ProtocolError."""
        magic, version, status, received, limit = _WELCOME.unpack(data)
        if magic != _MAGIC or status not in list(Status):
            raise ProtocolError("found something that does not take words this way")
        if version != VERSION and status != Status.VERSION:
            raise ProtocolError(f"found version {version}, expected {VERSION}")
        return cls(Status(status), received, limit)


@dataclass(frozen=True, slots=True)
class FrameHead:
    """What stands in front of a frame's words: how many they are, and the number of the first (from 0)."""

    kind: Kind
    words: int
    first: int

    def pack(self) -> bytes:
        """32 bytes."""
        return _FRAME.pack(_FRAME_MAGIC, self.kind, self.words, 0, self.first, 0)

    @classmethod
    def unpack(cls, data: bytes | bytearray) -> FrameHead:
        """Raises ProtocolError; what it gives may be trusted for the size of a buffer."""
        magic, kind, words, _, first, _ = _FRAME.unpack(data)
        if magic != _FRAME_MAGIC or kind not in list(Kind):
            raise ProtocolError(f"found {bytes(data[:8])!r} where a frame begins")
        if words > MOST_FRAME_WORDS or (kind == Kind.END and words):
            raise ProtocolError(f"found a frame of {words:,} words, expected {MOST_FRAME_WORDS:,} at most")
        if first > 1 << 62:
            raise ProtocolError(f"found a frame that begins at word {first:,}")
        return cls(Kind(kind), words, first)


@dataclass(frozen=True, slots=True)
class Credit:
    """Words received so far, up to which number the sender may send, and whether its end was received."""

    received: int
    limit: int
    ended: bool = False

    def pack(self) -> bytes:
        """24 bytes."""
        return _CREDIT.pack(_CREDIT_MAGIC, self.ended, self.received, self.limit)

    @classmethod
    def unpack(cls, data: bytes) -> Credit:
        """Raises ProtocolError."""
        magic, ended, received, limit = _CREDIT.unpack(data)
        if magic != _CREDIT_MAGIC:
            raise ProtocolError(f"found {data[:8]!r} where credit is given")
        return cls(received, limit, ended != 0)


def is_token(found: bytes, expected: bytes) -> bool:
    """Whether a token is the expected one, in a time that says nothing about it; any is, where none is expected."""
    return not expected or hmac.compare_digest(found, expected)
