"""Where the commands beside a service find its database: by the options, variables and file that ``serve`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losswatch_server.settings import Settings, SettingsError, default_data_dir

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the SQLite file.", envvar="LOSSWATCH_DATA_DIR", show_default="the user's"),
]
Database = Annotated[
    str | None,
    typer.Option("--database", help="Address of a PostgreSQL database instead.", envvar="LOSSWATCH_DATABASE"),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML file with the service's settings, where it says which.", envvar="LOSSWATCH_CONFIG"
    ),
]


def place_of(data: Path | None, database: str | None, config: Path | None) -> Path | str:
    """The folder or the address, as ``serve`` has it with the same."""
    if config is None:
        return database or data or default_data_dir()
    try:
        return Settings.from_env({}, config=config, data_dir=data, database=database).place
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
