"""Real-time stream processing and live monitoring for drift-tube muon detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muonstream.archive.archive import Archive
    from muonstream.detector.model import Detector
    from muonstream.errors import MuonstreamError
    from muonstream.offline.run import Run, analyse
    from muonstream.offline.run import open_run as open
    from muonstream.offline.words import WordReader, read_words
    from muonstream.simulation.telescope import simulate_words

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "Detector",
    "MuonstreamError",
    "Run",
    "WordReader",
    "__version__",
    "analyse",
    "open",
    "read_words",
    "simulate_words",
]

_PLACES = {
    "Archive": "archive.archive:Archive",
    "Detector": "detector.model:Detector",
    "MuonstreamError": "errors:MuonstreamError",
    "Run": "offline.run:Run",
    "WordReader": "offline.words:WordReader",
    "analyse": "offline.run:analyse",
    "open": "offline.run:open_run",
    "read_words": "offline.words:read_words",
    "simulate_words": "simulation.telescope:simulate_words",
}
"""Where each public name is, which is imported when it is first used: most programs need a few of them."""

if not TYPE_CHECKING:  # a checker knows the names from above, and finds those that are not there

    def __getattr__(name: str) -> object:
        """A public name, imported at its first use."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, what = _PLACES[name].partition(":")
        found = getattr(import_module(f"{__name__}.{module}"), what)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
