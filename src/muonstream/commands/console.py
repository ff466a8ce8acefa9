"""Consoles whose output is safe: text from outside never reaches a terminal as control characters."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

from muonstream.errors import printable


class _Printable:
    """Something to print without control characters, which names from outside may contain."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._inner)


class _Cleaning(RenderHook):
    """Cleans everything that a console prints."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(one) for one in renderables]


def clean_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console for lines and tables; width: in characters, None for that of the terminal."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)
    console.push_render_hook(_Cleaning())
    return console
