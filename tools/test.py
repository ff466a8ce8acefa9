"""Run every check and test that this machine can run, and name what it lacks and how to get it.

python -m tools.test              lint, format, spelling, then all tests, some files at a time, and beside them types
                                  and the site of documents; kernels are compiled first, and the end says which tests
                                  were slow
python -m tools.test --quick      lint, format, spelling, types only
python -m tools.test --coverage   all of it, with the tests' coverage: their Python code takes half as long again. Small
                                  tests of kernels are run once more as Python, which the tracer sees, and added
python -m tools.test -k words     more arguments go to pytest
python -m tools.test -m long      the tests that are left out otherwise, since a shorter one shows the same in part

With CI=true, what is missing is installed if this can be done (Debian or Ubuntu, as root), and is an error if not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Thread
from typing import Final

from tools.interpreted import TESTS as KERNEL_TESTS
from tools.machine import (
    APACHE_HINT,
    CADDY_HINT,
    CHROMIUM_HINT,
    HEADLESS,
    JAVA_HINT,
    JAVA_OLDEST,
    MAVEN_HINT,
    NGINX_HINT,
    NODE_HINT,
    PROMETHEUS,
    PROMTOOL_HINT,
    find_apache,
    find_caddy,
    find_chromium,
    find_java,
    find_maven,
    find_nginx,
    find_node,
    find_promtool,
    in_ci,
)
from tools.promtool import fetch as fetch_promtool

ROOT: Final = Path(__file__).resolve().parents[1]

MOST_AT_ONCE: Final = 4
"""Each may have a broker, a Spark and a browser of its own."""

CHECKS: Final[tuple[tuple[str, ...], ...]] = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("codespell_lib",),
)
TYPES: Final = ("mypy",)
SITE: Final = ("mkdocs", "build", "--strict")
"""A link or an anchor that leads nowhere is an error. Not with --quiet, which hides warnings from --strict as well."""


FEWEST_COVERED: Final = 90
"""Per cent of lines and branches that tests must reach, those of kernels included."""
INTERPRETED: Final[tuple[str, ...]] = (
    *("pytest", "-p", "tools.interpreted", "--cov", "--cov-append", f"--cov-fail-under={FEWEST_COVERED}"),
    *KERNEL_TESTS,
)


def say(text: str) -> None:
    """Print a line of ours, at once, so that it stands before what the next command prints."""
    print(text, flush=True)


def run(command: Sequence[str]) -> bool:
    """Run a module of this Python in the project's folder; whether it went well."""
    say(f"$ {' '.join(command)}")
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment(), check=False).returncode == 0


def environment() -> dict[str, str]:
    """The environment of what is run here."""
    return {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement of another program


class Beside(Thread):
    """Modules of this Python, run one after another beside something else, which has precedence.

    Tests often wait, for brokers or browsers; checks that only compute fill these gaps. What they print is kept.
    """

    def __init__(self, commands: Iterable[Sequence[str]]) -> None:
        super().__init__(daemon=True)
        self._commands = list(commands)
        self._done: list[tuple[Sequence[str], subprocess.CompletedProcess[str]]] = []
        self.start()

    def run(self) -> None:
        """Run them all, also after one that failed."""
        lower = ["nice", "-n", "10"] if shutil.which("nice") else []
        for command in self._commands:
            asked = [*lower, sys.executable, "-m", *command]
            done = subprocess.run(
                asked,
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            self._done.append((command, done))

    def failed(self) -> list[str]:
        """Wait for the end, print what those said that failed, and name them."""
        self.join()
        for command, done in self._done:
            say(f"$ {' '.join(command)} (beside the tests): {done.stdout if done.returncode else 'passed'}")
        return [" ".join(command) for command, done in self._done if done.returncode]


def install(package: str) -> None:
    """Install a package with apt-get, where there is one and we may."""
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    silent = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
        # Another apt-get at work is waited for.
        command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
        say(f"$ {' '.join(command)}")
        done = subprocess.run(command, env=silent, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            return


def look_around() -> list[str]:
    """Say what this machine has; name what is missing and required."""
    needs = (
        ("Chromium", HEADLESS, find_chromium, f"the browser tests are skipped. To get it: {CHROMIUM_HINT}"),
        (
            "Java",
            "openjdk-17-jre-headless",
            find_java,
            f"{JAVA_OLDEST} or newer runs Kafka and Spark. To get it: {JAVA_HINT}",
        ),
        ("Maven", "maven", find_maven, f"the tests with Kafka and Spark are skipped. To get it: {MAVEN_HINT}"),
        ("Node.js", "npm", find_node, f"the test with JSROOT is skipped. To get it: {NODE_HINT}"),
        ("promtool", PROMETHEUS, find_promtool, f"Prometheus' rules are not checked. To get it: {PROMTOOL_HINT}"),
        ("nginx", "nginx-light", find_nginx, f"tests of the page behind it are skipped. To get it: {NGINX_HINT}"),
        ("Caddy", "caddy", find_caddy, f"tests of the page behind it are skipped. To get it: {CADDY_HINT}"),
        # without the package apache2 nothing is started at once
        ("Apache", "apache2-bin", find_apache, f"tests of the page behind it are skipped. To get it: {APACHE_HINT}"),
    )
    say(f"Python     {sys.version.split()[0]} ({sys.executable})")
    missing = []
    for name, package, find, note in needs:
        # a Chromium with windows would do, with more processor time
        if in_ci() and (find() is None or (package == HEADLESS and shutil.which(HEADLESS) is None)):
            if package == PROMETHEUS:
                fetch_promtool()
            else:
                install(package)
            if package == HEADLESS and find() is None:  # where the shell has no package of its own
                install("chromium")
        found = find()
        say(f"{name:<10} {found or f'not found; {note}'}")
        if found is None and in_ci():
            missing.append(name)
    return missing


def fetch() -> list[str]:
    """Fetch what brokers and Spark need, before several tests want it at once; what is not available is named."""
    wanted = (("Kafka", "tools.kafka_broker", "--fetch"), ("Spark's connector", "tools.spark_jars"))
    able = find_java() is not None and find_maven() is not None
    return [name for name, *command in wanted if able and not run(command) and in_ci()]


def at_once(arguments: Sequence[str]) -> list[str]:
    """Options for running as many files of tests at a time as there are processors, unless the caller says."""
    if any(argument.startswith(("-n", "--pdb", "--dist")) for argument in arguments):
        return []
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # xdist would put files with few tests last, and among them are the slowest: tools.slowest has an order of its own.
    return ["-n", str(min(processors, MOST_AT_ONCE)), "--dist", "loadfile", "--no-loadscope-reorder"]


def start_compiling() -> subprocess.Popen[bytes]:
    """Have the kernels compiled while lint is checked: each worker would compile all of them again."""
    say("$ tools.warm (meanwhile)")
    return subprocess.Popen([sys.executable, "-m", "tools.warm"], cwd=ROOT)


def main(arguments: Sequence[str]) -> int:
    """Run it all; 0 if all went well. Later steps run even when earlier ones failed."""
    quick = "--quick" in arguments
    coverage = ["--cov", "--cov-report="] if "--coverage" in arguments else []
    arguments = [argument for argument in arguments if argument != "--coverage"]
    failed = [] if quick else [f"missing: {name}" for name in look_around()]
    # Some tests alone compile what they need.
    compiling = None if arguments else start_compiling()
    failed += [] if quick else [f"missing: {name}" for name in fetch()]
    failed += [" ".join(check) for check in (*CHECKS, *((TYPES,) if quick else ())) if not run(check)]
    if compiling is not None and compiling.wait() != 0:
        failed.append("tools.warm")
    if not any(argument.startswith("-m") for argument in arguments):
        arguments = [*arguments, "-m", "not long"]
    if not quick:
        beside = Beside((TYPES, SITE))
        failed += (
            [] if run(["pytest", "-p", "tools.slowest", *coverage, *at_once(arguments), *arguments]) else ["pytest"]
        )
        failed += beside.failed()
    if coverage and not quick and not run(INTERPRETED):
        failed.append("coverage")
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
