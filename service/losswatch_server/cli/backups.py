"""``losswatch-server backup`` and ``restore``: the database of a data folder as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losswatch_server.cli.exits import UNAVAILABLE, USAGE, fail
from losswatch_server.cli.place import Config, Data, place_of


def backup(
    path: Annotated[Path, typer.Argument(help="The file to make; it must not exist yet.", show_default=False)],
    data: Data = None,
    config: Config = None,
) -> None:
    """Copy the database to a file, also while a service uses it. The file holds the secrets that the database holds."""
    from losswatch_server.store import StoreError
    from losswatch_server.store.backup import back_up

    try:
        size = back_up(_folder(data, config), path)
    except (StoreError, OSError) as error:
        fail(str(error), UNAVAILABLE)
    typer.echo(f"{path} has everything up to now ({size / 1e6:.1f} MB)")


def restore(
    path: Annotated[Path, typer.Argument(help="A file that backup made.", show_default=False)],
    data: Data = None,
    config: Config = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a database that is there aside, as losswatch.sqlite3.replaced.")
    ] = False,
) -> None:
    """Put a backup into a data folder that no service uses."""
    from losswatch_server.store import StoreError
    from losswatch_server.store.backup import restore as put_back

    folder = _folder(data, config)
    try:
        aside = put_back(path, folder, replace=replace)
    except (StoreError, OSError) as error:
        fail(str(error), UNAVAILABLE)
    typer.echo(f"{folder} is as {path} was made" + (f"; what was there is {aside}" if aside else ""))


def _folder(data: Path | None, config: Path | None) -> Path:
    """The folder to copy from or to. Ends the command where the service keeps everything in PostgreSQL."""
    place = place_of(data, None, config)
    if isinstance(place, str):
        fail(
            "this copies a data folder; for PostgreSQL use its pg_dump and pg_restore (/docs/operations#backups)", USAGE
        )
    return place
