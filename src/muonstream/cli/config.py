"""Options from a file, whose keys are the options' names; an error names the file and the key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import typer

from muonstream.cli.help import ENVIRONMENT, option_name, variable_of
from muonstream.errors import NOT_SHOWN, USAGE, MuonstreamError, shown, without_secrets

NOT_IN_A_FILE: Final = ("config",)
OTHER_VARIABLES: Final = (
    "MUONSTREAM_TOKEN",
    "MUONSTREAM_OPERATOR_TOKEN",
    "MUONSTREAM_SPARK_JARS",
    "MUONSTREAM_SPARK_SECRET",
    "MUONSTREAM_CHROMIUM",
)
"""Environment variables of muonstream that do not set an option; the last is for the tests."""
SECRET: Final = ("webhook", "notify")
"""Options whose addresses may contain a password, which is not shown."""
SECRET_KEY: Final = re.compile(r"secret|passw|token|credential|key", re.IGNORECASE)


class ConfigError(MuonstreamError):
    """An error in a configuration file or one of its keys."""

    exit_code = USAGE


def parameters(command: Any) -> dict[str, Any]:
    """The options and arguments of a command that a file may set, by their keys."""
    return {option_name(param): param for param in command.params if param.name not in NOT_IN_A_FILE}


def read_config(path: Path, command: Any) -> dict[str, Any]:
    """The options that a file sets, by the parameters' names, as the command line would give them.

    Raises ConfigError with file, key, what was found and what is expected.
    """
    try:
        with path.open("rb") as handle:
            content = tomllib.load(handle)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    known = parameters(command)
    found: dict[str, Any] = {}
    for written, value in content.items():
        key = written.replace("_", "-")
        param = known.get(key)
        if param is None:
            close = get_close_matches(key, known, 1)
            hint = f", such as {close[0]}" if close else ""
            raise ConfigError(
                f"{path}: {written}: found no option of this name, expected an option of {command.name}{hint}"
            )
        if param.name in found:
            raise ConfigError(f"{path}: {written}: found twice, in two spellings, expected it once")
        found[param.name] = _as_typed(value, param, f"{path}: {written}")
    return found


def _as_typed(value: Any, param: Any, where: str) -> Any:
    """A value of TOML as the command line would have it: numbers as text, so that 2.5 is not taken for 2."""
    if getattr(param, "is_flag", False):
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: found {value!r}, expected true or false")
        return value
    if getattr(param, "multiple", False) or param.nargs == -1:
        return [_scalar(one, where, param) for one in (value if isinstance(value, list) else [value])]
    return _scalar(value, where, param)


def _scalar(value: Any, where: str, param: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        found = shown(value)
        if param.name in SECRET and isinstance(value, dict | list):
            # an address with a password may be in it
            found = "a table" if isinstance(value, dict) else "a list"
        raise ConfigError(f"{where}: found {found}, expected a number or text")
    return str(value)


def use_config(ctx: typer.Context, value: Path | None) -> Path | None:
    """Take options that are neither typed nor in the environment from the file that --config names.

    Raises ConfigError.
    """
    if value is not None and not ctx.resilient_parsing:
        ctx.default_map = {**(ctx.default_map or {}), **read_config(value, ctx.command)}
        ctx.meta["config"] = str(value)
    return value


def where_from(ctx: Any, param: Any) -> str:
    """Where an option's value comes from: its name as typed, the key of a file, a variable, or "" for its default."""
    source = str(getattr(ctx.get_parameter_source(param.name), "name", ""))
    if source == "COMMANDLINE":
        switched_off = param.secondary_opts and ctx.params.get(param.name) is False
        return str((param.secondary_opts if switched_off else param.opts)[0])
    if source == "DEFAULT_MAP":
        return f"{ctx.meta.get('config', 'configuration')}: {option_name(param)}"
    return variable_of(param) if source == "ENVIRONMENT" else ""


def unknown_variables(root: Any) -> list[str]:
    """Environment variables that look like muonstream's but set nothing."""
    known = {variable_of(param) for command in _leaves(root) for param in command.params}
    known.update(OTHER_VARIABLES)
    return sorted(name for name in os.environ if name.startswith(ENVIRONMENT) and name not in known)


def _leaves(command: Any) -> Iterator[Any]:
    below = getattr(command, "commands", None)
    if below is None:
        yield command
    for one in (below or {}).values():
        yield from _leaves(one)


def shown_value(name: str, value: Any) -> str:
    """A value as `config show` prints it, without passwords."""
    if value is None or value == "" or value == [] or value == ():
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(shown_value(name, one) for one in value)
    text = str(getattr(value, "value", value))
    if name in SECRET:
        return re.sub(r"^([a-z0-9+.-]+://).*", rf"\1{NOT_SHOWN}", text) if "://" in text else NOT_SHOWN
    key, equals, _ = text.partition("=")
    if name == "spark_conf" and equals and SECRET_KEY.search(key):
        return f"{key}={NOT_SHOWN}"
    return without_secrets(text)
