"""Docstrings as Markdown: lists of what parameters mean, and examples as code. An extension of griffe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import griffe

MEANING: Final = re.compile(r"([a-z_]+(?:, [a-z_]+)*): ")


def as_markdown(docstring: str) -> str:
    """A docstring of ours as Markdown."""
    return "\n".join(_lines(docstring))


def _lines(docstring: str) -> Iterator[str]:
    text, meanings, example = False, False, False
    for line in docstring.splitlines():
        if line.startswith(">>> ") and not example:
            example = True
            yield from ("", "```python")
        elif example and not line:
            example = False
            yield from ("```", "")
        if example:
            yield line
            continue
        meaning = MEANING.match(line)
        # a list, and the sentence after it, begin behind an empty line
        if text and ((meaning and not meanings) or line.startswith("Raises ")):
            yield ""
        yield f"- `{meaning[1]}`: {line[meaning.end() :]}" if meaning else line
        text, meanings = bool(line), bool(line) and (meanings or meaning is not None)
    if example:
        yield "```"


class Docstrings(griffe.Extension):
    """Every docstring is read as `as_markdown` gives it."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Take an object with its docstring."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
