from __future__ import annotations

import os
import subprocess
import sys

from tools.processes import children, descendants, gone, kill, running

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
"""


def test_processes_below_another_are_found_and_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert [pid for pid, _ in children(parent.pid)] == [child]
        assert "input()" in children(parent.pid)[0][1]
        assert descendants(parent.pid) == [child]
        assert {parent.pid, child} <= set(descendants(os.getpid()))
        assert running([parent.pid, child]) == [parent.pid, child]
        assert not gone([parent.pid], 0)
        kill([child, parent.pid])
        assert gone([child, parent.pid], 30)
        kill([child])
