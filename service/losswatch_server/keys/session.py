"""The session of a browser: a cookie that says which key was used to log in, and until when.

It is signed with what is stored of the key's secret, so it needs no table, and ends when the key is revoked, expires
or gets another secret.
"""

from __future__ import annotations

import hashlib
import hmac

from losswatch_server.keys.key import Key
from losswatch_server.keys.ring import KeyRing

COOKIE = "losswatch_session"
LASTS_S = 12 * 3600


def sealed(key: Key, now: float) -> str:
    """The value of the cookie for somebody who has just logged in with ``key``."""
    until = int(now + LASTS_S)
    return f"{key.id}.{until}.{_signature(key, until)}"


def opened(value: str, ring: KeyRing, now: float) -> Key | None:
    """The key of a session; None where the cookie is forged, or key or session are over."""
    id_, _, rest = value.partition(".")
    until, _, signature = rest.partition(".")
    key = ring.known(id_)
    if key is None or not (until.isascii() and until.isdigit() and len(until) < 16) or int(until) <= now:
        return None
    if not hmac.compare_digest(signature.encode(), _signature(key, int(until)).encode()):
        return None
    return ring.use(id_)


def _signature(key: Key, until: int) -> str:
    return hmac.new(key.digest.encode(), f"session.{key.id}.{until}".encode(), hashlib.sha256).hexdigest()
