from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta, timezone

from muonstream.detector.guidance import guidance_of
from muonstream.detector.level import Level
from muonstream.verdicts.notice_text import MOST_LINES, text, title
from muonstream.verdicts.notices import Entry, Event, Kind, Message

ZONE = timezone(timedelta(hours=2))


def entry(subject: str = "Chamber 3", level: Level = Level.BAD, kind: Kind = Kind.BEGINS, begun: int = 1) -> Entry:
    event = Event("t0", subject, level, 90.0, "the time box begins at +5.0 ± 0.2 ns", 5.0, 4.0, "ns")
    return Entry(event, kind, begun, Level.BAD, 0.0)


def test_a_message_says_what_where_since_when_value_limit_guidance_and_link() -> None:
    message = Message(Kind.BEGINS, (entry(),))
    assert title(message, "run 591") == "Bad: Chamber 3: t0 (run 591)"
    assert text(message, guidance_of, link="http://page:8765/", zone=ZONE).splitlines() == [
        "Bad: Chamber 3: t0: the time box begins at +5.0 ± 0.2 ns",
        "Since: 1970-01-01 02:00:00+02:00",
        "Value: 5 ns, limit 4 ns",
        f"What to do: {guidance_of('t0')}",
        "http://page:8765/",
    ]


def test_a_share_is_in_per_cent() -> None:
    """Shares and relative changes have no unit."""
    event = Event("dead cell", "Chamber 3 cell 4", Level.BAD, 90.0, "0 hits in 12 s", 1.0, 0.95)
    assert "Value: 100 %, limit 95 %" in text(
        Message(Kind.BEGINS, (Entry(event, Kind.BEGINS, 1, Level.BAD, 0.0),)), str
    )


def test_what_is_over_says_how_long_it_was() -> None:
    message = Message(Kind.OVER, (entry(level=Level.GOOD, kind=Kind.OVER, begun=0),))
    assert title(message, "") == "Over: Chamber 3: t0"
    assert text(message, guidance_of, zone=UTC).splitlines()[1:] == [
        "From 1970-01-01 00:00:00+00:00 to 1970-01-01 00:01:30+00:00, 90 s"
    ]


def test_a_digest_names_how_many_were_held_back_and_the_worst() -> None:
    entries = (entry(), *(entry(f"Chamber {n}", Level.GOOD, Kind.OVER, 3) for n in range(MOST_LINES + 9)))
    message = Message(Kind.DIGEST, entries, held=True, uncounted=7)
    assert title(message, "") == f"{MOST_LINES + 10} alarms, 1 of them on, the worst Bad: Chamber 3: t0"
    lines = text(message, guidance_of, limit=20, zone=UTC).splitlines()
    assert lines[0] == f"{MOST_LINES + 17} alarms were held back, since at most 20 messages an hour are sent:"
    assert lines[1].startswith("- Bad: Chamber 3: t0: the time box begins")
    reason = "the time box begins at +5.0 ± 0.2 ns"
    assert lines[2] == f"- Over: Chamber 0: t0: {reason}; was Bad from 1970-01-01 00:00:00+00:00 for 90 s, 3 times"
    assert "- and 10 more, none of them worse: see the page" in lines
    assert lines[-1].startswith("What to do about Chamber 3: t0: ")


def test_what_nobody_watches_any_more_is_not_called_over() -> None:
    one = entry(level=Level.NULL, kind=Kind.OVER, begun=0)
    one = replace(one, event=replace(one.event, reason="muonstream has ended", watched=False))
    assert title(Message(Kind.OVER, (one,)), "") == "No longer watched: Chamber 3: t0"
    assert title(Message(Kind.DIGEST, (one, one)), "").startswith("2 alarms, no longer watched, the worst Bad: ")
    assert text(Message(Kind.DIGEST, (one, one)), guidance_of).startswith(
        "- No longer watched: Chamber 3: t0: muonstream has ended; was Bad from "
    )


def test_reminders_say_that_it_is_still_so() -> None:
    assert title(Message(Kind.REMINDER, (entry(kind=Kind.REMINDER),)), "x") == "Still Bad: Chamber 3: t0 (x)"
    both = Message(Kind.REMINDER, (entry(kind=Kind.REMINDER), entry("Chamber 4", kind=Kind.REMINDER)))
    assert title(both, "") == "2 alarms are still on, the worst Bad: Chamber 3: t0"


def test_names_cannot_bring_lines_or_escapes_of_their_own() -> None:
    message = Message(Kind.BEGINS, (entry("Chamber 3\n\x1b[31mall is well"),))
    assert title(message, "run\n1") == "Bad: Chamber 3??[31mall is well: t0 (run?1)"
    assert "Chamber 3??[31mall is well" in text(message, guidance_of)
