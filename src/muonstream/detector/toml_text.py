"""The text of a detector file as a table: whatever is in it, in little time and with one line where it is wrong."""

from __future__ import annotations

import tomllib
from typing import Any, Final

MOST_TEXT: Final = 1 << 18
MOST_DOTS: Final = 1000
MOST_NESTED: Final = 20
"""What a detector file may have: characters, dots in a line, lists or tables within one another."""

_TOO_DEEP: Final = f": found lists or tables nested too deep, expected at most {MOST_NESTED}"


def table_of(text: str) -> dict[str, Any]:
    """The table of a TOML text. Raises ValueError with what follows the file's name in a message."""
    if len(text) > MOST_TEXT:
        raise ValueError(f": found {len(text):,} characters, expected at most {MOST_TEXT:,}")
    for number, line in enumerate(text.splitlines(), 1):
        # a key of many parts takes Python's TOML reader the square of their number
        if line.count(".") > MOST_DOTS:
            raise ValueError(f":{number}: found {line.count('.'):,} dots, expected at most {MOST_DOTS:,}")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f": not TOML: {error}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise ValueError(": found an integer of thousands of digits") from None
    if _depth(table) > MOST_NESTED:
        raise ValueError(_TOO_DEEP)
    return table


def _depth(table: dict[str, Any]) -> int:
    """How deep lists and tables are nested, found without recursion."""
    depth = 0
    level: list[Any] = [table]
    while level := [inner for one in level for inner in _inside(one)]:
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
