"""`muonstream config`: which options hold for a command line, and where each comes from."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from muonstream.cli.config import OTHER_VARIABLES, parameters, shown_value, where_from
from muonstream.cli.errors import refuse
from muonstream.cli.help import Command, option_name

config_app = typer.Typer(help="Options set in files and the environment.", no_args_is_help=True)


@config_app.command("show", cls=Command, context_settings={"ignore_unknown_options": True})
def show(
    ctx: typer.Context,
    command: Annotated[str, typer.Argument(help="A command.")] = "run",
    arguments: Annotated[list[str] | None, typer.Argument(help="The arguments and options of that command.")] = None,
) -> None:
    """Print each option of a command, its value, and where the value comes from, without running the command.

    The command line overrides environment variables (MUONSTREAM_…), which override the file given to --config, which
    overrides the defaults. Passwords are not shown.

    Example: muonstream config show run sim: --config run.toml
    """
    if command.startswith("-"):  # the first of run's options
        command, arguments = "run", [command, *(arguments or ())]
    root = ctx.find_root()
    commands: dict[str, Any] = getattr(root.command, "commands", {})
    found = commands.get(command)
    if found is None or hasattr(found, "commands"):
        known = ", ".join(sorted(name for name, one in commands.items() if not hasattr(one, "commands")))
        refuse(f"config show: found {command!r}, expected one of {known}")
    typed = list(arguments or ())
    missing = ""
    try:
        made = found.make_context(command, list(typed), parent=root)
    except typer.BadParameter as error:
        param: Any = error.param
        if type(error) is typer.BadParameter or param is None or param.param_type_name != "argument":
            raise
        # the options can be shown without a source
        missing = str(param.name)
        made = found.make_context(command, [*typed, "-"], parent=root)
    rows = []
    for param in parameters(found).values():
        if param.param_type_name == "argument" and param.name == missing:
            continue
        value = made.params.get(param.name)
        is_argument = param.param_type_name == "argument"
        where = "typed" if is_argument else where_from(made, param) or "default"
        rows.append((option_name(param), shown_value(param.name, value), where))
    rows += [(name, "(not shown)", name) for name in OTHER_VARIABLES[:2] if os.environ.get(name)]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, where in rows:
        typer.echo(f"{name:<{name_width}}  {value:<{value_width}}  {where}".rstrip())
