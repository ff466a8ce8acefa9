"""A corpus of inputs by kind: what a file or its parts hold, what must be read, and what must be named."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from muonstream.words import BX_SHIFT, CHANNEL_SHIFT, Words, decode
from tools.streams import (
    HEADER,
    IDLE_WORD,
    StreamConfig,
    as_course,
    as_dma,
    as_firmware2019,
    as_head1,
    as_json_array,
    as_json_lines,
    as_words,
    hits_of,
    make_words,
    rows_of,
)


@dataclass(frozen=True)
class Kind:
    """One input. parts: the files; hits: those that must be read, in order; says: what a line must match

    n: how many words must be read, None if that is not of interest; malformed: how many; refused: the line must
    match this, and nothing is read
    """

    name: str
    parts: list[bytes]
    hits: Words
    n: int | None = None
    malformed: int | None = 0
    says: str = ""
    refused: str = ""


def corpus(seed: int) -> Iterator[Kind]:
    """The inputs, made with a seed."""
    random = np.random.default_rng(seed)
    for make in (_good, _idle, _not_words, _odd_text, _lost_step, _transfers, _tables, _padding, _packed, _parts):
        yield from make(seed, random)
    yield from _everyday(seed)


def _stream(seed: int, **options: int | float) -> Words:
    return make_words(StreamConfig(seed=seed, **options))  # type: ignore[arg-type]


def _whole(
    name: str, data: bytes, words: Words, *, n: int | None = None, malformed: int | None = 0, says: str = ""
) -> Kind:
    return Kind(name, [data], hits_of(words), n, malformed, says)


def _good(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    streams: dict[str, dict[str, int | float]] = {
        "usual": {"words": 3000},
        "ancillary": {"words": 2000, "ancillary": int(random.integers(4, 40))},
        "quiet": {"words": 300, "rate_hz": 0.2},
        "fast": {"words": 3000, "rate_hz": 1e6},
        "resets": {"words": 2000, "resets": 3},
        "gap": {"words": 1500, "gap_s": float(random.integers(30, 90_000))},
        "late orbits": {"words": 1500, "start": 4_290_000_000},
        "one board": {"words": 900, "boards": 1},
        "short": {"words": int(random.integers(13, 40))},
    }
    for name, options in streams.items():
        words = _stream(seed, **options)
        yield _whole(f"good words, {name}", as_words(words), words, n=len(words))
        yield _whole(f"good transfers, {name}", as_dma(words, int(random.integers(1, 1 << 31))), words)
        yield _whole(f"good table, {name}", as_course(words), words, n=len(words))
        yield _whole(f"good table of 2019, {name}", as_firmware2019(words), words, n=len(hits_of(words)))


def _idle(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=5000)
    n = int(random.integers(300, 9000))
    for name, head in (
        ("one idle word", np.full(n, IDLE_WORD)),
        ("another one", np.full(n, random.integers(1, 1 << 60))),
        ("two idle words in turn", np.tile([IDLE_WORD, IDLE_WORD + 1], n // 2)),
        ("four in turn", np.tile(np.arange(4) * 0x0101010101 + IDLE_WORD, n // 4)),
        ("three of unknown boards in turn", np.tile(np.arange(1, 4) * 0x1111111111111111 + 7, n // 3)),
        ("idle words that count up", IDLE_WORD + np.arange(n)),
    ):
        idle = head.astype(np.uint64)
        yield _whole(f"K1 {name} first", as_words(np.concatenate([idle, words])), words)
        yield _whole(f"K1 {name} between", as_words(np.insert(words, 2500, idle)), words)
        yield _whole(f"K1 transfers with {name} first", as_dma(np.concatenate([idle[: n // 128 * 128], words])), words)
    for name, value in (("zeros", 0), ("ones", 2**64 - 1)):
        pad = np.full(n, np.uint64(value))
        yield _whole(
            f"K1 {name} first",
            as_words(np.concatenate([pad, words])),
            words,
            malformed=n,
            says=f"{n:,} words of all {name}",
        )
    rows = b"0,0,170,2871700134,2730,21\n" * n
    old = as_firmware2019(words)
    yield _whole("K1 idle rows of 2019", old[: len(HEADER) + 1] + rows + old[len(HEADER) + 1 :], words, n=n + 5000)


def _not_words(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=1000)
    f = decode(words)
    fields = np.stack([f.head, f.fpga, f.channel, f.orbit, f.bx, f.tdc], axis=1)
    nothing = words[:0]
    for name, data, refused in (
        ("float64 fields", fields.astype("<f8").tobytes(), "64-bit floats"),
        ("int32 fields", fields.astype("<i4").tobytes(), "32-bit integers"),
        ("big-endian words", words.astype(">u8").tobytes(), "big-endian"),
        ("exchanged halves", words.view("<u4").reshape(-1, 2)[:, ::-1].tobytes(), "halves are exchanged"),
        ("zeros", bytes(int(random.integers(100, 90_000))), "only zeros"),
        ("idle words alone", as_words(np.full(999, IDLE_WORD, np.uint64)), "idle words without any hit"),
        ("random bytes", random.bytes(20_000), "found"),
        ("a database", b"SQLite format 3\0" + bytes(4000), "SQLite"),
        ("a web page", b"<!DOCTYPE html>\n<html><body>sign in</body></html>\n" * 9, "web page|HTML"),
        ("a log", b"2026-01-02 10:11:12, INFO, run 591, started, ok, -\n" * 200, "found"),
    ):
        yield Kind(f"K2 {name}", [data], nothing, refused=refused)
    junk = bytes([*b"RUN", 1])
    yield _whole(
        "K2 four bytes first", junk + as_words(words), words, n=1000, says="byte 0: .*up to byte 4", malformed=0
    )


def _odd_text(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=2000)
    text = as_course(words)
    at = text.index(b"\n", int(random.integers(100, len(text) - 100))) + 1
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig"):
        yield _whole(f"K2 text in {encoding}", text.decode().encode(encoding), words, n=2000)
    yield _whole("K3 a comment in Latin-1", b"# T = 21 \xb0C\n" + text, words, malformed=None)
    yield _whole("K3 a comment with an umlaut", text[:at] + "# gemäß\n".encode() + text[at:], words, malformed=None)
    yield _whole("K3 NUL bytes first", bytes(512) + text, words, malformed=None)


def _lost_step(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=4000, start=int(random.choice([0, 1_000_000, 2_871_700_134, 3_900_000_000])))
    data = as_words(words)
    for n in (*range(1, 8), int(random.integers(9, 900))):
        at = 8 * int(random.integers(100, 3800))
        junk = random.bytes(n)
        inserted = data[:at] + junk + data[at:]
        if n % 8:
            yield _whole(f"K6 {n} bytes inserted", inserted, words, says="out of step.*passed over", malformed=None)
        lost = np.delete(words, np.arange(at // 8, at // 8 + -(-n // 8)))
        if n % 8:
            yield _whole(f"K6 {n} bytes lost", data[:at] + data[at + n :], lost, says="out of step", malformed=None)


def _transfers(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=128 * 40)
    at = 129 * int(random.integers(2, 38))
    for run, other in ((591, 592), (1, 1 << 31), (70_000, 3), (0, 5)):
        values = np.frombuffer(as_dma(words, run), "<u8").copy()
        values[at::129] = other
        says = f"run word changes from {run} to {other}"
        yield _whole(f"K7 run word {run}, then {other}", as_words(values), words, n=len(words), says=says)
    for run, step in ((0, 0), (0, 1), (1000, 1), (7, 300), (1 << 40, 0), ((1 << 59) + 5, 0)):
        yield _whole(f"K7 run word {run} growing by {step}", as_dma(words, run, step), words, n=len(words))
    yield _whole("K7 one transfer", as_dma(words[:128]), words[:128], n=128)
    values = np.frombuffer(as_dma(words), "<u8")
    n = int(random.integers(1, 120))
    short = np.delete(values, np.arange(at + 1, at + 1 + n))
    first = at - at // 129
    yield _whole(
        "K6 a short transfer", as_words(short), np.delete(words, np.arange(first, first + n)), says="out of step"
    )
    yield _whole("K6 a run word missing", as_words(np.delete(values, at)), words, n=len(words), says="out of step")
    yield _whole(
        "K5 the second part alone",
        as_words(values[int(random.integers(1, 128)) :]),
        words,
        n=None,
        says="run word 591",
    )


def _tables(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=1500)
    text = as_course(words)
    rows = [row.encode() for row in rows_of(words)]
    changes: dict[str, Callable[[], bytes]] = {
        "a mark and no header": lambda: b"\xef\xbb\xbf" + as_course(words, header=False),
        "CR": lambda: text.replace(b"\n", b"\r"),
        "CRLF": lambda: text.replace(b"\n", b"\r\n"),
        "tabs": lambda: text.replace(b",", b"\t"),
        "semicolons": lambda: text.replace(b",", b";"),
        "quotes": lambda: b"\n".join(b",".join(b'"%b"' % cell for cell in row.split(b",")) for row in rows) + b"\n",
        "floats": lambda: b"\n".join(row.replace(b",", b".0,") + b".0" for row in rows) + b"\n",
        "an index": lambda: b"\n".join(b"%d,%b" % (i, row) for i, row in enumerate(rows)) + b"\n",
        "a header after #": lambda: b"# " + text,
        "headers in the middle": lambda: as_course(words[:700]) + as_course(words[700:]),
        "HEAD 1 without shifts": lambda: as_head1(words),
        "JSON lines": lambda: as_json_lines(words),
        "a JSON array": lambda: as_json_array(words),
        "small letters in JSON": lambda: as_json_lines(words).lower(),
    }
    for name, change in changes.items():
        yield _whole(f"K18 {name}", change(), words, n=1500)


def _padding(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=3000)
    n = int(random.integers(16, 5000))
    for name, value in (("zeros", 0), ("ones", 2**64 - 1)):
        for place, at in (("behind", 3000), ("between", int(random.integers(20, 2980)))):
            data = as_words(np.insert(words, at, np.full(n, np.uint64(value))))
            yield _whole(f"K24 {name} {place}", data, words, n=3000, malformed=n, says=f"of all {name}")
    doubled = np.insert(words, np.arange(0, 3000, 5), words[::5])
    yield _whole("K17 each fifth word twice", as_words(doubled), doubled, says="600 hits repeated: the same")
    block = np.insert(words, 2000, words[1488:2000])
    yield _whole("K17 a block twice", as_words(block), block, says="the same, bit for bit, as words 1,489 to 2,000")
    odd = words.copy()
    odd[::10] |= np.uint64(4000 << BX_SHIFT)
    yield _whole("K25 bunch crossings above 3563", as_words(odd), odd, says="BX_COUNTER: found .* expected 0 to 3563")


def _packed(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=2000)
    data = as_words(words)
    cut = int(random.integers(1, len(data)))
    two = gzip.compress(data[:cut], mtime=0) + gzip.compress(data[cut:], mtime=0)
    yield _whole("K11 gzip in two members", two, words, n=2000)
    yield _whole("K26 gzip with zeros behind", gzip.compress(data, mtime=0) + bytes(512), words, n=2000)
    yield _whole("K27 bzip2", bz2.compress(data), words, n=2000)
    yield _whole("K27 xz", lzma.compress(data), words, n=2000)
    yield _whole("K27 gzip of a table", gzip.compress(as_course(words), mtime=0), words, n=2000)


def _parts(seed: int, random: np.random.Generator) -> Iterator[Kind]:
    words = _stream(seed, words=3000, ancillary=25)
    forms = {
        "words": as_words(words),
        "transfers": as_dma(words),
        "counting transfers": as_dma(words, 50, 1),
        "table": as_course(words),
        "table of 2019": as_firmware2019(words),
        "JSON lines": as_json_lines(words),
    }
    for form, data in forms.items():
        for n in (2, 3, 5):
            cuts = np.sort(random.choice(np.arange(2000, len(data) - 2000, 1700), n - 1, replace=False))
            edges = [0, *(cuts + random.integers(0, 1600, n - 1)).tolist(), len(data)]
            parts = [data[a:b] for a, b in pairwise(edges)]
            yield Kind(f"K5 {form} in {n} parts", parts, hits_of(words))
        for n in (1, 8, int(random.integers(2, 60))):
            yield Kind(f"K5 {form} in two parts, {n} of the first", [data[:n], data[n:]], hits_of(words))
    cut = int(random.integers(100, 2900))
    idle = np.full(int(random.integers(200, 4000)), IDLE_WORD)
    blank = {"idle words": as_words(idle), "zeros": bytes(8 * len(idle)), "transfers of idle words": as_dma(idle)}
    for what, part in blank.items():
        write = as_dma if "transfers" in what else as_words
        halves = [write(words[:cut]), write(words[cut:])]
        for at in range(3):
            parts = [*halves[:at], part, *halves[at:]]
            yield Kind(
                f"K5 {what} as part {at + 1}", parts, hits_of(words), malformed=len(idle) if what == "zeros" else 0
            )


def _everyday(seed: int) -> Iterator[Kind]:
    """What programs, spreadsheets and transfers make of good files."""
    words = _stream(seed, words=1600)
    data, text = as_words(words), as_course(words)
    header, *rows = text.decode().splitlines()
    marked = np.insert(words, np.arange(0, 1600, 15 + seed), np.frombuffer(b"EVNTMARK", "<u8")[0])
    says = r"hits that are all 0x4b52414d544e5645 \('EVNTMARK'\)"
    yield _whole("a printable marker in front of packets", as_words(marked), marked, says=says)
    by_channel = words[np.argsort(words >> np.uint64(CHANNEL_SHIFT), kind="stable")]
    yield _whole("a table sorted by channel", as_course(by_channel), by_channel, n=1600, says="sorted by channel")
    yield _whole("a table in reverse", as_course(words[::-1]), words[::-1], n=1600, says="in reverse order")
    equal = np.repeat(words[:1], 1600)
    yield _whole("one word again and again", as_words(equal), equal, says="1,599 hits repeated: the same")
    excel = "\r\n".join([header, *rows, ""]).replace(",", ";")
    yield _whole("a spreadsheet's export", ("\ufeff" + excel).encode(), words, n=1600)
    ends = text.splitlines(keepends=True)
    mixed = b"".join(line if i % 3 else line.replace(b"\n", b"\r\n") for i, line in enumerate(ends))
    yield _whole("a table with mixed line ends", mixed, words, n=1600)
    objects = as_json_lines(words).splitlines()
    yield _whole("JSON lines with commas", b",\n".join([*objects, b""]), words, n=1600)
    yield _whole("a JSON array with a last comma", b"[\n" + b",\n".join(objects) + b",\n]\n", words, n=1600)
    log = b"Script started on 2026-01-01\n" + text + b"Script done\n"
    yield _whole("what a terminal wrote", log, words, malformed=2, says="Script started")
    digest = data + b"d41d8cd98f00b204e9800998ecf8427e  run.dat\n"
    yield _whole("words with a checksum line behind", digest, words, says="to the end: 42 bytes passed over")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("run.dat"), io.BytesIO(b""))
    grouped = "\n".join([header, *(";".join(f"{int(n):,}".replace(",", ".") for n in row.split(",")) for row in rows)])
    refused = {
        "an archive": (packed.getvalue(), "tar archive; unpack it first"),
        "thousands separators": (grouped.encode(), "thousands separators"),
        "hexadecimal cells": ("\n".join([header, *("0x" + row for row in rows)]).encode(), "whole numbers"),
        "words as text": ("\n".join(f"{word:016x}" for word in words.tolist()).encode(), "found text such as"),
        "base64": (base64.encodebytes(data), "found text such as"),
        "words as characters": (data.decode("latin-1").encode(), "that show no format"),
    }
    for name, (content, match) in refused.items():
        yield Kind(name, [content], hits_of(words), refused=match)
