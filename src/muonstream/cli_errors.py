"""What is wrong with an option, in words that say what was found and what is allowed."""

from __future__ import annotations

from typing import Any, Final

import typer
from typer.core import TyperGroup

_SHOULD: Final = "Input should be "


class Commands(TyperGroup):
    """Commands whose options complain as ours do: typer's own message does not say what was found."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for. Raises typer.BadParameter."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            errors = getattr(error.__context__, "errors", None)
            if errors is not None and error.message.startswith(_SHOULD):
                error.message = told(str(errors()[0]["input"]), error.message)
            raise


def told(found: str, message: str) -> str:
    """The message of a value that is not allowed."""
    allowed = message.removeprefix(_SHOULD).partition(",")[0]
    return f"found {found!r}, allowed is {allowed}"
