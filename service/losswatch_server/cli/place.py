"""Where the commands beside a service find its database: by the options, variables and file that ``serve`` takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from losswatch_server.cli.options import from_the_command_line
from losswatch_server.settings import Settings, SettingsError, default_data_dir, setting_help

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=setting_help("data_dir"),
        envvar="LOSSWATCH_DATA_DIR",
        show_default=str(default_data_dir()),
        callback=from_the_command_line,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database", help=setting_help("database"), envvar="LOSSWATCH_DATABASE", callback=from_the_command_line
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with the service's settings, where it says which.",
        envvar="LOSSWATCH_CONFIG",
        callback=from_the_command_line,
    ),
]
_VARIABLES = ("LOSSWATCH_DATA_DIR", "LOSSWATCH_DATABASE", "LOSSWATCH_CONFIG")


def place_of(data: Path | None, database: str | None, config: Path | None) -> Path | str:
    """The folder or the address, as ``serve`` has it with the same."""
    environ = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    try:
        return Settings.from_env(environ, config=config, data_dir=data, database=database).place
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
