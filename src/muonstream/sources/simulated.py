"""The simulation as a source: `sim:` with options, as in ``sim:rate_hz=1e5,seed=3``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from muonstream.detector.model import Detector
from muonstream.formats.block import Block, SourceError
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation


def parse(name: str) -> SimulationConfig:
    """The configuration that a source name `sim:key=value,…` stands for. Raises SourceError."""
    allowed = {field.name: field.type for field in fields(SimulationConfig) if "cell" not in field.name}
    options: dict[str, Any] = {}
    for part in filter(None, name.removeprefix("sim:").split(",")):
        key, _, value = part.partition("=")
        key = {"rate": "rate_hz", "duration": "duration_s"}.get(key, key)
        if key not in allowed:
            raise SourceError(f"{name}: found {key!r}, expected {', '.join(allowed)}")
        try:
            number = float(value)
        except ValueError:
            raise SourceError(f"{name}: {key}: found {value!r}, expected a number") from None
        options[key] = int(number) if str(allowed[key]).startswith("int") else number
    try:
        return SimulationConfig(**options)
    except ValueError as error:
        raise SourceError(f"{name}: {error}") from None


def simulated(config: SimulationConfig, detector: Detector) -> Iterator[Block]:
    """Blocks of simulated words. Raises SourceError for cells that the detector has not."""
    try:
        simulation = Simulation(config, detector)
    except ValueError as error:
        raise SourceError(f"sim: {error}") from None
    for words in simulation.blocks():
        yield Block(words)
