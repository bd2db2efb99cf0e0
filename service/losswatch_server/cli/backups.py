"""``losswatch-server backup`` and ``restore``: the database of a data folder as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losswatch_server.cli.exits import UNAVAILABLE, fail
from losswatch_server.settings import default_data_dir

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the SQLite file.", envvar="LOSSWATCH_DATA_DIR", show_default="the user's"),
]


def backup(
    path: Annotated[Path, typer.Argument(help="The file to make; it must not exist yet.", show_default=False)],
    data: Data = None,
) -> None:
    """Copy the database to a file, also while a service uses it. The file holds the secrets that the database holds."""
    from losswatch_server.store import StoreError
    from losswatch_server.store.backup import back_up

    try:
        size = back_up(data or default_data_dir(), path)
    except (StoreError, OSError) as error:
        fail(str(error), UNAVAILABLE)
    typer.echo(f"{path} has everything up to now ({size / 1e6:.1f} MB)")


def restore(
    path: Annotated[Path, typer.Argument(help="A file that backup made.", show_default=False)],
    data: Data = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a database that is there aside, as losswatch.sqlite3.replaced.")
    ] = False,
) -> None:
    """Put a backup into a data folder that no service uses."""
    from losswatch_server.store import StoreError
    from losswatch_server.store.backup import restore as put_back

    folder = data or default_data_dir()
    try:
        aside = put_back(path, folder, replace=replace)
    except (StoreError, OSError) as error:
        fail(str(error), UNAVAILABLE)
    typer.echo(f"{folder} is as {path} was made" + (f"; what was there is {aside}" if aside else ""))
