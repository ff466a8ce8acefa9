"""What this machine has that some tests need: a browser, Java, Maven, Node.js, promtool, proxies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

CHROMIUM_VARIABLE: Final = "MUONSTREAM_CHROMIUM"
HEADLESS: Final = "chromium-headless-shell"
"""Debian's Chromium without windows, which draws a page with two thirds to three quarters of the processor time."""
CHROMIUM_NAMES: Final = (HEADLESS, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_HINT: Final = f"apt-get install {HEADLESS}, or set {CHROMIUM_VARIABLE} to a Chromium or Chrome executable"

JAVA_OLDEST: Final = 17
JAVA_HINT: Final = "apt-get install openjdk-17-jre-headless"
MAVEN_HINT: Final = "apt-get install maven"
NODE_HINT: Final = "apt-get install nodejs npm"
NGINX_HINT: Final = "apt-get install nginx"
APACHE_HINT: Final = "apt-get install apache2"
CADDY_HINT: Final = "apt-get install caddy"
SERVER_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")
"""Where servers are, which is not on everybody's PATH."""


PROMETHEUS: Final = "prometheus"
PROMTOOL_HINT: Final = "apt-get install prometheus, or python -m tools.promtool"
PROMTOOL: Final = Path(__file__).resolve().parents[1] / ".promtool" / "promtool"


def in_ci() -> bool:
    """Whether what is missing is to be an error: the environment says CI=true (or 1)."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def find_chromium() -> Path | None:
    """The Chromium or Chrome to test with, or None; what the environment names goes first."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    for name in (named,) if named else CHROMIUM_NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    return None


def java_version(banner: str) -> int | None:
    """The feature version in what `java -version` prints (8 for "1.8.0_392"), or None where there is none."""
    match = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(match.group(1)) if match else None


def find_java() -> Path | None:
    """The Java to run Kafka and Spark with, if there is one that is new enough: JAVA_HOME's, else the PATH's."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if found is None:
        return None
    # A java without its runtime (macOS has such a stub) exits with an error and prints no version.
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = java_version(answer.stderr)
    return Path(found) if version is not None and version >= JAVA_OLDEST else None


def find_maven() -> Path | None:
    """The Maven to fetch Kafka with, if there is one."""
    found = shutil.which("mvn")
    return Path(found) if found else None


def find_node() -> Path | None:
    """The Node.js to draw ROOT's objects with, if there is one."""
    found = shutil.which("node")
    return Path(found) if found else None


def find_promtool() -> Path | None:
    """Prometheus' promtool to check rules with, if there is one: the PATH's, else what tools.promtool has fetched."""
    found = shutil.which("promtool") or shutil.which(PROMTOOL)
    return Path(found) if found else None


def find_server(name: str) -> Path | None:
    """The program of a server, if there is one on the PATH or where Debian has it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SERVER_FOLDERS]))
    return Path(found) if found else None


def find_nginx() -> Path | None:
    """The nginx to put before the page, if there is one."""
    return find_server("nginx")


def find_apache() -> Path | None:
    """The Apache to put before the page, if there is one, with its modules where Debian has them."""
    return find_server("apache2")


def find_caddy() -> Path | None:
    """The Caddy to put before the page, if there is one."""
    return find_server("caddy")
