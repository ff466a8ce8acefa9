"""The store's file on a disk that loses power: what was written last may be torn, or missing altogether."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from muonstream.sinks.store import Saved, Store
from tools.deterministic.clients import Process

SECTOR: Final = 512
SUFFIXES: Final = ("", "-wal")
Files = dict[str, bytes]


class Disk:
    """The store's files as they were after the last transactions, and what a crash makes of them."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path = path
        self.random = rng
        self.versions: deque[Files] = deque(maxlen=3)
        self.torn = False
        """the process died within a transaction"""

    def read(self) -> Files:
        """The files as they are now."""
        there = {suffix: Path(f"{self.path}{suffix}") for suffix in SUFFIXES}
        return {suffix: file.read_bytes() for suffix, file in there.items() if file.exists()}

    def crash(self, lose: bool) -> None:
        """Put the files into the state in which a crash leaves them; lose: a lying disk has lost some transactions."""
        if not self.versions:
            return
        files = self.versions[-1]
        before = self.versions[-2] if len(self.versions) > 1 else None
        if lose and self.random.random() < 0.3:
            files = self.random.choice(self.versions)
        elif self.torn and before is not None:
            files = self._torn(before, files)
        self.torn = False
        self.versions.clear()
        for suffix in SUFFIXES:
            file = Path(f"{self.path}{suffix}")
            file.unlink(missing_ok=True)
            if suffix in files:
                file.write_bytes(files[suffix])
        self.versions.append(files)

    def _torn(self, before: Files, after: Files) -> Files:
        """Some sectors of the log as the transaction wrote them, others as they were: any of them, in any order."""
        if before[""] != after[""]:
            return self.random.choice((before, after))
        old, new = before.get("-wal", b""), after.get("-wal", b"")
        out = bytearray(old)
        for at in range(0, len(new), SECTOR):
            if self.random.random() < 0.5:
                out[at : at + SECTOR] = new[at : at + SECTOR].ljust(0) if at <= len(out) else b""
        return {"": after[""], "-wal": bytes(out)}


class SimulatedStore:
    """A store whose process may die at the beginning of a transaction, within it, and behind it."""

    def __init__(self, process: Process, disk: Disk, kept: Callable[[Saved], None]) -> None:
        """kept: gets what a transaction has written."""
        process.call()
        self._process = process
        self._kept = kept
        self._disk = disk
        self._store = Store(disk.path)
        self._disk.versions.append(disk.read())
        self.load, self.runs = self._store.load, self._store.runs

    def save(self, saved: Saved) -> None:
        self._process.call()
        self._store.save(saved)
        self._disk.versions.append(self._disk.read())
        self._disk.torn = True
        self._process.call(0.005)
        self._disk.torn = False
        self._kept(saved)

    def close(self) -> None:
        self._store.close()
