"""`muonstream detector`: check detector files."""

from __future__ import annotations

from muonstream.commands import common


def check_detector(file: str) -> None:
    """Check a detector file and print what it holds. Raises DetectorError for a file with an error."""
    detector = common.load_detector(file)
    cells = sum(chamber.cells for chamber in detector.chambers)
    common.out.print(f"{file}: right: {detector.name}", markup=False)
    for chamber in detector.chambers:
        last = chamber.first_channel + chamber.cells - 1
        common.out.print(
            f"  {chamber.name}: board {chamber.board}, channels {chamber.first_channel} to {last}, "
            f"view {chamber.view}, floor at {chamber.z_mm:g} mm, {len(chamber.dead_cells)} known dead cells",
            markup=False,
        )
    common.out.print(
        f"  {cells} cells, {len(detector.scintillators)} scintillator and {len(detector.triggers)} trigger channels"
    )
    if detector.estimated:
        common.out.print(f"  estimated, not measured: {', '.join(detector.estimated)}", markup=False)
