"""`muonstream inspect`: what is in a file."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from muonstream.analysis.monitor import Snapshot
from muonstream.commands import common
from muonstream.engines.local import run_blocks
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.block import Block
from muonstream.sources.files import read_blocks
from muonstream.words import ORBIT_SECONDS, Head, decode

HOTTEST = 8


class _Boards:
    """Hit words and orbit range by board, gathered as blocks go by."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[int, int, int]] = {}

    def see(self, block: Block) -> Block:
        fields = decode(block.words[block.words >> np.uint64(61) == Head.HIT])
        for board in np.unique(fields.fpga).tolist():
            orbit = fields.orbit[fields.fpga == board]
            n, low, high = self.found.get(board, (0, 1 << 62, 0))
            self.found[board] = n + len(orbit), min(low, int(orbit.min())), max(high, int(orbit.max()))
        return block


def inspect_file(file: str, *, detector_name: str, format_name: str | None) -> int:
    """Print what is in a file and give the exit code."""
    status = [common.OK]
    with common.clear_errors(status):
        detector = common.load_detector(detector_name)
        boards = _Boards()
        with Pipeline(detector, run=file, source=file) as pipeline:
            blocks = (boards.see(block) for block in read_blocks(file, common.format_of(format_name)))
            snapshot = run_blocks(pipeline, blocks)
            common.report(snapshot, common.out)
            _tables(snapshot, pipeline, boards)
    return status[0]


def _tables(snapshot: Snapshot, pipeline: Pipeline, boards: _Boards) -> None:
    heads = Table("HEAD", "kind", "words", title="Words by HEAD", title_justify="left", box=None)
    for head, n in snapshot.catalogue.words_by_head(snapshot.total).items():
        heads.add_row(str(head), Head(head).name.lower(), f"{n:,}")
    common.out.print(heads)
    table = Table("board", "hit words", "first orbit", "last orbit", title="Boards", title_justify="left", box=None)
    for board, (n, low, high) in sorted(boards.found.items()):
        table.add_row(str(board), f"{n:,}", f"{low:,}", f"{high:,}")
    common.out.print(table)
    for before, after in pipeline.monitor.rates.gaps():
        common.out.print(
            f"gap of {(after - before) * ORBIT_SECONDS:,.1f} s between orbits {before:,} and {after:,}", markup=False
        )
    live = snapshot.live_time_s
    if live <= 0:
        return
    cells = [
        (hits / live, chamber.name, cell, chamber.board, chamber.first_channel + cell)
        for index, chamber in enumerate(snapshot.detector.chambers)
        for cell, hits in enumerate(snapshot.catalogue.hits_per_cell(snapshot.total, index).tolist())
    ]
    hot = Table("Hz", "chamber", "cell", "board", "channel", title="Hottest cells", title_justify="left", box=None)
    for rate_hz, name, cell, board, channel in sorted((one for one in cells if one[0]), reverse=True)[:HOTTEST]:
        hot.add_row(f"{rate_hz:,.1f}", name, str(cell), str(board), str(channel))
    common.out.print(hot)
    known = {(chamber.name, cell) for chamber in snapshot.detector.chambers for cell in chamber.dead_cells}
    for dead, remark in ((False, ""), (True, ", as the detector file says")):
        silent = [f"{name} cell {cell}" for hz, name, cell, *_ in cells if hz == 0 and ((name, cell) in known) is dead]
        if silent:
            more = f" and {len(silent) - 12} more" if len(silent) > 12 else ""
            common.out.print(f"without any hit{remark}: {', '.join(silent[:12])}{more}", markup=False)
