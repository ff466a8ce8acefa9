"""The live page of a command: access to it by the options, and a server for as long as the command runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from muonstream.commands import common
from muonstream.dashboard.access.options import Access, AccessError, PageOptions
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.health import STALE_AFTER_S
from muonstream.dashboard.server import Dashboard, DashboardError
from muonstream.run.board import Board

__all__ = ["LivePage", "PageOptions", "open_dashboard"]


@dataclass(frozen=True, slots=True)
class LivePage:
    """A page's options, checked: access, port, and the age from which data are stale."""

    access: Access
    port: int = 8765
    stale_after_s: float = STALE_AFTER_S

    @classmethod
    def of(cls, options: PageOptions, *, stale_after_s: float = STALE_AFTER_S) -> LivePage:
        """The page that options ask for. Raises CommandError for an option that is wrong."""
        try:
            return cls(Access.of(options), options.port, stale_after_s)
        except AccessError as error:
            raise common.CommandError(str(error)) from None


@contextmanager
def open_dashboard(
    page: LivePage,
    problems: Callable[[], Sequence[str]],
    board: Board | None = None,
    archive: ArchiveView | None = None,
) -> Iterator[Dashboard]:
    """A server of the page, not yet started, stopped at the end. Raises CommandError if it cannot be served."""
    server = Dashboard(
        page.port,
        access=page.access,
        board=board,
        stale_after_s=page.stale_after_s,
        problems=problems,
        archive=archive,
    )
    try:
        yield server
    except DashboardError as error:
        raise common.CommandError(str(error)) from None
    finally:
        server.stop()
