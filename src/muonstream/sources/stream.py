"""The hits of a file, read apart from the run: to compare it with others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from muonstream.formats.block import Block
from muonstream.formats.recognise import Wanted
from muonstream.sources.reader import InputReader, hits_of
from muonstream.words import Words

COMPARE_BYTES: Final = 1 << 20


class HitStream:
    """The hits of a file that may still grow, read in steps. A step that failed may be tried again.

    skip: so many hits at its beginning are left out
    """

    def __init__(self, path: str, wanted: Wanted, skip: int = 0) -> None:
        """Raises OSError."""
        self._skip = skip
        self._path = path
        self._handle: BinaryIO | None = open(path, "rb", buffering=0)  # noqa: SIM115
        self._reader = InputReader(path, wanted)
        self.ended = False

    def read(self, size: int = COMPARE_BYTES) -> Words:
        """Some more hits; none does not mean that the file has no more, unless `ended` says so for now.

        Raises OSError and SourceError.
        """
        try:
            if self._handle is None:
                self._handle = open(self._path, "rb", buffering=0)  # noqa: SIM115
                self._handle.seek(self._reader.raw_bytes)
            data = self._handle.read(size)
        except OSError:
            self.close()  # a stale handle stays stale: it is opened again next time
            raise
        self.ended = not data
        return self._skipped(_joined(self._reader.feed(data) if data else iter(())))

    def finish(self) -> Words:
        """The hits that waited for more bytes."""
        return self._skipped(_joined(self._reader.finish()))

    def _skipped(self, hits: Words) -> Words:
        some, self._skip = hits[self._skip :], self._skip - min(self._skip, len(hits))
        return some

    def close(self) -> None:
        """Read no more."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _joined(blocks: Iterator[Block]) -> Words:
    found = [hits_of(block.words) for block in blocks]
    return np.concatenate(found) if found else np.empty(0, np.uint64)
