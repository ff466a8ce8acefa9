"""Text of hits: which form it has, by what it shows, and the decoder of that form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, cast

import numpy as np

from muonstream.formats.block import Block, counted
from muonstream.formats.encoding import Encoding, Transcoder, encoding_of, leading_nuls, width_of
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.hit_rows import CLEARLY, FEWEST_HITS, dialect_of, hits_shown
from muonstream.formats.hits_json import JsonDecoder, sample_objects
from muonstream.formats.layout import DELIMITERS, PLAIN, Dialect, Layout, read_header
from muonstream.formats.layout_search import Table, find_table, shortened
from muonstream.formats.lookalikes import is_certain, resembles
from muonstream.formats.misread import ENOUGH_ROWS as ENOUGH_HITS
from muonstream.formats.misread import as_grouped, exchanged, grouped_cells, grouped_rows, misfits
from muonstream.formats.mixed_text import MixedText
from muonstream.formats.rows import COLUMNS
from muonstream.formats.table import TableDecoder

TextFormat = Literal["course", "firmware2019", "head1", "json"]

SAMPLE_BYTES: Final = 1 << 16
"""Characters that are looked at of a sample's beginning, and again of its end if it is longer."""
GIVEN_UP_BYTES: Final = 1 << 20
"""So many bytes without one row of six numbers are refused, though more may come."""
ENOUGH_ROWS: Final = 200
"""Rows without a hit after which a format that was named is taken, since all may be ancillary."""
_FEW: Final = 4
_CONTROLS: Final = bytes([*range(1, 9), *range(14, 26), *range(27, 30), 31, 127])  # 30 separates JSON texts
_HIGH: Final = bytes(range(128, 256))
_DIALECTS: Final[tuple[Dialect, ...]] = ("course", "firmware2019", "head1")
_OBJECT: Final = re.compile(
    rb"(?:[\s,\xa0\x1e]*(?:#|//)[^\r\n]*[\r\n])*[\s,\xa0\x1e]*(?:\[[\s\xa0]*)*\{[\s\xa0]*(?:[\"'}]|$)"
)
"""The beginning of objects, perhaps in lists, behind comments."""
_ENVELOPE: Final = re.compile(rb"[\"']\s*:\s*\[\s*\{")
_COLUMNS: Final = ", ".join(COLUMNS)


class TextDecoder(Protocol):
    """Makes words of bytes, fed in order; `last` says that no more come."""

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> Block: ...


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of a text of hits.

    format: the format's name; why: the evidence for it, in one phrase
    encoding: "utf-8" stands for every encoding whose first 128 characters are ASCII's, such as Latin-1
    layout: where a table's fields are
    """

    format: TextFormat
    why: str
    encoding: Encoding = "utf-8"
    layout: Layout = PLAIN


def text_decoder(form: TextForm, name: str) -> TextDecoder:
    """A decoder of a form; `name` is the file's in messages."""
    decoder: JsonDecoder | TableDecoder
    if form.format == "json":
        decoder = JsonDecoder(name, encoding=form.encoding)
    else:
        decoder = TableDecoder(name, dialect=form.format, layout=form.layout, encoding=form.encoding)
    return MixedText(name, decoder, form.encoding)


def decide_text(
    sample: bytes | memoryview,
    *,
    last: bool,
    expected: Expected,
    named: str | None = None,
    before: TextForm | None = None,
) -> TextForm | Undecided | Refused | None:
    """The form of a text by the beginning of its content; None if it is not text.

    sample: the first bytes, cut anywhere; last: nothing more comes; expected: the channels whose hits are expected
    named: the format's name if the user gave one; before: the form of an earlier part of the same run

    A decision that is taken while more may come holds for whatever comes: see `hit_rows.hits_shown` and
    `hit_rows.dialect_of` for what rows must show. The first and the newest 64 Ki characters are looked at; of a table
    that shows hardly any hit in these, also what is between them.
    """
    sample = memoryview(sample)
    first = leading_nuls(sample)
    if first == len(sample):
        return None
    encoding = encoding_of(sample)
    text = sample[first & -width_of(encoding) :]
    head, tail = _ends(text, encoding, last)
    if not (_is_text(head) and _is_text(tail or head)):
        return None
    beginning = head[: 1 << 14].decode("utf-8", "replace")
    if is_certain(beginning):
        return Refused(f"found {resembles(beginning)}; expected {_wanted(named)}")
    found: TextForm | Undecided | Refused
    if _OBJECT.match(head.replace(b"\xef\xbb\xbf", b"").lstrip(b"\xff")):
        found = _decide_objects(head, tail, last, expected, named)
    elif named is not None and named not in _DIALECTS:
        found = Refused(f"found {resembles(beginning)}; expected {_wanted(named)}")
    else:
        between = _between(text, encoding) if tail else iter(())
        found = _decide_table((head, tail, between), last, expected, named, before)
        if isinstance(found, Undecided) and "rows" not in found.missing and len(sample) >= GIVEN_UP_BYTES:
            found = Refused(f"found {found.looks_like}; expected {_wanted(named)}")
    if isinstance(found, Refused) and b"\0" in head:
        # neither hits nor plain text: binary content that begins with text
        return None
    return replace(found, encoding=encoding, why=found.why + _in(encoding)) if isinstance(found, TextForm) else found


def _wanted(named: str | None) -> str:
    """What is expected, in the words of a message."""
    if named is None:
        return f"words, a table with the columns {_COLUMNS}, or JSON objects with these keys"
    if named == "json":
        return f"JSON objects with the keys {_COLUMNS} (--format json was given)"
    if named in _DIALECTS:
        return f"a table with the columns {_COLUMNS} (--format {named} was given)"
    return f"binary words (--format {named} was given)"


def _in(encoding: Encoding) -> str:
    return "" if encoding == "utf-8" else f", in {encoding.upper()}"


def _ends(text: memoryview, encoding: Encoding, last: bool) -> tuple[bytes, bytes]:
    """Whole lines of the text's beginning and, if it is longer, of its end, one byte a character."""
    width = width_of(encoding)
    size = SAMPLE_BYTES * width
    long = len(text) > 2 * size
    head = bytes(Transcoder(encoding).feed(text[:size] if long else text))
    tail = b""
    if long:
        from_end = (len(text) - size) // width * width
        tail = bytes(Transcoder(encoding).feed(text[from_end:]))
        tail = tail[max(tail.find(b"\n"), tail.find(b"\r")) + 1 :]
    if not last and tail:
        tail = _whole(tail)
    elif last and not long and not head.endswith((b"\n", b"\r")):
        head += b"\n"
    elif not last or long:
        head = head if _whole(head) == b"" else _whole(head)
    return head, tail


def _between(text: memoryview, encoding: Encoding) -> Iterator[bytes]:
    """What lies between the two ends of a long text, in pieces of whole lines, one byte a character."""
    width = width_of(encoding)
    size, end = SAMPLE_BYTES * width, (len(text) - SAMPLE_BYTES * width) // width * width
    for begin in range(size, end, 16 * size):
        piece = bytes(Transcoder(encoding).feed(text[begin : min(begin + 16 * size, end)]))
        yield _whole(piece[max(piece.find(b"\n"), piece.find(b"\r")) + 1 :])


def _whole(text: bytes) -> bytes:
    """The whole lines of a text."""
    return text[: max(text.rfind(b"\n"), text.rfind(b"\r")) + 1]


def _is_text(text: bytes) -> bool:
    """Whether bytes are text: at most one in 256 is a control character; one in 5 is not ASCII, or all are UTF-8."""
    text = text.translate(None, b"\0")
    n_controls = len(text) - len(text.translate(None, _CONTROLS))
    n_high = len(text) - len(text.translate(None, _HIGH))
    if not text or n_controls * 256 > len(text):
        return False
    return n_high * 5 <= len(text) or "\ufffd" not in text[:-3].decode("utf-8", "replace")[4:-4]


def _decide_objects(
    head: bytes, tail: bytes, last: bool, expected: Expected, named: str | None
) -> TextForm | Undecided | Refused:
    """The form of a stream of JSON objects. head, tail: one byte a character."""
    if named is not None and named != "json":
        return Refused(f"found JSON objects; expected {_wanted(named)}")
    objects = [sample_objects(head, last), sample_objects(tail, last)]
    fields = np.concatenate([one.fields for one in objects])
    n_bad = sum(one.n_bad for one in objects)
    counts = counted(len(fields), "object") + (f" and {n_bad} that are not hits" if n_bad else "")
    verdict = dialect_of(fields, expected, headed=True, last=last)
    endless = len(head) >= SAMPLE_BYTES and not len(objects[0].fields)
    if n_bad > len(fields) or endless:
        if (last or endless) and _ENVELOPE.search(head[:4096]):
            return Refused(
                "found JSON objects in a list inside another object; expected hits themselves, one after another or in "
                f"a list, with the keys {_COLUMNS}"
            )
        if endless:
            return Refused(
                f"found a JSON object of more than {SAMPLE_BYTES:,} characters; expected an object for each hit, with "
                f"the keys {_COLUMNS}"
            )
        why = next(one.why for one in objects if one.n_bad)
        if last or n_bad >= ENOUGH_ROWS:
            return Refused(f"found JSON objects that are not hits ({why}); expected the keys {_COLUMNS}")
        return Undecided("objects of hits", "JSON objects with other keys")
    if verdict.dialect == "course" or (named and (len(fields) >= FEWEST_HITS or (last and len(fields)))):
        return TextForm("json", f"{counts}; {verdict.why}")
    if verdict.dialect is not None:
        return Refused(f"found JSON objects with {verdict.why}; expected hits with HEAD 2 in JSON")
    if last:
        return Refused(f"found JSON objects: {verdict.why}; expected hits with HEAD 2")
    return Undecided(f"objects of hits: {verdict.why}", "JSON objects")


def _decide_table(
    sample: tuple[bytes, bytes, Iterator[bytes]],
    last: bool,
    expected: Expected,
    named: str | None,
    before: TextForm | None,
) -> TextForm | Undecided | Refused:
    """The form of a table. sample: its beginning, its newest part, and what is between, as `find_table` takes them."""
    head, tail, between = sample
    beginning = head[: 1 << 14].decode("utf-8", "replace")
    if not last:
        head = _whole(head)
    table = find_table(head, tail, between)
    if table.wrong is not None:
        columns = f"{', '.join(table.wrong.names)[:200]} ({table.wrong.reason})"
        return Refused(f"found a table with the columns {columns}; expected {_COLUMNS}, in any order")
    if last and table.layout is None and not table.n_rows and (header := _header_alone(head)) is not None:
        return TextForm(cast("Dialect", named or "course"), "a header without rows", layout=header)
    if table.layout is None or 2 * table.n_numbers < table.n_rows:
        if grouped := grouped_rows(head):
            return Refused(as_grouped(grouped))
        like = resembles(beginning, table.n_columns)
        if last and table.layout is not None:
            n_bad = table.n_rows - table.n_numbers
            return Refused(
                f"found {n_bad:,} of {counted(table.n_rows, 'row')} that are not six numbers, such as "
                f"{table.odd!r}; expected six numbers in each row"
            )
        if last and table.first:
            order = "a header that names the columns, and rows of whole numbers"
            return Refused(f"found a table with rows such as {table.first!r}; expected {order}")
        if last and table.n_columns:
            return Refused(f"found {like} without a header; expected 6: {_COLUMNS}, or a header that names them")
        if last:
            return Refused(f"found {like}; expected {_wanted(named)}")
        return Undecided("a table of hits, or JSON objects", like)
    if grouped := grouped_cells(head, table.layout):
        return Refused(as_grouped(grouped))
    found = _decide_dialect(table, last, expected, cast("Dialect | None", named))
    if table.layout.headed:
        found = _check_header(table, found, last, expected)
    if isinstance(found, Undecided) and before is not None and before.format != "json":
        found = _as_before(table, last, before) or found
    if (last or isinstance(found, TextForm)) and shortened(head):
        return Refused(
            "found numbers that have lost digits, such as 2.8717e+09 for 2871700134; expected whole numbers: write "
            "the table again with a format such as %d"
        )
    if isinstance(found, Undecided) and last:
        if not len(table.fields):
            return Refused(
                f"found {counted(table.n_numbers, 'row')} of six numbers, none of them whole, such as "
                f"{table.example!r}; expected whole numbers"
            )
        # naming a format helps where rows look like hits, not where a few happen to be in range
        n_hits = max(hits_shown(table.fields, head, expected, headed=True).n for head in (1, 2))
        named_helps = n_hits and (n_hits >= FEWEST_HITS or 4 * n_hits >= len(table.fields))
        advice = "a format can be named: course, firmware2019 or head1" if named_helps else "expected hits"
        return Refused(f"found {found.missing}; {advice}")
    return found


def _check_header(
    table: Table, found: TextForm | Undecided | Refused, last: bool, expected: Expected
) -> TextForm | Undecided | Refused:
    """A form that was found, unless the names of the header do not fit the columns."""
    dialect = found.format if isinstance(found, TextForm) else "course"
    n_hits, n_bad, example = misfits(table.fields, 2 if dialect == "course" else 1)
    wrong = 2 * n_bad > n_hits
    if (wrong or not isinstance(found, TextForm) or not n_hits) and not last and len(table.fields) < ENOUGH_HITS:
        return Undecided("rows of hits in range", "a table of 6 columns") if isinstance(found, TextForm) else found
    names = exchanged(table.fields, expected)
    if names:
        return Refused(f"found a header that seems to have {names} exchanged; expected names that fit the columns")
    if wrong and isinstance(found, TextForm) and n_hits >= ENOUGH_HITS:
        return Refused(
            f"found {n_bad:,} of {n_hits:,} rows of hits out of range, such as {example}; expected a header whose "
            "names fit the columns"
        )
    return found


def _header_alone(head: bytes) -> Layout | None:
    """The layout that the header of a table without rows names."""
    lines = head.decode("utf-8", "replace").splitlines()
    headers = [found for line in lines if isinstance(found := read_header(line.strip("\ufeff \t")), Layout)]
    return headers[0] if headers else None


def _decide_dialect(
    table: Table, last: bool, expected: Expected, named: Dialect | None
) -> TextForm | Undecided | Refused:
    """The form of a table whose layout is known: by its dialect, or by the format that was named."""
    layout = table.layout or PLAIN
    how = _how(layout)
    if named is None:
        verdict = dialect_of(table.fields, expected, headed=layout.headed, last=last)
        if verdict.dialect is None:
            return Undecided(verdict.why, "a table of 6 columns")
        return TextForm(verdict.dialect, f"{verdict.why}{how}", layout=layout)
    head = 2 if named == "course" else 1
    hits = hits_shown(table.fields, head, expected, headed=True)
    others = hits_shown(table.fields, 3 - head, expected, headed=True)
    if others.n > CLEARLY * (hits.n + 1) and not others.missing:
        return Refused(
            f"found {others.n} rows of HEAD {3 - head} that look like hits and {hits.n} of HEAD {head}, but "
            f"--format {named} was given"
        )
    if hits.n >= FEWEST_HITS or len(table.fields) >= ENOUGH_ROWS or (last and table.n_numbers):
        return TextForm(named, f"named, {hits.n} rows of HEAD {head}{how}", layout=layout)
    return Undecided(f"rows of HEAD {head}", "a table of 6 columns")


def _as_before(table: Table, last: bool, before: TextForm) -> TextForm | None:
    """The form of an earlier part of the run, if the rows of this part can be of that form."""
    layout = table.layout or PLAIN
    agrees = layout.columns == before.layout.columns if not layout.headed else True
    if before.layout.headed and not layout.headed and layout.columns == PLAIN.columns:
        # the header is in the first part alone, and its order holds
        agrees = len(before.layout.columns) == len(layout.columns) and layout.delimiter == before.layout.delimiter
        layout = before.layout
    if not agrees or (table.n_numbers < _FEW and not last):
        return None
    return TextForm(
        before.format, f"as the part before: {before.why.removeprefix('as the part before: ')}", layout=layout
    )


def _how(layout: Layout) -> str:
    """How a table is written, for the evidence."""
    parts = ["columns by header"] if layout.headed else []
    if layout.columns != PLAIN.columns and not layout.headed:
        parts.append("a first column that counts rows")
    if layout.delimiter != ",":
        parts.append(DELIMITERS[layout.delimiter])
    if layout.decimal == ",":
        parts.append("decimal commas")
    return "".join(f", {part}" for part in parts)
