"""Whether segments can be one muon's: at one time, and in one view along one line."""

from __future__ import annotations

from typing import Any, Final

from muonstream.compiled import compiled

CONFIRMED_NS: Final = 25.0
"""A segment is confirmed by one of another chamber of the same orbit whose t0 differs by less: a bunch crossing."""
MOST_SEGMENTS: Final = 64
"""Segments of one orbit, in all chambers, that are compared with one another: with more, all of that orbit are left as
they are, and none is made a track of."""
LOOSE: Final = 3.0
"""A chamber has seen a line when it has a segment within this many limits on t0, which three hits measure badly."""


@compiled
def agree(a: int, b: int, x: Any, z: Any, tan: Any, t0: Any, limits: Any) -> bool:
    """Whether t0, slopes, and the line between them agree within limits."""
    most_t0, most_bend, most_miss = limits
    if abs(t0[a] - t0[b]) > most_t0 or abs(tan[a] - tan[b]) > most_bend:
        return False
    return bool(abs(x[b] - x[a] - (z[a] - z[b]) * (tan[a] + tan[b]) / 2) <= most_miss)
