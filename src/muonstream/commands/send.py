"""`muonstream replay --to shm:NAME` or `tcp://host:port`: send a run's words to another program."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from muonstream.commands import common
from muonstream.commands.replay_source import ReplayOptions, ReplaySource
from muonstream.commands.signals import StopSignal
from muonstream.errors import ToldError
from muonstream.formats.block import counted
from muonstream.sources.ring import RingWriter
from muonstream.sources.schemes import RING
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_sender import WordSender
from muonstream.words import Words

WAIT_S: Final = 0.001
PIECE_WORDS: Final = 1 << 16


class WordChannel(Protocol):
    """Takes a run's words for another program."""

    def put(self, words: Words, stop: StopSignal) -> int:
        """Send words (uint64[n]) as the other program has room for them; gives how many, fewer once `stop` is set."""
        ...

    def end(self, stop: StopSignal) -> None:
        """Say that the run has ended, and wait until all of it was read, or `stop` is set."""
        ...


class RingChannel:
    """A ring in shared memory, written only where its reader has room."""

    def __init__(self, ring: RingWriter) -> None:
        self._ring = ring

    def put(self, words: Words, stop: StopSignal) -> int:
        """See `WordChannel`."""
        sent = 0
        while sent < len(words) and not stop.is_set():
            n = min(self._ring.room, PIECE_WORDS, len(words) - sent)
            if n:
                self._ring.write(words[sent : sent + n])
                sent += n
            else:
                stop.wait(WAIT_S)
        return sent

    def end(self, stop: StopSignal) -> None:
        """See `WordChannel`."""
        self._ring.end()
        while self._ring.unread and not stop.is_set():
            stop.wait(10 * WAIT_S)


class SocketChannel:
    """A connection to a program that takes words as it has room for them."""

    def __init__(self, sender: WordSender) -> None:
        self._sender = sender

    def put(self, words: Words, stop: StopSignal) -> int:
        """See `WordChannel`."""
        return self._sender.put(words)

    def end(self, stop: StopSignal) -> None:
        """See `WordChannel`."""
        self._sender.end()


@contextmanager
def _opened(to: str, stop: StopSignal, *, rewinds: bool) -> Iterator[WordChannel]:
    if to.startswith(RING):
        with RingWriter(to) as ring:
            yield RingChannel(ring)
        return
    sender = WordSender(WordAddress.of(to), stop, resumes=rewinds, say=common.say)
    try:
        yield SocketChannel(sender)
    finally:
        sender.close()


def send_words(source: ReplaySource, options: ReplayOptions) -> None:
    """Send all words of a source. Raises CommandError, SourceError, or ToldError when it was stopped.

    Nothing is lost: where the reader is behind, or not there yet, the words wait.
    """
    for found, option in ((options.run_number, "--run-number"), (options.properties, "--kafka-properties")):
        if found is not None:
            raise common.CommandError(f"{option}: found {options.to}, expected a topic: kafka://host:port/topic")
    if options.form != "frames":
        raise common.CommandError(f"--as: found {options.form}, expected frames for {options.to}, which takes words")
    stop, sent, began = StopSignal(), 0, time.monotonic()
    with stop.listening(), _opened(options.to, stop, rewinds=source.rewinds) as channel:
        for block in source.timed(options, 0, stop):
            for line in (*block.notes, *block.faults):
                common.say(line)
            sent += channel.put(block.words, stop)
            if stop.is_set():
                break
        if stop.is_set() and not source.endless:
            common.say(f"{options.to}: stopped after {counted(sent, 'word')}, without the run's end")
            raise ToldError(stop.exit_code)
        channel.end(stop)
    seconds = max(time.monotonic() - began, 1e-9)
    common.out.print(
        f"{options.to}: {counted(sent, 'word')} sent in {seconds:,.1f} s, {sent / seconds:,.0f} words/s", markup=False
    )
