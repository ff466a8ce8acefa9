"""The package for executors: a zip that unpacks itself when imported, so that compiled kernels can be cached.

From a zip in a folder of each application's own, kernels would be compiled again by each executor.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import muonstream

NAME: Final = "muonstream"


def shipped(home: Path) -> Iterator[tuple[str, Path]]:
    """The files of a package's folder that executors need, by their names in it; the page stays with the driver."""
    for file in sorted(home.rglob("*")):
        inside = file.relative_to(home)
        if file.is_file() and "__pycache__" not in inside.parts and inside.parts[0] != "dashboard":
            yield inside.as_posix(), file


def digest_of(home: Path) -> str:
    """A name that identifies the content of a package's folder."""
    found = hashlib.sha256()
    for name, file in shipped(home):
        found.update(b"%s %d\n" % (name.encode(), file.stat().st_size))
        found.update(file.read_bytes())
    return found.hexdigest()


def place(archive: Path, home: Path, digest: str) -> str:
    """Where an executor imports the package from: the driver's own folder where that is here and the same; else a
    folder in the user's cache, where the zip is unpacked once; the zip itself where nothing can be written.
    """
    try:
        if digest_of(home) == digest:
            return str(home)
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAME / digest[:16]
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(temporary)
                try:
                    (Path(temporary) / NAME).rename(folder)
                except OSError:  # another process has created it meanwhile
                    if not folder.is_dir():
                        raise
        return str(folder)
    except (OSError, RuntimeError):
        return str(archive / NAME)


def package_zip(folder: Path) -> Path:
    """The package as a zip in a folder, which executors on other machines import; without numba's cache."""
    path = folder / f"{NAME}-{muonstream.__version__}.zip"
    home = Path(muonstream.__file__).parent
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in shipped(home):
            if name == "__init__.py":
                archive.writestr(f"{NAME}/{name}", _init(home))
            else:
                archive.write(file, f"{NAME}/{name}")
    return path


def _init(home: Path) -> str:
    """The text of the zip's own __init__.py: its package is where `place` says."""
    parts = ["from __future__ import annotations"]
    parts += ["import hashlib, os, tempfile, zipfile", "from pathlib import Path"]
    parts += [f"NAME = {NAME!r}", f"__version__ = {muonstream.__version__!r}"]
    parts += [inspect.getsource(function) for function in (shipped, digest_of, place)]
    parts += [f"__path__ = [place(Path(__file__).parents[1], Path({str(home)!r}), {digest_of(home)!r})]"]
    return "\n".join(parts) + "\n"
