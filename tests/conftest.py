"""What all tests share: real data where there is some, the browser, hypothesis' settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from browser_fixtures import browser, chromium, running_browser
from hypothesis import HealthCheck, settings
from kafka_fixtures import broker, kafka_available, new_topic, own_broker
from spark_fixtures import spark, spark_available

from tools.machine import in_ci

__all__ = [  # fixtures
    "broker",
    "browser",
    "chromium",
    "kafka_available",
    "new_topic",
    "own_broker",
    "running_browser",
    "spark",
    "spark_available",
]

# A deadline would make a slow machine fail, and the first example pays for numba's compilation.
settings.register_profile("muonstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("muonstream"), derandomize=True, print_blob=True)
settings.load_profile("ci" if in_ci() else "muonstream")

# What is run in the background has Ctrl-C ignored, and so have its children: some tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests end before Java's second compiler is done, which otherwise takes a good part of what Spark costs them.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

SHARED = Path(__file__).parents[2] / "shared"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes after their argument: gzip writes the time into its output, and workers must agree on the names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real detector data, which is not part of the project; without it the test is skipped."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the real detector data, which is not part of the project")
    return folder


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder of the reference's answers to that data; without it the test is skipped."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip("needs the reference answers to the real data, which are not part of the project")
    return folder
