"""Which names of sources stand for files, and which for something else."""

from __future__ import annotations

from typing import Final

SIMULATION: Final = "sim:"
RING: Final = "shm:"
SOCKET: Final = "tcp://"
TOPIC: Final = "kafka://"

LIVE_ONLY: Final = {TOPIC: "a topic", SIMULATION: "a simulation", RING: "a ring of words", SOCKET: "a socket"}
"""Sources that only `run` and `replay` read, and what they are called."""


def is_local(name: str) -> bool:
    """Whether a source's name is a path: not standard input, a URL, a topic, a simulation or a ring."""
    return name != "-" and "://" not in name and not name.startswith((SIMULATION, RING))


def is_sent(name: str) -> bool:
    """Whether a source's words are sent by another program to this one: a ring or a socket."""
    return name.startswith((RING, SOCKET))
