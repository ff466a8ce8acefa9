"""The master of a Spark cluster: whether an address is one, and whether it answers."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import struct
from threading import Event
from typing import Final

from muonstream.spark.session import SECRET_VARIABLE, SparkError

LOGGER: Final = logging.getLogger(__name__)
STANDALONE_PORT: Final = 7077
CONNECT_TIMEOUT_S: Final = 5.0
SECRET_TIMEOUT_S: Final = 2.0
ASK_EVERY_S: Final = 2.0
"""How often a master that does not answer is asked again."""


def check_master(master: str) -> None:
    """Raise SparkError unless it is a Spark master."""
    local = r"local(\[(\*|[1-9]\d*)(,\s*\d+)?\])?|local-cluster\[\d+,\s*\d+,\s*\d+\]"
    if not re.fullmatch(local + r"|spark://[^\s/]+(:\d+)?(,[^\s/]+:\d+)*|k8s://\S+|yarn", master):
        raise SparkError(
            f"--master: found {master!r}, expected local[N], local[*], spark://HOST:PORT, yarn, k8s://HOST:PORT"
        )


def _wants_secret(connection: socket.socket) -> bool:
    """Whether a master refuses a request of somebody who does not authenticate; one that takes it ignores it."""
    connection.settimeout(SECRET_TIMEOUT_S)
    with contextlib.suppress(OSError):
        # Spark's own protocol: length, type (3 is a request), number, length of the body, body
        connection.sendall(struct.pack(">QBQI", 22, 3, 0, 1) + b"?")
        return b"SaslMessage" in connection.recv(1 << 12)
    return False


def check_reached(master: str, secret: str = "") -> None:
    """Raise SparkError when no address of a standalone master answers; Spark itself takes a minute to report it.

    So it does when the master wants a secret and there is none.
    """
    if problem := _unreached(master, secret):
        raise SparkError(problem)


def wait_reached(master: str, secret: str, stop: Event) -> bool:
    """Wait until a standalone master answers; False when `stop` was set first. Raises SparkError for a missing secret.

    Logs one line if there is something to wait for.
    """
    logged = False
    while problem := _unreached(master, secret):
        if not logged:
            LOGGER.info("%s Waiting for it", problem)
            logged = True
        if stop.wait(ASK_EVERY_S):
            return False
    return True


def _unreached(master: str, secret: str) -> str:
    """Why no address of a standalone master answers, "" if one does. Raises SparkError when a secret is missing."""
    if not master.startswith("spark://"):
        return ""
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.partition(":")
        try:
            with socket.create_connection((host, int(port or STANDALONE_PORT)), CONNECT_TIMEOUT_S) as connection:
                if secret or not _wants_secret(connection):
                    return ""
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
        else:
            raise SparkError(f"--master: {address} wants a secret: put it into the variable {SECRET_VARIABLE}")
    return f"--master: {master} cannot be reached ({'; '.join(reasons)}); is it started?"
