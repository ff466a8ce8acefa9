"""What a run starts with: the alarms that were known at the end of the run before it in the archive."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from muonstream.archive import container
from muonstream.archive.archive import Archive, state_of
from muonstream.archive.container import ArchiveError
from muonstream.archive.contents import snapshot_of
from muonstream.detector.model import Detector
from muonstream.verdicts.memory import Remembered, remembered_of

LOGGER: Final = logging.getLogger(__name__)


def remembered(folder: Path | None, detector: Detector) -> tuple[Remembered, ...]:
    """The known alarms of the newest run of the archive that was judged, of the same detector, and is not running.

    Nothing without an archive, or while it is empty. A run that cannot be read is reported, and the one before taken.
    Raises ArchiveError for an archive that is not a folder.
    """
    if folder is None or not folder.exists():
        return ()
    archive = Archive(folder)
    for row in reversed(archive.rows()):
        if row.problem or row.detector != detector.name or row.headline == "not judged" or state_of(row) == "running":
            continue
        path = archive.path(row)
        try:
            verdicts = snapshot_of(path).verdicts
            before = container.read_header(path)[0]["provenance"].get("remembered", [])
            if verdicts is not None:
                return remembered_of(verdicts, [Remembered.of_plain(one) for one in before], row.name)
        except ArchiveError as error:
            LOGGER.warning("%s; known alarms are taken from an earlier run", error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            LOGGER.warning("%s: found no known alarms in it that can be read: %s", path, error)
    return ()
