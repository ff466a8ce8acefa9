"""The state that decoders of text share: encoding, text that waits for more, and places in the input."""

from __future__ import annotations

from copy import copy
from typing import Self

from muonstream.formats.encoding import Encoding, Transcoder
from muonstream.formats.no_text import NoText


class EncodedText:
    """A decoder of text in one encoding; `name` is the input's in messages."""

    def __init__(self, name: str, encoding: Encoding) -> None:
        self._name = name
        self._transcoder = Transcoder(encoding)
        self._rest = b""
        self._line = 1
        self._begin = 0  # the byte of the input at which the text in this encoding begins
        self._byte = 0
        self._overlong = False
        self._noted: set[str] = set()
        self._no_text = NoText(name, self._transcoder.width)

    @property
    def rest(self) -> bytes:
        """The text that waits for more, one byte a character."""
        return bytes(self._rest)

    def resumed(self, encoding: Encoding, byte: int) -> Self:
        """A decoder of the text from a byte of the input on, in another encoding; this one has had its last bytes."""
        other = copy(self)
        other._transcoder = Transcoder(encoding)
        other._no_text = NoText(self._name, other._transcoder.width, byte)
        other._begin, other._byte, other._rest, other._overlong = byte, 0, b"", False
        return other
