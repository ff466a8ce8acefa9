from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muonstream.sinks.store import Position, Saved, Store, StoreError


def saved(run: str = "r", n: int = 1, *, ended: bool = False, source: str = "kafka://h:1/t") -> Saved:
    positions = {0: Position(n, 0, 10 * n, 1), 15: Position(2 * n)}
    return Saved(source, run, ended, {"n": n, "array": np.arange(n)}, positions, {"tally": {"late": n}})


def reason(path: Path) -> str:
    with pytest.raises(StoreError) as raised:
        Store(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    return str(raised.value)


def test_what_was_saved_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "a store.db"
    with Store(path) as store:
        assert store.load("kafka://h:1/t") is None
        store.save(saved(n=1))
        store.save(saved(n=7, ended=True))
    with Store(path) as store:
        found = store.load("kafka://h:1/t")
        assert found is not None
        assert (found.run, found.ended, found.state["n"], found.reader) == ("r", True, 7, {"tally": {"late": 7}})
        assert found.state["array"].tolist() == list(range(7))
        assert found.positions == {0: Position(7, 0, 70, 1), 15: Position(14)}


def test_runs_are_apart_and_the_last_written_is_found_first(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.save(saved("first", 1))
        store.save(saved("second", 2))
        store.save(saved("second", 3, source="elsewhere"))
        store.save(saved("first", 4))
        assert store.runs() == [
            ("kafka://h:1/t", "second", False),
            ("elsewhere", "second", False),
            ("kafka://h:1/t", "first", False),
        ]
        newest, named = store.load("kafka://h:1/t"), store.load("kafka://h:1/t", "second")
        assert newest is not None
        assert named is not None
        assert (newest.state["n"], named.state["n"], named.positions[0].next) == (4, 2, 2)
        assert store.load("kafka://h:1/t", "third") is None


def test_a_save_that_fails_leaves_what_was(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.save(saved(n=1))
        bad = Saved("kafka://h:1/t", "r", False, {"n": 2}, {0: Position(2**70)})
        with pytest.raises(OverflowError):
            store.save(bad)
        store.save(saved("other", 1))  # and the store goes on
        found = store.load("kafka://h:1/t", "r")
        assert found is not None
        assert (found.state["n"], found.positions[0].next) == (1, 1)


def test_a_full_disk_is_named_and_leaves_what_was(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.save(saved(n=1))
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages + 4}")
        noise = np.random.default_rng(1).integers(0, 1 << 60, 50_000)
        with pytest.raises(StoreError, match=r"store.db: cannot be used: database or disk is full$"):
            store.save(Saved("kafka://h:1/t", "r", False, {"noise": noise}, {0: Position(2)}))
        store.save(saved(n=2))  # and the store goes on
        found = store.load("kafka://h:1/t", "r")
        assert found is not None
        assert (found.state["n"], found.positions[0].next) == (2, 2)


HOLDER = """
import sys, pathlib
from muonstream.sinks.store import Position, Saved, Store
store = Store(pathlib.Path(sys.argv[1]))
n = 0
while True:
    n += 1
    store.save(Saved("s", "r", False, {"n": n}, {0: Position(n)}))
    print(n, flush=True)
"""


def test_a_killed_engine_leaves_its_last_save_whole_and_the_store_free(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        lines = [holder.stdout.readline() for _ in range(3)]
        assert lines == ["1\n", "2\n", "3\n"]
        assert "in use by another engine" in reason(path)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        rest, _ = holder.communicate()
    told = [int(line) for line in rest.split("\n")[:-1]] or [3]
    with Store(path) as store:
        found = store.load("s")
        assert found is not None
        assert found.state["n"] == found.positions[0].next  # both or neither
        assert told[-1] <= found.state["n"] <= told[-1] + 1  # what it said was saved was


def test_what_is_no_store_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    assert "is not a store, or is damaged" in reason(text)
    foreign = tmp_path / "foreign.db"
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE t (a)")
    database.commit()
    database.close()
    assert "not a muonstream store" in reason(foreign)
    assert "cannot be opened" in reason(tmp_path / "missing" / "store.db")
    newer = tmp_path / "newer.db"
    Store(newer).close()
    database = sqlite3.connect(newer)
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()
    assert "version 99" in reason(newer)


def test_damage_inside_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(path) as store:
        store.save(saved(n=4000))
    database = sqlite3.connect(path)
    database.execute("UPDATE run SET state = substr(state, 1, length(state) - 5)")
    database.commit()
    database.close()
    with Store(path) as store, pytest.raises(StoreError, match="run 'r': found a damaged state"):
        store.load("kafka://h:1/t")
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000)
    assert "is not a store, or is damaged" in reason(path)


def test_a_full_disk_is_named_and_what_was_stored_before_stays(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.save(saved(n=3))
        store._database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(StoreError, match="disk is full"):
            store.save(saved(n=100_000))
        found = store.load("kafka://h:1/t")
        assert found is not None
        assert found.state["n"] == 3


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE position SET next = next + 1 WHERE part = 1",
        "UPDATE position SET window = 'text'",
        "UPDATE position SET epoch = x'00ff'",
        "UPDATE position SET source = source || 'x'",
        "DELETE FROM position WHERE part = 1",
        "UPDATE run SET ended = 1",
        "UPDATE run SET reader = '{}'",
        "UPDATE run SET written = written + 1",
        "UPDATE run SET source = 'other'",
        "UPDATE run SET run = 'other'",
        "UPDATE run SET row_check = row_check + 1",
        "UPDATE run SET state = zeroblob(40)",
        "DELETE FROM run",
    ],
)
def test_every_column_is_under_a_check_sum(tmp_path: Path, damage: str) -> None:
    """Damage is refused in a line: never another position, and never a run that begins again without a word."""
    path = tmp_path / "store"
    positions = {0: Position(7, 0, 3, 1), 1: Position(9)}
    with Store(path) as store:
        store.save(Saved("kafka://a/b", "run 1", False, {"n": 1}, positions, {"keys": [1]}))
        assert store.load("kafka://a/b") is not None
    database = sqlite3.connect(path)
    database.execute(damage)
    database.commit()
    database.close()
    with Store(path) as store, pytest.raises(StoreError) as raised:
        store.load("kafka://a/b")
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
