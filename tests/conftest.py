"""What all tests share: real data where there is some, the browser, hypothesis' settings."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from kafka_fixtures import broker, kafka_available, new_topic, own_broker
from spark_fixtures import spark, spark_available

from tools.machine import CHROMIUM_HINT, find_chromium, in_ci

__all__ = ["broker", "kafka_available", "new_topic", "own_broker", "spark", "spark_available"]  # fixtures

# A deadline would make a slow machine fail, and the first example pays for numba's compilation.
settings.register_profile("muonstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("muonstream"), derandomize=True, print_blob=True)
settings.load_profile("ci" if in_ci() else "muonstream")

# What is run in the background has Ctrl-C ignored, and so have its children: some tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared"


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


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's executable, for tests marked `browser`; without one they are skipped, and fail with CI=true."""
    found = find_chromium()
    if found is not None:
        return found
    reason = f"needs Chromium: {CHROMIUM_HINT}"
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)
