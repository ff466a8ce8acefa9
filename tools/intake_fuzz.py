"""A fuzz of the intake: good files of every format, mutated in structure, must never be misread without a word.

A run is *wrong* when the input is taken without an error and the number of hits is neither the generator's nor
explained by what is named: malformed words or rows, bytes passed over with a note of the place, hits of unknown
channels, hits whose orbits are far from all others (the frame builder counts those as stray), values and kinds of
words that a note names. The same holds for ancillary words. Words that a mutation damages without destroying them may
be counted or not.

    python -m tools.intake_fuzz --runs 20000 --seed 1
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.model import Detector
from muonstream.formats.block import Block, SourceError
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.reader import InputReader
from muonstream.words import BX_PER_ORBIT, Head, Words, decode
from tools.streams import IDLE_WORD, WRITERS, StreamConfig, make_words, truth

EXPECTED: Final = Expected.of(Detector.default().channel_map())
FAR_ORBITS: Final = 1 << 14
"""An orbit that is 1.5 s from those of other hits is stray."""
BINARY: Final = ("words", "dma", "dma counting")
TEXT: Final = b"# temperature 21 C, pressure 960 hPa\nThe run was stopped and started again.\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a mutated file: bytes begin to end of the good one, or bytes of its own; idle: how many idle words."""

    begin: int = 0
    end: int = 0
    own: bytes | None = None
    idle: int = 0


@dataclass(frozen=True, slots=True)
class GoodFile:
    """A good file: its bytes, its words, and where each of them is (int64[n, 2])."""

    form: str
    data: bytes
    words: Words
    spans: NDArray[np.int64]


def spans_of(form: str, data: bytes, n: int) -> NDArray[np.int64]:
    """From which byte to which each word of a file is."""
    if form == "words":
        begins = 8 * np.arange(n)
        return np.stack([begins, begins + 8], axis=1)
    if form in BINARY:
        begins = 8 * (np.arange(n) + np.arange(n) // 128 + 1)
        return np.stack([begins, begins + 8], axis=1)
    text = np.frombuffer(data, np.uint8)
    if form.startswith("json"):
        return np.stack([np.flatnonzero(text == ord("{")), np.flatnonzero(text == ord("}")) + 1], axis=1)
    ends = np.flatnonzero(text == 10) + 1
    begins = np.concatenate([[-1], ends[:-1] - 1])
    return np.stack([begins, ends], axis=1)[-n:]


def good_file(form: str, random: np.random.Generator) -> GoodFile:
    """A good file of some stream."""
    config = StreamConfig(
        words=int(random.integers(100, 700)),
        seed=int(random.integers(1 << 30)),
        rate_hz=float(random.choice([2.0, 300.0, 5000.0, 200_000.0])),
        boards=int(random.integers(1, 3)),
        packet=int(random.choice([1, 4, 16])),
        ancillary=int(random.choice([0, 0, 5, 40])),
        start=int(random.choice([0, 1_000_000, 2_871_700_134, 3_000_000_000, 4_000_000_000])),
        resets=int(random.random() < 0.1),
    )
    words = truth(form, make_words(config))
    data = WRITERS[form](words)
    return GoodFile(form, data, words, spans_of(form, data, len(words)))


Mutation = Callable[[list[Piece], GoodFile, np.random.Generator], list[Piece]]


def _size(pieces: list[Piece]) -> int:
    return sum(piece.end - piece.begin if piece.own is None else len(piece.own) for piece in pieces)


def _split(pieces: list[Piece], at: int) -> tuple[list[Piece], list[Piece]]:
    before: list[Piece] = []
    for i, piece in enumerate(pieces):
        size = _size([piece])
        if at < size:
            if not at:
                return before, pieces[i:]
            if piece.own is None:
                middle = piece.begin + at
                first, second = Piece(piece.begin, middle), Piece(middle, piece.end)
            else:
                first, second = Piece(own=piece.own[:at], idle=piece.idle), Piece(own=piece.own[at:])
            return [*before, first], [second, *pieces[i + 1 :]]
        before.append(piece)
        at -= size
    return before, []


def _place(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> int:
    """A byte; half of the time between two words, so far as other mutations left them alone."""
    if random.random() < 0.5:
        return int(random.integers(0, _size(pieces) + 1))
    if random.random() < 0.2:
        return 0
    begin = int(random.choice(good.spans[:, 0]))
    return begin if good.form in BINARY or good.form.startswith("json") or not begin else begin + 1


def _long(random: np.random.Generator) -> int:
    return int(random.choice([1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 100, 1032, int(random.integers(1, 6000))]))


def _insert(own: Callable[[np.random.Generator, int], Piece]) -> Mutation:
    def mutate(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
        before, after = _split(pieces, _place(pieces, good, random))
        return [*before, own(random, _long(random)), *after]

    return mutate


def _drop(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
    before, after = _split(pieces, _place(pieces, good, random))
    return [*before, *_split(after, min(_long(random), _size(after)))[1]]


def _cut(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
    return _split(pieces, int(random.integers(1, _size(pieces) + 1)))[int(random.integers(2))]


def _block(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> tuple[list[Piece], ...]:
    before, rest = _split(pieces, _place(pieces, good, random))
    block, after = _split(rest, min(_long(random), _size(rest)))
    return before, block, after


def _repeat(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
    before, block, after = _block(pieces, good, random)
    return [*before, *block, *block, *after]


def _swap(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
    before, block, rest = _block(pieces, good, random)
    other, after = _split(rest, min(_long(random), _size(rest)))
    return [*before, *other, *block, *after]


def _idle_words(random: np.random.Generator, n: int) -> Piece:
    values = [IDLE_WORD, 0x0123456789ABCDEF, 0x1111222233334444, 0x0F0F0F0F0F0F0F0F][: int(random.integers(1, 5))]
    return Piece(own=b"".join(values[i % len(values)].to_bytes(8, "little") for i in range(n)), idle=n)


def _idle(pieces: list[Piece], good: GoodFile, random: np.random.Generator) -> list[Piece]:
    """Idle words or rows, between two words."""
    n = int(random.choice([8, 40, 128, 1000]))
    if good.form in BINARY:
        piece = _idle_words(random, n)
    elif good.form.startswith("json"):
        return pieces
    else:
        piece = Piece(own=b"0,0,170,2871700134,2730,21\n" * n, idle=n)
    begin = int(random.choice(good.spans[:, 0]))
    begin += good.form not in BINARY
    before, after = _split(pieces, min(begin, _size(pieces)))
    return [*before, piece, *after]


MUTATIONS: Final[dict[str, Mutation]] = {
    "cut": _cut,
    "drop": _drop,
    "insert random": _insert(lambda random, n: Piece(own=random.bytes(n))),
    "insert text": _insert(lambda random, n: Piece(own=(TEXT * (n // len(TEXT) + 1))[:n])),
    "insert zeros": _insert(lambda random, n: Piece(own=bytes(n))),
    "insert ones": _insert(lambda random, n: Piece(own=b"\xff" * n)),
    "idle": _idle,
    "repeat": _repeat,
    "swap": _swap,
}
WHOLE: Final = ("flip bits", "join", "join other", "encode")
"""Mutations of a file as a whole, see `make_case`."""
NAMES: Final = ("none", *MUTATIONS, *WHOLE)


@dataclass(frozen=True, slots=True)
class Case:
    """A mutated file. words: those that are whole in it; touched: how many are there in part; idle: how many idle"""

    form: str
    mutation: str
    data: bytes
    words: Words
    touched: int
    idle: int


def make_case(form: str, mutation: str, random: np.random.Generator) -> Case:
    """A good file with one mutation, or at times two."""
    good = good_file(form, random)
    if mutation in ("join", "join other"):
        second = good_file(form if mutation == "join" else str(random.choice(list(WRITERS))), random)
        good = GoodFile(
            form,
            good.data + second.data,
            np.concatenate([good.words, second.words]),
            np.concatenate([good.spans, second.spans + len(good.data)]),
        )
    pieces = [Piece(0, len(good.data))]
    if mutation in MUTATIONS:
        for _ in range(1 + (random.random() < 0.2)):
            pieces = MUTATIONS[mutation](pieces, good, random)
    data, whole, touched = b"", [], 0
    flips = np.zeros(0, np.int64)
    for piece in pieces:
        if piece.own is not None:
            data += piece.own
            continue
        # the first row of a table has no line end before it
        begin = piece.begin if data or form in BINARY else piece.begin - 1
        data += good.data[piece.begin : piece.end]
        inside = (good.spans[:, 0] >= begin) & (good.spans[:, 1] <= piece.end)
        whole.append(good.words[inside])
        overlap = (good.spans[:, 0] < piece.end) & (good.spans[:, 1] > piece.begin)
        touched += int(np.count_nonzero(overlap & ~inside))
        touched += form.startswith("dma") and (piece.begin % 1032 % 8 > 0) + (piece.end % 1032 % 8 > 0)
    words = np.concatenate([np.empty(0, np.uint64), *whole])
    if mutation == "flip bits":
        flips = random.integers(0, 8 * len(data), int(random.integers(1, 12)))
        changed = bytearray(data)
        for bit in flips.tolist():
            changed[bit // 8] ^= 1 << bit % 8
        data = bytes(changed)
        hit = np.zeros(len(good.words), np.bool_)
        for bit in flips.tolist():
            hit |= (good.spans[:, 0] <= bit // 8) & (good.spans[:, 1] > bit // 8)
        words, touched = good.words[~hit], int(hit.sum())
    if mutation == "encode":
        data = _encoded(form, data, random)
    return Case(form, mutation, data, words, touched, sum(piece.idle for piece in pieces))


def _encoded(form: str, data: bytes, random: np.random.Generator) -> bytes:
    if form in BINARY:
        width = int(random.choice([2, 4, 8]))
        size = len(data) // width * width
        return np.frombuffer(data[:size], f"<u{width}").astype(f">u{width}").tobytes()
    text = data.decode()
    encoding = str(random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cr", "crlf", "tabs"]))
    if encoding == "cr":
        return text.replace("\n", "\r").encode()
    if encoding == "crlf":
        return text.replace("\n", "\r\n").encode()
    if encoding == "tabs":
        return data if form.startswith("json") else text.replace(",", "\t").encode()
    return text.encode(encoding)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: "exact", "named", "refused" or "wrong"; why it is wrong; what was said."""

    verdict: str
    why: str
    lines: list[str]


def read(data: bytes, cuts: list[int], name: str = "f") -> tuple[InputReader, list[Block]]:
    """Read a file in pieces. Raises SourceError."""
    reader = InputReader(name, Wanted(EXPECTED))
    edges = [0, *sorted(cuts), len(data)]
    blocks = [block for a, b in pairwise(edges) if b > a for block in reader.feed(data[a:b])]
    blocks += reader.finish()
    return reader, blocks


_BAD: Final = re.compile(r"([\d,]+) values? that no known firmware sends.*?(?:among ([\d,]+) words)?$")
_RARE: Final = re.compile(r"only ([\d,]+) of [\d,]+ words have HEAD")
_OTHERS: Final = re.compile(r"([\d,]+) rows of HEAD . look like hits of another dialect")
_TAKEN: Final = re.compile(r"taken for a word")
_IDLE: Final = re.compile(r"([\d,]+) idle words?$")
_MORE: Final = re.compile(r"([\d,]+) notes about (?:odd values|small words|lost step|idle words) in all")


def named_by(lines: list[str]) -> int:
    """How many words notes name as doubtful."""
    n = 0
    for line in lines:
        for pattern in (_BAD, _RARE, _IDLE, _MORE):
            found = pattern.search(line)
            if found:
                n += int((found.groups()[-1] or found[1]).replace(",", "")) * (200 if pattern is _MORE else 1)
        n += bool(_TAKEN.search(line))
    return n


def judge(case: Case, random: np.random.Generator) -> Outcome:
    """Read a case and say what became of it."""
    cuts = [int(random.integers(0, len(case.data) + 1)) for _ in range(int(random.integers(0, 3)))]
    try:
        reader, blocks = read(case.data, cuts)
    except SourceError as error:
        return Outcome("refused", "", [str(error)])
    except Exception as error:
        return Outcome("wrong", f"{type(error).__name__}: {error}", [])
    report = reader.report
    lines = [line for block in blocks for line in (*block.notes, *block.faults)]
    if not report.balanced or report.waiting:
        return Outcome("wrong", f"bytes: {report.residual} left over, {report.waiting} waiting", lines)
    words = np.concatenate([np.empty(0, np.uint64), *(block.words for block in blocks)])
    passed = report.bytes.passed_over
    if passed and not any("passed over" in line or "not a whole character" in line for line in lines):
        return Outcome("wrong", f"{passed} bytes passed over without a note", lines)
    if report.malformed and not any("malformed" in line or "found" in line or "values" in line for line in lines):
        return Outcome("wrong", f"{report.malformed} malformed without a fault", lines)
    hits, ancillary, doubtful = _counts(words)
    true_hits, true_ancillary, _ = _counts(case.words)
    smallest = 8 if case.form in BINARY or case.mutation == "join other" else 11  # bytes of a hit
    # another format's content inside text may become rows of another dialect; what of it looks like a line of text is
    # one malformed row of a few words
    rows = 4 if case.form not in BINARY and case.mutation == "join other" else 1
    others = sum(int(found[1].replace(",", "")) for line in lines if (found := _OTHERS.search(line)))
    lost = rows * report.malformed + others + others // 50 + -(-passed // smallest)
    extra = named_by(lines) + others + others // 50 + (others > 0)
    exact = hits == true_hits and ancillary in (true_ancillary, true_ancillary + case.idle) and not lines
    if exact and not case.touched:
        return Outcome("exact", "", lines)
    lost += sum(int((found[2] or found[1]).replace(",", "")) + 1 for line in lines if (found := _BAD.search(line)))
    if hits < true_hits - lost:
        return Outcome("wrong", f"{hits} hits, {true_hits} are there, {lost} named", lines)
    if hits - doubtful > true_hits + case.touched + (extra if hits - doubtful > true_hits else 0):
        return Outcome("wrong", f"{hits} hits ({doubtful} stray or unmapped), only {true_hits} are there", lines)
    if ancillary > true_ancillary + case.idle + case.touched + extra:
        return Outcome("wrong", f"{ancillary} ancillary, only {true_ancillary} are there, {extra} named", lines)
    return Outcome("named" if lines else "exact", "", lines)


def _counts(words: Words) -> tuple[int, int, int]:
    """Hits, ancillary words, and hits that the account names: of unknown channels, or far from all others."""
    f = decode(words)
    hit = (f.head == Head.HIT) & (f.bx < BX_PER_ORBIT)
    orbits = f.orbit[hit]
    unknown = ~EXPECTED.known[f.fpga[hit], f.channel[hit]]
    order = np.sort(orbits)
    # how many hits are near each one, itself included
    company = np.searchsorted(order, orbits + FAR_ORBITS) - np.searchsorted(order, orbits - FAR_ORBITS)
    stray = (company < 3) & (len(orbits) > 100)
    return int(hit.sum()), int(np.count_nonzero(f.head != Head.HIT)), int(np.count_nonzero(unknown | stray))


def main() -> int:
    """Run the fuzz and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; run i can be repeated alone by seed + i")
    parser.add_argument("--show", type=int, default=10, help="how many wrong runs are shown")
    options = parser.parse_args()
    table: Counter[tuple[str, str, str]] = Counter()
    began, shown = time.monotonic(), 0
    combinations = [(form, mutation) for mutation in NAMES for form in WRITERS]
    for i in range(options.runs):
        form, mutation = combinations[(options.seed + i) % len(combinations)]
        random = np.random.default_rng(options.seed + i)
        case = make_case(form, mutation, random)
        outcome = judge(case, random)
        table[mutation, form, outcome.verdict] += 1
        if outcome.verdict == "wrong" and shown < options.show:
            shown += 1
            print(f"seed {options.seed + i} ({mutation}, {form}): {outcome.why}; said: {outcome.lines[:4]}", flush=True)
    _print_table(table)
    n_wrong = sum(n for (_, _, verdict), n in table.items() if verdict == "wrong")
    print(f"{options.runs:,} runs from seed {options.seed}, {n_wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if n_wrong else 0


def _print_table(table: Counter[tuple[str, str, str]]) -> None:
    verdicts = ("exact", "named", "refused", "wrong")
    print(f"{'mutation':<15} {'format':<13} {'runs':>6} " + " ".join(f"{verdict:>8}" for verdict in verdicts))
    for mutation in NAMES:
        for form in WRITERS:
            counts = [table[mutation, form, verdict] for verdict in verdicts]
            if sum(counts):
                print(f"{mutation:<15} {form:<13} {sum(counts):>6} " + " ".join(f"{n:>8}" for n in counts))


if __name__ == "__main__":
    sys.exit(main())
