"""``losswatch-server keys``: the API keys of a data folder, also beside the service that has it open."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from losswatch_server.cli.exits import UNAVAILABLE, USAGE, fail
from losswatch_server.cli.place import Config, Data, Database, place_of
from losswatch_server.cli.plain_help import PlainCommand, PlainGroup
from losswatch_server.keys import Key, KeyLimits, Scope

if TYPE_CHECKING:
    from losswatch_server.keys.token import Token
    from losswatch_server.store.connection import DatabaseConnection

keys = typer.Typer(
    name="keys",
    cls=PlainGroup,
    help="Manage API keys. From the first one on, every request to the service needs one.",
    no_args_is_help=True,
)

T = TypeVar("T")
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The key's id: what stands between its two underscores.", show_default=False)
]
Requests = Annotated[
    int | None,
    typer.Option(
        "--requests-per-minute", help="Requests that it may send in a minute.", min=1, show_default="the service's"
    ),
]
Points = Annotated[
    int | None,
    typer.Option(
        "--points-per-minute", help="Points that it may send in a minute.", min=1, show_default="the service's"
    ),
]
PointsOfADay = Annotated[
    int | None,
    typer.Option(
        "--points-per-day",
        help="Points that it may send on a day (UTC), by way of all services together.",
        min=1,
        show_default="its project's",
    ),
]
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@keys.command(cls=PlainCommand)
def create(
    project: Annotated[str, typer.Option(help="The project that it is for.")] = "default",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="ingest: post points; read: reports; admin: everything in the project. Can be repeated.",
            show_default="ingest and read",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people, such as who has it.")] = "",
    days: Annotated[float | None, typer.Option(help="It expires after so many days.", min=0.0)] = None,
    requests_per_minute: Requests = None,
    points_per_minute: Points = None,
    points_per_day: PointsOfADay = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make a key. It is printed alone on its line, and only now: what is stored cannot be turned back into it."""
    from losswatch_server.keys import table

    if not _PROJECT.fullmatch(project):
        raise typer.BadParameter(
            "a project has 1 to 128 letters, digits, dots, hyphens or underscores, and begins with a letter or a digit",
            param_hint="--project",
        )
    scopes = scope or [Scope.INGEST, Scope.READ]
    now = time.time()
    expires = None if days is None else now + days * 86400
    limits = KeyLimits(requests_per_minute, points_per_minute, points_per_day)

    def make(connection: DatabaseConnection) -> Token:
        return table.create(connection, project, scopes, now=now, name=name, expires_at=expires, limits=limits)

    place = place_of(data, database, config)
    token = _do(place, make, new=True)
    allowed = " and ".join(scopes)
    where = f"project {project} in {_shown(place)}"
    typer.echo(f"Key {token.id} of {where}, for {allowed}. It counts within two seconds:", err=True)
    typer.echo(token.text)


@keys.command("list", cls=PlainCommand)
def list_keys(data: Data = None, database: Database = None, config: Config = None) -> None:
    """List all keys: id, state, project, scopes, when each was made and last used, its own limits, name."""
    from losswatch_server.keys import table

    now, place = time.time(), place_of(data, database, config)
    found = _do(place, table.keys)
    for key in found:
        typer.echo(_line(key, now))
    if not found:
        typer.echo(f"There are no keys in {_shown(place)}: whoever reaches the service may use it.", err=True)


@keys.command(cls=PlainCommand)
def rotate(id_: Id, data: Data = None, database: Database = None, config: Config = None) -> None:
    """Give a key another secret, printed alone on its line. The old one and the sessions begun with it end."""
    from losswatch_server.keys import table

    typer.echo(_do(place_of(data, database, config), lambda one: table.rotate(one, id_)).text)


@keys.command(cls=PlainCommand)
def limit(
    id_: Id,
    requests_per_minute: Requests = None,
    points_per_minute: Points = None,
    points_per_day: PointsOfADay = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Set what a key may send in a minute and on a day. What is not given becomes the service's setting again."""
    from losswatch_server.keys import table

    limits = KeyLimits(requests_per_minute, points_per_minute, points_per_day)
    _do(place_of(data, database, config), lambda one: table.limit(one, id_, limits))
    said = _limits(limits) or "what the service's settings allow"
    typer.echo(f"Key {id_} may send {said}; it counts within two seconds.", err=True)


@keys.command(cls=PlainCommand)
def revoke(id_: Id, data: Data = None, database: Database = None, config: Config = None) -> None:
    """End a key. When the last one is revoked, nobody can call the service until there is a new one."""
    from losswatch_server.keys import table

    _do(place_of(data, database, config), lambda one: table.revoke(one, id_, time.time()))
    typer.echo(f"Key {id_} is revoked; the service refuses it within two seconds.", err=True)


def _do(place: str | Path, work: Callable[[DatabaseConnection], T], *, new: bool = False) -> T:
    """What ``work`` makes of the database, in one transaction; ``new``: one that is not there is made.

    Ends the command where it cannot be had.
    """
    from losswatch_server.keys import table
    from losswatch_server.store import places
    from losswatch_server.store.datadir import DATABASE
    from losswatch_server.store.errors import StoreError

    if isinstance(place, Path) and not new and not (place / DATABASE).exists():
        fail(f"there is no database in {place}; which folder is it? (--data)", UNAVAILABLE)
    try:
        return places.change(place, table.KEYS_SINCE, work)
    except table.NoSuchKeyError as error:
        fail(f"there is no key {error} in {_shown(place)}; `losswatch-server keys list` shows all of them", USAGE)
    except StoreError as error:
        fail(f"{_shown(place)}: {error}", UNAVAILABLE)


def _shown(place: str | Path) -> str:
    from losswatch_server.store import places

    return places.shown(place)


def _line(key: Key, now: float) -> str:
    state = key.state(now)
    until = f" until {_day(key.expires_at)}" if key.expires_at is not None and state == "active" else ""
    used = "never used" if key.last_used_at is None else f"used {_day(key.last_used_at)}"
    scopes = "+".join(sorted(key.scopes))
    limits = _limits(key.limits or KeyLimits())
    cells = (key.id, state + until, key.project, scopes, f"made {_day(key.created_at)}", used, limits, key.name)
    return "  ".join(cell for cell in cells if cell)


def _limits(limits: KeyLimits) -> str:
    named = (
        (limits.requests_per_minute, "requests/min"),
        (limits.points_per_minute, "points/min"),
        (limits.points_per_day, "points/day"),
    )
    return " and ".join(f"{most:,} {what}" for most, what in named if most is not None)


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
