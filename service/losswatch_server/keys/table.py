"""The keys of a database. The command line uses it beside a running service, the ring through the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from losswatch_server.codec import damage
from losswatch_server.keys.key import Key, KeyLimits, Scope
from losswatch_server.keys.token import Token, new_token
from losswatch_server.store import key_rows
from losswatch_server.store.cells import given, moment, text, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.transactions import Transactions

TABLE_SINCE = "0008"
"""The schema that has the table."""
KEYS_SINCE = "0013"
"""The schema that has all its columns."""


class NoSuchKeyError(LookupError):
    """There is no key of this id."""


def keys(connection: DatabaseConnection) -> list[Key]:
    """All keys, oldest first, the revoked ones too; a damaged one counts as revoked, and still as a key: a service
    none of whose keys can be read is closed, not open."""
    return list(map(_key, key_rows.key_rows(connection)))


def are_there(connection: DatabaseConnection) -> bool:
    """Whether there is any key, so that requests need one."""
    return key_rows.is_any(connection)


def create(
    connection: DatabaseConnection,
    project: str,
    scopes: Iterable[Scope],
    *,
    now: float,
    name: str = "",
    expires_at: float | None = None,
    limits: KeyLimits | None = None,
) -> Token:
    """Keep a new key; what is returned can be had only now."""
    token = new_token()
    cells = (
        token.id,
        project,
        token.digest,
        _text(scopes),
        name,
        now,
        expires_at,
        None,
        None,
        *(limits or KeyLimits()),
    )
    key_rows.add_key(connection, cells)
    return token


def rotate(connection: DatabaseConnection, id_: str) -> Token:
    """Give a key another secret: the old one, and the sessions begun with it, end. Raises NoSuchKeyError."""
    token = new_token(id_)
    if not key_rows.change_digest(connection, id_, token.digest):
        raise NoSuchKeyError(id_)
    return token


def revoke(connection: DatabaseConnection, id_: str, now: float) -> None:
    """End a key for ever; once revoked it keeps its time. Raises NoSuchKeyError."""
    if not key_rows.revoke_key(connection, id_, now):
        raise NoSuchKeyError(id_)


def limit(connection: DatabaseConnection, id_: str, limits: KeyLimits) -> None:
    """Let a key send so much. Raises NoSuchKeyError."""
    if not key_rows.change_limits(connection, id_, *limits):
        raise NoSuchKeyError(id_)


def _key(row: Sequence[Any]) -> Key:
    id_, project, digest, scopes, name, created, expires, revoked, used, *limits = row
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
            limits=_limits(*limits),
        )
    except ValueError as error:
        damage.note("key", (project, id_), error)
        name_ = id_ if type(id_) is str and id_ else f"damaged {id_!r:.40}"
        owner = project if type(project) is str else ""
        return Key(id=name_, project=owner, scopes=frozenset(), digest="", created_at=0.0, revoked_at=0.0)


def _limits(*cells: object) -> KeyLimits | None:
    limits = KeyLimits(*(given(partial(whole, low=1), cell) for cell in cells))
    return None if limits == KeyLimits() else limits


def _text(scopes: Iterable[Scope]) -> str:
    return " ".join(sorted(scopes))


class StoredKeys:
    """The keys of a running service, see ``ring.KeyStore``."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def keys(self) -> list[Key]:
        """All keys, the revoked ones too."""
        return await self._database.read(keys)

    async def touch_keys(self, used: dict[str, float]) -> None:
        """Keep when each was last used."""
        await self._database.write(partial(key_rows.touch_keys, used=used))
