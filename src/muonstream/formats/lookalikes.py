"""What text that is not hits looks like, in a few words."""

from __future__ import annotations

import re
from typing import Final

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (r"\s*(<!--.*?-->\s*)?(<!doctype\s+html|<html|<head\b|<body\b)", "a web page (HTML)"),
    (r"\s*<\?php|\s*<\?=", "a PHP program"),
    (r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg\b", "an image (SVG)"),
    (r"\s*<(\?xml|!doctype|[a-z][\w:.-]*(\s[^<>]*)?>)", "XML"),
    (r"%PDF-", "a PDF document"),
    (r"%!PS", "a PostScript document"),
    (r"\{\\rtf", "an RTF document"),
    (r"#!", "a script"),
    (r"-----BEGIN ", "a key or certificate"),
    (r"(HTTP/\d|GET /|POST /)", "an exchange of HTTP"),
    (r"begin \d{3} \S+\s", "uuencoded data"),
    (r"(diff --git|--- a/)", "a patch"),
    (r"\s*(import \w|from \w[\w.]* import |def \w+\(|class \w+)", "a Python program"),
    (r"\s*(#include\s*[<\"]|/\*)", "a C or C++ program"),
    (r"\s*(SELECT|INSERT INTO|CREATE TABLE|PRAGMA) ", "SQL"),
    (r"\s*(\"\"\"|''')", "a Python program"),
)
"""Patterns at the beginning of text, and what it is."""
_TIME: Final = re.compile(
    r"^\W{0,3}(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4}|[A-Z][a-z]{2} +\d+ )?[ T,]*\d\d?:\d\d(:\d\d)?"
)
_LEVEL: Final = re.compile(r"\b(DEBUG|INFO|NOTICE|WARN(ING)?|ERROR|FATAL|CRITICAL)\b")
_SECTION: Final = re.compile(r"^\s*\[{1,2}[\w\s.\"'-]+\]{1,2}\s*(#.*)?$")
_SETTING: Final = re.compile(r"^\s*[\w.\"'-]+\s*=\s*\S")
_YAML: Final = re.compile(r"^\s*(- )?[A-Za-z_][\w -]*:(\s|$)")
_HEADING: Final = re.compile(r"^(#{1,6} \S|={3,}$|-{3,}$|\* |- \S)")
_LINES: Final = 60


def resembles(text: str, n_columns: int = 0) -> str:
    """What a text that is not hits looks like, such as "a web page (HTML)"; never empty.

    text: its beginning; n_columns: how many columns of numbers it has, where it is a table
    """
    text = text.lstrip("\ufeff\ufffd\xff\0 \t\r\n").removeprefix("\xef\xbb\xbf")[: 1 << 14]
    for pattern, kind in _KINDS:
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return kind
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()][:_LINES]
    if n_columns:
        return f"a table of {n_columns} columns"
    n = len(lines)
    settings = sum(bool(_SECTION.match(line) or _SETTING.match(line)) for line in lines)
    if n and 2 * sum(bool(_TIME.match(line) or _LEVEL.search(line[:80])) for line in lines) > n:
        return "a log"
    if 10 * settings > 6 * n and any(_SECTION.match(line) for line in lines):
        return "settings (TOML or INI)"
    if n > 1 and 10 * settings > 6 * n:
        return "settings"
    if n > 1 and 2 * sum(bool(_YAML.match(line)) for line in lines) > n:
        return "YAML"
    if n and _HEADING.match(lines[0]):
        return f"a document (Markdown), which begins with {lines[0][:60]!r}"
    return f"text such as {lines[0][:60]!r}" if n else "blank text"


def is_certain(text: str) -> bool:
    """Whether the first bytes alone tell that a text is not hits, as <!DOCTYPE html> does."""
    text = text.lstrip("\ufeff\ufffd\xff\0 \t\r\n").removeprefix("\xef\xbb\xbf")
    return any(
        re.match(pattern, text, re.IGNORECASE | re.DOTALL)
        for pattern, _ in _KINDS
        if not pattern.startswith(r"\s*(#inc")
    )
