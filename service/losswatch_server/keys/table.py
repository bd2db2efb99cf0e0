"""The table of keys. The command line uses it beside a running service, the ring through the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from losswatch_server.codec import damage
from losswatch_server.keys.key import Key, Scope
from losswatch_server.keys.token import Token, new_token
from losswatch_server.store.cells import given, moment, text

T = TypeVar("T")
_COLUMNS = "id, project, digest, scopes, name, created_at, expires_at, revoked_at, last_used_at"


class NoSuchKeyError(LookupError):
    """There is no key of this id."""


def keys(connection: sqlite3.Connection) -> list[Key]:
    """All keys, oldest first, the revoked ones too; a damaged one counts as revoked, and still as a key: a service
    none of whose keys can be read is closed, not open."""
    return list(map(_key, connection.execute(f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at, id")))


def create(
    connection: sqlite3.Connection,
    project: str,
    scopes: Iterable[Scope],
    *,
    now: float,
    name: str = "",
    expires_at: float | None = None,
) -> Token:
    """Keep a new key; what is returned can be had only now."""
    token = new_token()
    row = (token.id, project, token.digest, _text(scopes), name, now, expires_at, None, None)
    connection.execute(f"INSERT INTO api_key ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return token


def rotate(connection: sqlite3.Connection, id_: str) -> Token:
    """Give a key another secret: the old one, and the sessions begun with it, end. Raises NoSuchKeyError."""
    token = new_token(id_)
    _change(connection, "digest = ?", token.digest, id_)
    return token


def revoke(connection: sqlite3.Connection, id_: str, now: float) -> None:
    """End a key for ever; once revoked it keeps its time. Raises NoSuchKeyError."""
    _change(connection, "revoked_at = coalesce(revoked_at, ?)", now, id_)


def touch(connection: sqlite3.Connection, used: dict[str, float]) -> None:
    """Keep when keys were last used."""
    connection.executemany("UPDATE api_key SET last_used_at = ? WHERE id = ?", [(at, id_) for id_, at in used.items()])


def _change(connection: sqlite3.Connection, what: str, value: object, id_: str) -> None:
    if connection.execute(f"UPDATE api_key SET {what} WHERE id = ?", (value, id_)).rowcount == 0:
        raise NoSuchKeyError(id_)


def _key(row: tuple[Any, ...]) -> Key:
    id_, project, digest, scopes, name, created, expires, revoked, used = row
    try:
        return Key(
            id=text(id_, 1),
            project=text(project, 1),
            scopes=frozenset(scope for scope in Scope if scope in text(scopes).split()),
            digest=text(digest, 1).encode("ascii").decode(),
            name=text(name),
            created_at=moment(created),
            expires_at=given(moment, expires),
            revoked_at=given(moment, revoked),
            last_used_at=given(moment, used),
        )
    except ValueError as error:
        damage.note("key", (project, id_), error)
        name_ = id_ if type(id_) is str and id_ else f"damaged {id_!r:.40}"
        owner = project if type(project) is str else ""
        return Key(id=name_, project=owner, scopes=frozenset(), digest="", created_at=0.0, revoked_at=0.0)


def _text(scopes: Iterable[Scope]) -> str:
    return " ".join(sorted(scopes))


class Database(Protocol):
    """What of a store the table is reached through."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, on one state of the database."""
        ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, once its changes are on the disk."""
        ...


class StoredKeys:
    """The keys of a running service, see ``ring.KeyStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> list[Key]:
        """All keys, the revoked ones too."""
        return await self._database.read(keys)

    async def touch_keys(self, used: dict[str, float]) -> None:
        """Keep when each was last used."""
        await self._database.write(lambda connection: touch(connection, used))
