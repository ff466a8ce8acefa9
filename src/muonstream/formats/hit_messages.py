"""The hits of one message's text, in whatever way a program wrote them, where there is no doubt.

One object or several, in lists, lines or side by side; JSON or Python's own notation of a dictionary; numbers, or texts
of numbers; keys in any case; the envelope of Kafka Connect; text within a JSON text; rows of a table, with or without
the names of the columns. The compiled scanner takes the usual object; this takes all others, one by one.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any, Final

from muonstream.formats.hits_json import Constant, word_of_mapping
from muonstream.formats.layout import WrongHeader, cells_of, field_named, read_header
from muonstream.formats.rows import COLUMNS
from muonstream.words import WORD_BYTES

MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""
BLANKS: Final = b" \t\r\n"
REGISTRY_BYTES: Final = 5
"""A byte 0 and four of a number stand before a message that a schema registry knows."""
AVRO_FILE, AVRO_OBJECT = b"Obj\x01", b"\xc3\x01"
_BEGINS: Final = frozenset(b"{[\"'(")
_ROW: Final = frozenset(b"0123456789+-.")
_DELIMITERS: Final = (",", ";", "\t", " ")
_DEEPEST: Final = 8
_MOST_SCHEMAS: Final = 1 << 24


def text_of(value: bytes) -> bytes:
    """A message's text without what may stand before it: a registry's number, a byte order mark, blanks."""
    if value[:1] == b"\0" and value[REGISTRY_BYTES : REGISTRY_BYTES + 1] in (b"{", b"["):
        value = value[REGISTRY_BYTES:]
    return value.lstrip(BLANKS).removeprefix(MARK).lstrip(BLANKS)


def is_text(value: bytes) -> bool:
    """Whether a message looks like text of hits; it may still be wrong."""
    text = text_of(value)
    if not text:
        return False
    if text[0] in _BEGINS or text[0] in _ROW:
        return True
    # only the names of columns begin with letters
    return b"HEAD" in text[:200].partition(b"\n")[0].upper()


def is_binary_schema(value: bytes) -> str:
    """What a binary message of a schema is called by its first bytes, "" where they do not say."""
    if value.startswith(AVRO_FILE):
        return "Avro (a file of it)"
    if value.startswith(AVRO_OBJECT):
        return "Avro (single objects)"
    number = int.from_bytes(value[1:REGISTRY_BYTES], "big")
    # whole words are more likely a DMA transfer that was cut
    if value[:1] == b"\0" and 0 < number < _MOST_SCHEMAS and len(value) > REGISTRY_BYTES and len(value) % WORD_BYTES:
        return f"Avro or Protobuf of a schema registry (schema {number})"
    return ""


def words_of_text(value: bytes) -> tuple[list[int], list[str]]:
    """The words of a message's text, in order, and a fault for each object or row that is not a hit.

    A text without any object is a fault of its own.
    """
    text = text_of(value).rstrip(BLANKS).decode("utf-8", "replace")
    if not text:
        return [], ["found nothing but blanks, expected hits"]
    found = list(_rows(text) if is_text(value) and text[0] not in "{[\"'(" else _leaves(text))
    words, faults = [], []
    for one in found:
        try:
            words.append(_word(one))
        except ValueError as error:
            faults.append(str(error))
    return words, faults if found else ["found a list without objects, expected an object"]


def _word(found: Any) -> int:
    """The word of an object. Raises ValueError with what is wrong, which `found` may be itself."""
    if isinstance(found, ValueError):
        raise found
    if isinstance(found, dict):
        return word_of_mapping(found)[0]
    raise ValueError(f"found a {type(found).__name__}, expected an object")


def _leaves(text: str) -> Iterator[Any]:
    """The objects of a text, and what else is where objects should be."""
    for document in _documents(text):
        yield from _flat(document, 0)


def _flat(found: Any, depth: int) -> Iterator[Any]:
    """What is in lists, envelopes and texts within texts, one after another."""
    if depth > _DEEPEST:
        yield ValueError(f"found more than {_DEEPEST} levels of lists, expected an object")
    elif isinstance(found, list | tuple):
        if found and not any(isinstance(one, dict | list | tuple) or _is_object_text(one) for one in found):
            # six values without names are a row
            yield dict(zip(COLUMNS, found, strict=True)) if len(found) == len(COLUMNS) else list(found)
        else:
            for one in found:
                yield from _flat(one, depth + 1)
    elif _is_object_text(found):
        for document in _documents(found.strip()):
            yield from _flat(document, depth + 1)
    elif isinstance(found, dict) and "payload" in found and not any(field_named(str(key)) >= 0 for key in found):
        yield from _flat(found["payload"], depth + 1)
    else:
        yield found


def _is_object_text(found: Any) -> bool:
    """Whether this is a text of objects, as a program makes it that has written JSON twice."""
    return isinstance(found, str) and found.strip()[:1] in ("{", "[")


def _documents(text: str) -> Iterator[Any]:
    """The JSON values of a text, whatever separates them; one that is Python's own notation; or a ValueError."""
    decoder = json.JSONDecoder(parse_constant=Constant)
    at, first = 0, True
    while at < len(text):
        if text[at] in " \t\r\n,\x1e\0":
            at += 1
            continue
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            rest = text[at:]
            written = _python(rest)
            if written is None and "\n" in rest:
                # a line each: one that is broken costs itself alone
                line, _, _ = rest.partition("\n")
                written = _python(line)
                yield _no_json(line, error) if written is None else written
                at += len(line)
                continue
            yield _no_json(rest, error) if written is None else written
            return
        yield found
        first = False
    if first:
        yield ValueError("not JSON: found separators alone, expected an object")


def _no_json(text: str, error: Exception) -> ValueError:
    return ValueError(f"not JSON: found {text[:60]!r}: {error}"[:250])


def _python(text: str) -> Any:
    """A value in Python's own notation, as `str(dict)` writes it; None for anything else."""
    if "'" not in text:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _rows(text: str) -> Iterator[Any]:
    """The rows of a table as objects, in `COLUMNS`' order unless a header says another; a ValueError for others."""
    columns: tuple[int, ...] = tuple(range(len(COLUMNS)))
    delimiter = ""
    lines = [line for line in text.splitlines() if line.strip()]
    header = read_header(lines[0])
    if isinstance(header, WrongHeader):
        yield ValueError(f"not a row: found the columns {lines[0][:80]!r}, expected the six of a hit, each once")
        return
    if header is not None:
        columns, delimiter, lines = header.columns, header.delimiter, lines[1:]
    for line in lines:
        cells = cells_of(line, delimiter or next((one for one in _DELIMITERS if one in line.strip()), ","))
        if len(cells) != len(columns):
            yield ValueError(f"not a row: found {line[:60]!r} with {len(cells)} cells, expected {len(columns)}")
            continue
        fields = {column: cell for column, cell in zip(columns, cells, strict=True) if column >= 0}
        yield {COLUMNS[column]: cell for column, cell in fields.items()}
