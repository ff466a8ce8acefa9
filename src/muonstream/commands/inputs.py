"""From the name of a source other than a topic to the blocks that it gives: paced, followed, or read to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Event

from muonstream.commands import common
from muonstream.commands.options import SourceOptions
from muonstream.detector.model import Detector
from muonstream.formats.block import Block
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Format
from muonstream.sources.files import is_stream, read_blocks
from muonstream.sources.follow import follow
from muonstream.sources.pace import paced
from muonstream.sources.schemes import RING, SIMULATION, is_local, is_sent
from muonstream.sources.shared import ring_blocks
from muonstream.sources.simulated import parse, simulated
from muonstream.sources.word_socket import socket_blocks


def pace_of(text: str, default: float | None) -> float | None:
    """How many times as fast as the data were taken, by the option; None for as fast as possible.

    Raises CommandError.
    """
    if text == "":
        return default
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise common.CommandError(f"--pace: found {text!r}, expected max or a number above 0")
    return value


def open_source(options: SourceOptions, detector: Detector, stop: Event) -> Iterator[Block]:
    """The blocks that a source, a pace and --follow ask for; they end soon after `stop` is set. Raises CommandError.

    A file or folder is followed unless it is paced; a folder even then, standard input, pipes and URLs never are.
    With --no-follow a folder's files are read as they are now, to their end.
    """
    source, follow_it = options.name, options.follow
    if is_sent(source):
        return _sent_here(options, detector, stop)
    simulation = source.startswith(SIMULATION)
    multiple = pace_of(options.pace, 1.0 if simulation else None)
    local = is_local(source) and not is_stream(source)
    if follow_it is None:
        follow_it = local and (multiple is None or os.path.isdir(source))
    elif follow_it and not local:
        raise common.CommandError(f"--follow: found {source}, expected a file or a folder")
    format, expected = common.format_of(options.format_name), Expected.of(detector.channel_map())
    if simulation:
        blocks = simulated(parse(source), detector)
    elif follow_it:
        blocks = follow(source, format, stop, expected=expected)
    elif os.path.isdir(source) and local:
        at_once = Event()
        at_once.set()
        blocks = follow(source, format, at_once, expected=expected)
    else:
        blocks = read_blocks(source, format, expected=expected, live=True)
    if multiple is not None:
        return paced(blocks, multiple, stop)
    return blocks if follow_it else _until(blocks, stop)


def _sent_here(options: SourceOptions, detector: Detector, stop: Event) -> Iterator[Block]:
    """The blocks of a ring or a socket: they come when they come."""
    for found, option in ((options.pace, "--pace"), (options.follow, "--follow")):
        if found not in ("", None):
            raise common.CommandError(f"{option}: found {options.name}, expected a source that can be read at any pace")
    format = common.format_of(options.format_name)
    if format not in (None, Format.WORDS, Format.DMA):
        raise common.CommandError(f"--format: found {format}, expected words or dma: {options.name} gives binary words")
    expected, format = Expected.of(detector.channel_map()), format or Format.WORDS
    blocks = ring_blocks if options.name.startswith(RING) else socket_blocks
    return _until(blocks(options.name, expected=expected, stop=stop, format=format), stop)


def comes_live(options: SourceOptions) -> bool:
    """Whether words arrive in real time, so that their absence means something; not so for a file read at once."""
    source = options.name
    if source.startswith((SIMULATION, RING)) or not is_local(source) or is_stream(source) or os.path.isdir(source):
        return True
    if options.follow is False:
        return options.pace not in ("", "max")
    return options.follow is True or options.pace != "max"


def _until(blocks: Iterator[Block], stop: Event) -> Iterator[Block]:
    for block in blocks:
        yield block
        if stop.is_set():
            return
