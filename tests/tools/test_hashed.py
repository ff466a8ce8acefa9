from __future__ import annotations

import tomllib

from tools.hashed import EXTRAS as HASHED
from tools.hashed import Hashes, add, lines
from tools.release import ROOT

OURS = {"test", "docs", "dev", "fuzz"}
"""Extras for those who work on muonstream itself."""


def test_the_lock_has_all_extras_but_spark() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(HASHED) == set(project["optional-dependencies"]) - OURS - {"spark"}


def test_the_lock_has_each_file_of_a_package_once() -> None:
    found: Hashes = {}
    for number in ("1", "2", "2"):
        info = {"archive_info": {"hashes": {"sha256": number}}}
        own = {"metadata": {"name": "muonstream", "version": "1"}, "download_info": {"dir_info": {}}}
        one = {"metadata": {"name": "Some_Thing", "version": "1.0"}, "download_info": info}
        add(found, {"install": [own, one]})
    text = lines(found, ["3.11"])
    assert text.endswith("some-thing==1.0 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n")


def test_the_lock_has_the_pinned_versions() -> None:
    pinned = (ROOT / "constraints.txt").read_text("utf-8").lower().replace("_", "-").splitlines()
    lock = (ROOT / "deploy" / "requirements.txt").read_text("utf-8")
    found = [line.split()[0] for line in lock.splitlines() if "==" in line]
    assert len(found) > 30
    assert set(found) <= set(pinned)
