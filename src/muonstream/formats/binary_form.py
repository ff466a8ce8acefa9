"""Which binary form some content has, by what it shows: plain words, or raw DMA transfers.

Words are shown by good hits (`plausible`): hits whose orbits rise from one to the next. Transfers are shown by a value
that is not a hit, stands at each 129th place, the same or growing evenly, and hardly anywhere else.

Thresholds. A dozen good hits are asked for (a random value is one with probability 2e-4), and that they are at least a
quarter of the values that are neither padding nor idle words; half of their channels must be known to the detector, or
eight different ones occur, and four different bunch crossings. At the end of the content fewer do: then each value must
be a hit of a known channel, or two values in three good hits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from muonstream.compiled import compiled, read_only
from muonstream.formats.binary import ALL_BOARDS, Transfers
from muonstream.formats.block import counted
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.plausible import ANCILLARY, FAR, GOOD, PADDING, is_hit, kind_of, near, orbit_of
from muonstream.formats.step import HIGHEST_RUN_WORD, IDLE_PERIOD
from muonstream.words import (
    BX_MASK,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    DMA_WORDS,
    FPGA_SHIFT,
    HEAD_SHIFT,
    WORD_BYTES,
    Head,
    Words,
)

FEWEST_GOOD: Final = 12
CHANNELS_SHOWN: Final = 8
CROSSINGS_SHOWN: Final = 4
"""Different bunch crossings that hits of unknown channels, or out of step, must have: other numbers repeat theirs."""
ORDER_WORDS: Final = 1 << 17
"""So many values at the end of a sample are tried with their bytes in other orders."""
BLANK_SHARE: Final = 64
"""Of content without hits, at most one value in so many may be something else than padding and idle words."""
_GOOD, _HITS, _KNOWN, _PADDING, _IDLE, _ANCILLARY, _FIRST, _CROSSINGS, _VALUES = range(9)


@dataclass(frozen=True, slots=True)
class BinaryForm:
    """The form of binary content.

    why: the evidence for it, in one phrase; boards: bit b is set for each board whose words are expected
    transfers: where a stream of DMA transfers begins; None for plain words
    aligned: whether the first word is at a multiple of 8 bytes from the beginning
    """

    why: str
    boards: int = ALL_BOARDS
    transfers: Transfers | None = None
    aligned: bool = True

    @property
    def format(self) -> Literal["words", "dma"]:
        """The format's name."""
        return "words" if self.transfers is None else "dma"


@compiled
def _weigh(words: Any, known: Any, counts: Any, seen: Any, boards: Any) -> None:
    """Count what values (uint64[n]) look like.

    known: bool[8, 512]; counts: int64[_VALUES], _FIRST the index of the first good hit's predecessor, -1 for none;
    seen: bool[8, 512], channels of good hits; boards: int64[8], good hits by board
    """
    reference, candidate, before = -1, -1, -1
    counts[_FIRST] = -1
    crossings = np.full(CROSSINGS_SHOWN, -1, np.int64)
    for i in range(len(words)):
        word = words[i]
        kind = kind_of(word, words[i - 1] if i else np.uint64(0), reference, candidate, 0xFF)
        repeated = False  # an idle word, or a repeated hit, shows nothing
        for back in range(1, min(i, IDLE_PERIOD) + 1):
            repeated |= words[i - back] == word
        if repeated and kind != PADDING:
            counts[_IDLE] += 1
        elif is_hit(word):
            board = np.int64(word >> np.uint64(FPGA_SHIFT)) & 7
            channel = np.int64(word >> np.uint64(CHANNEL_SHIFT)) & CHANNEL_MASK
            tdc = np.int64(word) & 31
            counts[_HITS] += 1
            good = kind == GOOD and 1 <= tdc <= 30
            counts[_KNOWN] += known[board, channel] and 1 <= tdc <= 30
            counts[_GOOD] += good
            if good:
                bx = np.int64(word >> np.uint64(BX_SHIFT)) & BX_MASK
                n = counts[_CROSSINGS]
                if n < CROSSINGS_SHOWN and not (crossings[:n] == bx).any():
                    crossings[n] = bx
                    counts[_CROSSINGS] += 1
                seen[board, channel] = True
                boards[board] += 1
                if counts[_FIRST] < 0:
                    counts[_FIRST] = before
            if kind == GOOD:
                reference, candidate = orbit_of(word), -1
            elif kind == FAR:
                if reference < 0 or near(orbit_of(word), candidate):
                    reference = orbit_of(word)
                else:
                    candidate = orbit_of(word)
            before = i
        else:
            counts[_PADDING] += kind == PADDING
            counts[_ANCILLARY] += kind == ANCILLARY


@dataclass(frozen=True, slots=True)
class Weight:
    """What 64-bit values look like: counts of them, and the boards of good hits."""

    values: int
    good: int
    hits: int
    known: int
    padding: int
    idle: int
    ancillary: int
    first: int
    crossings: int
    channels: int
    boards: int

    @classmethod
    def of(cls, words: Words, expected: Expected) -> Weight:
        """Weigh values (uint64[n])."""
        counts = np.zeros(_VALUES, np.int64)
        seen = np.zeros_like(expected.known)
        boards = np.zeros(8, np.int64)
        _weigh(read_only(words), expected.known, counts, seen, boards)
        mask = sum(1 << board for board in range(8) if boards[board] * 100 > counts[_GOOD])
        good, hits, known, padding, idle, ancillary, first, crossings = counts.tolist()
        channels = int(seen.sum())
        return cls(len(words), good, hits, known, padding, idle, ancillary, first, crossings, channels, mask)

    @property
    def telling(self) -> int:
        """Values that are neither padding nor idle words."""
        return self.values - self.padding - self.idle

    @property
    def blank(self) -> bool:
        """Whether there are only padding and idle words, but for a few values such as run words."""
        return self.values - self.telling > 0 and self.telling <= 1 + self.values // BLANK_SHARE

    def shows_words(self, last: bool) -> bool:
        """Whether these are words of the boards."""
        if self.good >= FEWEST_GOOD and 4 * self.good >= self.telling:
            various = self.channels >= CHANNELS_SHOWN and self.crossings >= CROSSINGS_SHOWN
            return 2 * self.known >= self.hits or various
        if not last or not self.hits:
            return False
        return self.known == self.telling or (self.good >= 2 and 3 * (self.good + 1) >= 2 * self.telling)


def decide_binary(
    sample: bytes | memoryview,
    *,
    last: bool,
    expected: Expected,
    named: str | None = None,
    before: BinaryForm | None = None,
) -> BinaryForm | Undecided | Refused:
    """The form of binary content by its beginning.

    sample: the first bytes, cut anywhere; last: nothing more comes; expected: the channels whose hits are expected
    named: the format's name if the user gave one; before: the form of another part of the same run
    """
    words = np.frombuffer(sample, "<u8", len(sample) // 8)
    aligned, weight = 0, Weight.of(words, expected)
    if not weight.shows_words(last):
        for shift in range(1, 8):
            other = np.frombuffer(sample, "<u8", max(len(sample) - shift, 0) // 8, min(shift, len(sample)))
            shifted = Weight.of(other, expected)
            enough = shifted.good >= 2 * FEWEST_GOOD and shifted.crossings >= CROSSINGS_SHOWN
            if enough and shifted.shows_words(last) and shifted.good > weight.good:
                aligned, words, weight = shift, other, shifted
    boards = weight.boards | sum(1 << board for board in np.flatnonzero(~expected.known.all(1) & expected.known.any(1)))
    known_boards = int(boards) or ALL_BOARDS
    if named == "words":
        return BinaryForm("named by the user", known_boards if weight.shows_words(last) else ALL_BOARDS)
    if not weight.shows_words(last):
        if named == "dma" and last and len(words):
            return Refused("found no words of the boards, but --format dma was given")
        if last and weight.blank and before is not None:
            transfers = _transfers(words, weight, last)
            transfers = transfers if isinstance(transfers, Transfers) else None
            return BinaryForm("no hits, but a part of a run of words", before.boards, transfers)
        looks_like = _resembles(sample, words, weight, expected) if last else ""
        return Undecided(_missing(weight), looks_like, last and weight.blank)
    channels = counted(weight.channels, "channel")
    why = f"{counted(weight.good, 'hit')} of {channels} with orbits that rise, among {counted(len(words), 'word')}"
    if aligned or 2 * weight.good < weight.telling:
        other_order = _in_other_order(sample, words, aligned, expected, last)
        if other_order:
            return Refused(f"found {other_order}")
    if aligned:
        return BinaryForm(f"{why}, {aligned} bytes off a multiple of 8", known_boards, aligned=False)
    transfers = _transfers(words, weight, last)
    if isinstance(transfers, Transfers):
        run = f"run word {transfers.run_word}"
        if transfers.run_step:
            run += f", growing by {transfers.run_step},"
        return BinaryForm(f"{run} at each {DMA_WORDS}th place; {why}", known_boards, transfers)
    if named == "dma":
        if transfers is not None and not last:
            return transfers
        return Refused("found words of the boards without run words between them, but --format dma was given")
    return BinaryForm(why, known_boards) if transfers is None or last else transfers


def _transfers(words: Words, weight: Weight, last: bool) -> Transfers | Undecided | None:
    """Where transfers begin; None if these are plain words, Undecided if more of them would tell."""
    if weight.first == 0:
        return None  # if transfers begin later on, the decoder sees it
    for first in range(min(DMA_WORDS, len(words))):
        runs = words[first::DMA_WORDS].astype(np.int64)
        if len(runs) < 2 or is_hit(words[first]) or words[first] == words[first + 1]:
            continue
        steps = np.diff(runs)
        usual = int(steps[0]) if len(runs) == 2 else int(np.median(steps))
        run_word = int(words[first])
        if not 0 <= usual < 1 << 16 or run_word >= 1 << 63 or (usual and len(runs) < 3):
            continue
        # the same number at each 129th place, and hardly anywhere else: idle words are everywhere
        elsewhere = np.count_nonzero(words == words[first]) - np.count_nonzero(runs == runs[0])
        if 5 * np.count_nonzero(steps == usual) >= 4 * len(steps) and 4 * elsewhere <= len(runs):
            return Transfers(run_word, usual, DMA_WORDS - 1 - first)
    small = np.flatnonzero((words < HIGHEST_RUN_WORD) & (words > 0))
    values, counts = np.unique(words[small], return_counts=True)
    if small.size and small[0] == 0 and len(words) <= DMA_WORDS and (values[counts == 1] == words[0]).any():
        if last:
            return Transfers(int(words[0]))
        return Undecided("a second transfer of 129 words, or more plain words")
    if weight.first >= 0 and len(words) < weight.first + 3 * DMA_WORDS:
        return Undecided(f"{3 * DMA_WORDS} words, which show whether a run word stands at each {DMA_WORDS}th place")
    return None


def _missing(weight: Weight) -> str:
    """What would decide it."""
    if not weight.hits:
        return f"hits (HEAD 2), of which there are none among {counted(weight.values, 'word')}"
    return (
        f"{FEWEST_GOOD} hits of known channels with orbits that rise, a quarter of all words or more; {weight.good:,} "
        f"of {weight.values:,} words are such"
    )


def _resembles(sample: bytes | memoryview, words: Words, weight: Weight, expected: Expected) -> str:
    """What content that shows no words looks like instead, or ""."""
    if len(words) and weight.padding == weight.values:
        return "only zeros or ones: allocated, but never written"
    if len(words) and weight.padding + weight.idle + 1 >= weight.values:
        return f"only the value {int(words[-1]):#018x}: idle words without any hit"
    for what, other in _other_orders(sample):
        if Weight.of(other, expected).shows_words(True):
            return what
    table = _table_of_numbers(sample[: WORD_BYTES * ORDER_WORDS], expected)
    if table:
        return table
    if weight.values and 10 * weight.ancillary >= 9 * weight.telling > 0:
        return "words without any hit (HEAD 2); to count them anyway, name the format with --format words"
    return ""


def _in_other_order(sample: bytes | memoryview, words: Words, aligned: int, expected: Expected, last: bool) -> str:
    """An order of bytes that shows words as well as `words` (uint64[n], from byte `aligned` on) do, or "".

    Where these are not shifted, their hits themselves must be hits in that order, too: idle words that count up may
    pass for hits in many orders.
    """
    tried = words[-ORDER_WORDS:]
    end = Weight.of(tried, expected)
    hits = tried >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)
    for what, other in _other_orders(sample):
        shown = Weight.of(other, expected)
        whole = aligned != 4 or shown.first == 0  # else the first four bytes belong to something else
        same = bool(aligned) or 2 * Weight.of(other[hits], expected).good > end.good
        if whole and same and shown.shows_words(last) and shown.good > end.good - FEWEST_GOOD:
            return what
    return ""


def _other_orders(sample: bytes | memoryview) -> Iterator[tuple[str, Words]]:
    """The last values of a sample with their bytes in other orders, and what each order is called."""
    n = len(sample) // 8
    last = min(n, ORDER_WORDS)
    words = np.frombuffer(sample, "<u8", last, 8 * (n - last))
    yield "64-bit words in big-endian byte order", words.byteswap()
    halves = "64-bit words whose 32-bit halves are exchanged, or whose first half is missing"
    what = "exchange the halves; or cut 4 bytes off; or, if this is a later part of a run, give the part before it, too"
    yield f"{halves}: {what}", (words << np.uint64(32)) | (words >> np.uint64(32))
    for code, what in (("<u4", "32-bit numbers"), ("<u2", "16-bit numbers")):
        swapped = words.view(code).byteswap().view("<u8")
        yield f"words as {what} in big-endian byte order, the lowest one first", swapped


def _table_of_numbers(sample: bytes | memoryview, expected: Expected) -> str:
    """Six numbers a hit, as numpy's tofile writes a table of the fields; or ""."""
    for code, what in (
        ("<f8", "64-bit floats"), ("<f4", "32-bit floats"), ("<i8", "64-bit integers"), ("<i4", "32-bit integers"),
        (">f8", "64-bit big-endian floats"), (">i4", "32-bit big-endian integers"),
    ):  # fmt: skip
        size = np.dtype(code).itemsize
        rows = np.frombuffer(sample, code, len(sample) // (6 * size) * 6).reshape(-1, 6)
        if len(rows) < 4:
            continue
        with np.errstate(all="ignore"):
            whole = np.isfinite(rows) & (rows == np.floor(rows)) if code[1] == "f" else np.ones_like(rows, bool)
            fits = (rows >= 0) & (rows <= np.array([7, 7, 511, 2**32 - 1, 3563, 31])) & whole
        if fits.all(1).mean() > 0.9 and len(np.unique(rows[:, 2])) > 1:
            return f"six {what} a hit (a table's fields, as numpy's tofile writes them), not 64-bit words"
    return ""
