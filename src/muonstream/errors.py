"""The root of all errors that muonstream raises for what users can cause."""

from __future__ import annotations


class MuonstreamError(Exception):
    """An error with one line for the user: where it is, what was found, what is expected."""


def shown(value: object) -> str:
    """A value as messages show what was found: at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
