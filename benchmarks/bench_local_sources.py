"""Words from a process beside: through a ring in shared memory, over a connection, and as they lie in memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np

from benchmarks.bench_monitor import repeated
from benchmarks.timing import medians, table
from muonstream.commands.bench import run_words
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.simulation.telescope import simulate_words
from muonstream.sources.shared import ring_blocks
from muonstream.sources.word_address import WordAddress
from muonstream.sources.word_socket import WordServer

WORDS = 1 << 26
BLOCK_WORDS = 1 << 22
START = [sys.executable, "-c", "from muonstream.sources.word_sender import WordSender"]

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


def _counted(blocks: Iterator[Block]) -> int:
    """Words to a finished monitor, on one thread."""
    n = 0
    with Pipeline(Detector.default(), workers=0, pairs=False) as pipeline:
        for block in blocks:
            pipeline.push(block.words)
            n += len(block.words)
        pipeline.finish()
    return n


def _received(path: Path, to: str) -> None:
    expected, stop = Expected.of(Detector.default().channel_map()), Event()
    if to.startswith("shm:"):
        with subprocess.Popen([sys.executable, "-c", SEND, str(path), to]):
            n = _counted(ring_blocks(to, expected=expected, stop=stop))
    else:
        server = WordServer(WordAddress.of(to), expected=expected)
        with subprocess.Popen([sys.executable, "-c", SEND, str(path), f"tcp://127.0.0.1:{server.port}"]):
            n = _counted(server.blocks(stop))
        server.close()
    if n != WORDS:
        raise SystemExit(f"{to}: {n:,} of {WORDS:,} words came")


def main() -> None:
    """Measure and print; a sender's start is part of the time, and is shown apart."""
    for rate_hz in (5e3, 1e6):
        words = repeated(simulate_words(BLOCK_WORDS, rate_hz=rate_hz), WORDS // BLOCK_WORDS)
        with tempfile.TemporaryDirectory() as folder:
            path, ring = Path(folder) / "words.npy", f"shm:muonstream-bench-{Path(folder).name}"
            np.save(path, words)
            works: dict[str, Callable[[], object]] = {
                "in memory": partial(run_words, words, 0),
                "shm: a ring": partial(_received, path, ring),
                "tcp: a connection": partial(_received, path, "tcp://127.0.0.1:0"),
                "start of a sender": partial(subprocess.run, START, check=True),
            }
            seconds = medians(works, rounds=3)
        began = seconds.pop("start of a sender")
        seconds = {name: one - began * (name != "in memory") for name, one in seconds.items()}
        table(
            f"One thread at {rate_hz:,.0f} Hz, less {began:.1f} s of a sender's start",
            WORDS,
            "words",
            seconds,
            "in memory",
        )


if __name__ == "__main__":
    main()
