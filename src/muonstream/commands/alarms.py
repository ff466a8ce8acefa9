"""Alarms of a live run: to the terminal, a webhook, and people; and the reference that verdicts compare with."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from muonstream.archive.contents import ReferenceRun
from muonstream.commands import common
from muonstream.commands.references import Reference, resolved
from muonstream.commands.remembered import remembered
from muonstream.counting.catalogue import Catalogue
from muonstream.detector.guidance import guidance_of
from muonstream.detector.known import why_known
from muonstream.detector.model import Detector
from muonstream.run.board import Board
from muonstream.sinks.notify import Notifier, NotifyError, Service
from muonstream.sinks.webhook import Webhook, WebhookError
from muonstream.verdicts.memory import Remembered
from muonstream.verdicts.notices import Event, Key, Notices
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Change

NOTIFY_LIMIT: Final = 20
REMIND_AFTER_MIN: Final = 30.0


@dataclass(frozen=True, slots=True)
class AlarmOptions:
    """The options of alarms; empty texts and tuples for none.

    reference: archived runs, files or last:N, see `references.resolved`; archive: where runs are named
    webhook: where to post changes of verdicts
    notify: addresses of people, for apprise
    notify_limit: messages an hour to each at most; remind_after_min: 0 for no reminders
    link: the page's address for messages, where it is not the one that is served
    """

    reference: tuple[str, ...] = ()
    webhook: str = ""
    notify: tuple[str, ...] = ()
    notify_limit: int = NOTIFY_LIMIT
    remind_after_min: float = REMIND_AFTER_MIN
    link: str = ""
    archive: Path | None = None


class Alarms:
    """A context manager: the board of a run, whose changes go to the terminal, the webhook, and people."""

    def __init__(self, options: AlarmOptions, detector: Detector, run: str, *, live: bool = True) -> None:
        """Raise CommandError for a reference that cannot be used, or a malformed address.

        live: see `Board`
        """
        self.reference = resolved(options.reference, options.archive, detector)
        self._remembered = remembered(options.archive, detector)
        self._timeline: Timeline | None = None
        self._referred: tuple[ReferenceRun, ...] = ()
        try:
            self._webhook = Webhook(options.webhook, run, failed=common.say) if options.webhook else None
        except WebhookError as error:
            raise common.CommandError(f"--{error}") from None
        self.board = Board(listener=self._changed, live=live)
        self.page = options.link
        """The page's address, without a token, "" while it is not known."""
        self._known = detector.known
        self._notifiers = self._notify(options, detector, run)

    def timeline(self, catalogue: Catalogue) -> Timeline:
        """What judges a run's steps, against the reference where there is one."""
        window = None if self.reference is None else self.reference.exposure(catalogue)
        self._timeline = Timeline(catalogue, reference=window, clock=time.time, remembered=self._remembered)
        return self._timeline

    def refer(self, reference: Reference) -> None:
        """From the next step on, compare with other runs; may be called from any thread."""
        until = reference.runs[0].since_wall_time
        if self.reference is not None:
            self._referred += tuple(replace(run, until_wall_time=until) for run in self.reference.runs)
        self.reference = reference
        if self._timeline is not None:
            self._timeline.reference = reference.exposure(self._timeline.catalogue)

    @property
    def references(self) -> tuple[ReferenceRun, ...]:
        """The runs that are compared with, and those that were before them, for the archived file."""
        return self._referred + (() if self.reference is None else self.reference.runs)

    @property
    def remembered(self) -> tuple[Remembered, ...]:
        """The alarms that were known when the run began; a run that is continued has those of its beginning."""
        return self._remembered if self._timeline is None else self._timeline.memory.entries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for sink in (self._webhook, *self._notifiers):
                if sink is not None:
                    stack.callback(sink.close)

    def problems(self) -> list[str]:
        """Why people cannot be notified, a line each, for /healthz."""
        return [notifier.problem for notifier in self._notifiers if notifier.problem]

    def _notify(self, options: AlarmOptions, detector: Detector, run: str) -> list[Notifier]:
        try:
            # all addresses are checked before the first thread is started
            services = [Service(url, number) for number, url in enumerate(options.notify, 1)]
        except NotifyError as error:
            raise common.CommandError(str(error)) from None
        return [
            Notifier(
                service,
                Notices(limit=options.notify_limit, remind_after_s=60 * options.remind_after_min),
                run=run,
                limit=options.notify_limit,
                guidance=lambda check: guidance_of(check, detector.guidance),
                acknowledged=self._acknowledged,
                failed=common.say,
                link=lambda: self.page,
            )
            for service in services
        ]

    def _acknowledged(self) -> set[Key]:
        return {status.finding.key for status in self.board.verdicts.statuses if status.acknowledged is not None}

    def _changed(self, change: Change) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(change.time))
        common.say(f"{at} {change.after.title}: {change.subject}: {change.check}: {change.reason}")
        if self._webhook is not None:
            self._webhook(change)
        key = change.check, change.subject, change.after
        known = why_known(self._known, *key) if self._timeline is None else self._timeline.why_known(*key)
        # people are notified of a known problem once it is worse than known, and from then on until it ends
        if self._notifiers and not (known and change.after > change.before):
            event = self._event(change)
            for notifier in self._notifiers:
                notifier(event)

    def _event(self, change: Change) -> Event:
        """A change with reason, value and limit from the board, or without a value if the board shows another level.

        When words are read faster than they were taken, the board may be some steps ahead of the change.
        """
        key = change.check, change.subject
        found = next((one.finding for one in self.board.verdicts.statuses if one.finding.key == key), None)
        if found is None or found.level != change.after:
            return Event(*key, change.after, change.time, change.reason)
        return Event(*key, change.after, change.time, found.reason, found.value, found.limit, found.unit)
