"""The command line: options, help, errors in one line."""

import os
import signal
import sys
from contextlib import suppress

from muonstream.errors import TERMINATED


def end_by_sigterm() -> None:
    """Have SIGTERM end this process, with the exit code that it otherwise has.

    The kernel keeps from the first process of a container all signals that it does not handle, so that the container's
    engine would kill it after its time of grace. Commands that do more at the end handle the signal later.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))


if os.getpid() == 1:
    # here, since importing the rest takes a second on a busy machine
    with suppress(ValueError):  # not the main thread
        end_by_sigterm()


def main() -> None:
    """Run the command line with the arguments of this process, for scripts that start it from Python."""
    from muonstream.cli.app import main as command_line

    command_line()
