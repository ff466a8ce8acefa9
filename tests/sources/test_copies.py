from __future__ import annotations

import bz2
import gzip
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import numpy as np
import pytest
from decoding import WORDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muonstream.formats.block import InputReport
from muonstream.sources.follow import follow
from muonstream.sources.reader import hits_of

DATA = WORDS.astype("<u8").tobytes()
OTHER = (WORDS[:1000] + (1 << 40)).astype("<u8").tobytes()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.sources.follow.POLL_S", 0.001)
    monkeypatch.setattr("muonstream.sources.copies.LONGER_S", 0.0)


def run_while(
    source: Path, steps: Sequence[Callable[[], object]]
) -> tuple[list[int], list[str], dict[str, InputReport]]:
    """Words, notes and reports of a run during which something happens, each time when all that was there is read."""
    stop = Event()
    left: list[Callable[[], object]] = [*steps, lambda: None]
    words: list[int] = []
    notes: list[str] = []
    reports = {}
    for block in follow(str(source), None, stop):
        words += hits_of(block.words).tolist()
        notes += block.notes
        if block.report is not None:
            reports[block.report.name] = block.report
        if block.idle:
            if left:
                left.pop(0)()
            else:
                stop.set()
    assert all(report.balanced and not report.waiting for report in reports.values())
    return words, notes, reports


def replaced(path: Path, size: int) -> None:
    """As rsync writes: the file is written under another name, and renamed."""
    (path.parent / ".new").write_bytes(DATA[:size])
    (path.parent / ".new").rename(path)


def truncated(path: Path, size: int) -> None:
    """As cp writes, caught in the middle."""
    path.write_bytes(b"")


WAYS: dict[str, list[Callable[[Path, int], object]]] = {
    "rsync": [replaced],
    "cp": [truncated, lambda path, size: path.write_bytes(DATA[:size])],
    "gone for a while": [lambda path, size: path.rename(path.parent.parent / "away"), replaced],
    "shorter for a while": [lambda path, size: path.write_bytes(DATA[:800]), truncated, replaced],
}


@pytest.mark.parametrize("alone", [True, False], ids=["file", "folder"])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_without_a_format_yet_is_counted_once_when_it_is_copied_again(
    tmp_path: Path, way: str, alone: bool
) -> None:
    """One and a half transfers do not show whether they are transfers."""
    data = np.insert(WORDS[: 128 * 15].reshape(15, 128), 0, 591, axis=1).astype("<u8").tobytes()
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "x.dat"
    path.write_bytes(data[:1752])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "DATA", data)
        steps = [partial(step, path, size) for size in (6588, len(data)) for step in WAYS[way]]
        words, _, _ = run_while(path if alone else folder, steps)
    assert words == hits_of(WORDS[: 128 * 15]).tolist()


@pytest.mark.parametrize("alone", [True, False], ids=["file", "folder"])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_copied_again_and_again_as_it_grows_is_counted_once(
    tmp_path: Path, way: str, alone: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "x.dat"
    path.write_bytes(DATA[:6000])
    steps = [partial(step, path, size) for size in (8000, 12000, len(DATA)) for step in WAYS[way]]
    words, notes, reports = run_while(path if alone else folder, steps)
    assert words == hits_of(WORDS).tolist()
    assert any("hits as what x.dat held before, which are not counted again" in note for note in notes)
    assert sum(report.words for report in reports.values()) == len(words)


def test_a_folder_that_was_not_mounted_for_a_while_is_read_on(tmp_path: Path) -> None:
    folder, away = tmp_path / "data", tmp_path / "away"
    folder.mkdir()
    (folder / "a.dat").write_bytes(DATA[:4000])
    (folder / "b.dat").write_bytes(DATA[4000:8000])

    def unmount() -> None:
        folder.rename(away)
        folder.mkdir()

    def mount() -> None:
        folder.rmdir()
        away.rename(folder)
        with (folder / "b.dat").open("ab") as handle:
            handle.write(DATA[8000:])

    words, notes, reports = run_while(folder, [unmount, mount])
    assert (words, notes) == (hits_of(WORDS).tolist(), [])
    assert len(reports) == 2


def test_another_file_with_the_inode_of_one_that_is_gone_is_another(tmp_path: Path) -> None:
    a, away = tmp_path / "a.dat", tmp_path.parent / f"{tmp_path.name}.away"
    a.write_bytes(DATA)

    def written_over() -> None:
        away.write_bytes(OTHER)
        away.rename(a)

    words, _, reports = run_while(tmp_path, [lambda: a.rename(away), written_over])
    assert len(words) == len(hits_of(WORDS)) + 1000
    assert sorted(report.status for report in reports.values()) == ["read", "read"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_copy_that_grows_is_not_counted_again(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """At first it shows no word: whether it repeats a file is found out when it does."""
    original, copy = tmp_path / "data_0.dat", tmp_path / "data_0.dat.z"
    original.write_bytes(DATA)
    packed = pack(DATA)
    steps: list[Callable[[], object]] = [
        lambda: copy.write_bytes(packed[:30]),
        lambda: copy.write_bytes(packed[: len(packed) // 2]),
        lambda: copy.write_bytes(packed),
        original.unlink,
    ]
    words, _, reports = run_while(tmp_path, steps)
    assert words == hits_of(WORDS).tolist()
    assert reports[str(copy)].status == "passed over"
    assert reports[str(copy)].why == f"the same {len(words):,} hits as {original}"


def test_a_name_that_was_taken_by_another_file_is_not_read_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a folder and the reading, a file may be replaced."""
    path = tmp_path / "x.dat"
    path.write_bytes(DATA[:8000])
    real, replacing = os.open, [OTHER]

    def opened(name: str | os.PathLike[str], *args: int) -> int:
        if replacing:
            (tmp_path / ".new").write_bytes(replacing.pop())
            (tmp_path / ".new").rename(path)
        return real(name, *args)

    monkeypatch.setattr(os, "open", opened)
    words, _, _ = run_while(tmp_path, [])
    assert len(words) == 1000


def test_copies_are_compared_with_each_of_those_that_begin_alike(tmp_path: Path) -> None:
    mixed = DATA[:8000] + OTHER
    steps: list[Callable[[], object]] = [
        lambda: (tmp_path / "b.dat").write_bytes(mixed),
        lambda: shutil.copy(tmp_path / "a.dat", tmp_path / "c.dat"),
    ]
    (tmp_path / "a.dat").write_bytes(DATA)
    words, notes, reports = run_while(tmp_path, steps)
    assert words == [*hits_of(WORDS), *hits_of(np.frombuffer(mixed, "<u8"))]
    assert reports[str(tmp_path / "c.dat")].status == "passed over"
    assert any("b.dat: begins with the same" in note and "then differs" in note for note in notes)


def test_a_file_that_is_copied_and_truncated_at_once_is_counted_once(tmp_path: Path) -> None:
    """As logrotate's copytruncate: the copy must be compared with what was read, not with what is there now."""
    path = tmp_path / "data.dat"
    path.write_bytes(DATA[:8000])

    def rotate() -> None:
        (tmp_path / "data.1.dat").write_bytes(DATA)
        path.write_bytes(OTHER)

    words, _, _ = run_while(tmp_path, [rotate])
    assert sorted(words) == sorted([*hits_of(WORDS), *hits_of(np.frombuffer(OTHER, "<u8"))])


HITS = hits_of(WORDS).astype("<u8")
NEVER = HITS[:1200] + np.uint64(1 << 40)
CUTS = st.lists(st.tuples(st.integers(300, 2000), st.integers(0, 400)), min_size=1, max_size=3)


@given(first=st.integers(300, 2000), cuts=CUTS, folder=st.booleans(), inside=st.integers(0, 7))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_back_in_place_is_counted_once(
    first: int, cuts: list[tuple[int, int]], folder: bool, inside: int
) -> None:
    """It is cut to some of its hits and a part of the next, and goes on with hits that it never held."""
    fresh = 0

    def go_on(path: Path, keep: int, more: int, at: int) -> None:
        whole = min(path.stat().st_size // 8, keep)
        if more:
            os.truncate(path, 8 * whole)
            with path.open("ab") as handle:
                handle.write(NEVER[at : at + more].tobytes())
        else:
            os.truncate(path, min(path.stat().st_size, 8 * whole + inside))

    with TemporaryDirectory() as name:
        path = Path(name) / "x.dat"
        path.write_bytes(HITS[:first].tobytes())
        steps = []
        for keep, more in cuts:
            steps.append(partial(go_on, path, keep, more, fresh))
            fresh += more
        words, _, reports = run_while(Path(name) if folder else path, steps)
    assert sorted(words) == sorted([*HITS[:first].tolist(), *NEVER[:fresh].tolist()])
    assert sum(report.words for report in reports.values()) == len(words)


def test_hits_that_can_no_longer_be_compared_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muonstream.sources.digest.MOST_MARKS", 16)
    path = tmp_path / "x.dat"
    path.write_bytes(HITS[:2000].tobytes())
    words, notes, _ = run_while(path, [lambda: os.truncate(path, 8 * 1500)])
    assert words == [*HITS[:2000].tolist(), *HITS[1408:1500].tolist()]
    assert any("not counted again; up to 92 hits behind these can no longer be compared" in note for note in notes)


@pytest.mark.parametrize("more", [b"", OTHER], ids=["nothing", "more"])
@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone"])
def test_files_that_were_joined_are_not_counted_again(tmp_path: Path, more: bytes, gone: bool) -> None:
    """As `cat data_* > joined.dat` beside them, or in place of them."""
    parts = [DATA[:8000], DATA[8000:12_000], DATA[12_000:]]

    def join() -> None:
        joined = b"".join((tmp_path / f"data_{i}.dat").read_bytes() for i in range(3)) + more
        if gone:
            for i in range(3):
                (tmp_path / f"data_{i}.dat").unlink()
        (tmp_path / "joined.dat").write_bytes(joined)

    for i, part in enumerate(parts):
        (tmp_path / f"data_{i}.dat").write_bytes(part)
    words, notes, _ = run_while(tmp_path, [join])
    assert words == [*hits_of(WORDS).tolist(), *hits_of(np.frombuffer(more, "<u8")).tolist()]
    names = f"{tmp_path}/data_0.dat and {tmp_path}/data_1.dat and {tmp_path}/data_2.dat"
    assert any(f"joined.dat: {'begins with ' if more else ''}the same" in note and names in note for note in notes)
