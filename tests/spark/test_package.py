from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import muonstream
from muonstream.spark.package import digest_of, package_zip, place, shipped

HOME = Path(muonstream.__file__).parent


def imported_from(zip_path: Path, cache: Path) -> Path:
    """Where another process that has the zip first on its path imports a module from."""
    program = "import muonstream.words; print(muonstream.__version__, muonstream.words.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(zip_path), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    version, file = done.stdout.split()
    assert version == muonstream.__version__
    return Path(file)


def test_executors_on_the_drivers_machine_use_its_package(tmp_path: Path) -> None:
    assert imported_from(package_zip(tmp_path), tmp_path / "cache") == HOME / "words.py"
    assert not (tmp_path / "cache").exists()


def test_the_package_is_unpacked_once_where_the_driver_has_another_or_none(tmp_path: Path) -> None:
    archive = package_zip(tmp_path)
    digest, cache = digest_of(HOME), tmp_path / "cache"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(HOME, elsewhere, ignore=shutil.ignore_patterns("__pycache__"))
    (elsewhere / "words.py").write_text("changed", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        for home in (elsewhere, tmp_path / "nowhere"):
            folder = Path(place(archive, home, digest))
            assert folder.parent == cache / "muonstream"
            assert [name for name, _ in shipped(folder)] == [name for name, _ in shipped(HOME)]
        kept = (folder / "words.py").stat().st_mtime_ns
        assert place(archive, elsewhere, digest) == str(folder)
        assert (folder / "words.py").stat().st_mtime_ns == kept
        assert list((cache / "muonstream").iterdir()) == [folder]


def test_executors_elsewhere_import_what_was_unpacked(tmp_path: Path) -> None:
    made = package_zip(tmp_path)
    elsewhere = tmp_path / "elsewhere.zip"
    with zipfile.ZipFile(made) as ours, zipfile.ZipFile(elsewhere, "w") as theirs:
        for name in ours.namelist():
            text = ours.read(name)
            theirs.writestr(name, text.replace(str(HOME).encode(), b"/nowhere") if name.count("/") == 1 else text)
    file = imported_from(elsewhere, tmp_path / "cache")
    assert file == tmp_path / "cache" / "muonstream" / digest_of(HOME)[:16] / "words.py"
    assert file.read_bytes() == (HOME / "words.py").read_bytes()


def test_the_zip_itself_serves_where_nothing_can_be_written(tmp_path: Path) -> None:
    archive = package_zip(tmp_path)
    (tmp_path / "file").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
        assert place(archive, tmp_path / "nowhere", digest_of(HOME)) == str(archive / "muonstream")
