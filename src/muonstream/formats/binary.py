"""Binary content: plain words, and raw DMA transfers of a run word and 128 words each, kept in step byte by byte.

A decoder is in step as long as 8 bytes from where it stands are words of the boards (`step.walk`). Where it loses step
it looks for the next byte at which 12 of 16 words are good hits (`plausible.find_step`), passes over what lies between
and notes both places. Zeros and ones are padding, counted as malformed words. Run words are recognised wherever they
stand, so that a transfer that is too short or too long loses no word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import Block, ByteAccount, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.notes import Notes
from muonstream.formats.odd_values import OddValues
from muonstream.formats.plausible import (
    BAD,
    CHUNK,
    PADDING,
    RUN_WORD,
    STEP_WORDS,
    find_step,
    flag_chunks,
    good_hits,
    is_text,
)
from muonstream.formats.step import (
    BADS,
    BOARDS,
    CANDIDATE,
    CAREFUL,
    CHANGED,
    END,
    FOUND,
    FULL,
    LOOK,
    LOST,
    PADDINGS,
    PHASE,
    REFERENCE,
    RUN,
    RUN_STEP,
    RUN_WORDS,
    SHORT,
    SMALL,
    STATE_FIELDS,
    TRUSTED,
    lost_at_end,
    walk,
)
from muonstream.words import DMA_WORDS, WORD_BYTES, Words

ALL_BOARDS: Final = 0xFF
SEARCH_WORDS: Final = 1 << 13
"""So many words from a lost step on are searched before they are passed over, or taken for a mixture of words."""
MIXED_SHARE: Final = 10
"""Where more than one word in so many is a good hit, a stretch is a mixture of words, not garbage."""
EVENTS: Final = 64
BEGINS_INSIDE: Final = "begins inside a word"
"""What a note says of content whose first bytes are the rest of a word."""
FEWEST_WORDS, MOST_WORDS = 1 << 12, 1 << 18
"""Words looked at together: few after the step was lost, twice as many each time while it holds."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """Where a stream of raw DMA transfers stands.

    run_word: of the newest transfer, or the first one expected; run_step: by how much run words grow from transfer to
    transfer, 0 where they stay; before: values since the last run word, -1 if unknown
    """

    run_word: int
    run_step: int = 0
    before: int = DMA_WORDS - 1


class BinaryDecoder:
    """Decodes words as their bytes come; with `transfers`, raw DMA transfers.

    name: of the input, in notes; boards: bit b is set for each board that is expected; content: follows the words
    searching: the first words are not at the first byte, and are looked for
    halted: a careful decoder stands at the first odd value and decodes nothing more until it need not be careful
    """

    def __init__(
        self,
        name: str,
        *,
        boards: int = ALL_BOARDS,
        transfers: Transfers | None = None,
        content: ContentCheck | None = None,
        searching: bool = False,
    ) -> None:
        self._name = name
        self.halted = False
        self._rest = b""
        self._position = 0  # of the first byte of what is in `_rest`, or else comes next
        self._lost_at = 0 if searching else -1  # the byte at which the step was lost
        self._before = np.uint64(0)
        self._end_seen = False  # whether the last values were looked at for a lost step
        self._state = np.zeros(STATE_FIELDS, np.int64)
        self._state[[REFERENCE, CANDIDATE, BOARDS, RUN, PHASE]] = -1, -1, boards, -1, -1
        if transfers is not None:
            self._state[[RUN, RUN_STEP, PHASE]] = transfers.run_word, transfers.run_step, transfers.before
        self._run = -1 if transfers is None else transfers.run_word  # the newest one in a note
        self._together = FEWEST_WORDS
        self._kinds = np.zeros(0, np.uint8)  # room for the kinds of values, all zeros between calls
        self._notes = Notes(name)
        self._padding = OddValues(self._notes, "padding", _line_of_padding, gap=WORD_BYTES, same=True)
        self._bad = OddValues(self._notes, "odd values", _line_of_bad, gap=WORD_BYTES * LOOK)
        self._content = content

    @property
    def transfers(self) -> Transfers | None:
        """Where a stream of DMA transfers stands; None for plain words."""
        run_word, run_step, before = self._state[[RUN, RUN_STEP, PHASE]].tolist()
        return Transfers(run_word, run_step, before) if run_word >= 0 else None

    @property
    def rest(self) -> bytes:
        """Bytes that wait for those behind them."""
        return self._rest

    def be_careful(self, careful: bool) -> None:
        """Whether to halt at the next value that no board sends, or whose orbit is elsewhere."""
        self._state[CAREFUL] = careful
        self.halted = self.halted and careful

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words that are decided, a view of the bytes where nothing lies between them.

        A few words wait where an odd value needs those behind it. Bytes left at the end are one malformed word.
        """
        buffer: bytes | memoryview = b"".join((self._rest, data)) if self._rest else data
        piece = _Piece(buffer, Block())
        while True:
            if self._lost_at >= 0 and not self._search(piece, last):
                break
            stop = self._decode(piece, last)
            if stop == LOST and self._state[CAREFUL]:
                self.halted = True
                break
            if stop == LOST:
                self._lost_at = self._position + piece.at
            elif stop != FULL:
                break
        if last:
            self._end(piece)
        self._position += piece.at
        self._rest = bytes(buffer[piece.at :])
        block = piece.block
        block.words = piece.words()
        block.notes += self._notes.finish() if last else self._notes.take()
        return block

    def _decode(self, piece: _Piece, last: bool) -> int:
        """Take words from where the piece stands until something stops that, and say what."""
        while True:
            n = (len(piece.buffer) - piece.at) // WORD_BYTES
            whole = n > self._together
            n = min(n, self._together)
            words = np.frombuffer(piece.seen, "<u8", n, piece.at)
            lost = self._lost_at_end(piece) if last and not whole else -1
            if lost >= 0:
                ended, stop = self._take(piece, words[:lost], True)
                return LOST if stop == END and ended == lost else stop
            ended, stop = self._take(piece, words, last and not whole)
            if not whole or stop in (LOST, FULL):
                return stop
            self._together = min(2 * self._together, MOST_WORDS) if ended else 2 * self._together

    def _lost_at_end(self, piece: _Piece) -> int:
        """Which of the last values begins a stretch out of step, for words end where the bytes do; -1 for none."""
        if (len(piece.buffer) - piece.at) % WORD_BYTES == 0 or self._state[CAREFUL] or self._end_seen:
            return -1
        self._end_seen = True
        reference, boards = self._state[[REFERENCE, BOARDS]].tolist()
        return lost_at_end(np.frombuffer(piece.seen, np.uint8), piece.at, reference, boards)

    def _take(self, piece: _Piece, words: Words, last: bool) -> tuple[int, int]:
        """Take those of these words that can be decided; how many, and what stopped it."""
        s = self._state
        dma = s[RUN] >= 0
        flags = np.empty(0 if dma else len(words) // CHUNK, np.uint8)
        if len(flags):
            flag_chunks(words, self._before, flags)
        if len(self._kinds) < len(words):
            self._kinds = np.zeros(len(words), np.uint8)
        kinds = self._kinds[: len(words)]
        events = np.empty((EVENTS, 3), np.int64)
        paddings, run_words, bads = int(s[PADDINGS]), int(s[RUN_WORDS]), int(s[BADS])
        ended, stop, n_events = walk(words, self._before, flags, s, kinds, events, last)
        first = self._position + piece.at
        for what, index, value in events[:n_events].tolist():
            self._note_event(what, first + WORD_BYTES * index, value, piece.block)
        n_padding, n_run_words = int(s[PADDINGS]) - paddings, int(s[RUN_WORDS]) - run_words
        n_bad = int(s[BADS]) - bads
        self._see_odd(first, words[:ended], kinds[:ended], n_padding, n_bad)
        dropped = n_padding + n_run_words
        kept = words[:ended]
        if dropped:
            kept = kept[(kinds[:ended] != PADDING) & (kinds[:ended] != RUN_WORD)]
        if dropped or n_bad:
            kinds[:ended] = 0
        if self._content is not None:
            self._content.see(kept, None if dropped or dma else flags[: ended // CHUNK], self._before)
        piece.take(ended, kept if dropped else None)
        piece.block.malformed += n_padding
        piece.block.bytes += ByteAccount(
            words=WORD_BYTES * (ended - dropped), run_words=WORD_BYTES * n_run_words, padding=WORD_BYTES * n_padding
        )
        if ended:
            self._before = words[ended - 1]
        return ended, stop

    def _note_event(self, what: int, byte: int, value: int, block: Block) -> None:
        if what == CHANGED:
            # run words that grow are not noted one by one, so the last one noted may come again
            how = f"from {self._run} to {value}" if value != self._run else f"to {value} again"
            self._notes.add("changed run words", f"byte {byte:,}: the run word changes {how}")
            self._run = value
            return
        if what == FOUND:
            found = f"found the run word {value} in front of {DMA_WORDS - 1} words: these are raw DMA transfers"
            self._notes.add("transfers", f"byte {byte:,}: {found}")
            self._run = value
            return
        if what == SMALL:
            self._notes.add("small words", f"byte {byte:,}: found {value}, like a run word; taken for a word of HEAD 0")
            return
        block.steps_lost += 1
        if what == SHORT:
            found = f"a transfer of {counted(value, 'word')}, expected {DMA_WORDS - 1}"
            self._notes.add("lost step", f"byte {byte:,}: out of step, found the run word after {found}")
        else:
            found = f"{value & (1 << 64) - 1:#018x} where a transfer's run word is expected"
            self._notes.add("lost step", f"byte {byte:,}: out of step, found {found}; taken for a word")

    def _see_odd(self, first: int, words: Words, kinds: NDArray[np.uint8], n_padding: int, n_bad: int) -> None:
        """Follow padding and bad values; first: the byte of the first value."""
        for n, kind, stretches in ((n_padding, PADDING, self._padding), (n_bad, BAD, self._bad)):
            if not n and not stretches.is_open:
                continue
            where = np.flatnonzero(kinds == kind) if n else _NOWHERE
            stretches.see(first, WORD_BYTES * where, words[where], WORD_BYTES * len(words))

    def _end_stretches(self) -> None:
        self._padding.end()
        self._bad.end()

    def _search(self, piece: _Piece, last: bool) -> bool:
        """Look for the next byte in step; whether decoding can resume, there or where the step seemed lost."""
        begin = self._lost_at - self._position
        data = np.frombuffer(piece.buffer, np.uint8)
        found = find_step(data, piece.at, len(data), int(self._state[BOARDS]), last)
        if found == piece.at == begin:  # it is in step here, whatever the values around made of it
            self._state[TRUSTED] = LOOK
            self._lost_at = -1
            return True
        if piece.at == begin:  # nothing was passed over yet
            n = (found - begin if found >= 0 else len(data) - begin) // WORD_BYTES
            if found < 0 and n < SEARCH_WORDS and not last:
                return False
            n = min(n, SEARCH_WORDS)
            aligned = found < 0 or (found - begin) % WORD_BYTES == 0
            words = np.frombuffer(piece.buffer, "<u8", n, begin)
            if aligned and good_hits(words) * MIXED_SHARE > n:
                self._state[TRUSTED] = n
                self._lost_at = -1
                return True
            if not self._begins_inside(found):
                piece.block.steps_lost += 1
        self._together = FEWEST_WORDS
        self._end_stretches()
        if found < 0:
            piece.pass_over(max(0, len(data) - piece.at - (0 if last else WORD_BYTES * STEP_WORDS - 1)))
            return False
        piece.pass_over(found - piece.at)
        self._note_lost(self._position + found)
        self._state[[REFERENCE, CANDIDATE, PHASE, TRUSTED]] = -1, -1, -1, 0
        self._before = np.uint64(0)
        self._lost_at = -1
        self._end_seen = False  # the last values are others now
        return True

    def _begins_inside(self, found: int) -> bool:
        """Whether the content begins with less than a word in front of `found`, as a later part of a run may."""
        return self._lost_at == 0 and self._position == 0 and 0 < found < WORD_BYTES

    def _note_lost(self, end: int | None) -> None:
        if self._lost_at == 0 and end is not None and 0 < end < WORD_BYTES:
            found = (
                f"byte 0: {BEGINS_INSIDE}: the {counted(end, 'byte')} up to byte {end}, where words begin, passed over"
            )
            self._notes.add("lost step", f"{found}; if this is a later part of a run, give the part before it, too")
            return
        lost = f"byte {self._lost_at:,}: out of step, found no words of the boards"
        n = (self._position if end is None else end) - self._lost_at
        to = "to the end" if end is None else f"up to byte {end:,}, where words begin again"
        self._notes.add("lost step", f"{lost} {to}: {counted(n, 'byte')} passed over")

    def _end(self, piece: _Piece) -> None:
        """Account for what is left at the end."""
        tail = len(piece.buffer) - piece.at
        byte = self._position + piece.at
        if self._lost_at >= 0:
            piece.pass_over(tail)
            self._position, at = self._position + piece.at, self._position
            self._note_lost(None)
            self._position = at
            self._lost_at = -1
        elif tail:
            piece.block.malformed += 1
            piece.block.bytes += ByteAccount(words=tail)
            piece.block.faults.append(
                f"{self._name}: byte {byte:,}: found {counted(tail, 'byte')} at the end, "
                f"expected whole words of {WORD_BYTES}"
            )
            piece.at += tail
        self._end_stretches()


_NOWHERE: Final = np.empty(0, np.int64)


def _line_of_padding(byte: int, size: int, n: int, value: int) -> str:
    what = "all ones (0xffffffffffffffff)" if value else "all zeros (0x0)"
    return f"byte {byte:,}: {counted(n, 'word')} of {what}, counted as malformed (padding)"


def _line_of_bad(byte: int, size: int, n: int, value: int) -> str:
    words = (size + WORD_BYTES - 1) // WORD_BYTES
    among = f", among {words:,} words" if words > n else ""
    text = value.to_bytes(WORD_BYTES, "little").decode("ascii", "replace")
    shown = f"{value:#018x}" + (f", which is text: {text!r}" if is_text(np.uint64(value)) else "")
    return f"byte {byte:,}: {counted(n, 'value')} that no known firmware sends, the first {shown}{among}"


class _Piece:
    """Bytes that are being decoded: how far that is, and the words so far."""

    def __init__(self, buffer: bytes | memoryview, block: Block) -> None:
        self.buffer = buffer
        # kernels see memory that cannot be written, as bytes are, or numba would load each of them twice
        self.seen = memoryview(buffer).toreadonly()
        self.block = block
        self.at = 0
        self._parts: list[Words] = []
        self._clean = (0, 0)  # the last part, if it is a view: from which byte to which

    def pass_over(self, n: int) -> None:
        """Leave bytes out."""
        self.at += n
        self.block.bytes += ByteAccount(passed_over=n)

    def take(self, n: int, words: Words | None) -> None:
        """Take so many values: these words, or None for all of them."""
        end = self.at + WORD_BYTES * n
        if words is not None:
            self._parts.append(words)
        elif n:
            begin, to = self._clean
            if self._parts and to == self.at and to > begin:
                self._parts.pop()
            else:
                begin = self.at
            self._clean = begin, end
            self._parts.append(np.frombuffer(self.buffer, "<u8", (end - begin) // WORD_BYTES, begin))
        if words is not None:
            self._clean = 0, 0
        self.at = end

    def words(self) -> Words:
        """All words taken."""
        if len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.uint64)
