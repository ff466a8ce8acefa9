"""Real-time stream processing and live monitoring for drift-tube muon detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muonstream.archive.archive import Archive
    from muonstream.detector.model import Detector
    from muonstream.errors import MuonstreamError
    from muonstream.offline.run import Run, analyse
    from muonstream.offline.run import open_run as open
    from muonstream.offline.tables import Table, hits, muons, segments, tracks
    from muonstream.offline.words import WordReader, read_words
    from muonstream.simulation.telescope import simulate_words

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "Detector",
    "MuonstreamError",
    "Run",
    "Table",
    "WordReader",
    "__version__",
    "analyse",
    "hits",
    "muons",
    "open",
    "read_words",
    "segments",
    "simulate_words",
    "tracks",
]

_PLACES = {
    "Archive": "archive.archive:Archive",
    "Detector": "detector.model:Detector",
    "MuonstreamError": "errors:MuonstreamError",
    "Run": "offline.run:Run",
    "Table": "offline.tables:Table",
    "WordReader": "offline.words:WordReader",
    "analyse": "offline.run:analyse",
    "hits": "offline.tables:hits",
    "muons": "offline.tables:muons",
    "open": "offline.run:open_run",
    "read_words": "offline.words:read_words",
    "segments": "offline.tables:segments",
    "simulate_words": "simulation.telescope:simulate_words",
    "tracks": "offline.tables:tracks",
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
        if name != "muons":  # see _Face
            globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    import sys

    class _Face(type(sys)):
        """The package as a module whose `muons` stays the table, though a room of the package has the same name.

        Importing a room sets it as an attribute of the package. `from muonstream.muons.tracks import ...` does not
        look at the attribute.
        """

        @property
        def muons(self):
            return __getattr__("muons")

        @muons.setter
        def muons(self, value):
            pass

    sys.modules[__name__].__class__ = _Face
