"""A kernel on several threads: frames in, their contributions out, in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from muonstream.counting.kernel import Contribution
from muonstream.frames import Frames, ScatteredFrames
from muonstream.run.engine_times import Stopwatch

PIECE_WORDS: Final = 1 << 19
"""Frames are cut into pieces of about this many words, so that all threads end together."""
PIECES_AHEAD: Final = 4
"""Number of batches for each thread that may wait before the caller counts some itself instead of adding more."""


class Analysis(Protocol):
    """A kernel: whole windows in, their contribution out; newest: the newest key of the batch they are from."""

    def __call__(self, frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution: ...


@dataclass(slots=True)
class _Piece:
    frames: Frames | ScatteredFrames
    newest: int
    elsewhere: Future[Contribution]
    here: Contribution | None = None

    def done(self) -> bool:
        """Whether a thread has counted it."""
        return self.here is not None or (self.elsewhere.done() and not self.elsewhere.cancelled())

    def contribution(self) -> Contribution:
        """Its contribution; waits for the thread that counts it."""
        return self.elsewhere.result() if self.here is None else self.here


def _timed(analyse: Analysis, stopwatch: Stopwatch) -> Analysis:
    """The kernel, timed by a stopwatch."""

    def timed(frames: Frames | ScatteredFrames, newest: int | None = None) -> Contribution:
        with stopwatch.kernel():
            return analyse(frames, newest)

    return timed


class Kernels:
    """Has a kernel count frames in `workers` threads and in the caller's, which helps where it would have to wait.

    The caller's is the thread that builds frames: with one more thread, two processors are busy all the time, and none
    has two threads that take turns. With no workers all is counted in the caller's thread, at once.
    """

    def __init__(
        self, analyse: Analysis, workers: int, stopwatch: Stopwatch | None = None, *, piece_words: int | None = None
    ) -> None:
        """piece_words: see `PIECE_WORDS`; fewer for a kernel that takes long for a word."""
        self.analyse: Analysis = analyse if stopwatch is None else _timed(analyse, stopwatch)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kernel") if workers else None
        self._most = PIECES_AHEAD * workers
        self._piece_words = piece_words or PIECE_WORDS
        self._pieces: deque[_Piece] = deque()

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()

    def count(self, frames: Frames | ScatteredFrames) -> Iterator[Contribution]:
        """Take frames, and give the contributions finished by now, of these or of earlier ones. The caller must take
        all of them before it continues.
        """
        if self._pool is None:
            yield self.analyse(frames)
            return
        newest = int(frames.keys[-1])
        for piece in frames.split(self._piece_words):
            self._pieces.append(_Piece(piece, newest, self._pool.submit(self.analyse, piece, newest)))
        yield from self._finished(self._most)

    def settle(self) -> Iterator[Contribution]:
        """Count everything that waits, and give the remaining contributions."""
        yield from self._finished(0)

    def _finished(self, most: int) -> Iterator[Contribution]:
        """The contributions finished by now, from the oldest on; helps if too many batches are left."""
        pieces = self._pieces
        while pieces and (pieces[0].done() or len(pieces) > most):
            if not pieces[0].done():
                self._help()
            while pieces and pieces[0].done():
                yield pieces.popleft().contribution()

    def _help(self) -> None:
        """Count the oldest batch that no thread has taken; if there is none, wait for the oldest of all."""
        for piece in self._pieces:
            if piece.here is None and piece.elsewhere.cancel():
                piece.here = self.analyse(piece.frames, piece.newest)
                return
        self._pieces[0].contribution()
