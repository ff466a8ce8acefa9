"""Jars fetched by Maven: what a pom.xml names, in a folder, once."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tools.machine import MAVEN_HINT, find_maven

COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class MavenError(Exception):
    """The jars are not available; the message says why."""


def fetched(pom: Path, home: Path, what: str) -> Path:
    """The folder of the jars in `home`, fetched the first time and when pom.xml changes. Raises MavenError."""
    folder = home / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    maven = find_maven()
    if maven is None:
        raise MavenError(f"needs Maven: {MAVEN_HINT}")
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="fetching-") as temporary:
        jars = Path(temporary) / "jars"
        command = [str(maven), "-B", "-q", "-f", str(pom), COPY, f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        for _ in range(2):  # a second time after a network that failed for a moment
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
        else:
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["no reason given"]
            raise MavenError(f"Maven could not fetch {what}: {lines[0]}")
        try:
            jars.rename(folder)
        except OSError:  # another process was quicker
            if not folder.is_dir():
                raise
    return folder
