"""The commands of ``losswatch-server`` and what they have in common."""

from __future__ import annotations

import difflib
import os
import re
import sys
from typing import Annotated, Any, cast

import typer

import losswatch_server
from losswatch_server.cli.backups import backup, restore
from losswatch_server.cli.diagnose import diagnose
from losswatch_server.cli.doctor import doctor
from losswatch_server.cli.exits import UNAVAILABLE, USAGE, fail
from losswatch_server.cli.keys import keys
from losswatch_server.cli.mcp import mcp
from losswatch_server.cli.options import with_settings
from losswatch_server.cli.place import Config, Data, Database, place_of
from losswatch_server.cli.plain_help import PlainCommand
from losswatch_server.cli.portability import export, import_
from losswatch_server.cli.projects import projects
from losswatch_server.cli.quick import QuickCommand, QuickGroup
from losswatch_server.cli.show import show
from losswatch_server.cli.targets import targets
from losswatch_server.settings import Settings, SettingsError

app = typer.Typer(
    name="losswatch-server",
    cls=QuickGroup,
    help="Watches training runs and says what is wrong, why, and what to do.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    pretty_exceptions_enable=False,
)
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])
"""What wrong usage raises; typer shows only this kind of it."""


def main() -> None:
    """The entry point. Wrong usage ends with 64 instead of the usual 2, which means a critical run."""
    try:
        sys.exit(app(standalone_mode=False))
    except _UsageError as error:
        _name_the_closest(error)
        _say_plainly(error)
        cast(typer.BadParameter, error).show()
        sys.exit(USAGE)
    except typer.Abort:
        sys.exit(130)


def _name_the_closest(error: Any) -> None:
    """Of an option that does not exist: the one that was probably meant, not all that share letters with it."""
    if (
        (wrong := getattr(error, "option_name", None)) is None
        or error.ctx is None
        or not hasattr(error, "possibilities")
    ):
        return
    known = [name for option in error.ctx.command.params for name in (*option.opts, *option.secondary_opts)]
    from losswatch_server.monitor.context_names import meant

    field = "--" + (meant(wrong.strip("-").replace("-", "_")) or "").replace("_", "-")
    close = [field] if field in known else difflib.get_close_matches(wrong, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"{error.ctx.command_path} --help lists all of them."
    error.message, error.possibilities = f"{error.message}. {hint}", None


_NEEDED = {
    "Input should be a valid integer": "a whole number is needed",
    "Input should be a valid number": "a number is needed",
    "Input should be a valid boolean": "true or false is needed",
}
"""What pydantic says, by how it begins, and what people say."""


def _say_plainly(error: Any) -> None:
    """Of a value that an option cannot have: in plain words, with the one that was probably meant."""
    error.message = error.message.removeprefix("Value error, ")
    for begins, plain in _NEEDED.items():
        if error.message.startswith(begins):
            error.message = plain
    wrong, sign, choices = error.message.partition(" is not one of ")
    close = difflib.get_close_matches(wrong.strip("'"), re.findall(r"'([^']*)'", choices), n=1) if sign else []
    if close:
        error.message += f" Did you mean {close[0]}?"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"losswatch-server {losswatch_server.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options that come before a command."""


@with_settings
def serve(**given: Any) -> None:
    """Start the service. Prints one line with its address once it answers; stops on Ctrl-C or SIGTERM."""
    settings = _settings(**given)
    if settings.database is None and _settings(leave_out="LOSSWATCH_DATA_DIR", **given | {"data_dir": None}).database:
        typer.echo(
            f"Runs are kept in {settings.data_dir}, as --data or LOSSWATCH_DATA_DIR says; the address of a "
            "database that is set as well is not used.",
            err=True,
        )
    from losswatch_server.api.http.tracing import TracingMissingError
    from losswatch_server.app import alert_settings, create_app, is_loopback, metric_rules, proxy_users
    from losswatch_server.cli.serve import CannotServeError, Ending, needs_a_key, open_to_all
    from losswatch_server.cli.serve import serve as run
    from losswatch_server.keys import table
    from losswatch_server.store import places

    try:
        alert_settings(settings)
        metric_rules(settings)
        proxy_users(settings)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
    has_keys = places.look(settings.place, table.TABLE_SINCE, table.are_there)  # also before it is migrated
    is_closed = settings.user_header is not None or bool(has_keys)
    if not is_loopback(settings.host) and not is_closed:
        if not settings.insecure:
            fail(needs_a_key(settings.host, settings.place), USAGE)
        typer.echo(open_to_all(settings.host), err=True)
    ending = Ending()
    try:
        app = create_app(settings, on_lost=ending.because)
    except TracingMissingError as error:
        raise typer.BadParameter(str(error)) from error
    ending.before = lambda: app.state.feed.close()
    ending.drain = lambda: setattr(app.state, "is_draining", True)
    try:
        run(app, settings, lambda address: typer.echo(f"Losswatch answers on {address}"), ending)
    except CannotServeError as error:
        fail(str(error), UNAVAILABLE)


def migrate(data: Data = None, database: Database = None, config: Config = None) -> None:
    """Bring a database to this version. The service does this by itself when it starts."""
    from losswatch_server.store import places
    from losswatch_server.store.errors import StoreError

    place = place_of(data, database, config)
    try:
        shown = places.migrate(place)
    except (OSError, StoreError) as error:
        fail(f"{places.shown(place)}: {error}", UNAVAILABLE)
    typer.echo(f"{shown} is up to date")


def openapi() -> None:
    """Print the description of the HTTP API (OpenAPI 3.1) as JSON."""
    import json

    from losswatch_server.app import create_app

    typer.echo(json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False))


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Run as fast as it trains, without pauses to watch.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running at the end.")] = False,
) -> None:
    """Train real models with real faults and see each one diagnosed. Takes under a minute."""
    from losswatch_server.cli.demo import DemoError, run_demo

    try:
        run_demo(fast=fast, keep=keep)
    except DemoError as error:
        fail(str(error), UNAVAILABLE)


def _settings(leave_out: str = "", **given: object) -> Settings:
    try:
        return Settings.from_env({name: value for name, value in os.environ.items() if name != leave_out}, **given)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


for heading, its in (
    ("The service", (serve, demo)),
    ("Runs and logs", (diagnose, show, export, import_)),
    ("The data", (doctor, backup, restore, migrate)),
    ("For programs", (mcp, openapi)),
    ("For a team", (keys, targets, projects)),
):  # as --help lists them
    for one in its:
        if isinstance(one, typer.Typer):
            app.add_typer(one, rich_help_panel=heading)
        else:
            kind = QuickCommand if one is diagnose else PlainCommand
            app.command(one.__name__.rstrip("_"), cls=kind, rich_help_panel=heading)(one)
