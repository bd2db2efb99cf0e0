"""Commands that convert only the options that were given.

typer builds a validator of pydantic for every parameter of a command, given or not: of ``diagnose`` with its thirty
that takes a fifth of the time to a verdict.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from losswatch_server.cli.plain_help import PlainCommand, PlainGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    _Base = TyperCommand
else:
    _Base = object


class _Quick(_Base):
    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)
        for parameter in parameters:
            if not isinstance(parameter.process_value, _Given):
                parameter.process_value = _Given(parameter, parameter.process_value)
        return parameters


class QuickCommand(_Quick, PlainCommand):
    """For a command with many options, few of which are given at a time. An argument is taken as a path."""


class QuickGroup(_Quick, PlainGroup):
    """For the options that come before a command."""


class _Given:
    def __init__(self, parameter: Any, process: Callable[[Any, Any], Any]) -> None:
        self.parameter = parameter
        self.process = process

    def __call__(self, ctx: Any, value: Any) -> Any:
        if value is None and not self.parameter.required and self.parameter.callback is None:
            return None
        if value is None and self.parameter.expose_value is False:
            return self.parameter.callback(ctx, self.parameter, None)
        if isinstance(value, str) and self.parameter.param_type_name == "argument":
            return Path(value)
        return self.process(ctx, value)
