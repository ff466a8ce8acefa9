"""Copies among the files of a followed source: which file holds the words of another, or of what it held itself before.

A file that begins with the hits of one that was read is compared with it, as far as both go, and again when it grows.
What a file held before it was overwritten, replaced or taken away is compared by the digests of its hits.
"""

from __future__ import annotations

import os
import time
from typing import Final

from muonstream.formats.block import SourceError
from muonstream.formats.recognise import Wanted
from muonstream.sources.digest import DigestComparison, HitDigest
from muonstream.sources.sameness import FIRST_HITS, Comparison, FirstHits, Twin, first_hits
from muonstream.sources.watched import Overwritten, WatchedFile, identity_of
from muonstream.words import Words

LONGER_S: Final = 2.0
"""A copy that is longer than the file it copies waits for so long before it is read on, for the file may grow too."""


class Copies:
    """The files of a source that were begun, by their first hits."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._first: FirstHits[WatchedFile | Overwritten] = FirstHits()

    def overwritten(self, file: WatchedFile) -> None:
        """What this file held so far is no longer there."""
        self._first.replace(file, Overwritten(file.name, file.digest or HitDigest()))

    def remember(self, file: WatchedFile, hits: Words) -> None:
        """Remember a file whose first hits (uint64[n]) came to light only when its content ended."""
        self._first.remember(file, hits[:FIRST_HITS])

    def begins_alike(self, file: WatchedFile) -> bool:
        """Whether a file begins like another one. Raises OSError."""
        return bool(self._others(file))

    def twin_of(self, file: WatchedFile) -> Twin | None:
        """The file whose words this one repeats; one without hits where there is none; None where it must wait.

        Raises OSError where a file cannot be read for the moment.
        """
        if file.comparison is None:
            file.candidates = self._others(file)
            if not file.candidates:
                self._remember(file)
                return Twin("", 0)
            file.comparison = self._compared(file.candidates.pop(), file, None)
        while True:
            twin = self._nearest(file)
            if twin is None or twin.whole:
                return twin
            base = file.comparison[1].base
            if not twin.known_hits or (base is not None and twin.hits <= base.hits):
                return self._known(file, twin)
            # behind another file's hits there may be those of a third, where files were joined
            candidates = self._others(file, twin.hits)
            if not candidates:
                return self._known(file, twin)
            file.end_comparison()
            file.candidates = candidates
            file.comparison = self._compared(file.candidates.pop(), file, twin)

    def _nearest(self, file: WatchedFile) -> Twin | None:
        """Of the files with which one is to be compared, the one with which it agrees for longest; None: must wait."""
        assert file.comparison is not None
        while True:
            name, comparison = file.comparison
            base = comparison.base
            try:
                comparison.advance()
            except SourceError:  # one of them is broken from here on
                return base or Twin(name, comparison.same, gone=True)
            if not (comparison.different and file.candidates):
                break
            found = Twin.by(name, comparison)
            file.nearest = found if file.nearest is None else max(file.nearest, found, key=Twin.rank)
            file.comparison = self._compared(file.candidates[-1], file, base)
            file.candidates.pop()
            comparison.close()
        if comparison.longer and not comparison.different and isinstance(comparison, Comparison):
            now = time.monotonic()
            if file.longer_since is None:
                file.longer_since = now
            if now - file.longer_since < LONGER_S:
                return None
        file.longer_since = None
        twin = Twin.by(name, comparison)
        return twin if twin.whole or file.nearest is None else max(file.nearest, twin, key=Twin.rank)

    def _others(self, file: WatchedFile, behind: int = 0) -> list[WatchedFile | Overwritten]:
        """What begins like this file behind so many hits, the newest last: of copies that grew, it is the longest."""
        first = first_hits(file.name, self._wanted, behind)
        return [other for other in self._first.alike(first) if other is not file]

    def _compared(
        self, known: WatchedFile | Overwritten, file: WatchedFile, base: Twin | None
    ) -> tuple[str, Comparison | DigestComparison]:
        """Begin to compare a file with what was read before, which may be gone; base: behind that. Raises OSError."""
        own = known.name == file.name
        name = f"what {file.path.name} held before" if own else known.name
        # where the file has the place of the known one, it must not be compared with itself
        if isinstance(known, WatchedFile) and known.identity != file.identity:
            was_open = known.is_open
            try:
                # what was overwritten is compared as it was read
                if identity_of(os.stat(known.path)) == known.identity and not known.changed():
                    return name, Comparison(known.name, file.name, self._wanted, base=base)
            except OSError:
                pass
            finally:
                if not was_open:
                    known.close()
        return name, DigestComparison(known.digest or HitDigest(), file.name, self._wanted, own=own, base=base)

    def _known(self, file: WatchedFile, twin: Twin) -> Twin:
        """The comparison has ended: the file is one that others may repeat."""
        file.end_comparison()
        self._remember(file)
        return twin

    def _remember(self, file: WatchedFile) -> None:
        self._first.remember(file, first_hits(file.name, self._wanted))
