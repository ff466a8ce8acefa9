"""Digests of hits already read, one a stretch, by which a copy is recognised even when the original is gone."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from muonstream.formats.recognise import Wanted
from muonstream.sources.stream import HitStream
from muonstream.words import Words

STRETCH_HITS: Final = 1 << 16


class HitDigest:
    """Digests (SHA-256) of hits (uint64) that come one after another, a digest for each STRETCH_HITS of them."""

    def __init__(self) -> None:
        self.hits = 0
        self._stretches: list[bytes] = []
        self._newest = hashlib.sha256()

    @property
    def missing(self) -> int:
        """Hits still missing from the present stretch."""
        return STRETCH_HITS - self.hits % STRETCH_HITS

    def add(self, hits: Words) -> None:
        """Take the next hits (uint64[n])."""
        while len(hits):
            some, hits = hits[: self.missing], hits[self.missing :]
            self._newest.update(np.ascontiguousarray(some, "<u8").data)
            self.hits += len(some)
            if self.hits % STRETCH_HITS == 0:
                self._stretches.append(self._newest.digest())
                self._newest = hashlib.sha256()

    def same(self, other: HitDigest, known: int = 0) -> int:
        """The number of hits known to be the same: whole stretches, and the last one where both end there.

        known: the number known already, so that a file that comes in pieces is compared only once
        """
        n = known // STRETCH_HITS * STRETCH_HITS
        for i in range(n // STRETCH_HITS, min(len(self._stretches), len(other._stretches))):
            if self._stretches[i] != other._stretches[i]:
                return n
            n += STRETCH_HITS
        if self.hits == other.hits and self._newest.digest() == other._newest.digest():
            return self.hits
        return n


class DigestComparison:
    """A file's hits, compared with those of another file that is gone; see `sameness.Comparison`.

    same: hits that agree so far; different: whether two did not agree; longer: whether the file has hits behind
    unsure: the file ended inside a stretch of the other one's, so that its last hits could not be compared
    """

    def __init__(self, digest: HitDigest, path: str, wanted: Wanted) -> None:
        """Raises OSError."""
        self._digest = digest
        self._stream = HitStream(path, wanted)
        self._read = HitDigest()
        self._known = 0  # hits that are known to be the same
        self.same = 0
        self.different = self.longer = self.unsure = False

    def advance(self) -> None:
        """Compare what is there by now. Raises OSError and SourceError."""
        while not (self.different or self.longer):
            self._take(self._stream.read())
            if self._stream.ended:
                return

    def finish(self) -> None:
        """The file no longer grows: compare what waited for more bytes, and close it."""
        self.advance()
        if not (self.different or self.longer):
            self._take(self._stream.finish())
            self.unsure = self._read.hits < self._digest.hits and self._read.hits % STRETCH_HITS > 0
        self.close()

    def _take(self, hits: Words) -> None:
        left = self._digest.hits - self._read.hits
        self._read.add(hits[:left])
        self._known = self._digest.same(self._read, self._known)
        whole = self._read.hits == self._digest.hits
        checked = self._read.hits if whole else self._read.hits // STRETCH_HITS * STRETCH_HITS
        self.different = self._known < checked
        self.longer = whole and not self.different and len(hits) > left
        # hits of a stretch that is not complete are taken for the same until it is
        self.same = self._known if self.different else self._read.hits

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
