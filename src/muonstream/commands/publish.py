"""Topics to which a run's results and snapshots are published."""

from __future__ import annotations

from dataclasses import dataclass

from muonstream.commands import common
from muonstream.commands.topics import KafkaOptions, connect
from muonstream.engines.pipeline import Pipeline
from muonstream.kafka.address import KafkaAccessError
from muonstream.kafka.client import Connection
from muonstream.kafka.publisher import ResultsSink, SnapshotsSink
from muonstream.kafka.topics import RESULTS, SNAPSHOTS
from muonstream.run.intervals import Intervals
from muonstream.run.monitor import Snapshot


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """The options of publishing: addresses, "" for none; interval_s is data time."""

    results: str = ""
    snapshots: str = ""
    interval_s: float = 5.0


def _ready(option: str, address: str, default_topic: str, kafka: KafkaOptions) -> Connection:
    """A connection whose broker answers and has the topic. Raises KafkaAccessError."""
    connection = connect(
        address,
        option=option,
        default_topic=default_topic,
        properties=kafka.properties,
        timeout_s=kafka.timeout_s,
    )
    admin = connection.wait()
    if admin is not None:
        connection.partitions(admin)
    return connection


class Publishing:
    """Publishes the results and snapshots of one pipeline, whichever the options ask for."""

    def __init__(self, options: PublishOptions, kafka: KafkaOptions, pipeline: Pipeline) -> None:
        """Raises KafkaAccessError when an address, its broker or its topic is not available."""
        self._pipeline = pipeline
        self._results: ResultsSink | None = None
        self._snapshots: SnapshotsSink | None = None
        if options.results:
            intervals = Intervals(pipeline.catalogue, windows=Intervals.windows_of(options.interval_s))
            pipeline.intervals = intervals
            self._results = ResultsSink(
                _ready("--results", options.results, RESULTS, kafka), pipeline.catalogue, on_delivered=intervals.drop
            )
        if options.snapshots:
            self._snapshots = SnapshotsSink(_ready("--snapshots", options.snapshots, SNAPSHOTS, kafka))

    def publish(self, snapshot: Snapshot) -> None:
        """Send what is new, without waiting for delivery."""
        if self._results is not None and self._pipeline.intervals is not None:
            self._results.publish(snapshot.run, self._pipeline.intervals.take())
        if self._snapshots is not None:
            self._snapshots.publish(snapshot)

    def problems(self) -> list[str]:
        """The current problems, a line each."""
        found = [self._results.outlet.problem() if self._results else None]
        found.append(self._snapshots.problem() if self._snapshots else None)
        return [problem for problem in found if problem is not None]

    def finish(self) -> bool:
        """Wait until all is delivered, report what is lost, and give whether nothing was."""
        complete = True
        for sink in (self._results, self._snapshots):
            try:
                if sink is not None:
                    sink.finish()
            except KafkaAccessError as error:
                common.complain(str(error))
                complete = False
        return complete
