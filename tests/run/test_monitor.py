from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.counting.catalogue import Catalogue
from muonstream.counting.kernel import RECENT_SLOTS, SLOT_WINDOWS, Accumulator, Contribution
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.run.monitor import Intake, Monitor, Snapshot
from muonstream.words import WINDOW_ORBIT_BITS, WINDOW_SECONDS, encode

ACCUMULATE = Accumulator(Catalogue(Detector.default()))
KEYS = st.lists(st.integers(0, SLOT_WINDOWS * RECENT_SLOTS * 2), min_size=1, max_size=40, unique=True)


def contribution(keys: list[int]) -> Contribution:
    """Of one hit in each window, in its first orbit."""
    keys = sorted(keys)
    words = encode(fpga=0, channel=np.array(keys) % 128, orbit=np.array(keys) << WINDOW_ORBIT_BITS, bx=7, tdc=3)
    return ACCUMULATE(Frames(words, np.arange(len(keys) + 1), np.array(keys, np.int64)))


def monitor_of(groups: list[list[int]]) -> Monitor:
    monitor = Monitor(ACCUMULATE.catalogue)
    for group in groups:
        monitor.add(contribution(group))
    return monitor


def assert_same(one: Snapshot, other: Snapshot) -> None:
    assert np.array_equal(one.total, other.total)
    assert np.array_equal(one.recent, other.recent)
    assert np.array_equal(one.rates.time_s, other.rates.time_s)
    assert np.array_equal(one.rates.hits_hz, other.rates.hits_hz)
    for name in ("account", "recent_seconds", "live_time_s", "data_time_s", "newest_orbit", "epoch", "gaps"):
        assert getattr(one, name) == getattr(other, name), name


@given(KEYS, st.integers(1, 10))
def test_any_order_of_contributions_gives_the_same(keys: list[int], size: int) -> None:
    groups = [keys[i : i + size] for i in range(0, len(keys), size)]
    intake = Intake(words=len(keys))
    snapshot = monitor_of([keys]).snapshot(intake)
    assert snapshot.account.balanced
    assert snapshot.account.hits == len(keys)
    assert_same(monitor_of(groups).snapshot(intake), snapshot)
    assert_same(monitor_of(groups[::-1]).snapshot(intake), snapshot)


@given(KEYS)
def test_recent_is_the_last_ten_slots(keys: list[int]) -> None:
    snapshot = monitor_of([[key] for key in keys]).snapshot(Intake(words=len(keys)))
    oldest = max(keys) // SLOT_WINDOWS - RECENT_SLOTS + 1
    recent = [key for key in keys if key // SLOT_WINDOWS >= oldest]
    assert np.array_equal(snapshot.recent, contribution(recent).total)
    assert snapshot.recent_seconds <= RECENT_SLOTS * SLOT_WINDOWS * WINDOW_SECONDS


@given(KEYS, KEYS)
def test_a_provisional_snapshot_is_the_later_one(keys: list[int], more: list[int]) -> None:
    held = sorted(set(more) - set(keys))
    monitor = monitor_of([keys])
    intake = Intake(words=len(keys) + len(held), held=len(held))
    before = monitor.snapshot(intake)
    provisional = monitor.snapshot(intake, provisional=contribution(held)) if held else before
    assert provisional.account.balanced
    assert provisional.account.held == 0
    assert_same(monitor.snapshot(intake), before)
    if held:
        monitor.add(contribution(held))
    assert_same(monitor.snapshot(replace(intake, held=0)), provisional)


def test_a_copy_goes_its_own_way() -> None:
    monitor = monitor_of([[1, 2, 40]])
    before = monitor.snapshot(Intake(words=3))
    copy = monitor.copy()
    copy.add(contribution([3, 41]))
    assert_same(monitor.snapshot(Intake(words=3)), before)
    assert_same(copy.snapshot(Intake(words=5)), monitor_of([[1, 2, 3, 40, 41]]).snapshot(Intake(words=5)))


def test_the_account_holds_what_the_kernel_never_saw() -> None:
    intake = Intake(words=3 + 4 + 5 + 6 + 7, malformed=4, late=5, stray=6, held=7)
    account = monitor_of([[1, 2, 3]]).account(intake)
    assert account.balanced
    assert (account.hits, account.malformed, account.late, account.stray, account.held) == (3, 4, 5, 6, 7)
    assert monitor_of([[1, 2, 3]]).account(replace(intake, words=26)).residual == 1


@pytest.mark.parametrize(("words", "state", "shown"), [(0, "running", "waiting"), (0, "ended", "ended")])
def test_a_run_without_words_waits_or_has_ended(words: int, state: str, shown: str) -> None:
    monitor = Monitor(ACCUMULATE.catalogue)
    snapshot = monitor.snapshot(Intake(words=words), state="ended" if state == "ended" else "running")
    assert snapshot.state == shown
    assert snapshot.account.balanced
    assert snapshot.recent_seconds == 0
    assert len(snapshot.rates.time_s) == 0


def test_throughput_is_that_of_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("muonstream.run.monitor.time.monotonic", lambda: now[0])
    monitor = Monitor(Catalogue(Detector.default()))
    shown = []
    for tick in range(1, 121):
        # words come each 4 s, 20,000 at once, and snapshots each 0.5 s
        now[0] = 100 + tick / 2
        shown.append(monitor.snapshot(Intake(words=20_000 * (tick // 8))).words_per_second)
    assert all(3500 <= rate <= 6500 for rate in shown[24:])
    now[0] += 60
    monitor.snapshot(Intake(words=300_000))
    now[0] += 11
    assert monitor.snapshot(Intake(words=300_000)).words_per_second == 0
