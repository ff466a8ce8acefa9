"""The scheduler: who goes on next, what goes wrong next, and whether in the end the summaries are the same."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Final, cast

import numpy as np

from muonstream.commands.options import SourceOptions
from muonstream.commands.topic import RunSelection
from muonstream.counting.rates import BIN_WINDOWS
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.engines.topic import TopicEngine
from muonstream.formats.block import SourceError
from muonstream.kafka.address import KafkaAccessError
from muonstream.kafka.deliveries import Deliveries
from muonstream.kafka.gateway import Gateway, check_tails
from muonstream.kafka.messages import EndMessage, Kind
from muonstream.kafka.progress import SentSoFar, read_tails
from muonstream.kafka.reader import Begin, TopicReader
from muonstream.kafka.rehearsal import Rehearsal
from muonstream.run.summary import summary
from muonstream.sinks.store import Saved, Store
from muonstream.sources.identity import Run
from muonstream.words import BX_PER_ORBIT, Head, Words, decode
from tools.deterministic.broker import Broker, Partition
from tools.deterministic.clients import Producer, SimulatedConnection
from tools.deterministic.clock import CALL_S, Clock
from tools.deterministic.disk import Disk, SimulatedStore
from tools.deterministic.scene import Scene, small_messages

RUN: Final = Run(7, "cosmics")
EARLIER: Final = Run(6, "before")
TOPIC: Final = "frames"
NOTES: Final = ("another run: ", "duplicate: ")
"""Faults that say how messages came: others' messages are passed over, and what a dead gateway had sent comes again."""
WAITING: Final = "waiting for the run's end"
LOST_END: Final = "lost: "
"""With all words there, what was lost of a run is the ends of some partitions."""
MOST_CALLS: Final = 200_000
"""A scene that has not ended after so many calls never ends."""
FAULTY_CALLS: Final = 4_000
"""Nothing goes wrong after so many calls, so that each scene can end."""


class Crash(BaseException):
    """The process has died: SIGKILL, or a loss of power."""


class FaultError(Exception):
    """Something that must not be, in one line."""


@dataclass(slots=True)
class Actor:
    """A process: dead ones can do no more, whatever their code still tries."""

    world: World
    name: str
    dead: bool = False
    producers: list[Producer] = field(default_factory=list)

    @property
    def broker(self) -> Broker:
        return self.world.broker

    def call(self, takes_s: float = 0.0) -> None:
        self.world.call(self, takes_s)


@dataclass(slots=True)
class Outcome:
    """How a scene ended: `refused` has the line with which the program gave up by name, "" where it went to its end."""

    seed: int
    calls: int = 0
    crashes: int = 0
    refused: str = ""
    lost: int = 0
    differences: list[str] = field(default_factory=list)


class World:
    """One scene: everything of it, and the order of its events."""

    def __init__(self, scene: Scene, folder: Path, stress: float = 1.0) -> None:
        """stress: how many times as often as usual something goes wrong."""
        self.scene = scene
        self.stress = stress
        self.random = random.Random(scene.seed + 1)
        self.clock = Clock()
        self.broker = Broker(TOPIC, scene.partitions, self.clock, self.random)
        self.broker.markers = scene.markers
        self.disk = Disk(folder / "store.db", self.random)
        self.detector = Detector.default()
        self.outcome = Outcome(scene.seed)
        self._gateway: Iterator[None] | None = None
        self._gateway_actor = Actor(self, "gateway")
        self._gateway_done = False
        self._within = False
        self.stored: Mapping[int, int] = {}
        """how far each partition was read, as the store has it"""
        self._told = False

    # what happens at each call of the outside

    def call(self, actor: Actor, takes_s: float) -> None:
        """Time passes; others go on; something may go wrong. Raises Crash in a process that dies or is dead."""
        self.outcome.calls += 1
        if actor.dead:
            raise Crash
        if self.outcome.calls > MOST_CALLS:
            raise FaultError(f"is not over after {MOST_CALLS:,} calls")
        self.clock.now += CALL_S + takes_s * self.random.random()
        self.broker.background()
        faulty = self.outcome.calls < FAULTY_CALLS
        if faulty and self.random.random() < 0.01 * self.stress:
            self._go_wrong()
        if actor.name == "engine" and not self._within:
            self._within = True
            try:
                while self.random.random() > self.scene.engine_share:
                    self.step_gateway()
                if not faulty:
                    self.step_gateway()
            finally:
                self._within = False
        if faulty and actor.name in self.scene.faults and self.random.random() < 0.005 * self.stress:
            actor.dead = True
            raise Crash

    def _go_wrong(self) -> None:
        rng, broker = self.random, self.broker
        fault = rng.choice(self.scene.faults or ("none",))
        partition = rng.randrange(len(broker.partitions))
        if fault == "leader":
            broker.partitions[partition].leader_at = self.clock.now + 10 ** rng.uniform(-2, 1)
        elif fault == "clock":
            self.clock.jump(10 ** rng.uniform(0, 3.5), rng.uniform(-1e5, 1e5))
        elif fault == "retention":
            log = broker.partitions[partition]
            # what the store has taken; with a disk that loses writes, or now and then, more than that
            stored = self.stored.get(partition, 0)
            most = log.high if rng.random() < 0.05 else stored
            broker.delete_before(partition, rng.randrange(log.low, max(most, log.low) + 1))
        elif fault == "partition" and len(broker.partitions) < 8:
            broker.partitions.append(Partition())
        elif fault == "slow":
            self.clock.now += rng.uniform(0, 60)
            for _ in range(rng.randrange(50)):
                broker.background()

    # the gateway

    def step_gateway(self) -> None:
        """Let the gateway go on by a step; one that has died is started again."""
        if self._gateway_done:
            self.broker.settle()
            return
        if self._gateway is None:
            self._gateway_actor = Actor(self, "gateway")
            self._gateway = self._gateway_steps(self._gateway_actor)
        try:
            next(self._gateway)
        except StopIteration:
            self._gateway_done = True
        except Crash:
            self.outcome.crashes += 1
            for producer in [p for p in self.broker.producers if p._process is self._gateway_actor]:
                producer.die()
            self._gateway = None
        except KafkaAccessError as error:
            self._gateway_done = True
            if not any(part in str(error) for part in ("another number of partitions", "more partitions")):
                raise FaultError(f"the gateway ended: {error}") from error
            self.outcome.refused = str(error)

    def _gateway_steps(self, actor: Actor) -> Iterator[None]:
        """What `muonstream replay` does, step by step."""
        scene, connection = self.scene, SimulatedConnection(actor)
        yield
        admin = connection.wait()
        assert admin is not None
        tails = read_tails(connection, connection.partitions(admin), RUN)
        check_tails(connection, RUN, scene.kind, tails)
        yield
        if any(tail != SentSoFar() for tail in tails):
            rehearsal = Rehearsal(RUN, scene.kind, tails, boards=self.detector.boards)
            for piece, begins in self._pieces():
                if begins:
                    rehearsal.boundary()
                rehearsal.push(piece)
                if rehearsal.settled:
                    break
            if difference := rehearsal.finish():
                raise FaultError(f"the gateway takes its own run for another one: {difference}")
            if all(tail.ended for tail in tails):
                return
        gateway = Gateway(connection, RUN, scene.kind, tails, boards=self.detector.boards)
        for piece, begins in self._pieces():
            if begins:
                gateway.boundary()
            gateway.push(piece)
            yield
        gateway.finish()

    def _pieces(self) -> Iterator[tuple[Any, bool]]:
        """The words in other pieces each time, and before which a second file begins."""
        scene = self.scene
        cuts = {self.random.randrange(len(scene.words) + 1) for _ in range(scene.pieces)}
        if scene.boundary is not None:
            cuts.add(scene.boundary)
        edges = sorted({0, *cuts, len(scene.words)})
        for first, last in pairwise(edges):
            yield scene.words[first:last], first == scene.boundary and first > 0

    # the engine

    def run(self) -> Outcome:
        """Play the scene to its end and compare."""
        scene = self.scene
        if scene.an_earlier_run:
            for partition in range(scene.partitions):
                end = EndMessage(EARLIER, words=0)
                self.broker.append(partition, end.headers(), end.value())
            self.clock.now += 1
        for _ in range(self.random.randrange(200)):
            self.step_gateway()
        found = None
        while found is None:
            actor = Actor(self, "engine")
            try:
                found = self._engine(actor)
            except Crash:
                self.outcome.crashes += 1
                actor.dead = True
                for _ in range(self.random.randrange(30)):
                    self.step_gateway()
            except SourceError as error:
                self.outcome.refused = str(error)
                if "no longer retained" not in str(error) or "retention" not in scene.faults:
                    raise FaultError(f"the engine ended: {error}") from error
                return self.outcome
        if self.outcome.refused:
            return self.outcome
        self._compare(found, "")
        again = self._engine(Actor(self, "after the end"))
        self._compare(again, "shown again: ")
        return self.outcome

    def _engine(self, actor: Actor) -> dict[str, Any] | None:
        """What `muonstream run` does, from its start to the end of the run; gives the summary."""
        scene = self.scene
        boards = self.detector.boards
        connection = SimulatedConnection(actor)
        store = SimulatedStore(actor, self.disk, self._keep)
        lost = "disk" in scene.faults
        stop = Event()
        try:
            reader = TopicReader(connection, begin=Begin())
            reader.open(stop)
            options = SourceOptions(TOPIC, number=RUN.number if scene.named else None)
            typed = cast(Store, store)
            choice = RunSelection(reader, typed, str(connection.address), options)
            with Pipeline(self.detector, workers=0, pairs=False, builder=scene.bounds.builder(boards)) as pipeline:
                deliveries = Deliveries(wanted=choice.wanted, named=scene.named)
                name = str(connection.address)
                engine = TopicEngine(reader, pipeline, deliveries, store=typed, name=name, clock=self.clock.monotonic)
                if choice.saved is not None:
                    engine.restore(choice.saved)
                engine.begin(choice.positions)

                def publish(snapshot: Any) -> None:
                    actor.call()
                    if not snapshot.account.balanced:
                        raise FaultError(f"an account does not balance: {snapshot.account}")
                    self._end_what_waits_in_vain(engine, snapshot)
                    if self.outcome.refused:
                        stop.set()

                last = engine.run(stop, publish=publish, interval_s=5.0, store_every_s=scene.store_every_s)
                self.outcome.lost += deliveries.tally.counts.get("lost", 0)
            self._told = any(line.startswith("incomplete: ") for line in last.faults)
            return summary(last)
        finally:
            if actor.dead:
                self.disk.crash(lost)
            store.close()
            if actor.dead:
                self.disk.crash(False)

    def _end_what_waits_in_vain(self, engine: TopicEngine, snapshot: Any) -> None:
        """End an engine as its user would, once all is read and retention has deleted each end that was to be read.

        No message says then how far the run went. An engine that knows the end of one partition says what it awaits.
        """
        logs, parts = self.broker.partitions, engine.deliveries.parts
        if not self._gateway_done or self.broker.in_flight or any(map(len, self.broker.producers)):
            return
        if len(parts) < len(logs) or any(engine.reader.next[p] < log.high for p, log in enumerate(logs)):
            return
        if any(part.ended for part in parts.values()) and not any(line.startswith(WAITING) for line in snapshot.faults):
            return
        if not engine.over and "retention" in self.scene.faults:
            self.outcome.refused = "retention has deleted the run's end"

    def _keep(self, saved: Saved) -> None:
        """A transaction is on the disk: retention may delete what it has taken."""
        self.stored = {partition: at.next for partition, at in saved.positions.items()}

    def _compare(self, found: dict[str, Any] | None, which: str) -> None:
        """Compare all of a summary with that of the same words in one piece, but for what a form cannot have.

        - Deleted before it was read, and told as missing: nothing is compared.
        - JSON has no words with a bunch crossing out of range: the engine counts their messages as malformed, and their
          times, which a builder may believe, are lost. Of such scenes the number of words is compared alone.
        - Loose words of several partitions: one that has nothing to read is waited for as long as the clock says, which
          decides what is late, stray or closed early; where any is, the number of words is compared alone.
        - Frames: the gateway says how many words were late, not of which board, and remarks nothing.
        - Frames of several partitions whose rates have been merged: where words on both sides of a pause do not come in
          order, the pause is not seen. Live time must then be one that is possible, and gaps are not compared.
        """
        if self._told and "retention" in self.scene.faults:
            return  # what is missing was deleted before it was read, and the program says so
        scene = self.scene
        wanted, merged = reference(scene, self.detector)
        assert found is not None
        wanted["run"] = RUN.name
        notes = (*NOTES, LOST_END) if "retention" in scene.faults else NOTES
        found["faults"] = [line for line in found["faults"] if not line.startswith(notes)]
        account, several = wanted["account"], len(self.broker.partitions) > 1
        lost = account["late"] or account["stray"] or wanted["forced_windows"]
        if scene.kind is Kind.FRAME:
            wanted["late_by_input"], wanted["faults"] = {}, []
            if several and merged:
                if not 0 <= found["live_time_s"] <= wanted["data_time_s"]:
                    self.outcome.differences.append(f"{which}live time of {found['live_time_s']} s")
                wanted["live_time_s"], wanted["gaps"] = found["live_time_s"], found["gaps"]
        elif (several and lost) or (scene.kind is Kind.JSON and _out_of_range(scene.words)):
            wanted, found = {"words": wanted["words"]}, {"words": found["words"]}
        wanted.pop("data_time_s", None)
        for key in wanted.keys() | found.keys():
            if wanted.get(key) != found.get(key):
                a, b = str(found.get(key))[:300], str(wanted.get(key))[:300]
                self.outcome.differences.append(f"{which}{key}: found {a}, expected {b}")


def _out_of_range(words: Words) -> bool:
    """Whether hits have a bunch crossing that no orbit has."""
    fields = decode(words)
    return bool(np.any((fields.head == Head.HIT) & (fields.bx >= BX_PER_ORBIT)))


def reference(scene: Scene, detector: Detector) -> tuple[dict[str, Any], bool]:
    """The summary of the same words in one piece, as `muonstream process` counts them; whether rate bins were merged.

    The summary has `data_time_s` beside.
    """
    with Pipeline(detector, workers=0, pairs=False, builder=scene.bounds.builder(detector.boards)) as pipeline:
        for index, words in enumerate(np.split(scene.words, [scene.boundary] if scene.boundary else [])):
            if index:
                pipeline.boundary()
            pipeline.push(words)
        pipeline.finish()
        snapshot, rates = pipeline.snapshot("ended"), pipeline.monitor.rates
        merged = rates.windows_per_bin > BIN_WINDOWS or rates.epochs_per_bin > 1
        return {**summary(snapshot), "data_time_s": snapshot.data_time_s}, merged


def play(seed: int, words: int, folder: Path, stress: float = 1.0) -> Outcome:
    """Play the scene of a seed; the folder is empty. A fault is in the outcome's differences.

    stress: see `World`
    """
    scene = Scene.of(seed, words)
    world = World(scene, folder, stress)
    thresholds = gc.get_threshold()
    try:
        with world.clock.everywhere(), scene.bounds.everywhere(), small_messages():
            return world.run()
    except FaultError as fault:
        world.outcome.differences.append(str(fault))
        return world.outcome
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
