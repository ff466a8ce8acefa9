"""Messages to people about alarms, by apprise: mail, Slack, Matrix, Mattermost, Teams and others."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from threading import Condition
from typing import Final, Self
from urllib.parse import unquote

from muonstream.detector.level import Level
from muonstream.errors import MuonstreamError
from muonstream.sinks.posting import REDIRECTED, start_thread
from muonstream.verdicts.notice_text import text, title
from muonstream.verdicts.notices import Event, Key, Kind, Message, Notices

CLOSE_S: Final = 20.0
"""The end of a run waits so long for its last message."""
SHORTEST_SECRET: Final = 4
MISSING: Final = "--notify needs the extra notify: pip install '.[notify]'"
_SCHEME: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9.+-]{0,30})://")
_REDIRECT: Final = re.compile(r"error=(30[12378])\b")
_logger: Final = logging.getLogger("apprise")


class NotifyError(MuonstreamError, ValueError):
    """An address that no message can be sent to, in one line; it never has more of the address than its scheme."""


_sending: ContextVar[object] = ContextVar("sending")


class _Said(logging.Handler):
    """What apprise logs of what is sent in this context, also from its threads, which have a copy of it.

    Lines of other services, which send at the same time, have other addresses in them.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _sending.get(None) is self:
            self.lines += record.getMessage().splitlines()

    def __enter__(self) -> Self:
        self._token = _sending.set(self)
        _logger.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        _logger.removeHandler(self)
        _sending.reset(self._token)


class Service:
    """A service that apprise knows, by its address, such as mailto://… or slack://…; redirects are not followed.

    Raises NotifyError where apprise is missing, or knows no such address.
    """

    def __init__(self, url: str, number: int = 1) -> None:
        try:
            from apprise import Apprise, AppriseAsset
        except ImportError:
            raise NotifyError(MISSING) from None
        # apprise logs addresses, with all that is secret in them
        _logger.propagate = False
        _logger.setLevel(logging.WARNING)
        if not _logger.handlers:
            _logger.addHandler(logging.NullHandler())
        scheme = _SCHEME.match(url)
        self.name = f"--notify {number} ({scheme[1].lower() if scheme else 'no scheme'})"
        self._url = url
        asset = AppriseAsset(
            app_id="muonstream",
            app_desc="muonstream",
            app_url="",
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            storage_mode="memory",
            plugin_paths=[],
        )
        self._apprise = Apprise(asset=asset)
        try:
            taken = scheme is not None and self._apprise.add(url)
        except Exception:  # each service has errors of its own
            taken = False
        if not taken:
            found = "an address that this service does not understand" if scheme else "no scheme"
            raise NotifyError(
                f"{self.name}: found {found}; expected an address of apprise, such as "
                "mailto://user:password@example.org, or slack://, matrix://, mmost://, msteams://"
            )

    def send(self, message: Message, heading: str, body: str) -> str:
        """Send it; why that failed, in a line without anything of the address, or "" when it went well."""
        from apprise import NotifyFormat, NotifyType

        types = {Level.BAD: NotifyType.FAILURE, Level.MEDIUM: NotifyType.WARNING}
        unwatched = not all(entry.event.watched for entry in message.entries)
        over = NotifyType.INFO if unwatched else NotifyType.SUCCESS
        kind = NotifyType.INFO if message.kind is Kind.REMINDER else types.get(message.level, over)
        try:
            with _Said() as said:
                if self._apprise.notify(body=body, title=heading, notify_type=kind, body_format=NotifyFormat.TEXT):
                    return ""
                return self._without_secrets(said.lines) or "the service rejected it"
        except Exception as error:  # each service has errors of its own
            return type(error).__name__

    def _without_secrets(self, lines: Iterable[str]) -> str:
        """The first of these lines, without any part of the address."""
        line = next((line for line in lines if line.strip()), "").strip()
        if redirect := _REDIRECT.search(line):
            return REDIRECTED.format(redirect[1])
        _, _, rest = self._url.partition("://")
        parts = {part for piece in re.split(r"[/:@?&=#,]", rest) for part in (piece, unquote(piece))}
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= SHORTEST_SECRET:
                line = line.replace(part, "…")
        return "".join(character if character.isprintable() else "?" for character in line)[:200]


class Notifier:
    """Sends what `notices` decide through a service, from a thread of its own, so that the run never waits.

    guidance: for a check; acknowledged: the alarms that somebody has acknowledged; link: the page's address, or ""
    failed: gets a line about each message that could not be sent, and about a thread that ends
    """

    def __init__(
        self,
        service: Service,
        notices: Notices,
        *,
        run: str,
        limit: int,
        guidance: Callable[[str], str],
        acknowledged: Callable[[], Collection[Key]],
        failed: Callable[[str], None],
        link: Callable[[], str] = lambda: "",
    ) -> None:
        self._service = service
        self._notices = notices
        self._run, self._limit = run, limit
        self._guidance, self._acknowledged, self._link = guidance, acknowledged, link
        self._failed = failed
        self._events: list[tuple[float, Event]] = []
        self._closed = False
        self.problem = ""
        """Why the last message was not sent, "" when it was."""
        self._wake = Condition()
        self._thread = start_thread("notify", self._work, self._died)

    def __call__(self, event: Event) -> None:
        """An alarm begins, changes its level, or is over."""
        with self._wake:
            self._events.append((time.monotonic(), event))
            self._wake.notify()

    def close(self) -> None:
        """Send what waits, and which alarms are no longer watched; then end."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._failed(f"{self._service.name}: no answer for {CLOSE_S:g} s at the end; its last message may be lost")

    def _died(self, reason: str) -> None:
        self._say(f"sending has ended ({reason}); no more messages are sent")

    def _say(self, problem: str) -> None:
        self.problem = f"{self._service.name}: {problem}"
        self._failed(self.problem)

    def _work(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                at = self._notices.next_at(now, self._acknowledged())
                if not self._events and not self._closed:
                    self._wake.wait(None if at is None else max(at - now, 0.0))
                events, self._events = self._events, []
                closed = self._closed
            for came, event in events:
                self._notices.take(came, event)
            known = self._acknowledged()
            while (message := self._notices.message(time.monotonic(), known, hurry=closed)) is not None:
                if why := self._send(message):
                    pause_s = self._notices.failed(time.monotonic())
                    self._say(f"a message could not be sent: {why}; it is tried again in {pause_s:.0f} s")
                    break
                self.problem = ""
            if closed:
                self._last()
                return

    def _send(self, message: Message) -> str:
        body = text(message, self._guidance, link=self._link(), limit=self._limit)
        why = self._service.send(message, title(message, self._run), body)
        if not why:
            self._notices.sent(time.monotonic(), message)
        return why

    def _last(self) -> None:
        self._notices.end(time.monotonic(), time.time(), "muonstream has ended")
        why = ""
        if (message := self._notices.message(time.monotonic(), last=True)) is not None:
            why = self._send(message)
        if n := self._notices.waiting:
            alarms = "1 alarm" if n == 1 else f"{n:,} alarms"
            self._say(f"{alarms} could not be sent: {why or f'{self._limit} messages were sent in the last hour'}")
