"""The options of ``serve``: one for each setting, made of the table of settings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from losswatch_server.settings import PREFIX, Settings, option


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with an option for each setting; one that is not given is None."""
    parameters = []
    hints = typing.get_type_hints(Settings)
    for row, setting in zip(Settings.table(), fields(Settings), strict=True):
        described = typer.Option(
            option(setting.name),
            help=row.help.replace("[", "\\["),  # else it is taken for markup, and not shown
            envvar=PREFIX + setting.name.upper(),
            show_default=row.default or False,
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
