"""`muonstream dashboard`: the page of a run that is analysed elsewhere, or that an archive has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Lock

from muonstream.archive.archive import Archive, state_of
from muonstream.archive.contents import snapshot_of
from muonstream.commands import common
from muonstream.commands.page import LivePage, PageOptions, open_dashboard
from muonstream.commands.signals import StopSignal
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.kafka.address import KafkaAccessError, KafkaAddress, Login
from muonstream.kafka.client import Connection
from muonstream.kafka.snapshots import follow_snapshots
from muonstream.kafka.topics import SNAPSHOTS


class _Trouble:
    """Why no broker can be reached, until one can."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._line: str | None = None

    def met(self, error: KafkaAccessError) -> None:
        with self._lock:
            self._line = str(error)

    def over(self) -> None:
        with self._lock:
            self._line = None

    def lines(self) -> list[str]:
        with self._lock:
            return [] if self._line is None else [self._line]


def show(
    address: str,
    page_options: PageOptions,
    *,
    run: str,
    stale_after_s: float,
    properties: Path | None,
    timeout_s: float,
    archive: Path | None = None,
) -> None:
    """Serve the page of the snapshots in a topic, until Ctrl-C. Raises CommandError, ArchiveError or KafkaAccessError.

    archive: whose runs are shown as well
    """
    view = None if archive is None else ArchiveView(Archive(archive))
    page = LivePage.of(page_options, stale_after_s=stale_after_s)
    trouble = _Trouble()
    connection = Connection(
        KafkaAddress.parse(address, default_topic=SNAPSHOTS),
        Login.read(properties),
        timeout_s=timeout_s,
        on_error=trouble.met,
    )
    stop = StopSignal()
    with open_dashboard(page, trouble.lines, archive=view) as server:
        server.start()
        server.feed.say(f"Nothing has been published to {connection.address} yet.")
        with stop.listening():
            common.say(f"The page of {connection.address} is at {server.notice} (Ctrl-C ends it)", own_token=True)
            for snapshot in follow_snapshots(connection, stop, run=run):
                if snapshot is not None:
                    trouble.over()
                    server.publish(snapshot)
                elif trouble.lines() and connection.reachable():
                    trouble.over()


def show_archived(place: str, page_options: PageOptions, *, run: str) -> None:
    """Serve the page of an archived run, until Ctrl-C. Raises CommandError or ArchiveError.

    place: the run's file, or an archive's folder; run: which run of the folder, "" for the newest
    """
    page = LivePage.of(page_options)
    folder = Path(place) if Path(place).is_dir() else Path(place).parent
    archive = Archive(folder)
    row = archive.find((run or "last") if Path(place).is_dir() else Path(place).name)
    # the run may still be in progress: the page shows it as it was last written
    snapshot = replace(snapshot_of(archive.path(row)), state="ended")
    stop = StopSignal()
    with open_dashboard(page, list, archive=ArchiveView(archive)) as server:
        server.start()
        server.publish(snapshot)
        with stop.listening():
            common.say(
                f"The page of {row.file} ({state_of(row)}) is at {server.notice} (Ctrl-C ends it)", own_token=True
            )
            stop.wait()


def show_archive(folder: Path, page_options: PageOptions) -> None:
    """Serve the page of an archive's runs, without a live one, until Ctrl-C. Raises CommandError or ArchiveError."""
    page = LivePage.of(page_options)
    archive = Archive(folder)
    stop = StopSignal()
    with open_dashboard(page, list, archive=ArchiveView(archive, live=False)) as server:
        server.start()
        with stop.listening():
            common.say(f"The runs of {folder} are at {server.notice} (Ctrl-C ends it)", own_token=True)
            stop.wait()
