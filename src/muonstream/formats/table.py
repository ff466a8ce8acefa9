"""Tables of hits as text, scanned straight into words.

There are three dialects of the columns HEAD, FPGA, TDC_CHANNEL, ORBIT_CNT, BX_COUNTER, TDC_MEAS. `course` holds the
words' fields as they are, with any numbers in ancillary rows; `firmware2019` marks a hit with HEAD 1, counts channels
from 1, and has TDC_MEAS one less, except on the event-number channels 137 and 138; `head1` marks a hit with HEAD 1 and
holds the other fields as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import FAULTS_KEPT, Block, ByteAccount, SourceError, counted
from muonstream.formats.cells import CUT, FEW, LONG, MANY, NO_NUMBER
from muonstream.formats.encoded_text import EncodedText
from muonstream.formats.encoding import Encoding
from muonstream.formats.hit_rows import FEWEST_MARKERS
from muonstream.formats.layout import DELIMITERS, PLAIN, Dialect, Layout, WrongHeader, cells_of, names_of, read_header
from muonstream.formats.rows import (
    COLUMNS,
    EVENT_NUMBER_CHANNELS,
    FIRST_NUL,
    HEADERS,
    HIGHEST,
    LAST_BLANK,
    LONGEST_ROW,
    N_COUNTS,
    NO_TEXT,
    NO_TEXT_BYTES,
    NO_TEXT_FIRST,
    OTHER_HITS,
    PADDING,
    scan_rows,
)
from muonstream.words import Head, Words, decode

_WORTH_A_NOTE: Final = 16
_WEIGHED: Final = 1 << 16
"""So many hits at least are looked at for values that only the other numbering of HEAD 1 has."""
_SHARE: Final = 100
"""One in so many with such a value is worth a note: the right numbering has one in 30 of its own."""
_LINE_END: Final = re.compile(rb"\r\n|[\r\n\0]")
_UTF8_MARK: Final = b"\xef\xbb\xbf"


class HeaderError(SourceError):
    """A table whose columns are not the expected ones."""


def _text(data: NDArray[np.uint8], begin: int) -> str:
    """The first 400 bytes of a line's text from a byte on, without its end."""
    return _LINE_END.split(bytes(data[begin : begin + 400]), maxsplit=1)[0].decode("ascii", "backslashreplace")


def described(text: str, field: int, what: int, layout: Layout, dialect: Dialect) -> str:
    """What is wrong with a row, in words.

    text: the row; field, what: as in the faults of `rows.scan_rows`
    """
    if what == LONG:
        return f"found a line of more than {LONGEST_ROW:,} bytes, expected a row of {len(layout.columns)} columns"
    if what == CUT:
        return f"found {counted(field, 'NUL byte')} behind {text[-40:]!r}, expected a line end: the row may be cut"
    if what in (FEW, MANY):
        delimiter = f" with {DELIMITERS[layout.delimiter]} between them" if layout.delimiter != "," else ""
        return f"found {counted(field, 'column')}, expected {len(layout.columns)}{delimiter}: {text[:60]!r}"
    cells, cell = cells_of(text, layout.delimiter), layout.columns.index(field)
    found = cells[cell][:40] if cell < len(cells) else ""
    low, high = 0, HIGHEST[field]
    if dialect == "firmware2019" and field == 2:
        low, high = 1, high + 1
    if dialect == "firmware2019" and field == 5:
        high -= 1
    return f"{COLUMNS[field]}: found {found!r}, expected whole numbers from {low} to {high}"


@dataclass(slots=True)
class _Found:
    """What a piece of text gave: as in `Block`, bytes by kind, in characters of one byte."""

    words: list[Words] = field(default_factory=list)
    malformed: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    read: int = 0
    headers: int = 0
    padding: int = 0
    passed_over: int = 0

    def block(self, width: int, cut: int) -> Block:
        """All of it; width: bytes of a character, cut: bytes at the end that are not a character."""
        words = self.words[0] if len(self.words) == 1 else np.concatenate([np.empty(0, np.uint64), *self.words])
        account = ByteAccount(
            words=width * (self.read - self.headers - self.padding - self.passed_over),
            headers=width * self.headers,
            padding=width * self.padding,
            passed_over=width * self.passed_over + cut,
        )
        return Block(words, self.malformed, self.faults[:FAULTS_KEPT], self.notes, account)


class TableDecoder(EncodedText):
    """Decodes a table as its bytes come; a row cut by the end of a piece waits for the next.

    A header anywhere in the table, as in files joined together, says how the rows behind it are laid out.
    """

    def __init__(
        self,
        name: str,
        *,
        old_firmware: bool = False,
        dialect: Dialect | None = None,
        layout: Layout = PLAIN,
        encoding: Encoding = "utf-8",
    ) -> None:
        super().__init__(name, encoding)
        self._dialect: Dialect = dialect or ("firmware2019" if old_firmware else "course")
        self._layout = layout
        self._form = layout.form(self._dialect)
        self._rows_begun = False
        self._other_hits = 0
        self._weighed = 0  # hits of an old dialect whose fine time was looked at
        self._foreign = 0  # those of them whose fine time the dialect does not have
        self._header: tuple[str, Layout | WrongHeader | None] = ("", None)

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block:
        """Take bytes in order; give the words of the rows that they complete. Raises HeaderError."""
        found = _Found()
        if -1 in self._layout.columns and not self._layout.headed:
            self._note(found, "index", "the first column is not one of the six and is ignored")
        text = self._scan_where_it_lies(self._transcoder.feed(data), found)
        data = b"".join((self._rest, text))
        if self._overlong:
            data = self._skip_overlong(data, last, found)
        if not self._overlong:
            end = _whole_lines(data, last)
            self._scan(data, end, found)
            data = data[end:]
            if last and data:
                self._scan_last(data, found)
                data = b""
            elif len(data) > LONGEST_ROW + 2:
                data = self._begin_overlong(data, found)
        self._rest = data
        if last and self._other_hits >= _WORTH_A_NOTE:
            head = 1 if self._dialect == "course" else 2
            rows = f"{self._other_hits:,} rows of HEAD {head} look like hits of another dialect"
            self._note(found, "other", f"{rows} and count as ancillary; the table may be of two dialects joined")
        if last and self._foreign >= FEWEST_MARKERS and _SHARE * self._foreign >= self._weighed:
            value, other = (0, "firmware2019") if self._dialect == "head1" else (30, "head1")
            self._note(
                found,
                "numbering",
                f"{self._foreign:,} of {self._weighed:,} hits have TDC_MEAS {value}, which {self._dialect} does not "
                f"have; if the table is of {other}, channels and times are wrong by one",
            )
        found.notes += self._no_text.take(last=last)
        cut = self._transcoder.cut if last else 0
        if cut:
            self._note(found, "cut", f"the last {counted(cut, 'byte')} are not a whole character")
        return found.block(self._transcoder.width, cut)

    def _scan_where_it_lies(self, text: bytes | memoryview, found: _Found) -> bytes | memoryview:
        """Scan the whole lines of a large piece without a copy of it; gives what is left of the piece."""
        if self._overlong or len(text) < 4 * LONGEST_ROW:
            return text
        first = bytes(text[:LONGEST_ROW]).find(b"\n") + 1 if self._rest else 0
        end = len(text) - LONGEST_ROW + bytes(text[-LONGEST_ROW:]).rfind(b"\n") + 1
        if (self._rest and not first) or end <= len(text) - LONGEST_ROW:
            return text
        if first:
            line = b"".join((self._rest, text[:first]))
            self._scan(line, len(line), found)
        self._rest = b""
        # read-only, as bytes are: numba would compile the kernel again for memory that can be written
        self._scan(memoryview(text).toreadonly()[first:end], end - first, found)
        return text[end:]

    def _note(self, found: _Found, kind: str, text: str) -> None:
        """Report something of the content, each kind once."""
        if kind not in self._noted:
            self._noted.add(kind)
            found.notes.append(f"{self._name}: {text}")

    def _scan(self, data: bytes | memoryview, end: int, found: _Found) -> bool:
        """Scan whole lines data[:end]; gives whether the last one was blank, a comment or a header."""
        if not end:
            return False
        text = np.frombuffer(data, np.uint8, end)
        words = np.empty(end // 11 + 1, np.uint64)
        faults = np.empty((FAULTS_KEPT, 4), np.int64)
        begin, n_words, headed = 0, 0, False
        while begin < end:
            counts = np.zeros(N_COUNTS, np.int64)
            counts[FIRST_NUL] = -1
            counts[NO_TEXT] = bool(self._no_text)
            rows = text[begin:]
            new, n_faults, lines, stop = scan_rows(rows, self._form, words[n_words:], faults, counts)
            for line, at, of, what in faults[: min(n_faults, FAULTS_KEPT - len(found.faults))].tolist():
                reason = described(_text(rows, at), of, what, self._layout, self._dialect)
                found.faults.append(f"{self._name}:{self._line + line}: {reason}")
            n_words += new
            found.malformed += n_faults
            found.headers += int(counts[HEADERS])
            found.padding += int(counts[PADDING])
            self._other_hits += int(counts[OTHER_HITS])
            self._rows_begun |= new + n_faults > 0
            self._line += lines
            headed = bool(counts[LAST_BLANK])
            if counts[FIRST_NUL] >= 0:
                place = self._begin + (self._byte + begin + int(counts[FIRST_NUL])) * self._transcoder.width
                self._note(found, "nul", f"byte {place}: found NUL bytes, which count as padding; expected text")
            self._no_text.pass_over(int(counts[NO_TEXT_BYTES]), self._byte + begin + int(counts[NO_TEXT_FIRST]))
            found.passed_over += int(counts[NO_TEXT_BYTES])
            begin += stop
            if self._no_text and not counts[NO_TEXT]:
                self._no_text.end()
            elif begin < end:
                begin, headed = self._read_header(data, begin, end, found)
        if self._dialect != "course" and self._weighed < _WEIGHED:
            self._weigh(words[:n_words])
        found.words.append(words[:n_words])
        found.read += end
        self._byte += end
        return headed

    def _weigh(self, words: Words) -> None:
        """Count hits whose fine time shows the other numbering of HEAD 1."""
        fields = decode(words[:_WEIGHED])
        shifted = self._dialect == "firmware2019"
        plain = (fields.head == Head.HIT) & ~np.isin(fields.channel + shifted, EVENT_NUMBER_CHANNELS)
        self._weighed += int(np.count_nonzero(plain))
        self._foreign += int(np.count_nonzero(plain & (fields.tdc == (31 if shifted else 0))))

    def _read_header(self, data: bytes | memoryview, begin: int, end: int, found: _Found) -> tuple[int, bool]:
        """Read a line that may be a header; gives where the next line begins, and whether this one counts as header."""
        ending = _LINE_END.search(data, begin, end)
        stop, next_at = ending.span() if ending is not None else (end, end)
        line = bytes(data[begin:stop]).decode("utf-8", "replace")
        if self._header[0] != line:
            self._header = (line, read_header(line))
        header = self._header[1]
        comment = line.lstrip().startswith(("#", "%", "!", "//"))
        if isinstance(header, Layout):
            self._rows_follow(header, line, found)
        elif self._no_text and not comment:
            self._no_text.pass_over(next_at - begin, self._byte + begin)
            found.passed_over += next_at - begin
        elif not comment:
            self._count_header(header, line, found)
        if ending is not None and ending.group() != b"\0":
            self._line += 1
        elif ending is not None:
            next_at = stop
        is_header = comment or isinstance(header, Layout)
        if is_header:
            self._no_text.end()
        found.headers += is_header * (next_at - begin)
        return next_at, is_header

    def _count_header(self, header: WrongHeader | None, line: str, found: _Found) -> None:
        """Count as malformed a line that names other columns, or nothing known. Raises HeaderError before any row."""
        if header is not None:
            reason = f"found a table with the columns {', '.join(header.names)[:200]}, {header.reason}"
            reason += f"; expected {', '.join(COLUMNS)}"
            if not self._rows_begun:
                raise HeaderError(f"{self._name}: {reason}")
        found.malformed += 1
        if len(found.faults) < FAULTS_KEPT:
            if header is None:
                reason = described(line, 0, NO_NUMBER, self._layout, self._dialect)
            found.faults.append(f"{self._name}:{self._line}: {reason}")

    def _rows_follow(self, header: Layout, line: str, found: _Found) -> None:
        """Take the layout of rows behind a header."""
        layout = self._layout.headed_by(header)
        ignored = [cell for cell, of in zip(names_of(line, header.delimiter), header.columns, strict=True) if of < 0]
        if ignored:
            names = ", ".join(cell or "(no name)" for cell in ignored)[:200]
            self._note(found, f"ignored {names}", f"line {self._line}: ignored columns that hits do not have: {names}")
        if layout != self._layout:
            self._layout = layout
            self._form = layout.form(self._dialect)

    def _scan_last(self, data: bytes, found: _Found) -> None:
        """Scan the line at the end of the text that has no line end."""
        malformed, passed_over, line = found.malformed, found.passed_over, self._line
        headed = self._scan(data + b"\n", len(data) + 1, found)
        found.read -= 1
        found.headers -= headed
        if found.passed_over > passed_over:
            # the line end that was added above is not the input's
            found.passed_over -= 1
            self._no_text.pass_over(-1, 0)
            return
        if not headed and found.malformed == malformed:
            row = _text(np.frombuffer(data, np.uint8), 0)[:80]
            self._note(found, "last", f"line {line}: the last row has no newline and may be cut: {row!r}")

    def _begin_overlong(self, data: bytes, found: _Found) -> bytes:
        """Count a row that is too long to be kept; gives what may belong to its end."""
        while data.startswith(_UTF8_MARK):
            data = data[len(_UTF8_MARK) :]
            found.headers += len(_UTF8_MARK)
            found.read += len(_UTF8_MARK)
            self._byte += len(_UTF8_MARK)
        if len(data) <= LONGEST_ROW + 2:
            return data
        self._overlong = True
        self._rows_begun = True
        found.malformed += 1
        found.faults.append(f"{self._name}:{self._line}: {described('', 0, LONG, self._layout, self._dialect)}")
        return self._pass(data, len(data) - data.endswith((b"\r", b"\0")), found)

    def _pass(self, data: bytes, n: int, found: _Found) -> bytes:
        """Count bytes of a row that is too long; gives those behind them."""
        found.read += n
        self._byte += n
        return data[n:]

    def _skip_overlong(self, data: bytes, last: bool, found: _Found) -> bytes:
        """Pass over the rest of a row that is too long; gives what is behind it."""
        ending = _LINE_END.search(data)
        if ending is None:
            self._overlong = not last
            return self._pass(data, len(data), found)
        begin, end = ending.span()
        whole = last or end < len(data)
        if ending.group() == b"\0" and data[end : end + 1] in (b"\n", b"\r"):
            # a C string's NUL in front of the line's end
            found.padding += 1
            found.read += 1
            self._byte += 1
            return self._skip_overlong(data[:begin] + data[end:], last, found)
        if not whole and ending.group() in (b"\0", b"\r"):
            return self._pass(data, begin, found)
        self._overlong = False
        if ending.group() == b"\0":
            return self._pass(data, begin, found)
        self._line += 1
        return self._pass(data, end, found)


def _whole_lines(data: bytes, last: bool) -> int:
    """The end of the last whole line. A CR at the end of a piece waits for the LF that may follow.

    A line that is too long to be kept may end with a hole of NUL bytes, which may go on in the next piece.
    """
    end = data.rfind(b"\n") + 1
    end = max(end, data.rfind(b"\r", end, len(data) if last else -1) + 1)
    if len(data) - end > LONGEST_ROW:
        end = max(end, data.rfind(b"\0\0", end) + 2 if b"\0\0" in data[end:] else 0)
    return end
