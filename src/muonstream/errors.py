"""The root of all errors that muonstream raises for what users can cause."""

from __future__ import annotations


class MuonstreamError(Exception):
    """An error with one line for the user: where it is, what was found, what is expected."""
