"""Files that hold the same words: the same file under two names, a copy, another format, a copy that is still growing.

Only hits are compared, from the first one on, so that idle words at a file's head and ancillary words, which text of
2019 does not keep, make no difference. The first hits of each file are remembered; where another file begins with the
same ones, both are read again and compared hit by hit, as far as they go; what follows is compared with further files,
for files may have been joined. A file that is gone is compared by digests.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

from muonstream.formats.block import SourceError, counted
from muonstream.formats.recognise import Wanted
from muonstream.sources.digest import DigestComparison
from muonstream.sources.stream import HitStream
from muonstream.words import Words

FIRST_HITS: Final = 256
"""Hits of a file's beginning that are remembered."""
PEEK_BYTES: Final = 1 << 16
LONGEST_PEEK: Final = 1 << 26
"""Number of words at a file's beginning among which its first hits are looked for."""


def first_hits(path: str, wanted: Wanted, skip: int = 0) -> Words:
    """The first hits of a file, FIRST_HITS at most; none where it shows no format yet. Raises OSError.

    skip: so many hits come before them
    """
    stream = HitStream(path, wanted, skip)
    found, n, size = [], 0, 0
    try:
        while n < FIRST_HITS and (size < LONGEST_PEEK or skip):
            hits = stream.read(PEEK_BYTES)
            if stream.ended:
                hits = stream.finish()
            found.append(hits.copy())
            n, size = n + len(hits), size + PEEK_BYTES
            if stream.ended:
                break
    except SourceError:
        pass
    finally:
        stream.close()
    return np.concatenate(found)[:FIRST_HITS] if found else np.empty(0, np.uint64)


class Comparison:
    """Two files' hits, compared from the first one on, as far as both go.

    same: hits that agree so far; different: whether two did not agree; longer: whether `other` has hits behind the end
    of `one`; unsure: how many could not be compared, which is none here; own, base: see `DigestComparison`
    """

    own: Final = False
    unsure: Final = 0

    def __init__(self, one: str, other: str, wanted: Wanted, *, base: Twin | None = None) -> None:
        """Raises OSError."""
        self.base = base
        self.same = 0 if base is None else base.hits
        self._one = HitStream(one, wanted)
        try:
            self._other = HitStream(other, wanted, self.same)
        except OSError:
            self._one.close()
            raise
        self._left = (np.empty(0, np.uint64), np.empty(0, np.uint64))
        self.different = False

    @property
    def longer(self) -> bool:
        """Whether `other` has hits behind those that agree."""
        return bool(len(self._left[1]))

    def advance(self) -> None:
        """Compare what is there by now. Raises OSError and SourceError."""
        while not self.different:
            one, other = self._left
            if not len(one):
                one = self._one.read()
            if not len(other):
                other = self._other.read()
            n = min(len(one), len(other))
            self._left = one[n:], other[n:]
            differ = np.flatnonzero(one[:n] != other[:n])
            self.same += int(differ[0]) if len(differ) else n
            self.different = bool(len(differ))
            one_ended = not len(one) and self._one.ended
            if not n and (one_ended or (not len(other) and self._other.ended)):
                return

    def finish(self) -> None:
        """Neither file grows any more: compare what waited for more bytes, then close both."""
        self.advance()
        if not self.different:
            ends = [self._one.finish(), self._other.finish()]
            one, other = (np.concatenate([left, end]) for left, end in zip(self._left, ends, strict=True))
            n = min(len(one), len(other))
            differ = np.flatnonzero(one[:n] != other[:n])
            self.same += int(differ[0]) if len(differ) else n
            self.different = bool(len(differ))
            self._left = one[n:], other[n:]
        self.close()

    def close(self) -> None:
        """Close both files."""
        self._one.close()
        self._other.close()


@dataclass(frozen=True, slots=True)
class Twin:
    """A file whose first hits are those of an earlier one. name: of that; hits: how many are the same from the first on

    whole: all of the file's hits are among them; same_file: it is the same file, perhaps under another name
    differs: after them the two go on differently; gone: the earlier one cannot be read any more, so the two were not
    compared; unsure: so many hits behind those that are the same, at most, could not be compared for that
    """

    name: str
    hits: int
    whole: bool = False
    differs: bool = False
    gone: bool = False
    same_file: bool = False
    unsure: int = 0

    @classmethod
    def by(cls, name: str, comparison: Comparison | DigestComparison) -> Twin:
        """What a comparison with a file of this name has shown."""
        base = comparison.base
        if base is not None:
            if (comparison.different and not comparison.own) or comparison.same == base.hits:
                return base
            name = f"{base.name} and {name}"
        if comparison.unsure and not comparison.same:
            return cls(name, 0, gone=True)
        whole = not (comparison.different or comparison.longer or comparison.unsure)
        # what a file held itself is not counted again, whatever it goes on with
        differs = comparison.different and not comparison.own
        return cls(name, comparison.same, whole, differs, unsure=comparison.unsure)

    @property
    def known_hits(self) -> int:
        """How many hits at the beginning are not to be counted again."""
        return 0 if self.differs or self.gone else self.hits

    def rank(self) -> tuple[bool, int, int]:
        """Of files that begin alike, the one that spares the most hits from being counted again is the nearest."""
        return self.whole, self.known_hits, self.hits

    @property
    def why(self) -> str:
        """The line that reports it."""
        if self.same_file:
            return f"is the same file as {self.name}" if self.name else "was given before"
        same = f"the same {counted(self.hits, 'hit')} as {self.name}"
        if self.whole:
            return same
        if self.gone:
            return f"begins like {self.name}, with which it can no longer be compared; all its hits are counted"
        if self.differs:
            return f"begins with {same} and then differs; all are counted"
        why = f"begins with {same}, which are not counted again"
        if self.unsure:
            return f"{why}; up to {counted(self.unsure, 'hit')} behind these can no longer be compared and are counted"
        return why


Key = TypeVar("Key")


class FirstHits(Generic[Key]):
    """The first hits of each input."""

    def __init__(self) -> None:
        self._by_first: dict[int, list[tuple[Key, Words]]] = {}

    def remember(self, key: Key, hits: Words) -> None:
        """Remember an input's first hits (uint64[n]); one without hits is not remembered."""
        if len(hits):
            self._by_first.setdefault(int(hits[0]), []).append((key, hits))

    def replace(self, key: Key, other: Key) -> None:
        """What was remembered of an input is that of another one from now on."""
        for known in self._by_first.values():
            known[:] = [(other if one is key else one, hits) for one, hits in known]

    def alike(self, hits: Words) -> list[Key]:
        """The inputs that begin with these hits, or whose few hits these begin with."""
        known = self._by_first.get(int(hits[0]), []) if len(hits) else []
        return [key for key, first in known if np.array_equal(first[: len(hits)], hits[: len(first)])]


class KnownInputs:
    """The complete files of a run so far, by identity and by their first hits."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._identities: dict[tuple[int, int], str] = {}
        self._first: FirstHits[str] = FirstHits()

    def meet(self, name: str) -> Twin | None:
        """Remember a file; give the earlier one of which it holds the same hits, if there is one."""
        try:
            status = os.stat(name)
            if not stat.S_ISREG(status.st_mode):
                return None
            first = first_hits(name, self._wanted)
        except (OSError, ValueError):  # what is wrong with it is said when it is read
            return None
        identity = (status.st_dev, status.st_ino)
        if identity in self._identities:
            return Twin(self._identities[identity], len(first), whole=True, same_file=True)
        self._identities[identity] = name
        twin, more = None, self._nearest(first, name, None)
        # behind another file's hits there may be those of a third, where files were joined
        while more is not None and (twin is None or more.hits > twin.hits):
            twin = more
            if twin.whole or not twin.known_hits:
                break
            with suppress(OSError, ValueError):
                more = self._nearest(first_hits(name, self._wanted, twin.hits), name, twin)
        self._first.remember(name, first)
        return twin

    def _nearest(self, first: Words, name: str, base: Twin | None) -> Twin | None:
        """Of the files that begin with these hits, the one with which a file agrees for longest."""
        twins = [self._compare(known, name, base) for known in self._first.alike(first)]
        return max(twins, key=Twin.rank, default=None)

    def _compare(self, known: str, name: str, base: Twin | None) -> Twin:
        try:
            comparison = Comparison(known, name, self._wanted, base=base)
            comparison.finish()
        except (OSError, SourceError):
            return base or Twin(known, 0, gone=True)
        return Twin.by(known, comparison)
