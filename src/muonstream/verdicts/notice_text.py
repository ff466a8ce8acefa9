"""A message's title and text: check, subject, since when, value and limit, what to do, and the page's address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final

from muonstream.verdicts.notices import Entry, Kind, Message

MOST_LINES: Final = 25
"""Number of alarms that a digest names; the rest are counted."""


def when(time: float, zone: tzinfo | None = None) -> str:
    """Unix seconds as date and time with the offset from UTC; zone: None for the machine's own."""
    return datetime.fromtimestamp(time, zone).astimezone(zone).isoformat(" ", "seconds")


def title(message: Message, run: str) -> str:
    """One line: of a single alarm its level, check and subject, else how many there are and the worst of them."""
    of_run = f" ({_printable(run)})" if run else ""
    entries = message.entries
    if len(entries) == 1 and message.kind is not Kind.DIGEST:
        entry = entries[0]
        words = {
            Kind.OVER: _over(entry),
            Kind.REMINDER: f"Still {entry.event.level.title}",
            Kind.WORSE: "Worse, now Bad",
        }
        return f"{words.get(entry.kind, entry.event.level.title)}: {_name(entry)}{of_run}"
    if not entries:
        return f"{message.uncounted:,} more alarms{of_run}"
    worst, n = entries[0], len(entries)
    if message.kind is Kind.REMINDER:
        return f"{n} alarms are still on, the worst {worst.event.level.title}: {_name(worst)}{of_run}"
    on = sum(entry.event.on for entry in entries)
    ended = "all over" if all(entry.event.watched for entry in entries) else "no longer watched"
    state = f"{on} of them on" if 0 < on < n else "all on" if on else ended
    was = worst.event.level if worst.event.on else worst.worst
    return f"{n} alarms, {state}, the worst {was.title}: {_name(worst)}{of_run}"


def text(
    message: Message, guidance: Callable[[str], str], *, link: str = "", limit: int = 0, zone: tzinfo | None = None
) -> str:
    """The lines of a message; guidance: for a check, "" for none; limit: messages an hour, for why some were held."""
    lines = []
    if message.held:
        n = len(message.entries) + message.uncounted
        lines.append(f"{n:,} alarms were held back, since at most {limit} messages an hour are sent:")
    if len(message.entries) == 1 and not message.held:
        lines += _whole(message.entries[0], zone)
    else:
        lines += [f"- {_line(entry, zone)}" for entry in message.entries[:MOST_LINES]]
        more = len(message.entries) - MOST_LINES
        if more > 0:
            lines.append(f"- and {more:,} more, none of them worse: see the page")
    if message.uncounted:
        lines.append(f"{message.uncounted:,} more alarms came and went; they were too many to be kept")
    worst = next((entry for entry in message.entries if entry.event.on), None)
    if worst is not None and (advice := guidance(worst.event.check)):
        about = "" if len(message.entries) == 1 else f" about {_name(worst)}"
        lines.append(f"What to do{about}: {advice}")
    if link:
        lines.append(link)
    return "\n".join(lines)


def _name(entry: Entry) -> str:
    return _printable(f"{entry.event.subject}: {entry.event.check}")


def _over(entry: Entry) -> str:
    return "Over" if entry.event.watched else "No longer watched"


def _whole(entry: Entry, zone: tzinfo | None) -> list[str]:
    event = entry.event
    lines = [f"{event.level.title if event.on else _over(entry)}: {_name(entry)}: {_printable(event.reason)}"]
    if event.on:
        lines.append(f"Since: {when(entry.began, zone)}")
        lines += _numbers(entry)
    else:
        lines.append(
            f"From {when(entry.began, zone)} to {when(event.since, zone)}, {_duration(event.since - entry.began)}"
        )
    if entry.begun > 1:
        lines.append(f"It began {entry.begun} times since the last message")
    return lines


def _numbers(entry: Entry) -> list[str]:
    event = entry.event
    if event.value is None:
        return []
    limit = "" if event.limit is None else f", limit {_number(event.limit, event.unit)}"
    return [f"Value: {_number(event.value, event.unit)}{limit}"]


def _number(value: float, unit: str) -> str:
    """A number with its unit; shares and relative changes, which have none, in per cent."""
    return f"{value:.4g} {unit}" if unit else f"{100 * value:.4g} %"


def _line(entry: Entry, zone: tzinfo | None) -> str:
    event = entry.event
    times = f", {entry.begun} times" if entry.begun > 1 else ""
    if event.on:
        return (
            f"{event.level.title}: {_name(entry)}: {_printable(event.reason)}, since {when(entry.began, zone)}{times}"
        )
    lasted = _duration(event.since - entry.began)
    was = f"was {entry.worst.title} from {when(entry.began, zone)} for {lasted}{times}"
    return f"{_over(entry)}: {_name(entry)}: {_printable(event.reason)}; {was}"


def _duration(seconds: float) -> str:
    whole = max(round(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
