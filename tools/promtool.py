"""Fetch Prometheus' promtool from Debian's package, without installing Prometheus, whose service would be started.

python -m tools.promtool
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.machine import PROMETHEUS, PROMTOOL, find_promtool


def fetch() -> bool:
    """Put promtool into the project's folder .promtool; whether it is there now."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        download = ["apt-get", "-qq", "download", PROMETHEUS]
        if subprocess.run(download, cwd=folder, check=False).returncode != 0:
            # its lists may be missing, as on a new machine
            subprocess.run(["apt-get", "-qq", "update"], check=False)
            if subprocess.run(download, cwd=folder, check=False).returncode != 0:
                return False
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package.name, "unpacked"], cwd=folder, check=False)
        made = Path(folder) / "unpacked" / "usr" / "bin" / "promtool"
        if made.is_file():
            PROMTOOL.parent.mkdir(exist_ok=True)
            shutil.copy(made, PROMTOOL)
    return find_promtool() is not None


if __name__ == "__main__":
    done = find_promtool() is not None or fetch()
    print(find_promtool() or "promtool cannot be fetched: apt-get has no package prometheus")
    sys.exit(0 if done else 1)
