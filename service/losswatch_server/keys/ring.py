"""The keys of a service in memory: whether keys are asked for at all, and whose a key is.

All keys are read anew every two seconds, so that asking for one costs a look into a dict, and a key that was made,
revoked or replaced on the command line counts in every process within that time. From the first key on, every request
needs one; it stays so when all of them are revoked or have expired, for a service that suddenly serves everybody is
what nobody expects.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from typing import Protocol

from losswatch_server.keys.key import Key
from losswatch_server.keys.token import read_token

_log = logging.getLogger("losswatch.keys")

RELOAD_S = 2.0
TOUCH_S = 60.0
"""How exact ``last_used_at`` is: a key in constant use costs one write a minute."""


class KeyStore(Protocol):
    """What the ring needs of a store."""

    async def keys(self) -> list[Key]:
        """All keys, the revoked ones too."""
        ...

    async def touch_keys(self, used: dict[str, float]) -> None:
        """Keep when each key was last used."""
        ...


class KeyRing:
    """Call ``reload`` once before the first request, then let a supervisor call it."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._used: dict[str, float] = {}
        self._touched_at = clock()

    @property
    def is_on(self) -> bool:
        """Whether requests need a key."""
        return bool(self._keys)

    def find(self, text: str) -> Key | None:
        """The key of this text; None where it is none, unknown, expired or revoked."""
        token = read_token(text)
        key = None if token is None else self._keys.get(token.id)
        if token is None or key is None or not hmac.compare_digest(key.digest, token.digest):
            return None
        return self.use(key.id)

    def use(self, id_: str) -> Key | None:
        """The active key of this id, which is used now."""
        key, now = self._keys.get(id_), self._clock()
        if key is None or key.state(now) != "active":
            return None
        self._used[id_] = now
        return key

    def known(self, id_: str) -> Key | None:
        """The key of this id, whatever its state."""
        return self._keys.get(id_)

    def active(self, project: str) -> list[Key]:
        """The keys of a project that count now, the oldest first."""
        now = self._clock()
        found = [key for key in self._keys.values() if key.project == project and key.state(now) == "active"]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def reload(self) -> float:
        """Read the keys, and write down their use now and then; seconds until the next time."""
        now = self._clock()
        if self._used and now - self._touched_at >= TOUCH_S:
            used, self._used, self._touched_at = self._used, {}, now
            await self._store.touch_keys(used)
        was_on = self.is_on
        self._keys = {key.id: key for key in await self._store.keys()}
        if self.is_on and not was_on:
            _log.info("every request to /v1 needs an API key")
        return RELOAD_S

    async def close(self) -> None:
        """Write down what was used since the last time."""
        if self._used:
            await self._store.touch_keys(self._used)
