"""Digests of hits already read, by which a copy is recognised even when the original is gone.

After each hit the digest so far is multiplied and folded with it, so that digests of hits that differ once stay
different, whatever comes behind. Some of these digests are kept as marks: where a file's hits give the same mark, all
hits before it are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from muonstream.compiled import compiled, inlined
from muonstream.formats.recognise import Wanted
from muonstream.sources.stream import HitStream
from muonstream.words import Words

if TYPE_CHECKING:
    from muonstream.sources.sameness import Twin

MOST_MARKS: Final = 1 << 20
"""Marks kept of the file that is read: one a hit up to so many hits, then one in 2, 4, 8, ... hits."""
KEPT_MARKS: Final = 1 << 12
"""Marks kept of a file when another one is read after it."""
_FACTOR: Final = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio (D. Knuth, The Art of Computer Programming, volume 3, chapter 6.4); it is odd, so that
different numbers have different products."""
_BEGINNING: Final = _FACTOR


@inlined
def _folded(digest: Any, word: Any) -> Any:
    """The digest after one more hit. Both steps can be undone, so different digests stay different."""
    product = (digest ^ word) * np.uint64(_FACTOR)
    return product ^ product >> np.uint64(32)


@compiled
def _follow(hits: Any, digest: Any, n: int, every: int, marks: Any) -> Any:
    """The digest after hits (uint64[m]), of which the first has number n; marks: uint64, one for `every` hits."""
    at = n // every
    for word in hits:
        digest = _folded(digest, word)
        n += 1
        if n & (every - 1) == 0:
            marks[at] = digest
            at += 1
    return digest


@compiled
def _agreeing(hits: Any, digest: Any, n: int, every: int, marks: Any) -> tuple[Any, int]:
    """The digest after hits as in `_follow`, and how many hits (from number 0) gave the marks that are known.

    -1 - n in place of that where a mark is another one: n hits gave the last mark that is the same
    """
    at = n // every
    agreed = at * every
    for word in hits:
        digest = _folded(digest, word)
        n += 1
        if n & (every - 1) == 0:
            if marks[at] != digest:
                return digest, -1 - agreed
            agreed = n
            at += 1
    return digest, agreed


class HitDigest:
    """The digest of hits (uint64) that come one after another, and marks between them.

    hits: how many there were; digest: of all of them; every: the number of hits from one mark to the next, a power of 2
    """

    def __init__(self) -> None:
        self.hits = 0
        self.every = 1
        self.digest = np.uint64(_BEGINNING)
        self._marks = np.empty(256, np.uint64)

    def add(self, hits: Words) -> None:
        """Take the next hits (uint64[n])."""
        while len(hits):
            room = MOST_MARKS * self.every - self.hits
            if room <= 0:
                self._halve()
                continue
            some, hits = hits[:room], hits[room:]
            needed = (self.hits + len(some)) // self.every
            if needed > len(self._marks):
                marks = np.empty(min(max(needed, 2 * len(self._marks)), MOST_MARKS), np.uint64)
                marks[: len(self._marks)] = self._marks
                self._marks = marks
            self.digest = np.uint64(_follow(some, self.digest, self.hits, self.every, self._marks))
            self.hits += len(some)

    def thin(self) -> None:
        """Keep KEPT_MARKS at most."""
        while self.hits // self.every > KEPT_MARKS:
            self._halve()

    def _halve(self) -> None:
        self._marks = self._marks[: self.hits // self.every][1::2].copy()
        self.every *= 2

    def agreeing(self, hits: Words, digest: np.uint64, n: int) -> tuple[np.uint64, int, bool]:
        """Compare hits with those that were taken: their digest, how many are known to be the same, whether one is not.

        hits: uint64[m], not beyond the last one that was taken; digest: of the n hits before them, which agreed
        """
        found, agreed = _agreeing(hits, digest, n, self.every, self._marks)
        if agreed < 0:
            return np.uint64(found), -1 - agreed, True
        if n + len(hits) == self.hits:
            same = bool(found == self.digest)
            return np.uint64(found), self.hits if same else agreed, not same
        return np.uint64(found), agreed, False


class DigestComparison:
    """A file's hits, compared with those of another file that is gone; see `sameness.Comparison`.

    same: hits that agree so far; different: whether two did not agree; longer: whether the file has hits behind
    unsure: how many hits behind those that agree can no longer be compared, at most
    own: whether the hits it is compared with are what this file itself held before
    base: what the file's beginning repeats, behind which it is compared; these hits are in `same`
    """

    def __init__(
        self, digest: HitDigest, path: str, wanted: Wanted, *, own: bool = False, base: Twin | None = None
    ) -> None:
        """Raises OSError."""
        self._known = digest
        self._skipped = 0 if base is None else base.hits
        self._stream = HitStream(path, wanted, self._skipped)
        self._digest = np.uint64(_BEGINNING)
        self._read = 0
        self._agreed = 0
        self.own = own
        self.base = base
        self.same, self.unsure = self._skipped, 0
        self.different = self.longer = False

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
            if not (self.different or self.longer):
                self.unsure, self.same = self._read - self._agreed, self._skipped + self._agreed
        self.close()

    def _take(self, hits: Words) -> None:
        some = hits[: self._known.hits - self._read]
        self._digest, self._agreed, self.different = self._known.agreeing(some, self._digest, self._read)
        self._read += len(some)
        self.longer = self._read == self._known.hits and not self.different and len(hits) > len(some)
        # hits behind the last mark are taken for the same until the next one
        self.same = self._skipped + (self._agreed if self.different else self._read)
        if self.different:
            self.unsure = min(self._known.every - 1, self._known.hits - self._agreed)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
