"""`muonstream replay`: send a run to Kafka, as its data acquisition would, or as a gateway beside that."""

from __future__ import annotations

import signal
import time
from typing import Final

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from muonstream.commands import common
from muonstream.commands.compiling import compiling
from muonstream.commands.replay_source import ReplayOptions, ReplaySource
from muonstream.commands.send import send_words
from muonstream.commands.signals import StopSignal
from muonstream.commands.topics import connect
from muonstream.errors import INTERRUPTED, ToldError
from muonstream.kafka.address import KafkaAccessError
from muonstream.kafka.gateway import Gateway, check_tails, warm_up
from muonstream.kafka.messages import EndMessage, Kind
from muonstream.kafka.progress import SentSoFar, read_tails
from muonstream.kafka.rehearsal import Rehearsal
from muonstream.kafka.topics import FRAMES, HITS
from muonstream.sources.delivery import announced
from muonstream.sources.identity import Run
from muonstream.sources.schemes import is_sent

FORMS: Final = {"frames": Kind.FRAME, "json": Kind.JSON, "dma": Kind.DMA}
SAID_AGAIN_S: Final = 30.0
MOST_IDLE: Final = 20
"""A growing source is taken to be read up to its present end after this many idle blocks in a row."""
ANOTHER: Final = "another run needs another --run-name or --run-number"


class _Trouble:
    """Reports errors of the connection, without repeating the same line all the time."""

    def __init__(self) -> None:
        self._last = ""
        self._said = 0.0

    def __call__(self, error: KafkaAccessError) -> None:
        now = time.monotonic()
        if str(error) != self._last or now - self._said > SAID_AGAIN_S:
            self._last, self._said = str(error), now
            common.say(f"{error}; waiting for it (Ctrl-C twice gives up)")


def replay_files(files: list[str], options: ReplayOptions) -> None:
    """Send a run. Raises CommandError, KafkaAccessError or SourceError."""
    if options.fast and options.rate_hz is not None:
        raise common.CommandError("--fast: found beside --rate, expected one of them")
    detector = common.load_detector(options.detector_name)
    source = ReplaySource.of(files, options, detector)
    if is_sent(options.to):
        send_words(source, options)
        return
    kind = FORMS[options.form]
    run = source.identity(options)
    connection = connect(
        options.to,
        option="--to",
        default_topic=FRAMES if kind is Kind.FRAME else HITS,
        properties=options.properties,
        timeout_s=options.timeout_s,
        on_error=_Trouble(),
    )
    stop = StopSignal()
    with stop.listening():
        admin = connection.wait(stop=stop)
        if admin is None:
            raise ToldError(INTERRUPTED)
        tails = read_tails(connection, connection.partitions(admin), run)
        check_tails(connection, run, kind, tails)
        where = f"{connection.address}: run {run.number} {run.name!r}"
        begun = any(tail != SentSoFar() for tail in tails)
        ended = all(tail.ended for tail in tails)
        if ended and source.endless:
            raise common.CommandError(f"{where} has been sent whole, with its end; {ANOTHER}")
        if begun and not source.rewinds:
            what = "standard input" if files == ["-"] else files[0]
            raise common.CommandError(
                f"{where} has begun, and {what} cannot be read again from its beginning: {ANOTHER}"
            )
        if begun:
            difference = _difference(run, kind, tails, source, stop)
            if stop.is_set():
                raise ToldError(stop.exit_code)
            if difference:
                raise common.CommandError(f"{where} is another run than {files[0]}: {difference}; {ANOTHER}")
            if ended:
                common.say(f"{where} has been sent whole, with its end: the words are those of {files[0]}")
                return
            common.say(f"{where} has begun: only what is missing is sent")
        gateway = Gateway(connection, run, kind, tails, boards=detector.boards)
        try:
            with compiling():
                warm_up(kind, detector.boards)
            _send(gateway, source, options, tails, stop, where)
        except BaseException:
            gateway.outbox.abandon()
            raise


def _difference(run: Run, kind: Kind, tails: list[SentSoFar], source: ReplaySource, stop: StopSignal) -> str:
    """How the topic's messages of a run differ from this source, or "" if they agree."""
    rehearsal = Rehearsal(run, kind, tails, boards=source.detector.boards)
    idle = 0
    for block in announced(source.blocks(stop), rehearsal):
        rehearsal.push(block.words)
        # a growing source that is idle has no more to compare: what was sent of it has been read
        idle = idle + 1 if block.idle else 0
        if rehearsal.settled or stop.is_set() or (source.growing and idle > MOST_IDLE):
            break
    return rehearsal.finish()


def _send(
    gateway: Gateway, source: ReplaySource, options: ReplayOptions, tails: list[SentSoFar], stop: StopSignal, where: str
) -> None:
    """Send all of a source through the gateway. Raises ToldError when it was stopped and the run stays open."""
    began = time.monotonic()
    blocks = source.timed(options, max(tail.position for tail in tails), stop)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} words, {task.fields[rate]:,.0f} words/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=common.err, transient=True, disable=not common.err.is_terminal) as bar:
        task = bar.add_task("words", total=None, rate=0.0)
        for block in announced(blocks, gateway):
            for line in block.notes:
                common.say(line)
            gateway.push(block.words)
            rate = gateway.words / max(time.monotonic() - began, 1e-9)
            bar.update(task, completed=gateway.words, rate=rate)
            if stop.is_set() and not source.growing:  # a growing source is read up to its present end
                break
    if stop.is_set() and not (source.endless and stop.number == signal.SIGINT):
        gateway.leave()
        common.say(f"{where} stays open after {gateway.words:,} words: the same command goes on with it")
        raise ToldError(stop.exit_code)
    end = gateway.finish()
    _report(gateway, end, where, time.monotonic() - began)


def _report(gateway: Gateway, end: EndMessage, where: str, seconds: float) -> None:
    counts = {"late": end.late, "stray": end.stray, "malformed": end.malformed, "counter resets": end.resets}
    extra = "".join(f", {number:,} {name}" for name, number in counts.items() if number)
    common.out.print(
        f"{where}: {end.words:,} words{extra}; {gateway.outbox.messages:,} messages sent in {seconds:,.1f} s, "
        f"{end.words / max(seconds, 1e-9):,.0f} words/s",
        markup=False,
    )
    for fault in end.faults[:5]:
        common.out.print(fault, markup=False)
