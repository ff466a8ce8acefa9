"""A plugin of pytest for `python -m tools.test`: slow files run first, and the end says where the time went.

Workers take one file after another. If a slow one came last, the other workers would wait for it. Files that share
something which takes long to start are taken by the same worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

import pytest

FIRST: Final = (
    "spark/test_engine.py",
    "tools/test_course_baseline.py",
    "commands/test_replay.py",
    "engines/test_restarts.py",
    "tools/test_course.py",
    "browser/test_muons_page.py",
    "browser/test_page.py",
    "cli/test_cli.py",
    "browser/test_page_shape.py",
    "spark/test_spark_faults.py",
    "spark/test_spark_cluster.py",
    "kafka/test_kafka_source.py",
    "browser/test_kafka_dashboard.py",
    "browser/test_page_live.py",
    "project/test_deploy.py",
    "tools/test_sensitivity.py",
    "verdicts/test_judge.py",
    "sources/test_follow_as_process.py",
    "dashboard/test_dashboard.py",
    "tools/test_kafka_broker.py",
    "formats/test_text.py",
    "commands/test_archived_page.py",
    "sinks/test_notify.py",
    "kafka/test_kafka_sinks.py",
)
"""Files to start first, by the table at the end of a whole run on two cores."""
TOGETHER: Final = ("spark/test_engine.py", "tools/test_course_baseline.py")
"""Files that use the one session of Spark: with two workers it would start twice."""
TESTS_SHOWN: Final = 25


def place(file: str) -> int:
    """Where in the order of files this one (a path) comes; those not in FIRST come together after the others."""
    name = "/".join(PurePath(file).parts[-2:])
    return FIRST.index(name) if name in FIRST else len(FIRST)


def unit(file: str) -> str:
    """What one worker takes as a whole: this file (a path), or all that go together with it."""
    return TOGETHER[0] if "/".join(PurePath(file).parts[-2:]) in TOGETHER else file


def lines(seconds: Mapping[str, float]) -> Iterator[str]:
    """The slowest tests, then all files, each with its time in s; seconds: by pytest's name of the test."""
    files: dict[str, float] = {}
    for test, taken in seconds.items():
        file = test.partition("::")[0]
        files[file] = files.get(file, 0.0) + taken
    for name, taken in longest(seconds)[:TESTS_SHOWN]:
        yield f"{taken:8.1f}  {name}"
    yield f"{sum(files.values()):8.1f}  all files, of which:"
    for name, taken in longest(files):
        yield f"{taken:8.1f}  {name}"


def longest(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Names with their times, the longest first."""
    return sorted(seconds.items(), key=lambda item: -item[1])


class Times:
    """Adds up what workers report: set-up, test and tear-down, in s."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("where the time went, in seconds: slowest tests, then files")
        terminalreporter.write_line("A fixture that several tests share counts for the first of them.")
        for line in lines(self.seconds):
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that reports adds up; workers of xdist do not."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Times())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have units instead of files handed out, where files were asked for."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid.partition("::")[0])

    return Units(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first; within a file, and among other files, the order stays."""
    items.sort(key=lambda item: place(item.nodeid.partition("::")[0]))
