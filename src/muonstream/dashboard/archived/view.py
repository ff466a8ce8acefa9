"""What the page shows of an archive, and who takes a reference from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muonstream.archive.archive import Archive
from muonstream.archive.index import Row

Refer = Callable[[Sequence[Row], str], None]
"""Makes runs the engine's reference, as somebody of this name asks; raises MuonstreamError where they do not fit."""


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """An archive on a page.

    live: whether the page has a run of its own as well; refer: None where no engine can be given a reference
    """

    archive: Archive
    live: bool = True
    refer: Refer | None = None
