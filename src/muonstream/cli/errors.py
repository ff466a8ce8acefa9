"""Errors in options, alone or combined: each message says what was found and what is expected."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from muonstream.cli.config import where_from
from muonstream.cli.logs import LOGGER
from muonstream.cli.options import PAGE_OPTIONS
from muonstream.errors import FAILED, INTERRUPTED, USAGE, MuonstreamError
from muonstream.sources.schemes import is_local

ORDER: Final = (
    "demo",
    "run",
    "process",
    "inspect",
    "dashboard",
    "runs",
    "report",
    "export",
    "replay",
    "topics",
    "simulate",
)
"""Commands that help shows first."""
_SHOULD: Final = "Input should be "
SPARK_ONLY: Final = ("master", "trigger", "checkpoint", "max_words_per_trigger", "spark_conf", "spark_log")
TOPIC_ONLY: Final = ("store", "store_every", "begin")
KAFKA_ONLY: Final = ("kafka_properties", "kafka_timeout")
FILE_ONLY: Final = ("format", "pace", "idle_seconds")
NOTIFY_ONLY: Final = ("remind_after", "notify_limit", "notify_link")
LOCAL_ONLY: Final = ("workers", "store_every")
"""Parameters of `run` that only some sources and engines support."""


class Commands(TyperGroup):
    """Commands with our wording of option errors: typer's own messages do not say what was found."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Commands in the order in which help shows them."""
        return sorted(super().list_commands(ctx), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors that users can cause become one-line messages and an exit code here, and only here.

        Raises typer.BadParameter for a wrong option, typer.Exit for what went wrong later.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            errors = getattr(error.__context__, "errors", None)
            if errors is not None:
                error.message = told(str(errors()[0]["input"]), error.message)
            where = where_from(error.ctx, error.param) if error.ctx is not None and error.param is not None else ""
            if where and not where.startswith("-"):
                LOGGER.error("%s: %s", where, error.message)
                raise typer.Exit(USAGE) from None
            raise
        except MuonstreamError as error:
            if str(error):
                LOGGER.error("%s", error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            LOGGER.error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader of our output has closed it
            sys.stderr.close()
            raise typer.Exit(FAILED) from None


def told(found: str, message: str) -> str:
    """The message for a value that is not allowed."""
    if message.startswith(_SHOULD):
        return f"found {found!r}, expected {message.removeprefix(_SHOULD).partition(',')[0]}"
    _, one_of, choices = message.partition(" is not one of ")
    if one_of:
        return f"found {found!r}, expected {choices.rstrip('.').replace(chr(39), '')}"
    return message


def unfit(
    ctx: typer.Context, source: str, *, on_spark: bool, publishes: bool, notifies: bool, page: bool = True
) -> str:
    """Why an option, typed or in a file, has no effect when `run` reads this source; "" where all have one.

    An environment variable may hold for other runs: one that would do nothing for this one is passed over.

    publishes: whether something is published to Kafka; notifies: whether messages are sent to people
    page: whether the live page is served
    """
    on_topic = source.startswith("kafka://")
    topic = "kafka://host:port/topic"
    rules: list[tuple[bool, tuple[str, ...], str]] = [
        (not on_spark, SPARK_ONLY, "found --engine local, allowed with --engine spark only"),
        (on_spark and not on_topic, ("engine",), f"found {source}, expected a topic: {topic}"),
        (not on_topic, TOPIC_ONLY, f"found {source}, expected a topic: {topic}"),
        (not on_topic and not publishes, KAFKA_ONLY, f"found {source}, expected a topic: {topic}, or --results"),
        (on_topic, FILE_ONLY, f"found {source}, expected files, folders, sim:, shm:, tcp:// and standard input"),
        (not notifies, NOTIFY_ONLY, "found no --notify, allowed with --notify only"),
        (not page, tuple(PAGE_OPTIONS), "found --no-page, allowed with the page only"),
        (on_spark, LOCAL_ONLY, "found --engine spark, expected --engine local"),
    ]
    for applies, names, why in rules:
        for name in names if applies else ():
            if str(getattr(ctx.get_parameter_source(name), "name", "")) in ("COMMANDLINE", "DEFAULT_MAP"):
                param = next(one for one in ctx.command.params if one.name == name)
                return f"{where_from(ctx, param)}{' spark' if name == 'engine' else ''}: {why}"
    return ""


def refuse(*problems: str) -> NoReturn:
    """Report what is wrong, a line each, before any slow import, and end the program."""
    for problem in problems:
        LOGGER.error("%s", problem)
    raise typer.Exit(1)


def refuse_missing(files: Iterable[str], *, what: str = "file") -> None:
    """End the program when files are missing, with a line each, before any slow import.

    Names that are not paths are passed over: standard input, URLs, topics, simulations, and "" for none.
    """
    paths = [name for name in files if name and is_local(name)]
    if missing := [path for path in paths if _missing(path)]:
        refuse(*(f"{path}: no such {what}" for path in missing))


def _missing(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # any other error is reported when it is opened
        pass
    return False
