"""Rows of a table of hits into words, compiled.

Most rows are six plain numbers in range and one delimiter each: these are read all at once. Every other line is read
cell by cell, which takes numbers in any notation and says what is wrong with a row.

A line ends with LF, CR or CR LF. A run of NUL bytes is a hole that a file system left after a crash: it ends the row
before it, which is malformed because its last number may be cut, and the row after it is read. One NUL before a line's
end belongs to a string of C and does no harm. A line with control characters that no text has begins a stretch of
something else, such as words; it is passed over up to the next good row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from muonstream.bits import bytes_between, eight_bytes, popcount, trailing_zeros
from muonstream.compiled import compiled, inlined
from muonstream.formats.cells import (
    CR,
    CUT,
    DELIMITER,
    DOUBLE,
    FEW,
    HIGH,
    HIT_HEAD,
    LF,
    LONG,
    MANY,
    MINUS,
    N_CELLS,
    NO_NUMBER,
    PLAIN_ORDER,
    SHIFTED,
    SINGLE,
    SLASH,
    ZERO,
    after_blanks,
    mark_width,
    may_be_blank,
    read_cells,
    segment_end,
)
from muonstream.formats.no_text import is_no_text
from muonstream.words import (
    BX_PER_ORBIT,
    BX_SHIFT,
    CHANNEL_MASK,
    CHANNEL_SHIFT,
    FPGA_SHIFT,
    HEAD_SHIFT,
    ORBIT_MASK,
    ORBIT_SHIFT,
    TDC_MASK,
    Head,
)

COLUMNS: Final = ("HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS")
HIGHEST: Final = (7, 7, CHANNEL_MASK, ORBIT_MASK, BX_PER_ORBIT - 1, TDC_MASK)
SHIFTS: Final = (HEAD_SHIFT, FPGA_SHIFT, CHANNEL_SHIFT, ORBIT_SHIFT, BX_SHIFT, 0)
EVENT_NUMBER_CHANNELS: Final = (137, 138)

LONGEST_ROW: Final = 1 << 16
"""Bytes of a row at most; a longer one is malformed and need not be kept."""

HEADERS, PADDING, FIRST_NUL, LAST_BLANK, OTHER_HITS, NO_TEXT, NO_TEXT_FIRST, NO_TEXT_BYTES, N_COUNTS = range(9)
"""Places in counts (int64): bytes of comments, blank lines and marks; NUL bytes; where the first NUL is, or -1; whether
the last line of those read cell by cell was a comment or blank; rows with the HEAD of another dialect's hits and values
in the range of hits; whether rows are being passed over as not text, before and after; where that began, if it did;
how many more bytes were passed over."""

USUAL_BYTES: Final = 40
"""Bytes that must follow where a row begins for the look at usual rows, which loads up to this many."""


@inlined
def _plain(digits: Any, length: Any) -> Any:
    """The number that the first `length` of eight bytes (1 to 8, all digits) are, uint64; the first is the lowest byte.

    Three multiplications add up neighbours: digits to pairs, pairs to fours, fours to all (the method is known from
    D. Lemire, "Quickly parsing eight digits", 2018).
    """
    digits = digits << np.uint64(8) * (np.uint64(8) - length) & np.uint64(0x0F0F0F0F0F0F0F0F)
    digits = digits * np.uint64(10 << 8 | 1) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(100 << 16 | 1) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    return digits * np.uint64(10_000 << 32 | 1) >> np.uint64(32)


@inlined
def _usual_row(data: Any, at: Any, begin: Any, shifted: bool, delimiter: Any) -> tuple[Any, Any]:
    """The hit in the row from `at` on, and where the next row begins: `at` if this is not a usual row.

    begin: the first four bytes of a hit's row as a little-endian number, without the third, which is the board

    Usual is a hit of six numbers that are nothing but digits, one for the board, up to ten for the orbit. Indices are
    unsigned: numba would check signed ones for being negative.
    """
    one = np.uint64(1)
    line = bytes_between(data, at, np.uint64(LF), np.uint64(LF))
    if line == np.uint64(0) or line & one:
        return np.uint64(0), at
    end = np.uint64(trailing_zeros(line))
    next_at = at + end + one
    end -= np.uint64(data[at + end - one] == np.uint64(CR))
    here = (one << end) - one
    commas = bytes_between(data, at, delimiter, delimiter) & here
    others = ~bytes_between(data, at, np.uint64(ZERO), np.uint64(ZERO + 9)) & here
    begins = eight_bytes(data, at)
    if commas != others or popcount(commas) != 5 or begins & np.uint64(0xFF00FFFF) != begin:
        return np.uint64(0), at
    commas &= ~np.uint64(0b1010)
    second = np.uint64(trailing_zeros(commas))
    commas &= commas - one
    third = np.uint64(trailing_zeros(commas))
    commas &= commas - one
    fourth = np.uint64(trailing_zeros(commas))
    n_channel, n_orbit = second - np.uint64(4), third - second - one
    n_bx, n_tdc = fourth - third - one, end - fourth - one
    # one less each, so that none at all is far too many
    if (n_channel - one | n_bx - one | n_tdc - one) > np.uint64(7) or n_orbit - one > np.uint64(9):
        return np.uint64(0), at
    board = begins >> np.uint64(16) & np.uint64(0xF)
    channel = _plain(eight_bytes(data, at + np.uint64(4)), n_channel)
    orbit_at = at + second + one
    digits = eight_bytes(data, orbit_at)
    if n_orbit <= np.uint64(8):
        orbit = _plain(digits, n_orbit)
    else:
        more = n_orbit - np.uint64(8)
        lower = _plain(eight_bytes(data, orbit_at + more), np.uint64(8))
        orbit = _plain(digits, more) * np.uint64(10**8) + lower
    bx = _plain(eight_bytes(data, at + third + one), n_bx)
    tdc = _plain(eight_bytes(data, at + fourth + one), n_tdc)
    if shifted:
        tdc += one - np.uint64(
            channel == np.uint64(EVENT_NUMBER_CHANNELS[0]) or channel == np.uint64(EVENT_NUMBER_CHANNELS[1])
        )
        channel -= one
    if (
        board > np.uint64(HIGHEST[1])
        or channel > np.uint64(HIGHEST[2])
        or orbit > np.uint64(HIGHEST[3])
        or bx > np.uint64(HIGHEST[4])
        or tdc > np.uint64(HIGHEST[5])
    ):
        return np.uint64(0), at
    word = np.uint64(Head.HIT << HEAD_SHIFT) | board << np.uint64(FPGA_SHIFT) | channel << np.uint64(CHANNEL_SHIFT)
    return word | orbit << np.uint64(ORBIT_SHIFT) | bx << np.uint64(BX_SHIFT) | tdc, next_at


@inlined
def _word(values: Any, wrongs: Any, hit_head: Any, shifted: bool) -> tuple[Any, Any, Any]:
    """The word of six fields, and 0, 0; or the first field that is wrong and what is wrong with it.

    Of ancillary rows only HEAD and FPGA must be whole numbers in range; other cells may be any numbers.
    """
    hit = values[0] == hit_head and wrongs[0] == 0
    word = np.uint64(0)
    if wrongs[0] > 0 or values[0] > HIGHEST[0]:
        return word, 0, wrongs[0] if wrongs[0] > 0 else HIGH
    event_number = values[2] == EVENT_NUMBER_CHANNELS[0] or values[2] == EVENT_NUMBER_CHANNELS[1]
    for field in range(1, 6):
        value, wrong = values[field], wrongs[field]
        if wrong < 0:
            continue
        if wrong > 0 and (hit or wrong == NO_NUMBER or field == 1):
            return word, field, wrong
        if hit or field == 1:
            if hit and shifted:
                # text numbers channels from 1, so that 0 is below the range
                if field == 2:
                    value -= 1
                elif field == 5 and not event_number:
                    value += 1
            if value < 0 or value > HIGHEST[field]:
                return word, field, HIGH
        elif field == 2:
            value &= CHANNEL_MASK
        elif field == 3:
            value &= ORBIT_MASK
        else:
            value = np.int64(0)
        word |= np.uint64(value) << np.uint64(SHIFTS[field])
    head = values[0]
    if hit_head == 1:
        # HEAD 2 of such a read-out is not a hit
        head = np.int64(Head.HIT) if hit else np.int64(7)
    return word | np.uint64(head) << np.uint64(HEAD_SHIFT), 0, 0


@inlined
def _is_other_hit(values: Any, wrongs: Any, hit_head: Any) -> Any:
    """Whether a row would be a hit if the other of HEAD 1 and 2 marked hits; bit masks have bunch crossing 0."""
    good = values[0] == 3 - hit_head and values[4] > 0
    for field in range(1, 6):
        good &= wrongs[field] == 0 and values[field] <= HIGHEST[field]
    return good


@compiled
def _names_head(data: Any, at: Any, end: Any) -> Any:
    """Whether `head` is in data[at:end], in letters of any case."""
    for i in range(at, end - 3):
        if data[i] | 32 == 104 and data[i + 1] | 32 == 101 and data[i + 2] | 32 == 97 and data[i + 3] | 32 == 100:
            return True
    return False


@compiled
def _is_comment(data: Any, at: Any, end: Any) -> Any:
    """Whether a line begins with #, %, ! or //, or is Excel's `sep=;`."""
    c = data[at]
    if c == 35 or c == 37 or c == 33 or (c == 47 and at + 1 < end and data[at + 1] == 47):
        return True
    return end - at == 5 and data[at] == 115 and data[at + 1] == 101 and data[at + 2] == 112 and data[at + 3] == 61


@compiled
def scan_rows(data: Any, form: Any, words: Any, faults: Any, counts: Any) -> tuple[int, int, int, int]:
    """Scan whole lines of a table into words, up to a line that may be a header.

    data: uint8[n], ending with a line's end or two NULs; form: int64, see `cells.DELIMITER`
    words: uint64, room for a word each 12 bytes; counts: int64[N_COUNTS], added to, see `HEADERS`
    faults: int64[m, 4], filled with (line from 0, where it begins, field or number of cells, what) of the first m
    Gives how many words, faulty rows and lines there were, and where it stopped: at the end, where a line begins in
    which `head` is written, after # or in front of anything but a number, or at the first good row after rows that were
    passed over.
    """
    n_words, n_faults, line = 0, 0, 0
    at: Any = np.int64(0)
    n = np.int64(len(data))
    values, wrongs = np.zeros(6, np.int64), np.zeros(6, np.int64)
    usual, shifted, no_text = form[PLAIN_ORDER] != 0, form[SHIFTED] != 0, counts[NO_TEXT] != 0
    hit_head, delimiter = np.uint64(form[HIT_HEAD]), np.uint64(form[DELIMITER])
    usual_begin = np.uint64(ZERO) + hit_head | delimiter << np.uint64(8) | delimiter << np.uint64(24)
    while at < n:
        if usual and at + USUAL_BYTES <= n:
            word, next_at = _usual_row(data, np.uint64(at), usual_begin, shifted, delimiter)
            if next_at != np.uint64(at):
                if no_text:
                    counts[NO_TEXT] = 0
                    return n_words, n_faults, line, at
                words[n_words] = word
                n_words += 1
                line += 1
                at = np.int64(next_at)
                continue
        end = segment_end(data, at)
        # a hole of NUL bytes ends the row, unless it is one byte in front of the line's end
        next_at, hole, broken = end, False, 0
        if end < n and data[end] == 0:
            while next_at < n and data[next_at] == 0:
                next_at += 1
            hole = next_at - end > 1 or not (next_at >= n or data[next_at] == LF or data[next_at] == CR)
        nul_end = next_at
        if not hole and next_at < n:
            next_at += 2 if data[next_at] == CR and next_at + 1 < n and data[next_at + 1] == LF else 1
            broken = 1
        while at < end and data[at] >= 0xEF and mark_width(data, at, end) > 0:
            counts[HEADERS] += mark_width(data, at, end)
            at += mark_width(data, at, end)
        begin, first, comment = at, at, False
        fault, fault_field = 0, 0
        if end - begin > LONGEST_ROW:
            fault = LONG
        elif first < end:
            if may_be_blank(data[first]):
                first = after_blanks(data, first, end, form)
            inner = first
            if inner + 1 < end and (data[inner] == DOUBLE or data[inner] == SINGLE):
                inner += 1
            if first < end and not ((data[inner] > SLASH and data[inner] <= ZERO + 9) or data[inner] == MINUS):
                comment = _is_comment(data, first, end)
                if _names_head(data, first, end):
                    return n_words, n_faults, line, begin
        blank = fault == 0 and (comment or first >= end)
        if not blank and fault == 0:
            n_cells = read_cells(data, first, end, form, values, wrongs)
            word, fault_field, fault = _word(values, wrongs, form[HIT_HEAD], shifted)
            if fault == 0 and n_cells != form[N_CELLS]:
                fault, fault_field = (FEW if n_cells < form[N_CELLS] else MANY), n_cells
            if no_text and fault == 0:
                counts[NO_TEXT] = 0
                return n_words, n_faults, line, begin
        if fault and not no_text and is_no_text(data, begin, end):
            no_text = True
            counts[NO_TEXT], counts[NO_TEXT_FIRST] = 1, begin
        at = next_at
        line += broken
        counts[LAST_BLANK] = blank and not no_text
        if no_text:
            counts[NO_TEXT_BYTES] += next_at - begin
            continue
        if nul_end > end and counts[FIRST_NUL] < 0:
            counts[FIRST_NUL] = end
        counts[PADDING] += nul_end - end
        if blank:
            counts[HEADERS] += (end - begin) + (next_at - nul_end)
            continue
        if fault == 0:
            if values[0] == 3 - form[HIT_HEAD] and _is_other_hit(values, wrongs, form[HIT_HEAD]):
                counts[OTHER_HITS] += 1
            if hole:
                fault, fault_field = CUT, nul_end - end
        if fault:
            if n_faults < len(faults):
                row = faults[n_faults]
                row[0], row[1], row[2], row[3] = line - broken, begin, fault_field, fault
            n_faults += 1
        else:
            words[n_words] = word
            n_words += 1
    return n_words, n_faults, line, at


WHOLE, NUMBERS, OTHER = 0, 1, 2
"""Kinds of rows: whole numbers in every field; numbers, some of them not whole; anything else."""


@compiled
def read_fields(data: Any, form: Any, fields: Any, kinds: Any) -> int:
    """Read the fields of a table's rows as they are, without a dialect; comments and blank lines are left out.

    data: uint8[n], whole lines; form: int64, see `cells.DELIMITER`; fields: int64[m, 6], filled by row; kinds: uint8[m]
    Gives how many rows there were, at most m.
    """
    n_rows = 0
    at: Any = np.int64(0)
    n = np.int64(len(data))
    wrongs = np.zeros(6, np.int64)
    while at < n and n_rows < len(fields):
        end = segment_end(data, at)
        while at < end and data[at] >= 0xEF and mark_width(data, at, end) > 0:
            at += mark_width(data, at, end)
        at = after_blanks(data, at, end, form)
        if at < end and not _is_comment(data, at, end):
            n_cells = read_cells(data, at, end, form, fields[n_rows], wrongs)
            kind = WHOLE if n_cells == form[N_CELLS] else OTHER
            for field in range(6):
                if wrongs[field] == NO_NUMBER or wrongs[field] < 0:
                    kind = OTHER
                elif wrongs[field] > 0 and kind == WHOLE:
                    kind = NUMBERS
            kinds[n_rows] = kind
            n_rows += 1
        at = end + 1
    return n_rows
