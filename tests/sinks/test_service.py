from __future__ import annotations

import socket
from pathlib import Path

import pytest

from muonstream.sinks.service import VARIABLE, ServiceManager


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_once_that_all_is_ready_and_then_that_it_goes_on(
    tmp_path: Path, abstract: bool
) -> None:
    name = f"@{tmp_path.name}-muonstream" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if abstract else name)
        service = ServiceManager({VARIABLE: name})
        service.alive("100 words")
        service.alive("200 words")
        service.stopping()
        heard = [listening.recv(1000).decode() for _ in range(3)]
    assert heard == ["READY=1\nWATCHDOG=1\nSTATUS=100 words", "WATCHDOG=1\nSTATUS=200 words", "STOPPING=1"]


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}, {VARIABLE: "/nowhere/at/all"}])
def test_without_a_service_manager_nothing_happens(environment: dict[str, str]) -> None:
    ServiceManager(environment).alive("well")
