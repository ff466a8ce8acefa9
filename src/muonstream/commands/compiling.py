"""Compilation of kernels, announced on the terminal and the page as soon as the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from numba.core.event import Event, Listener, install_listener

from muonstream.commands import common

COMPILING: Final = "Compiling the kernels, once on this machine: this takes up to half a minute."


class _First(Listener):
    """Calls `tell` when numba compiles its first function; functions loaded from its cache do not count."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: Event) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def compiling(tell_page: Callable[[str], None] | None = None) -> Iterator[None]:
    """While the context lasts, announce that kernels are being compiled, unless all come from the cache."""

    def tell() -> None:
        common.say(COMPILING)
        if tell_page is not None:
            tell_page(COMPILING)

    with install_listener("numba:compile", _First(tell)):
        yield
