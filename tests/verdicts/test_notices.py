from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.detector.level import Level
from muonstream.verdicts import notices
from muonstream.verdicts.notices import BURST_S, GATHER_S, HOUR_S, RETRY_S, SINGLY, Event, Key, Kind, Message, Notices

REMIND_S = 1800.0


def event(subject: str, level: Level, since: float = 0.0) -> Event:
    return Event("noise", subject, level, since, "reason")


@dataclass
class Shift:
    """Somebody who gets the messages: drives notices as their thread does, and believes what the messages say."""

    notices: Notices
    limit: int
    now: float = 0.0
    broken: bool = False
    """Whether sending fails."""
    known: set[Key] = field(default_factory=set)
    sent: list[tuple[float, Message]] = field(default_factory=list)
    on: dict[Key, bool] = field(default_factory=dict)
    begun: int = 0
    mentioned: int = 0

    def take(self, new: Event, was: Level) -> None:
        self.begun += new.on and was <= Level.GOOD
        self.notices.take(self.now, new)
        self.send()

    def send(self, *, last: bool = False) -> None:
        while (message := self.notices.message(self.now, self.known, last=last)) is not None:
            if self.broken:
                self.notices.failed(self.now)
                break
            self.notices.sent(self.now, message)
            self.sent.append((self.now, message))
            self.read(message)
        at = self.notices.next_at(self.now, self.known)
        assert last or at is None or at > self.now  # else the thread would never rest
        assert last or at is not None or not self.notices.waiting

    def read(self, message: Message) -> None:
        self.mentioned += message.uncounted
        for entry in message.entries:
            key = entry.event.key
            if message.kind is Kind.REMINDER:
                assert self.on[key]
                assert key not in self.known
                continue
            self.mentioned += entry.begun
            if entry.kind is Kind.WORSE:
                assert self.on[key]
            if entry.kind is Kind.OVER:
                assert self.on.get(key) or entry.begun
            self.on[key] = entry.event.on

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.notices.next_at(self.now, self.known)) is not None and at <= end:
            self.now = at
            self.send()
        self.now = end
        self.send()

    def check(self) -> None:
        times = [at for at, _ in self.sent]
        for i, at in enumerate(times):
            assert sum(at <= other < at + HOUR_S for other in times[i:]) <= self.limit


def shift(limit: int = 20, remind_after_s: float = REMIND_S) -> Shift:
    return Shift(Notices(limit=limit, remind_after_s=remind_after_s), limit)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("level"), st.integers(0, 5), st.sampled_from(Level)),
        st.tuples(st.just("known"), st.integers(0, 5), st.just(Level.NULL)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 30, 300, 1799, 3600, 10_000]), st.just(Level.NULL)),
        st.tuples(st.just("broken"), st.integers(0, 1), st.just(Level.NULL)),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 6), st.sampled_from([0.0, 60.0, REMIND_S]))
def test_never_too_many_nothing_unmentioned_and_every_begin_has_its_end(
    steps: list[tuple[str, int, Level]], limit: int, remind_after_s: float
) -> None:
    reader = shift(limit, remind_after_s)
    levels = dict.fromkeys(range(6), Level.NULL)
    for what, number, level in steps:
        key = ("noise", f"Chamber {number}")
        if what == "level":
            if level > levels[number]:
                reader.known.discard(key)  # as the board does
            if level <= Level.GOOD:
                reader.known.discard(key)
            if level != levels[number]:
                reader.take(event(key[1], level, reader.now), levels[number])
            levels[number] = level
        elif what == "known" and levels[number] > Level.GOOD:
            reader.known.add(key)
            reader.send()
        elif what == "wait":
            reader.wait(number)
        elif what == "broken":
            reader.broken = bool(number)
    reader.check()
    reader.broken = False
    if limit == 1:
        reader.wait(3 * HOUR_S)
    reader.notices.end(reader.now, reader.now, "ended")
    reader.send(last=True)
    if reader.notices.waiting:  # with one message an hour the end may have to wait
        assert limit == 1
        reader.now += HOUR_S
        reader.send(last=True)
    reader.check()
    assert reader.notices.waiting == 0
    assert reader.mentioned == reader.begun
    assert not any(reader.on.values())


@given(STEPS)
def test_after_some_hours_everything_has_been_said_without_an_end(steps: list[tuple[str, int, Level]]) -> None:
    reader = shift(2, 0.0)
    levels = dict.fromkeys(range(6), Level.NULL)
    for what, number, level in steps:
        if what == "level" and level != levels[number]:
            reader.take(event(f"Chamber {number}", level, reader.now), levels[number])
            levels[number] = level
        elif what == "wait":
            reader.wait(number)
    reader.wait(3 * HOUR_S)
    assert reader.notices.waiting == 0
    assert reader.mentioned == reader.begun
    believed = {subject for (_, subject), on in reader.on.items() if on}
    assert believed == {f"Chamber {number}" for number, level in levels.items() if level > Level.GOOD}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 20])
def test_alarms_that_come_and_go_for_hours_never_send_too_many_messages(limit: int) -> None:
    reader = shift(limit, 60.0)
    for step in range(6 * 180):
        name, on = f"{step % 7}", step // 7 % 2 == 0
        reader.take(event(name, Level.BAD if on else Level.GOOD, reader.now), Level.GOOD if on else Level.BAD)
        reader.wait(20.0)
    reader.check()
    assert len(reader.sent) >= 5 * max(limit - 2, 1)
    reader.wait(2 * HOUR_S)
    assert reader.mentioned == reader.begun


def kinds(reader: Shift) -> list[Kind]:
    return [message.kind for _, message in reader.sent]


def test_an_alarm_begins_gets_worse_is_reminded_of_and_is_over() -> None:
    reader = shift()
    for level, was in ((2, 1), (3, 2), (2, 3), (3, 2)):  # the last is known, so not said again
        reader.take(event("a", Level(level)), Level(was))
        reader.wait(BURST_S)
    reader.wait(REMIND_S)
    assert kinds(reader) == [Kind.BEGINS, Kind.WORSE, Kind.REMINDER]
    reader.wait(2 * REMIND_S)  # the pause has doubled
    assert kinds(reader)[3:] == [Kind.REMINDER]
    reader.known.add(("noise", "a"))
    reader.wait(100 * REMIND_S)
    reader.take(event("a", Level.GOOD), Level.BAD)
    reader.wait(BURST_S)
    assert kinds(reader)[4:] == [Kind.OVER]
    reader.wait(100 * REMIND_S)
    assert len(reader.sent) == 5


def test_one_reminder_has_all_that_nobody_acknowledged() -> None:
    reader = shift()
    for name in "abc":
        reader.take(event(name, Level.MEDIUM), Level.GOOD)
    reader.known.add(("noise", "b"))
    reader.wait(BURST_S + REMIND_S)
    assert [entry.event.subject for entry in reader.sent[-1][1].entries] == ["a", "c"]


def test_many_at_once_share_a_message_with_the_gravest_first() -> None:
    reader = shift()
    for number in range(SINGLY + 1):
        reader.take(event(f"{number}", Level.BAD if number == 2 else Level.MEDIUM), Level.GOOD)
    assert reader.sent == []
    reader.wait(BURST_S)
    [(_, message)] = reader.sent
    assert (message.kind, message.held, len(message.entries)) == (Kind.DIGEST, False, SINGLY + 1)
    assert message.entries[0].event.subject == "2"


def test_beyond_the_limit_alarms_wait_for_a_digest() -> None:
    reader = shift(limit=5)
    for number in range(50):
        reader.take(event(f"{number}", Level.MEDIUM), Level.GOOD)
        if number < 3:
            reader.wait(BURST_S)
    assert kinds(reader) == [Kind.BEGINS] * 3
    reader.wait(GATHER_S)
    assert kinds(reader)[3:] == [Kind.DIGEST]
    at, digest = reader.sent[-1]
    assert at == 3 * BURST_S + GATHER_S  # 47 began when the third message had gone
    assert (digest.held, len(digest.entries)) == (True, 47)
    reader.take(event("x", Level.BAD), Level.GOOD)
    reader.wait(HOUR_S)
    assert [entry.event.subject for _, message in reader.sent[4:] for entry in message.entries if entry.begun] == ["x"]


def test_what_could_not_be_sent_is_sent_later() -> None:
    reader = shift()
    reader.broken = True
    reader.take(event("a", Level.BAD), Level.GOOD)
    reader.wait(BURST_S)
    reader.take(event("a", Level.GOOD), Level.BAD)
    reader.broken = False
    reader.wait(RETRY_S)
    [(at, message)] = reader.sent
    assert (at, message.kind) == (BURST_S + RETRY_S, Kind.OVER)
    assert (message.entries[0].begun, message.entries[0].worst) == (1, Level.BAD)


def test_what_is_too_much_to_be_kept_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MOST_WAITING", 10)
    reader = shift(limit=1)
    for number in range(31):
        reader.take(event(f"{number}", Level.BAD), Level.GOOD)
        reader.take(event(f"{number}", Level.GOOD), Level.BAD)
    reader.wait(2 * HOUR_S)
    assert sum(message.uncounted for _, message in reader.sent) > 15
    assert reader.mentioned == 31


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one message an hour"):
        Notices(limit=0, remind_after_s=0)
