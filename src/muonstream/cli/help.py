"""Commands whose help shows options under headings, and whose options can also be set by environment variables."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

ENVIRONMENT: Final = "MUONSTREAM_"
HEADINGS: Final = (
    "Source",
    "Analysis",
    "Page",
    "Keeping",
    "Publishing",
    "Alarms",
    "Kafka",
    "Spark",
    "Options",
)
"""In the order in which help shows them: those for everyday use first."""
REST: Final = HEADINGS[-1]
ONLY_TYPED: Final = ("force",)
"""Options that no environment variable sets."""


def option_name(param: Any) -> str:
    """What an option or argument is called in a configuration file: --store-every is store-every."""
    names = [name for name in param.opts if name.startswith("--")]
    return str(names[0].removeprefix("--") if names else param.name)


def variable_of(param: Any) -> str:
    """The environment variable that sets an option, "" if none does: --store-every is MUONSTREAM_STORE_EVERY."""
    if param.param_type_name != "option" or param.name in ONLY_TYPED:
        return ""
    return ENVIRONMENT + option_name(param).upper().replace("-", "_")


class Command(TyperCommand):
    """A command with headings over its options, each of which has its environment variable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            variable = variable_of(param)
            if variable:
                param.envvar = variable
                # the rule is stated once, not for each option
                param.show_envvar = False  # type: ignore[attr-defined]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options under their headings."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                is_option = param.param_type_name == "option"
                heading = (getattr(param, "rich_help_panel", None) or REST) if is_option else "Arguments"
                sections.setdefault(heading, []).append(record)
        for heading in ("Arguments", *HEADINGS):
            if heading in sections:
                with formatter.section(heading):
                    formatter.write_dl(sections[heading])
