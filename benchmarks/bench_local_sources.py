"""Words from a process beside: through a ring in shared memory, over a connection, and as they lie in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np

from benchmarks.bench_monitor import repeated
from benchmarks.timing import table
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.shared import ring_blocks
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_socket import WordServer
from muonstream.words import Words

WORDS = 1 << 26
BLOCK_WORDS = 1 << 22
PUSH_WORDS = 1 << 21
ROUNDS = 3

# sends all words as fast as they are taken
SEND = """
import sys, threading
import numpy as np
from muonstream.sources.ring import RingWriter
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_sender import WordSender
words, stop = np.load(sys.argv[1], mmap_mode="r"), threading.Event()
np.sum(words)
if sys.argv[2].startswith("shm:"):
    with RingWriter(sys.argv[2], 1 << 21) as ring:
        at = 0
        while at < len(words):
            n = min(ring.room, 1 << 16, len(words) - at)
            if n < min(1 << 16, len(words) - at):
                stop.wait(0.0002)
            else:
                ring.write(np.ascontiguousarray(words[at : at + n]))
                at += n
        ring.end()
        while ring.unread:
            stop.wait(0.001)
else:
    sender = WordSender(WordAddress.of(sys.argv[2]), stop)
    sender.put(words)
    sender.end()
    sender.close()
"""


def _counted(blocks: Iterator[Block]) -> float:
    """Seconds from the first words to a finished monitor, on one thread. Raises SystemExit unless all words came."""
    n, began = 0, 0.0
    with Pipeline(Detector.default(), workers=0, pairs=False) as pipeline:
        for block in blocks:
            began = began if n else time.perf_counter()
            pipeline.push(block.words)
            n += len(block.words)
        pipeline.finish()
    if n != WORDS:
        raise SystemExit(f"{n:,} of {WORDS:,} words came")
    return time.perf_counter() - began


def _in_memory(words: Words) -> float:
    return _counted(Block(words[first : first + PUSH_WORDS]) for first in range(0, len(words), PUSH_WORDS))


def _received(path: Path, to: str) -> float:
    expected, stop = Expected.of(Detector.default().channel_map()), Event()
    if to.startswith("shm:"):
        with subprocess.Popen([sys.executable, "-c", SEND, str(path), to]):
            return _counted(ring_blocks(to, expected=expected, stop=stop))
    server = WordServer(WordAddress.of(to), expected=expected)
    with subprocess.Popen([sys.executable, "-c", SEND, str(path), f"tcp://127.0.0.1:{server.port}"]):
        seconds = _counted(server.blocks(stop))
    server.close()
    return seconds


def main() -> None:
    """Measure and print, from the first word that comes to the last one counted."""
    for rate_hz in (5e3, 1e6):
        words = repeated(simulate_words(BLOCK_WORDS, rate_hz=rate_hz), WORDS // BLOCK_WORDS)
        with tempfile.TemporaryDirectory() as folder:
            path, ring = Path(folder) / "words.npy", f"shm:muonstream-bench-{Path(folder).name}"
            np.save(path, words)
            works: dict[str, Callable[[], float]] = {
                "in memory": partial(_in_memory, words),
                "shm: a ring": partial(_received, path, ring),
                "tcp: a connection": partial(_received, path, "tcp://127.0.0.1:0"),
            }
            rounds = [{name: work() for name, work in works.items()} for _ in range(ROUNDS + 1)][1:]
        seconds = {name: statistics.median(one[name] for one in rounds) for name in works}
        table(f"One thread at {rate_hz:,.0f} Hz", WORDS, "words", seconds, "in memory")


if __name__ == "__main__":
    main()
