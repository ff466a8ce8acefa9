"""The image of a container: built from this checkout, then run as deploy/README.md says (`make image`).

python -m tools.image [--tag muonstream:0.1.0] [--no-build] [-- OPTION_OF_DOCKER_BUILD...]

It needs Docker, or an engine with the same command line that DOCKER names. Each check prints a line; the exit code is 1
if one has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import muonstream
from muonstream.errors import TERMINATED
from tools.release import ROOT, ReleaseError, run

DOCKER: Final = os.environ.get("DOCKER", "docker")
BOXED: Final = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
"""The options with which deploy/README.md runs it: nothing but /tmp and the volumes can be written."""
TOKEN: Final = "a-token-of-the-check"
PATIENCE_S: Final = 300.0
"""The first start compiles kernels."""
GRACE_S: Final = 30
WORDS: Final = 20_000
UNWANTED: Final = (".venv", ".git", ".kafka", ".spark", ".hypothesis", ".mypy_cache")


def docker(*arguments: str) -> str:
    """What Docker prints. Raises ReleaseError when it fails."""
    return run(DOCKER, *arguments).strip()


def engine_problem() -> str:
    """One line that says why no container engine answers; "" if one does."""
    if shutil.which(DOCKER) is None:
        return f"found no program {DOCKER}, expected Docker or an engine with the same command line"
    done = subprocess.run(
        [DOCKER, "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no engine answers"])[-1]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises ReleaseError when it does not come."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise ReleaseError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.5)


class Image:
    """An image, and the containers that its checks start."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.name = f"muonstream-check-{uuid.uuid4().hex[:8]}"
        self.volumes = [
            *("--volume", f"{self.name}-cache:/var/cache/muonstream"),
            *("--volume", f"{self.name}-state:/var/lib/muonstream"),
        ]

    def once(self, *command: str, entry: str = "") -> str:
        """What a command in a container prints; entry: a program instead of muonstream."""
        program = ("--entrypoint", entry) if entry else ()
        return docker("run", "--rm", *BOXED, *self.volumes, *program, self.tag, *command)

    def start(self, *command: str, options: Sequence[str] = ()) -> str:
        """The name of a container that goes on in the background, with a page; options: further ones of docker run."""
        name = f"{self.name}-{uuid.uuid4().hex[:4]}"
        environment = ("--env", "MUONSTREAM_HOST=0.0.0.0", "--env", f"MUONSTREAM_TOKEN={TOKEN}")
        quick = ("--health-interval", "2s", "--health-start-period", "5s")
        docker(
            "run", "--detach", "--name", name, *BOXED, *self.volumes, *environment, *quick, *options, self.tag, *command
        )
        return name

    def inspect(self, container: str) -> dict[str, Any]:
        """What Docker knows of a container's state."""
        return dict(json.loads(docker("inspect", "--format", "{{json .State}}", container)))

    def health(self, container: str) -> tuple[str, str]:
        """Healthy or not, and what the last check printed. Raises ReleaseError for a container that has ended."""
        state = self.inspect(container)
        if not state["Running"]:
            raise ReleaseError(f"{container} has ended with {state['ExitCode']}: {docker('logs', container)[-500:]}")
        log = state["Health"]["Log"]
        return str(state["Health"]["Status"]), str(log[-1]["Output"]).strip() if log else ""

    def stop(self, container: str) -> int:
        """Send SIGTERM, and give the exit code; after the time of grace Docker kills, which gives 137."""
        docker("stop", "--time", str(GRACE_S), container)
        return int(self.inspect(container)["ExitCode"])

    def clean(self) -> None:
        """Remove containers and volumes, as far as they can be."""
        for kind, options in (("ps", ("--all",)), ("volume", ())):
            listing = [
                DOCKER,
                kind,
                *(("ls",) if kind == "volume" else ()),
                *options,
                "--quiet",
                "--filter",
                f"name={self.name}",
            ]
            found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
            remove = ("volume", "rm", "--force") if kind == "volume" else ("rm", "--force")
            if found:
                subprocess.run([DOCKER, *remove, *found], capture_output=True, check=False)


def expect(found: object, expected: object, what: str) -> None:
    """Raise ReleaseError where they differ."""
    if found != expected:
        raise ReleaseError(f"{what}: found {found!r}, expected {expected!r}")


def user(image: Image) -> str:
    """It runs as a user that has a name and no rights."""
    found = image.once("-c", "id -u; id -un; grep CapEff /proc/self/status", entry="sh").split()
    expect(found[:2], ["1000", "muonstream"], "user")
    expect(int(found[-1], 16), 0, "capabilities")
    return "1000 muonstream, no capability"


def content(image: Image) -> str:
    """It has nothing of the checkout but the package."""
    names = " -o ".join(f"-name {name}" for name in UNWANTED)
    expect(image.once("-c", f"find / -xdev \\( {names} \\) 2>/dev/null || true", entry="sh"), "", "left over")
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image.tag))
    return f"{size / 1e6:.0f} MB"


def closed(image: Image) -> str:
    """Nothing can be written but /tmp and the volumes."""
    places = "/ /usr /opt/muonstream /etc /tmp /var/lib/muonstream /var/cache/muonstream"
    command = f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done; true"
    found = image.once("-c", command, entry="sh").split()
    expect(found, ["/tmp", "/var/lib/muonstream", "/var/cache/muonstream"], "can be written")
    return ", ".join(found)


def counts(image: Image) -> str:
    """It counts words."""
    image.once("simulate", "sim.dat", "--words", str(WORDS))
    account = json.loads(image.once("process", "sim.dat", "--summary", "-"))["account"]
    expect((account["words"], account["balanced"]), (WORDS, True), "account")
    return f"{WORDS:,} words"


def ends(image: Image) -> str:
    """A run becomes healthy; SIGTERM ends it with its summary and exit code 0, as the first process that it is."""
    container = image.start("run", "sim:", "--summary", "live.json")
    until(lambda: image.health(container) == ("healthy", "running"), f"{container} to be healthy")
    began = time.monotonic()
    expect(image.stop(container), 0, "exit code after SIGTERM")
    seconds = time.monotonic() - began
    account = json.loads(image.once("live.json", entry="cat"))["account"]
    expect(account["balanced"], True, "account balances")
    return f"healthy, then ended with 0 after {seconds:.1f} s and {account['words']:,} words"


def ends_early(image: Image) -> str:
    """While kernels are compiled, SIGTERM ends it as well, with nothing to write."""
    container = image.start("run", "sim:", options=("--env", "NUMBA_CACHE_DIR=/tmp"))
    until(lambda: bool(image.health(container)[1]), f"{container} to be asked how it is")
    began = time.monotonic()
    expect(image.stop(container) in (0, TERMINATED), True, "exit code 0 or 143 after an early SIGTERM")
    return f"ended after {time.monotonic() - began:.1f} s"


def ends_at_once(image: Image) -> str:
    """With an init program, which --init and `init: true` start, SIGTERM ends even a container that has just begun."""
    container = image.start("run", "sim:", options=("--init",))
    began = time.monotonic()
    expect(image.stop(container), TERMINATED, "exit code after SIGTERM")
    return f"{TERMINATED} after {time.monotonic() - began:.1f} s"


def unhealthy(image: Image) -> str:
    """A run without data is reported as unhealthy, with the reason."""
    image.once("simulate", "old.dat", "--words", str(WORDS))
    container = image.start("run", "old.dat", "--idle-seconds", "1000", "--stale-after", "1")
    until(lambda: image.health(container)[0] == "unhealthy", f"{container} to be unhealthy")
    said = image.health(container)[1]
    if "no data have come for" not in said:
        raise ReleaseError(f"reason: found {said!r}, expected that no data have come")
    image.stop(container)
    return said


CHECKS: Final = (user, content, closed, counts, ends, ends_early, ends_at_once, unhealthy)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the image and check it. Gives the exit code: 1, after a line that says what failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tag", default=f"muonstream:{muonstream.__version__}")
    parser.add_argument("--no-build", action="store_true", help="check the image that is there")
    parser.add_argument("options", nargs="*", help="further options of docker build, after --")
    asked = parser.parse_args(arguments)
    if problem := engine_problem():
        print(f"tools.image: {problem}", file=sys.stderr)
        return 1
    failed = 0
    image = Image(asked.tag)
    try:
        if not asked.no_build:
            docker("build", "--file", str(ROOT / "deploy/Dockerfile"), "--tag", asked.tag, *asked.options, str(ROOT))
        for check in CHECKS:
            try:
                print(f"{check.__name__:12} {check(image)}", flush=True)
            except ReleaseError as error:
                failed += 1
                print(f"{check.__name__:12} FAILED: {error}", flush=True)
    except ReleaseError as error:
        print(f"tools.image: {error}", file=sys.stderr)
        return 1
    finally:
        image.clean()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
