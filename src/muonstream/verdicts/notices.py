"""Notices: which messages people get about alarms, and when. Pure: time and changes in, messages out.

An alarm is mentioned when it begins, when it gets worse, when it is over, and now and then while it has not been
acknowledged. At most `limit` messages are sent in an hour. Alarms beyond that wait for a digest, so that every alarm is
mentioned, and the end of each that was mentioned as on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from muonstream.detector.level import Level

HOUR_S: Final = 3600.0
SINGLY: Final = 3
"""More alarms than these that wait at the same time share a message."""
BURST_S: Final = 1.0
"""An alarm waits this long for others with the same cause, such as all cells of a chamber."""
GATHER_S: Final = 300.0
"""When the hour's single messages are used up, a digest waits this long for more alarms."""
RETRY_S: Final = 60.0
MOST_RETRY_S: Final = 900.0
"""After a message that could not be sent: the first pause, doubled each time, and the longest."""
MOST_WAITING: Final = 2000
"""The most alarms that wait; beyond that those that began first are only counted."""

Key = tuple[str, str]


class Kind(Enum):
    """The kinds of messages."""

    BEGINS = "begins"
    WORSE = "worse"
    OVER = "over"
    REMINDER = "reminder"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that began, changed its level or is over: what a message says of it.

    level: the new one, Good or Null when it is over; since: unix seconds; value, limit: in `unit`, None where there is
    none; reason: one line; watched: False when it is over only because the run is no longer watched
    """

    check: str
    subject: str
    level: Level
    since: float
    reason: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    watched: bool = True

    @property
    def key(self) -> Key:
        """Check and subject."""
        return self.check, self.subject

    @property
    def on(self) -> bool:
        """Whether there is an alarm, Medium or Bad."""
        return self.level > Level.GOOD


@dataclass(frozen=True, slots=True)
class Entry:
    """What a message says of one alarm: how it now is, and what happened since the last message that mentioned it.

    begun: how often it began since then; worst: the highest level since then, or the level that is over
    began: unix seconds, when the alarm (the newest, if it began several times) began
    """

    event: Event
    kind: Kind
    begun: int
    worst: Level
    began: float


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its entries, gravest first; alone, or several together.

    held: whether the entries had to wait for it because of the limit; uncounted: alarms that were too many to be kept
    """

    kind: Kind
    entries: tuple[Entry, ...]
    held: bool = False
    uncounted: int = 0

    @property
    def level(self) -> Level:
        """The highest level that is on; Good when all alarms are over."""
        return max((entry.event.level for entry in self.entries if entry.event.on), default=Level.GOOD)


@dataclass(slots=True)
class _Alarm:
    """An alarm that is on or has unreported changes: its present level, and the one last reported."""

    event: Event
    told: Level
    """The level that was mentioned last; Good when it is not known to be on."""
    told_at: float = 0.0
    pauses: int = 0
    """Reminders so far."""
    begun: int = 0
    worst: Level = Level.GOOD
    began: float = 0.0
    waits_since: float | None = None


class Notices:
    """Which messages to send. All times are seconds of one clock that never goes back.

    limit: messages in any hour; remind_after_s: 0 for no reminders, each is followed by one after twice as long
    """

    def __init__(self, *, limit: int, remind_after_s: float) -> None:
        if limit < 1:
            raise ValueError("limit: at least one message an hour is needed")
        self._singles = max(limit - 2, 0)
        self._digests = max(limit - 1, 1)
        self._limit = limit
        self._remind_after_s = remind_after_s
        self._alarms: dict[Key, _Alarm] = {}
        self._sent: deque[float] = deque()
        self._held = False
        self._uncounted = 0
        self._failures = 0
        self._retry_at = 0.0

    @property
    def waiting(self) -> int:
        """Alarms with unreported changes."""
        return sum(alarm.waits_since is not None for alarm in self._alarms.values()) + self._uncounted

    def take(self, now: float, event: Event) -> None:
        """An alarm begins, changes its level, or is over."""
        alarm = self._alarms.get(event.key)
        if alarm is None:
            if not event.on:
                return
            alarm = self._alarms[event.key] = _Alarm(replace(event, level=Level.GOOD), Level.GOOD)
        was, alarm.event = alarm.event, event
        if event.on and not was.on:
            alarm.begun += 1
            alarm.began = event.since
        alarm.worst = max(alarm.worst, event.level)
        worse = event.level > max(alarm.told, Level.GOOD)
        over = alarm.told > Level.GOOD and not event.on
        if alarm.begun or worse or over:
            if alarm.waits_since is None:
                alarm.waits_since = now
        else:
            alarm.waits_since = None  # got worse and better again before it could be reported
        self._forget()

    def _forget(self) -> None:
        """Bound the number of waiting alarms; those given up are counted."""
        if len(self._alarms) <= MOST_WAITING:
            return
        for key, alarm in self._alarms.items():
            if alarm.waits_since is not None and not alarm.event.on and alarm.told <= Level.GOOD:
                self._uncounted += alarm.begun
                del self._alarms[key]
                return

    def next_at(self, now: float, known: Collection[Key] = ()) -> float | None:
        """When `message` may have something to send, None if only an event can bring it."""
        self._prune(now)
        times = []
        waits = [alarm.waits_since for alarm in self._alarms.values() if alarm.waits_since is not None]
        if waits or self._uncounted:
            first = min(waits, default=float("-inf"))
            times.append(max(first + BURST_S, self._digest_at(now, first)))
            if not self._held:
                times.append(max(first + BURST_S, self._free_at(now, self._singles)))
        elif reminders := [self._remind_at(alarm) for alarm in self._to_remind(known)]:
            times.append(max(min(reminders), self._free_at(now, max(self._singles, 1))))
        return max(min(times), self._retry_at) if times else None

    def message(
        self, now: float, known: Collection[Key] = (), *, hurry: bool = False, last: bool = False
    ) -> Message | None:
        """The message to send now; follow it by `sent` or `failed`, then ask again.

        known: alarms that somebody has acknowledged; hurry: do not wait for a burst to be whole; last: nothing can be
        sent later, so do not wait for anything, and use the message that is kept back
        """
        self._prune(now)
        if now < self._retry_at and not last:
            return None
        used = len(self._sent)
        waiting = [alarm for alarm in self._alarms.values() if alarm.waits_since is not None]
        if waiting or self._uncounted:
            together = len(waiting) > SINGLY or self._uncounted > 0 or last
            waits = [alarm.waits_since for alarm in waiting if alarm.waits_since is not None]
            first = min(waits, default=float("-inf"))
            if not (hurry or last or now >= first + BURST_S):
                return None
            if used < self._singles and not self._held:
                return self._digest(waiting, held=False) if together else self._single(waiting[0])
            if used < self._limit if last else now >= self._digest_at(now, first):
                # the hour's single messages are used up: unless none was sent, these had to wait
                return self._digest(waiting, held=self._held or (bool(self._sent) and not last))
            self._held = True
            return None
        if self._remind_after_s and not last and used < max(self._singles, 1):
            open_ = self._to_remind(known)
            if any(now >= self._remind_at(alarm) for alarm in open_):
                return Message(Kind.REMINDER, _sorted(_entry(alarm, Kind.REMINDER) for alarm in open_))
        return None

    def sent(self, now: float, message: Message) -> None:
        """The message was sent."""
        self._sent.append(now)
        self._failures, self._retry_at = 0, 0.0
        for entry in message.entries:
            alarm = self._alarms[entry.event.key]
            if message.kind is Kind.REMINDER:
                alarm.pauses += 1
            else:
                alarm.told, alarm.pauses = max(entry.event.level, Level.GOOD), 0
                alarm.begun, alarm.worst, alarm.waits_since = 0, alarm.told, None
                if not entry.event.on:
                    del self._alarms[entry.event.key]
            alarm.told_at = now
        if message.kind is not Kind.REMINDER:
            self._uncounted -= message.uncounted
            self._held = any(alarm.waits_since is not None for alarm in self._alarms.values()) and self._held

    def failed(self, now: float) -> float:
        """The message was not sent: its alarms continue to wait. Gives the seconds until it is retried.

        This does not count against the hour's messages, since none was delivered.
        """
        pause_s = min(RETRY_S * 2.0 ** min(self._failures, 10), MOST_RETRY_S)
        self._failures += 1
        self._retry_at = now + pause_s
        return pause_s

    def end(self, now: float, time: float, reason: str) -> None:
        """The run is no longer watched: every active alarm ends for that reason; time: unix seconds."""
        for alarm in list(self._alarms.values()):
            if alarm.event.on:
                self.take(now, replace(alarm.event, level=Level.NULL, since=time, reason=reason, watched=False))

    def _prune(self, now: float) -> None:
        while self._sent and self._sent[0] + HOUR_S <= now:
            self._sent.popleft()

    def _free_at(self, now: float, slots: int) -> float:
        """The time from which fewer than this many messages were sent in the hour before."""
        if slots < 1:
            return float("inf")
        return now if len(self._sent) < slots else max(now, self._sent[-slots] + HOUR_S)

    def _digest_at(self, now: float, first: float) -> float:
        """When alarms waiting since `first` may go into a digest: at once if the last message is an hour ago."""
        gathered = first + GATHER_S if self._sent else first
        return max(gathered, self._free_at(now, self._digests))

    def _to_remind(self, known: Collection[Key]) -> list[_Alarm]:
        if not self._remind_after_s:
            return []
        return [
            alarm
            for key, alarm in self._alarms.items()
            if alarm.event.on and alarm.waits_since is None and key not in known
        ]

    def _remind_at(self, alarm: _Alarm) -> float:
        return alarm.told_at + self._remind_after_s * 2.0 ** min(alarm.pauses, 20)

    def _single(self, alarm: _Alarm) -> Message:
        entry = _entry(alarm)
        return Message(entry.kind, (entry,))

    def _digest(self, waiting: list[_Alarm], *, held: bool) -> Message:
        if len(waiting) == 1 and not self._uncounted:
            return self._single(waiting[0])
        return Message(Kind.DIGEST, _sorted(_entry(alarm) for alarm in waiting), held, self._uncounted)


def _entry(alarm: _Alarm, kind: Kind | None = None) -> Entry:
    if kind is None:
        worse = Kind.WORSE if alarm.told > Level.GOOD and not alarm.begun else Kind.BEGINS
        kind = worse if alarm.event.on else Kind.OVER
    return Entry(alarm.event, kind, alarm.begun, alarm.worst, alarm.began)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Gravest first: those that are on, by level, then those that are over, by their former level."""
    return tuple(sorted(entries, key=lambda one: (-one.event.level, -one.worst, -one.event.since)))
