"""The options of ``serve``: one for each setting, made of the table of settings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from losswatch_server.settings import PREFIX, Settings, option

SECTIONS = {
    "config": "Where it listens, and what it keeps",
    "allow_private_targets": "Notifications",
    "metric_names": "Names, log and traces",
    "max_connections": "Limits",
    "user_header": "Behind a proxy that authenticates",
    "head_timeout_s": "How long it waits",
    "thin_after_days": "Retention",
}
"""The headings in ``--help``, each by the setting with which it begins."""


def from_the_command_line(context: typer.Context, parameter: Any, value: Any) -> Any:
    """None in the place of what an option has from its variable: ``Settings`` reads that, and knows it is weaker."""
    source = context.get_parameter_source(parameter.name)
    return value if source is not None and source.name == "COMMANDLINE" else None


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with an option for each setting; one that is not given is None."""
    parameters: list[inspect.Parameter] = []
    section = ""
    hints = typing.get_type_hints(Settings)
    for row, setting in zip(Settings.table(), fields(Settings), strict=True):
        name = option(setting.name)
        section = SECTIONS.get(setting.name, section)
        described = typer.Option(
            f"{name}/--no-{name.removeprefix('--')}" if hints[setting.name] is bool else name,
            help=row.help,
            envvar=PREFIX + setting.name.upper(),
            show_default=row.default or False,
            callback=from_the_command_line,
            rich_help_panel=section,
        )
        kind = Annotated[hints[setting.name] | None, described]  # type: ignore[valid-type, name-defined]
        parameters.append(
            inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )

    def called(**given: Any) -> None:
        command(**given)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
