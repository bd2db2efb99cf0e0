"""The ring of keys: what counts when, and what is written down of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from losswatch_server.keys import Key, KeyRing, Scope
from losswatch_server.keys.ring import TOUCH_S
from losswatch_server.keys.session import LASTS_S, opened, sealed
from losswatch_server.keys.token import Token, new_token

NOW = 1_800_000_000.0


class Stored:
    """Keys as a store would keep them, and a clock."""

    def __init__(self) -> None:
        self.all: list[Key] = []
        self.touched: list[dict[str, float]] = []
        self.now = NOW

    async def keys(self) -> list[Key]:
        return list(self.all)

    async def touch_keys(self, used: dict[str, float]) -> None:
        self.touched.append(used)

    def make(self, *scopes: Scope, **more: float) -> tuple[Token, Key]:
        token = new_token()
        key = Key(
            id=token.id, project="a", scopes=frozenset(scopes), digest=token.digest, created_at=NOW, **more
        )  # fmt: skip
        self.all.append(key)
        return token, key


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def ring(stored: Stored) -> KeyRing:
    return KeyRing(stored, clock=lambda: stored.now)


def reload(ring: KeyRing) -> None:
    asyncio.run(ring.reload())


def test_nobody_is_asked_until_there_is_a_key_and_everybody_for_ever_after(stored: Stored, ring: KeyRing) -> None:
    reload(ring)
    assert not ring.is_on
    token, key = stored.make(Scope.READ)
    reload(ring)
    assert ring.is_on
    assert ring.find(token.text) == key
    stored.all = [replace(key, revoked_at=NOW)]
    reload(ring)
    assert ring.is_on
    assert ring.find(token.text) is None


def test_a_key_ends_when_it_expires_to_the_second(stored: Stored, ring: KeyRing) -> None:
    token, _ = stored.make(Scope.READ, expires_at=NOW + 10)
    reload(ring)
    stored.now = NOW + 9.9
    assert ring.find(token.text) is not None
    stored.now = NOW + 10
    assert ring.find(token.text) is None


def test_another_secret_with_the_same_id_is_no_key(stored: Stored, ring: KeyRing) -> None:
    token, _ = stored.make(Scope.ADMIN)
    reload(ring)
    assert ring.find(new_token(token.id).text) is None
    assert ring.find(new_token().text) is None


def test_use_is_written_down_once_a_minute_and_at_the_end(stored: Stored, ring: KeyRing) -> None:
    token, key = stored.make(Scope.READ)
    reload(ring)
    ring.find(token.text)
    reload(ring)
    assert stored.touched == []
    stored.now = NOW + TOUCH_S
    ring.find(token.text)
    reload(ring)
    reload(ring)
    assert stored.touched == [{key.id: NOW + TOUCH_S}]
    ring.find(token.text)
    asyncio.run(ring.close())
    assert len(stored.touched) == 2


def test_admin_stands_for_all_and_nothing_else_for_anything_else(stored: Stored) -> None:
    for held in Scope:
        _, key = stored.make(held)
        for needed in Scope:
            assert key.allows(frozenset({needed})) == (held in (needed, Scope.ADMIN))


def test_a_session_is_of_its_key_and_ends_with_it(stored: Stored, ring: KeyRing) -> None:
    _, key = stored.make(Scope.READ)
    _, other = stored.make(Scope.ADMIN)
    reload(ring)
    cookie = sealed(key, NOW)
    assert opened(cookie, ring, NOW) == key
    assert opened(cookie, ring, NOW + LASTS_S - 1) == key
    assert opened(cookie, ring, NOW + LASTS_S) is None
    id_, until, signature = cookie.split(".")
    for forged in (
        f"{other.id}.{until}.{signature}", f"{id_}.{int(until) + 1}.{signature}", f"{id_}.{until}.{'0' * 64}",
        f"{id_}.{until}.", f"{id_}..{signature}", f"{id_}.{'9' * 400}.{signature}", f"{id_}.²³.{signature}", "", "a.b.",
    ):  # fmt: skip
        assert opened(forged, ring, NOW) is None
    stored.all = [replace(key, digest=new_token(key.id).digest)]
    reload(ring)
    assert opened(cookie, ring, NOW) is None
