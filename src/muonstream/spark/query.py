"""The streaming query: Spark reads a topic and gives micro-batches, from its checkpoint if it has one."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Final

from muonstream.kafka.columns import COLUMNS
from muonstream.sinks.store import StoreError
from muonstream.spark.session import SparkError, first_line

CONSUMER: Final = {
    # as in our own clients, messages of aborted transactions are not read
    "isolation.level": "read_committed",
    # a fetch that waits at the end of a partition delays the consumer's next requests
    "fetch.max.wait.ms": "10",
    "max.poll.records": "20000",
    "fetch.max.bytes": str(64 << 20),
    # prefetched messages live from one micro-batch to the next, and the garbage collector copies them
    "max.partition.fetch.bytes": str(2 << 20),
    "receive.buffer.bytes": str(1 << 20),
}
FILE_MANAGER: Final = "spark.sql.streaming.checkpointFileManagerClass"
LOCAL_FILES: Final = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
"""On a disk of this machine the default one starts programs to read links and set modes: 0.1 s a micro-batch."""


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The options of a query. checkpoint: folder, of any of Hadoop's file systems; trigger_s: 0 for as fast as it goes
    messages: of a micro-batch at most, 0 for no limit; record_batch: of a record batch that a worker gets
    kafka: settings of Kafka's Java clients
    """

    servers: str
    topic: str
    checkpoint: str
    trigger_s: float = 1.0
    messages: int = 0
    record_batch: int = 512
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)


class Query:
    """One run's query. Its checkpoint is a folder of its own in `options.checkpoint`, named by chance and kept in the
    store: so a checkpoint is resumed only by the store that began it.
    """

    def __init__(self, session: Any, options: QueryOptions) -> None:
        self._session = session
        self._options = options
        self._query: Any = None
        self._starting = False
        self._started = Event()
        self.renew()

    def renew(self) -> None:
        """Begin a checkpoint."""
        self.name = uuid.uuid4().hex[:12]
        self._known = self._identity = ""
        self.resumed = False
        """Whether it goes on from a checkpoint."""

    def resume(self, name: str, identity: str) -> bool:
        """Resume from the checkpoint of this name if it exists; it must have this identity."""
        if self._exists(f"{self._options.checkpoint}/{name}/metadata"):
            self.name, self._known, self.resumed = name, identity, True
        return self.resumed

    def _exists(self, path: str) -> bool:
        where, files = self._file(path)
        return bool(files.exists(where))

    def _file(self, path: str) -> tuple[Any, Any]:
        """Hadoop's path, and its file system."""
        context = self._session.sparkContext
        where = context._jvm.org.apache.hadoop.fs.Path(path)
        return where, where.getFileSystem(context._jsc.hadoopConfiguration())

    def limit(self, messages: int, record_batch: int) -> None:
        """How many messages a micro-batch and a record batch may have, if it was not known before; for `start`."""
        self._options = replace(self._options, messages=messages, record_batch=record_batch)

    @property
    def trigger_s(self) -> float:
        """From the beginning of one micro-batch to that of the next at least; 0 for as fast as it goes."""
        return self._options.trigger_s

    @property
    def begun(self) -> bool:
        """Whether it has been started."""
        return self._starting

    @property
    def tasks(self) -> int:
        """The number of tasks that can run at once."""
        return max(int(self._session.sparkContext.defaultParallelism), 1)

    @property
    def where(self) -> str:
        """The version of Spark and where it runs."""
        context = self._session.sparkContext
        return f"Spark {context.version}, {context.master}"

    @property
    def identity(self) -> str:
        """Spark's own name of the query, the same as long as its checkpoint is; "" before it has one."""
        if not self._starting:
            return self._known
        self._started.wait()
        return self._identity

    def start(self, positions: Mapping[int, int], take: Callable[[Any, int], None]) -> None:
        """Begin, at these positions where there is no checkpoint; take: gets micro-batches and their numbers."""
        asked = self._options
        options = {
            "kafka.bootstrap.servers": asked.servers,
            "subscribe": asked.topic,
            "includeHeaders": "true",
            "startingOffsets": json.dumps({asked.topic: {str(p): at for p, at in positions.items()}}),
            **{f"kafka.{key}": value for key, value in {**CONSUMER, **asked.kafka}.items()},
        }
        if asked.messages:
            options["maxOffsetsPerTrigger"] = str(asked.messages)
        writer = (
            self._session.readStream.format("kafka")
            .options(**options)
            .load()
            .select(*COLUMNS)
            .writeStream.foreachBatch(take)
            .queryName("muonstream")
            .option("checkpointLocation", f"{asked.checkpoint}/{self.name}")
            .trigger(processingTime=f"{round(asked.trigger_s * 1000)} milliseconds")
        )
        self._session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(asked.record_batch))
        if not self._session.conf.get(FILE_MANAGER, "") and self._file(asked.checkpoint)[1].getScheme() == "file":
            self._session.conf.set(FILE_MANAGER, LOCAL_FILES)
        self._starting = True
        try:
            self._query = writer.start()
        except Exception as error:
            raise SparkError(f"Spark: {first_line(str(error))}") from None
        self._identity = str(self._query.id)
        self._started.set()

    def check(self) -> None:
        """Raise StoreError when the checkpoint is not the store's."""
        if self._known and self.identity != self._known:
            raise StoreError(
                f"the checkpoint {self._options.checkpoint}/{self.name} is not the one that the store was written "
                f"with: found {self.identity}, expected {self._known}; use another --checkpoint to resume from the "
                "store alone"
            )

    @property
    def active(self) -> bool:
        """Whether it runs."""
        try:
            return self._query is not None and bool(self._query.isActive)
        except Exception:  # Java has ended
            return False

    def fault(self) -> SparkError:
        """Why the query no longer runs."""
        try:
            error = self._query.exception()
        except Exception:
            return SparkError("Spark: its Java has ended; its log may say why")
        return SparkError(f"Spark: {first_line(str(error)) if error is not None else 'the query has ended'}")

    def last_progress(self) -> Any:
        """Spark's report on the last micro-batch, None before the first."""
        with contextlib.suppress(Exception):  # Java has ended, which is reported elsewhere
            return self._query.lastProgress if self._query is not None else None
        return None

    def progress_since(self, batch: int) -> list[Any]:
        """Spark's reports on the micro-batches after this one, as far as it keeps them."""
        with contextlib.suppress(Exception):
            if self._query is not None:
                return [told for told in self._query.recentProgress if int(told["batchId"]) > batch]
        return []

    def discard(self) -> None:
        """Remove the checkpoint of a run that has ended and is stored: it will not be resumed."""
        with contextlib.suppress(Exception):  # Java has ended; a leftover checkpoint does no harm
            where, files = self._file(f"{self._options.checkpoint}/{self.name}")
            files.delete(where, True)

    def stop(self) -> None:
        """Stop the query. An unfinished micro-batch is not committed and will be repeated."""
        if self._query is not None:
            with contextlib.suppress(Exception):  # it ends with its session anyway
                self._query.stop()
