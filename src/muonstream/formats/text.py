"""Text of hits: which form it has, by what it shows, and the decoder of that form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected, Refused, Undecided
from muonstream.formats.hits_json import JsonDecoder
from muonstream.formats.layout import PLAIN, Layout
from muonstream.formats.table import TableDecoder

TextFormat = Literal["course", "firmware2019", "head1", "json"]
Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


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
    if form.format == "json":
        return JsonDecoder(name)
    return TableDecoder(name, old_firmware=form.format == "firmware2019")


def decide_text(
    sample: bytes, *, last: bool, expected: Expected, named: str | None = None, before: TextForm | None = None
) -> TextForm | Undecided | Refused | None:
    """The form of a text by the beginning of its content; None if it is not text.

    sample: the first bytes, cut anywhere; last: nothing more comes; expected: the channels whose hits are expected
    named: the format's name if the user gave one; before: the form of an earlier part of the same run
    """
    if not sample or sample.translate(None, bytes(range(32, 127)) + b"\t\r\n").strip(b"\xef\xbb\xbf"):
        return None
    lines = sample.decode("utf-8-sig", "replace").splitlines()
    if not last:
        lines = lines[:-1]
    if sample.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return TextForm("json", "objects") if lines else Undecided("a whole object")
    heads = [line.split(",")[0].strip() for line in lines if line.count(",") == 5]
    two, one = heads.count("2"), heads.count("1")
    if two > one and (two >= 16 or last):
        return TextForm("course", f"{two} rows of HEAD 2")
    if one > 0.9 * len(heads) and not two and (one >= 100 or last):
        return TextForm("firmware2019", f"{one} rows of HEAD 1")
    if last:
        return Refused(f"found {two} rows of HEAD 2 and {one} of HEAD 1 among {len(lines)}")
    return Undecided("rows of hits")
