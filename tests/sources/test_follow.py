from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from decoding import WORDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muonstream.commands.simulate import table_of
from muonstream.formats.block import Block, InputReport, SourceError
from muonstream.formats.recognise import Format
from muonstream.sources.follow import follow
from muonstream.sources.watched import WatchedFile


def test_a_growing_truncated_and_replaced_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:804])
    stop = Event()
    blocks = follow(str(path), None, stop)

    def available() -> tuple[list[int], int]:
        """All words until the file has nothing new, and how many beginnings."""
        words, begins = [], 0
        for block in blocks:
            words += block.words.tolist()
            begins += block.begins
            if block.idle:
                return words, begins
        return words, begins

    assert available() == (WORDS[:100].tolist(), 1)
    with path.open("ab") as handle:
        handle.write(data[804:8000])
    assert available() == (WORDS[100:1000].tolist(), 0)
    path.write_bytes(data[12000:13600])  # truncated, and written anew
    assert available() == (WORDS[1500:1700].tolist(), 1)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(data[1600:4000])
    fresh.rename(path)
    assert available() == (WORDS[200:500].tolist(), 1)
    stop.set()
    assert available() == ([], 0)


def test_a_folders_files_follow_one_another(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "run_1.dat").write_bytes(data[:4000])
    (tmp_path / "run_2.dat").write_bytes(data[4000:])
    stop = Event()
    words: list[int] = []
    for block in follow(str(tmp_path), None, stop):
        words += block.words.tolist()
        if block.idle:
            stop.set()
    assert words == WORDS.tolist()


def notes_of(blocks: list[Block]) -> list[str]:
    return [note for block in blocks for note in block.notes]


def until_idle(blocks: Iterator[Block]) -> list[Block]:
    """All blocks until nothing more is waiting."""
    found = []
    for block in blocks:
        found.append(block)
        if block.idle:
            break
    return found


def words_of(blocks: list[Block]) -> list[int]:
    return [word for block in blocks for word in block.words.tolist()]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none: no such file or folder$"):
        next(follow(str(tmp_path / "none"), None, Event()))


def test_a_file_is_recognised_as_soon_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "daq.csv"
    path.write_bytes(b"HEAD,FPGA,TDC_CHANNEL")
    stop = Event()
    blocks = follow(str(path), None, stop)
    assert words_of(until_idle(blocks)) == []
    with path.open("ab") as handle:
        handle.write(b",ORBIT_CNT,BX_COUNTER,TDC_MEAS\n" + table_of(WORDS[:50]))
    found = until_idle(blocks)
    assert words_of(found) == WORDS[:50].tolist()
    assert sum(block.begins for block in found) == 1
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_is_not_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"<html><body>" + b"nothing to see\n" * 1000)
    with pytest.raises(SourceError, match=r"notes.txt: found a web page"):
        list(follow(str(path), None, Event()))
    path.write_bytes(WORDS.astype("<u8").tobytes())
    with pytest.raises(SourceError, match="but --format json was given"):
        list(follow(str(path), Format.JSON, Event()))


def test_what_shows_no_format_by_the_end_of_the_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"hello")
    stop = Event()
    stop.set()
    with pytest.raises(SourceError, match=r"short: found "):
        list(follow(str(path), None, stop))


def test_a_finished_file_that_is_taken_from_a_folder_is_not_missed(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "1.dat").write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    until_idle(blocks)
    (tmp_path / "1.dat").unlink()
    until_idle(blocks)
    (tmp_path / "2.dat").write_bytes(data[800:1600])
    found = until_idle(blocks)
    assert words_of(found) == WORDS[100:200].tolist()
    stop.set()
    assert notes_of([*found, *blocks]) == []


@pytest.mark.parametrize("folder", [True, False])
def test_an_empty_file_and_an_empty_folder_are_idle(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "daq"
    path.mkdir() if folder else path.touch()
    stop = Event()
    blocks = follow(str(path), None, stop)
    [only] = until_idle(blocks)
    assert (len(only.words), only.malformed, only.begins) == (0, 0, False)
    stop.set()
    assert sum(block.malformed for block in blocks) == 0


def test_the_rest_of_a_word_is_malformed_when_its_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    path.write_bytes(WORDS[:10].astype("<u8").tobytes() + b"abc")
    stop = Event()
    blocks = follow(str(path), None, stop)
    assert sum(block.malformed for block in until_idle(blocks)) == 0
    stop.set()
    assert sum(block.malformed for block in blocks) == 1


def test_hidden_and_unfinished_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    data = WORDS[:20].astype("<u8").tobytes()
    for name in (".hidden", "a.tmp", "a.part"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == []
    (tmp_path / "a.part").rename(tmp_path / "a.dat")
    assert words_of(until_idle(blocks)) == WORDS[:20].tolist()
    stop.set()
    assert words_of(list(blocks)) == []


def test_a_file_that_was_left_is_read_on_when_it_grows(tmp_path: Path) -> None:
    data = WORDS.astype("<u8").tobytes()
    (tmp_path / "1.dat").write_bytes(data[:804])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:100].tolist()
    (tmp_path / "2.dat").write_bytes(data[4000:8000])
    assert words_of(until_idle(blocks)) == WORDS[500:1000].tolist()
    with (tmp_path / "1.dat").open("ab") as handle:
        handle.write(data[804:4000])
    found = until_idle(blocks)
    assert words_of(found) == WORDS[100:500].tolist()
    assert notes_of(found) == [
        f"{tmp_path / '1.dat'}: has grown by 3,196 bytes after 2.dat was begun; they are read now"
    ]
    stop.set()
    assert words_of(list(blocks)) == []


def test_what_comes_late_is_named_after_the_file_that_was_begun_last(tmp_path: Path) -> None:
    """Not after another one that grew late; and the newest file itself, which grows on, is not late."""
    data = WORDS[:1500].astype("<u8").tobytes()
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    for name, at in (("1.dat", 0), ("2.dat", 4000), ("3.dat", 8000)):
        (tmp_path / name).write_bytes(data[at : at + 3200])
        until_idle(blocks)
    notes = []
    for name, at in (("1.dat", 3200), ("2.dat", 7200), ("3.dat", 11_200)):
        with (tmp_path / name).open("ab") as handle:
            handle.write(data[at : at + 800])
        notes += notes_of(until_idle(blocks))
    assert [note for note in notes if "grown" in note] == [
        f"{tmp_path / name}: has grown by 800 bytes after 3.dat was begun; they are read now"
        for name in ("1.dat", "2.dat")
    ]
    stop.set()
    list(blocks)


@pytest.mark.parametrize("folder", [True, False])
def test_a_file_that_was_allocated_in_advance_is_read_as_it_is_filled(tmp_path: Path, folder: bool) -> None:
    data = WORDS[:1000].astype("<u8").tobytes()
    path = tmp_path / "1.dat"
    path.write_bytes(data[:1603] + bytes(9000 - 1603))
    stop = Event()
    blocks = follow(str(tmp_path if folder else path), None, stop)
    found = words_of(until_idle(blocks))
    assert found == WORDS[:200].tolist()
    for begin, end, words in ((1603, 4000, 500), (4000, 4007, 500), (4007, 8000, 1000)):
        with path.open("r+b") as handle:
            handle.seek(begin)
            handle.write(data[begin:end])
        # the time of the file system's clock may be that of the last look
        os.utime(path, ns=(0, path.stat().st_mtime_ns + end))
        found += words_of(until_idle(blocks))
        assert found == WORDS[:words].tolist()
    stop.set()
    rest = list(blocks)
    reports = {block.report.name: block.report for block in rest if block.report is not None}
    assert reports[str(path)].words == 1000
    assert reports[str(path)].bytes.padding == 1000
    assert reports[str(path)].malformed == 125


def test_zeros_before_the_end_of_a_file_do_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "1.dat"
    path.write_bytes(WORDS[:100].astype("<u8").tobytes() + bytes(8000) + WORDS[100:200].astype("<u8").tobytes())
    stop = Event()
    blocks = follow(str(path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:200].tolist()
    stop.set()
    list(blocks)


def test_a_file_of_idle_words_alone_is_read_with_the_others_at_the_end(tmp_path: Path) -> None:
    idle = np.full(500, 0x01555655554D5555, np.uint64)
    (tmp_path / "1.dat").write_bytes(idle.astype("<u8").tobytes())
    (tmp_path / "2.dat").write_bytes(WORDS.astype("<u8").tobytes())
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS.tolist()
    stop.set()
    rest = list(blocks)
    assert words_of(rest) == idle.tolist()
    assert not any("passed over" in note for note in notes_of(rest))


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_written_before_another_takes_its_place_is_read(
    tmp_path: Path, folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = WORDS[:3000].astype("<u8").tobytes()
    first = tmp_path / "1.dat"
    first.write_bytes(data[:8000])
    stop = Event()
    blocks = follow(str(tmp_path if folder else first), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:1000].tolist()
    changed = WatchedFile.changed
    late = [True]

    def and_then(file: WatchedFile) -> bool:
        if late:
            # the DAQ, just after the source was looked at
            late.clear()
            with first.open("ab") as handle:
                handle.write(data[8000:16000])
            if folder:
                (tmp_path / "2.dat").write_bytes(data[16000:])
            else:
                first.rename(tmp_path / "old")
                first.write_bytes(data[16000:])
        return changed(file)

    monkeypatch.setattr(WatchedFile, "changed", and_then)
    found = until_idle(blocks)
    found += until_idle(blocks)
    assert words_of(found) == WORDS[1000:3000].tolist()
    stop.set()
    list(blocks)


@pytest.mark.parametrize("n_before", [40, 100, 1000, 1400, 2000])  # words, few and many beside those remembered
def test_a_file_written_anew_is_read_from_its_beginning(tmp_path: Path, n_before: int) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[: 8 * n_before])
    stop = Event()
    blocks = follow(str(path), Format.WORDS, stop)
    assert words_of(until_idle(blocks)) == WORDS[:n_before].tolist()
    path.write_bytes(data[4_000:15_200])  # the same file, now of 1400 other words
    found = until_idle(blocks)
    n = 8 * n_before
    assert notes_of(found)[0] == (
        f"{path}: byte {n:,}: was truncated or rewritten after its first {n:,} bytes had been read; "
        "it is read again from byte 0"
    )
    assert words_of(found) == WORDS[500:1900].tolist()
    assert sum(block.begins for block in found) == 1
    with path.open("ab") as handle:
        handle.write(data[15_200:])
    assert words_of(until_idle(blocks)) == WORDS[1900:].tolist()
    stop.set()
    assert words_of(list(blocks)) == []


def account_of(blocks: list[Block]) -> tuple[int, int, int]:
    """Bytes, words, and bytes that became words, of all inputs; each input is balanced."""
    reports = {block.report.name: block.report for block in blocks if block.report is not None}
    assert all(report.balanced and not report.waiting for report in reports.values())
    return (
        sum(report.size for report in reports.values()),
        sum(report.words for report in reports.values()),
        sum(report.bytes.words for report in reports.values()),
    )


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("first", [8 * 700, 8 * 700 + 5, 0], ids=["whole", "inside a word", "not data"])
@pytest.mark.parametrize("how", ["truncated", "rewritten", "replaced"])
def test_the_account_has_what_was_overwritten(tmp_path: Path, how: str, first: int, folder: bool) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    before, after = data[:first] or b"not data, so far\n", data[8000 : 8000 + (4000 if how == "truncated" else 8000)]
    path.write_bytes(before)
    stop = Event()
    blocks = follow(str(tmp_path if folder else path), None, stop)
    found = until_idle(blocks)
    if how == "replaced":
        path.rename(tmp_path.parent / f"{tmp_path.name}.old")
        found += until_idle(blocks)
    path.write_bytes(after)
    found += until_idle(blocks)
    stop.set()
    found += list(blocks)
    assert words_of(found) == [*WORDS[: first // 8], *WORDS[1000 : 1000 + len(after) // 8]]
    size, words, _ = account_of(found)
    assert size == len(before) + len(after)
    assert words == len(words_of(found))
    if how != "replaced":
        n = f"{len(before):,}"
        note = f"{path}: byte {n}: was truncated or rewritten after its first {n} bytes had been read"
        assert note in "\n".join(notes_of(found))


@pytest.mark.parametrize("length", [4_000, 12_000])
def test_a_copy_that_is_rewritten_is_read(tmp_path: Path, length: int) -> None:
    for name in ("a.dat", "b.dat"):
        (tmp_path / name).write_bytes(DATA[:8000])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    (tmp_path / "b.dat").write_bytes(DATA[4000 : 4000 + length])
    found += until_idle(blocks)
    found += stopped(blocks, stop)
    assert words_of(found) == [*WORDS[:1000], *WORDS[500 : 500 + length // 8]]
    assert account_of(found)[0] == 8000 + 8000 + length
    note = "b.dat: byte 8,000: was truncated or rewritten after its first 8,000 bytes were passed over"
    assert note in "\n".join(notes_of(found))


def test_what_is_written_anew_just_before_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(path), None, stop)
    until_idle(blocks)
    path.write_bytes(data[8000:16000])
    stop.set()
    assert words_of(list(blocks)) == WORDS[1000:2000].tolist()


def test_a_file_that_goes_away_and_comes_again_is_said(tmp_path: Path) -> None:
    path = tmp_path / "daq.dat"
    data = WORDS.astype("<u8").tobytes()
    path.write_bytes(data[:800])
    stop = Event()
    blocks = follow(str(path), None, stop)
    until_idle(blocks)
    path.rename(tmp_path / "old")
    found = [*until_idle(blocks), *until_idle(blocks)]
    assert words_of(found) == []
    assert notes_of(found) == [f"{path}: has disappeared; waiting for a file of that name"]
    path.write_bytes(data[800:1600])
    found = [*until_idle(blocks), *until_idle(blocks)]
    assert words_of(found) == WORDS[100:200].tolist()
    assert notes_of(found) == [f"{path}: is another file now, which is read from its beginning"]
    stop.set()
    list(blocks)


DATA = WORDS.astype("<u8").tobytes()


def stopped(blocks: Iterator[Block], stop: Event) -> list[Block]:
    """What the run's end gives."""
    stop.set()
    return list(blocks)


def reports_of(blocks: list[Block]) -> dict[str, InputReport]:
    """The newest report of each input, by the file's name."""
    return {Path(block.report.name).name: block.report for block in blocks if block.report is not None}


def test_a_renamed_file_stays_the_same_and_links_are_other_names(tmp_path: Path) -> None:
    stop = Event()
    first = tmp_path / "data_0.dat"
    first.write_bytes(DATA[:4000])
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:500].tolist()
    first.rename(tmp_path / "data_0.done")
    (tmp_path / "latest").symlink_to("data_0.done")
    os.link(tmp_path / "data_0.done", tmp_path / "hard.dat")
    assert words_of(until_idle(blocks)) == []
    with (tmp_path / "data_0.done").open("ab") as handle:
        handle.write(DATA[4000:8000])
    (tmp_path / "data_1.dat").write_bytes(DATA[8000:])
    assert words_of(until_idle(blocks)) == WORDS[500:].tolist()
    end = stopped(blocks, stop)
    assert words_of(end) == []
    assert "4 files seen, 2 read, 2 passed over" in notes_of(end)[-1]


def test_a_link_that_is_switched_leads_to_the_next_file(tmp_path: Path) -> None:
    stop = Event()
    for name, part in (("a", DATA[:4000]), ("b", DATA[4000:8000])):
        (tmp_path / name).write_bytes(part)
    latest = tmp_path / "latest"
    latest.symlink_to("a")
    blocks = follow(str(latest), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:500].tolist()
    with (tmp_path / "a").open("ab") as handle:
        handle.write(DATA[8000:8800])
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(latest)
    found = until_idle(blocks) + until_idle(blocks)
    assert words_of(found) == [*WORDS[1000:1100].tolist(), *WORDS[500:1000].tolist()]
    assert words_of(stopped(blocks, stop)) == []


@pytest.mark.parametrize("form", ["copy", "text", "gzip"])
def test_the_same_words_in_another_file_are_passed_over_also_while_it_grows(tmp_path: Path, form: str) -> None:
    stop = Event()
    data = {"copy": DATA, "text": table_of(WORDS), "gzip": gzip.compress(DATA, 1)}[form]
    (tmp_path / "data_0.dat").write_bytes(DATA[:8000])
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:1000].tolist()
    other = tmp_path / "data_0.dat~"
    part = len(data) // 3
    other.write_bytes(data[:part])
    found = until_idle(blocks)
    assert words_of(found) == []
    with (tmp_path / "data_0.dat").open("ab") as handle:
        handle.write(DATA[8000:])
    with other.open("ab") as handle:
        handle.write(data[part:])
    found += until_idle(blocks)
    assert words_of(found) == WORDS[1000:].tolist()
    found += stopped(blocks, stop)
    assert words_of(found) == WORDS[1000:].tolist()
    reports = reports_of(found)
    assert reports["data_0.dat~"].status == "passed over"
    assert "hits as" in reports["data_0.dat~"].why
    assert all(report.balanced for report in reports.values())


def test_a_copy_that_turns_out_longer_is_read_from_where_it_is_new(tmp_path: Path) -> None:
    stop = Event()
    (tmp_path / "a.dat").write_bytes(DATA[:8000])
    blocks = follow(str(tmp_path), None, stop)
    until_idle(blocks)
    (tmp_path / "b.dat").write_bytes(DATA)
    found = until_idle(blocks)
    found += stopped(blocks, stop)
    assert words_of(found) == WORDS[1000:].tolist()
    assert reports_of(found)["b.dat"].balanced


def test_what_is_not_data_is_passed_over_and_named(tmp_path: Path) -> None:
    stop = Event()
    (tmp_path / "a.dat").write_bytes(DATA[:8000])
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    (tmp_path / "a.lock").touch()
    (tmp_path / "notes.txt").write_bytes(b"call Anna\n")
    (tmp_path / "b.dat").write_bytes(DATA[8000:])
    (tmp_path / ".hidden").write_bytes(DATA)
    (tmp_path / "b.dat.part").write_bytes(DATA)
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    assert words_of(found) == WORDS.tolist()
    found += stopped(blocks, stop)
    assert words_of(found) == WORDS.tolist()
    reports = reports_of(found)
    assert {name: report.status for name, report in reports.items()} == {
        "a.dat": "read",
        "b.dat": "read",
        "a.png": "passed over",
        "a.lock": "passed over",
        "notes.txt": "passed over",
        ".hidden": "passed over",
        "b.dat.part": "passed over",
    }
    last = notes_of(found)[-1]
    assert "7 files seen, 2 read, 5 passed over" in last
    assert all(name in last for name in ("a.png", "a.lock", "notes.txt", ".hidden", "b.dat.part"))


def test_the_newest_folder_of_a_run_is_followed(tmp_path: Path) -> None:
    stop = Event()
    for run, part in (("Run000590", DATA[8000:]), ("Run000591", DATA[:4000])):
        (tmp_path / run).mkdir()
        (tmp_path / run / "data_000000.dat").write_bytes(part)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "x.dat").write_bytes(DATA)
    blocks = follow(str(tmp_path), None, stop)
    assert words_of(until_idle(blocks)) == WORDS[:500].tolist()
    (tmp_path / "Run000592").mkdir()
    (tmp_path / "Run000592" / "data_000000.dat").write_bytes(DATA[4000:8000])
    assert words_of(until_idle(blocks)) == WORDS[500:1000].tolist()
    last = notes_of(stopped(blocks, stop))[-1]
    assert "Run000590 (is the folder of an older run" in last
    assert "Run000591 (" not in last  # it was read while it was the newest
    assert "logs (is a folder whose name" in last


@pytest.mark.parametrize("late_ns", [60 * 10**9, 0], ids=["soon", "at the end"])
def test_what_is_written_late_to_the_folder_of_an_older_run_is_read(
    tmp_path: Path, late_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muonstream.sources.follow.LATE_NS", late_ns)
    old, new = tmp_path / "Run000591", tmp_path / "Run000592"
    old.mkdir()
    (old / "data_0.dat").write_bytes(DATA[:4000])
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    new.mkdir()
    (new / "data_0.dat").write_bytes(DATA[8000:])
    found += until_idle(blocks)
    found += until_idle(blocks)
    with (old / "data_0.dat").open("ab") as handle:
        handle.write(DATA[4000:8000])
    found += until_idle(blocks)
    found += stopped(blocks, stop)
    assert sorted(words_of(found)) == sorted(WORDS.tolist())
    assert any("Run000591/data_0.dat: has grown by 4,000 bytes" in note for note in notes_of(found))


def test_a_file_that_is_removed_before_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.dat").write_bytes(DATA[:8000])
    (tmp_path / "b.dat").write_bytes(DATA[8000:])
    stop, pread = Event(), os.pread

    def removing(descriptor: int, size: int, offset: int) -> bytes:
        (tmp_path / "b.dat").unlink(missing_ok=True)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", removing)
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    found += stopped(blocks, stop)
    assert words_of(found) == WORDS[:1000].tolist()
    over = reports_of(found)["b.dat"]
    assert (over.status, over.bytes.passed_over) == ("passed over", 8000)
    assert over.why.endswith("it was removed or moved away")


def test_a_folder_of_folders_only_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    stop = Event()
    blocks = follow(str(tmp_path), None, stop)
    assert notes_of(until_idle(blocks) + stopped(blocks, stop))[0].startswith(f"{tmp_path}: found only folders")


def test_a_transfer_that_was_cut_between_two_files_is_put_together(tmp_path: Path) -> None:
    stop = Event()
    data = np.insert(WORDS[: 128 * 15].reshape(15, 128), 0, 591, axis=1).astype("<u8").tobytes()
    cut = 1032 * 5 + 403
    (tmp_path / "data_0.bin").write_bytes(data[:cut])
    blocks = follow(str(tmp_path), None, stop)
    found = until_idle(blocks)
    (tmp_path / "data_1.bin").write_bytes(data[cut:])
    found += until_idle(blocks)
    assert words_of(found) == WORDS[: 128 * 15].tolist()
    with (tmp_path / "data_0.bin").open("ab") as handle:
        handle.write(bytes(16))
    found += until_idle(blocks)
    found += stopped(blocks, stop)
    assert words_of(found) == WORDS[: 128 * 15].tolist()
    assert any("grew by 16 bytes after the input that follows it" in note for note in notes_of(found))
    reports = reports_of(found)
    assert (reports["data_0.bin"].bytes.passed_over, reports["data_1.bin"].bytes.passed_over) == (16, 0)
    assert all(report.balanced and not report.waiting for report in reports.values())
    assert sum(report.size for report in reports.values()) == len(data) + 16


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_folder_that_grows_in_any_way_gives_each_files_words_in_their_order(data: st.DataObject) -> None:
    """Files are created, grow, and are renamed in any order; each word is read once, each file's in its order."""
    parts = {f"data_{i}.dat": WORDS[500 * i : 500 * i + 500] for i in range(4)}
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("muonstream.sources.follow.POLL_S", 0.0)
        folder, stop = Path(name), Event()
        blocks = follow(name, Format.WORDS, stop)
        written = dict.fromkeys(parts, 0)
        names = {part: part for part in parts}
        found: list[Block] = []
        while any(written[part] < 4000 for part in parts):
            part = data.draw(st.sampled_from(sorted(part for part in parts if written[part] < 4000)))
            left = 4000 - written[part]
            more = data.draw(st.integers(min(left, 700), left))
            with (folder / names[part]).open("ab") as handle:
                handle.write(parts[part].astype("<u8").tobytes()[written[part] : written[part] + more])
            written[part] += more
            if data.draw(st.booleans()):
                renamed = f"{part}.{len(found)}"
                (folder / names[part]).rename(folder / renamed)
                names[part] = renamed
            if data.draw(st.booleans()):
                found += until_idle(blocks)
        found += until_idle(blocks)
        found += stopped(blocks, stop)
    words = words_of(found)
    assert sorted(words) == sorted(WORDS[:2000].tolist())
    for own in parts.values():
        members = set(own.tolist())
        assert [word for word in words if word in members] == own.tolist()
    assert all(report.balanced and not report.waiting for report in reports_of(found).values())
