"""Stretches in text that are not text, such as words that were appended to a table: passed over, with their place."""

from __future__ import annotations

from typing import Any, Final

from muonstream.compiled import compiled
from muonstream.formats.block import counted
from muonstream.formats.notes import Notes

FEWEST_CONTROLS: Final = 2
"""So many control characters in a line, counting a NUL byte behind it, show no text; one may be a flipped bit."""


@compiled
def is_no_text(data: Any, at: Any, end: Any) -> bool:
    """Whether the line data[at:end] (of uint8[n]) has control characters that no text has; tabs and form feeds may be.

    Beside one control character, one that is not ASCII counts as another: a single flipped bit is not enough.

    The line ends where data do, or in front of a line end or a NUL byte.
    """
    n, n_high = 0, 0
    for i in range(at, end):
        n_high += data[i] >= 128
        n += (data[i] < 32 and data[i] != 9 and data[i] != 10 and data[i] != 12 and data[i] != 13) or data[i] == 127
    n += end < len(data) and data[end] == 0
    return bool(n > 0 and n + n_high >= FEWEST_CONTROLS)


class NoText:
    """Follows such stretches through one input."""

    def __init__(self, name: str, width: int, begin: int = 0) -> None:
        """width: bytes of a character; begin: the input's byte at which the text begins."""
        self._notes = Notes(name)
        self._width = width
        self._begin = begin
        self._at = -1
        self._size = 0

    def __bool__(self) -> bool:
        """Whether a stretch is going on."""
        return self._at >= 0

    def pass_over(self, n: int, at: int) -> None:
        """Take n more characters; at: the first one's number in the input, used where they begin a stretch."""
        if n and self._at < 0:
            self._at = at
        self._size += n

    def end(self) -> None:
        """Text comes again, or the input has ended: note the stretch, if there was one."""
        if self._at >= 0:
            first, n = self._begin + self._width * self._at, self._width * self._size
            lost = f"byte {first:,}: found {counted(n, 'byte')} of something other than text"
            self._notes.add("what is not text", f"{lost}; passed over up to byte {first + n:,}")
        self._at, self._size = -1, 0

    def take(self, *, last: bool) -> list[str]:
        """The notes since the last call; last: no more text comes."""
        if last:
            self.end()
        return self._notes.finish() if last else self._notes.take()
