from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from muonstream.engines.interrupts import DEADLINE, PATIENCE_S, Deadline, held_back


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test sets, the handlers afterwards are those from before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_comes_when_what_was_begun_is_done() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    @held_back()
    def work() -> None:
        press()
        done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    with pytest.raises(KeyboardInterrupt):
        press()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_gets_its_signal_once_and_is_there_again(number: signal.Signals) -> None:
    got: list[int] = []
    signal.signal(number, lambda number, frame: got.append(number))
    with held_back():
        os.kill(os.getpid(), number)
        assert got == []
    assert got == [number]
    os.kill(os.getpid(), number)
    assert got == [number, number]


def test_contexts_within_one_another_wait_for_the_outer_one() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    @held_back()
    def work() -> None:
        with held_back():
            press()
        done.append("inner")
        with held_back():
            done.append("next")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "next"]


def test_an_error_goes_its_way_and_the_signal_is_not_forgotten() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)

    @held_back()
    def work() -> None:
        press()
        raise ValueError("first")

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, ValueError)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_leave_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_work_has_to_be_short_some_time_after_the_first_signal() -> None:
    now = [10.0]
    deadline = Deadline(lambda: now[0])
    seen = [deadline.over]
    deadline.signal()
    for later_s in (PATIENCE_S, 0.1):
        now[0] += later_s
        seen.append(deadline.over)
        deadline.signal()
    deadline.forget()
    assert [*seen, deadline.over] == [False, False, True, False]


def test_signals_that_are_held_back_count_from_when_they_came() -> None:
    signal.signal(signal.SIGINT, lambda number, frame: None)
    DEADLINE.forget()
    try:
        with held_back():
            press()
            assert DEADLINE._since is not None
    finally:
        DEADLINE.forget()
