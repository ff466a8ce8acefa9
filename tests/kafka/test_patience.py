from __future__ import annotations

import pytest

from muonstream.kafka.patience import Patience


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [1000.0]
    monkeypatch.setattr("muonstream.kafka.patience.time.monotonic", lambda: time[0])
    return time


def test_it_ends_after_its_seconds_of_trying(now: list[float]) -> None:
    patience, tries = Patience(60.0), 0
    while not patience.over():
        now[0] += 0.5
        tries += 1
    assert tries == 120
    assert patience.over()


def test_a_process_that_was_stopped_for_an_hour_tries_on(now: list[float]) -> None:
    patience = Patience(60.0)
    now[0] += 3600
    assert not patience.over()
    now[0] += 29
    assert not patience.over()
    now[0] += 1
    assert patience.over()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_any_time_there_is_one_try(now: list[float], seconds: float) -> None:
    assert Patience(seconds).over()
