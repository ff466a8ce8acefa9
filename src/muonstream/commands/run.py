"""`muonstream run` and `muonstream demo`: watch a source other than a topic live."""

from __future__ import annotations

from collections.abc import Iterator

from muonstream.commands import common
from muonstream.commands.inputs import comes_live, open_source
from muonstream.commands.live import LiveRun, Publish
from muonstream.commands.options import AnalysisOptions, KeepingOptions, RunOptions, SourceOptions, ViewOptions
from muonstream.commands.page import PageOptions
from muonstream.engines.local import run_blocks
from muonstream.formats.block import Block
from muonstream.framing.builder import FrameBuilder
from muonstream.simulation.scenario import SimulationConfig
from muonstream.sources.pace import paced
from muonstream.sources.runs import run_name
from muonstream.sources.simulated import simulated


def run_demo(
    page: PageOptions, *, duration_s: float | None, rate_hz: float, reconstruct: bool, keeping: KeepingOptions
) -> None:
    """A simulated telescope, live. Raises CommandError."""
    options = RunOptions(
        SourceOptions("simulated telescope", run="demo"),
        AnalysisOptions(reconstruct=reconstruct),
        ViewOptions(page, stay=False),
        keeping,
    )
    config = SimulationConfig(rate_hz=rate_hz, duration_s=duration_s, hot_cell=(2, 17), dead_cell=(3, 40))
    with LiveRun(options, "demo") as live:
        _watch(live, paced(simulated(config, live.detector), 1.0, live.stop), "demo")


def run_live(options: RunOptions) -> None:
    """Watch a source other than a topic. Raises CommandError, SourceError or KafkaAccessError."""
    source = options.source
    name = source.run or run_name(source.name)
    with LiveRun(options, name, live=comes_live(source), written=[source.name]) as live:
        _watch(live, open_source(source, live.detector, live.stop), name)


def _watch(live: LiveRun, blocks: Iterator[Block], name: str) -> None:
    options = live.options

    def feed(publish: Publish) -> None:
        interval_s = options.view.interval_s
        run_blocks(pipeline, blocks, publish=publish, interval_s=interval_s, say=common.say, stop=live.stop)

    builder = FrameBuilder(live.detector.boards, idle_seconds=options.source.idle_seconds)
    pipeline = live.pipeline(options.source.name, run=name, builder=builder)
    live.serve()
    # before the first word there is nothing to finish: Ctrl-C simply ends the program
    live.compile(pipeline)
    live.catch_signals()
    live.watch(pipeline, feed)
    live.conclude()
