from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest
from decoding import WORDS

from muonstream.formats.block import SourceError
from muonstream.sources.follow import follow

DATA = WORDS.astype("<u8").tobytes()
ERRORS = [
    errno.ESTALE,
    errno.EIO,
    errno.EACCES,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.ENODEV,
    errno.ETIMEDOUT,
    errno.EINTR,
    errno.EMFILE,
]
CALLS = {
    "pread": [(os, "pread")],
    "open": [(os, "open"), (os, "pread")],
    "folder": [(os, "scandir"), (os, "stat")],
    "all": [(os, "open"), (os, "pread"), (os, "scandir"), (os, "stat"), (builtins, "open")],
}


class Failing:
    """A file system that fails for a while. calls: which ones of it"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, calls: str) -> None:
        self.error = 0
        self.failed = 0
        for module, name in CALLS[calls]:
            monkeypatch.setattr(module, name, self._failing(getattr(module, name)))

    def _failing(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            if self.error:
                self.failed += 1
                raise OSError(self.error, os.strerror(self.error))
            return real(*args, **options)

        return call


def run_while(source: Path, steps: Sequence[Callable[[], object]]) -> tuple[list[int], list[str]]:
    """Words and notes of a run during which something happens, each time when all that was there is read."""
    stop = Event()
    left: list[Callable[[], object]] = [*steps, lambda: None]
    words: list[int] = []
    notes: list[str] = []
    for block in follow(str(source), None, stop):
        words += block.words.tolist()
        notes += block.notes
        if block.idle:
            if left:
                left.pop(0)()
            else:
                stop.set()
    return words, notes


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.sources.follow.POLL_S", 0.001)


@pytest.mark.parametrize("alone", [True, False], ids=["file", "folder"])
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error])
def test_a_file_system_that_fails_for_a_while_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, calls: str, alone: bool
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(DATA[:8000])
    system = Failing(monkeypatch, calls)

    def fail() -> None:
        with path.open("ab") as handle:
            handle.write(DATA[8000:])
        system.error = error

    def work() -> None:
        system.error = 0

    words, notes = run_while(path if alone else tmp_path, [fail, work])
    assert words == WORDS.tolist()
    assert system.failed
    assert all("cannot be read for the moment" in note and os.strerror(error) in note for note in notes)


@pytest.mark.parametrize("alone", [True, False], ids=["file", "folder"])
def test_what_cannot_be_read_until_the_end_is_told_and_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(DATA[:8000])
    system = Failing(monkeypatch, "pread")

    def fail() -> None:
        with path.open("ab") as handle:
            handle.write(DATA[8000:])
        system.error = errno.EIO

    line = f"{path}: byte 8,000: cannot be read from here on: Input/output error; {len(DATA) - 8000:,} bytes are"
    if alone:
        with pytest.raises(SourceError, match=line):
            run_while(path, [fail])
        return
    words, notes = run_while(tmp_path, [fail])
    assert words == WORDS[:1000].tolist()
    assert line in notes[1]


def test_a_file_that_cannot_be_read_from_the_first_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(DATA)
    Failing(monkeypatch, "pread").error = errno.EIO
    with pytest.raises(SourceError, match=rf"^{path}: cannot be read: Input/output error$"):
        run_while(path, [])


def test_a_copy_that_cannot_be_compared_for_the_moment_is_compared_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dat").write_bytes(DATA)
    system = Failing(monkeypatch, "all")

    def fail() -> None:
        (tmp_path / "b.dat").write_bytes(DATA)
        system.error = errno.EACCES

    def work() -> None:
        system.error = 0

    words, notes = run_while(tmp_path, [fail, work])
    assert words == WORDS.tolist()
    assert notes[-1].endswith(f"1 read, 1 passed over: b.dat (the same 2,000 hits as {tmp_path / 'a.dat'})")
