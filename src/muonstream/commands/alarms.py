"""Alarms of a live run: to the terminal, to a webhook; and the reference that verdicts compare with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from muonstream.analysis.board import Board
from muonstream.analysis.histograms import Catalogue
from muonstream.analysis.monitor import Snapshot
from muonstream.analysis.quality import Window
from muonstream.analysis.snapshot_codec import SnapshotError, decode
from muonstream.analysis.timeline import Timeline
from muonstream.analysis.verdicts import Change
from muonstream.commands import common
from muonstream.detector import Detector
from muonstream.sinks.webhook import Webhook, WebhookError


@dataclass(frozen=True, slots=True)
class AlarmOptions:
    """What `run` was told: a reference's file, and where to post changes of verdicts; empty for none."""

    reference: str = ""
    webhook: str = ""


class Alarms:
    """The board of a run, whose changes go to the terminal and to the webhook; a context manager."""

    def __init__(self, options: AlarmOptions, detector: Detector, run: str, *, live: bool = True) -> None:
        """Raise CommandError for a reference that cannot be used, or an address that is none.

        live: see `Board`
        """
        self.reference = _reference(options.reference, detector) if options.reference else None
        try:
            self._webhook = Webhook(options.webhook, run, failed=common.say) if options.webhook else None
        except WebhookError as error:
            raise common.CommandError(f"--{error}") from None
        self.board = Board(listener=self._changed, live=live)

    def timeline(self, catalogue: Catalogue) -> Timeline:
        """What judges a run's steps, against the reference where there is one."""
        window = None
        if self.reference is not None:
            total = self.reference.total[: catalogue.size]
            padded = np.pad(total, (0, catalogue.size - len(total)))
            window = Window(padded, self.reference.live_time_s)
        return Timeline(catalogue, reference=window, clock=time.time)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._webhook is not None:
            self._webhook.close()

    def _changed(self, change: Change) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(change.time))
        common.say(f"{at} {change.after.title}: {change.subject}: {change.check}: {change.reason}")
        if self._webhook is not None:
            self._webhook(change)


def _reference(name: str, detector: Detector) -> Snapshot:
    try:
        snapshot = decode(Path(name).read_bytes())
    except OSError as error:
        raise common.CommandError(f"{name}: cannot be read: {error.strerror or error}") from None
    except SnapshotError as error:
        text = f"{name}: {error}; allowed is a snapshot, as a page gives it at /api/snapshot.musn"
        raise common.CommandError(text) from None
    shapes = [[(c.name, c.layers, c.cells) for c in one.chambers] for one in (snapshot.detector, detector)]
    if shapes[0] != shapes[1] or snapshot.catalogue.counted_size != Catalogue(detector).counted_size:
        raise common.CommandError(
            f"{name}: found a snapshot of detector {snapshot.detector.name}, allowed is one with the chambers of "
            f"{detector.name}"
        )
    if snapshot.live_time_s <= 0:
        raise common.CommandError(f"{name}: found a snapshot without data, allowed is one with some")
    return snapshot
