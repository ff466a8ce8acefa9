"""Arguments of programs: files, detectors and formats, as paths, texts or objects."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Final

from muonstream.detector.model import Detector
from muonstream.errors import shown, without_secrets
from muonstream.formats.block import SourceError
from muonstream.formats.recognise import Format

FileNames = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
LOGGER: Final = logging.getLogger("muonstream")


def names_of(files: FileNames) -> list[str]:
    """The names of files, of which there is at least one. Raises SourceError."""
    names = [files] if isinstance(files, str | os.PathLike) else files
    made = [os.fspath(name) for name in names]
    if not made:
        raise SourceError("files: found none, expected at least one")
    return made


def detector_of(detector: Detector | str | os.PathLike[str] | None) -> Detector:
    """A detector, from its file where it is named; None is the default. Raises DetectorError."""
    if isinstance(detector, Detector):
        return detector
    return Detector.default() if detector is None else Detector.load(os.fspath(detector))


def format_named(name: str | None) -> str | None:
    """The name of a format that is known. Raises SourceError for any other."""
    if name is not None and name not in list(Format):
        raise SourceError(f"format: found {shown(name)}, expected {', '.join(Format)}")
    return name


def notice(line: str) -> None:
    """Log how files are combined into runs."""
    LOGGER.warning("%s", without_secrets(line))
