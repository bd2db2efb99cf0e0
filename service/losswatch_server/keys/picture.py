"""A token for one picture of one run: what chat services and READMEs fetch it with where keys are on.

It is signed with what is stored of a key's secret, so it needs no table, opens nothing else, and ends with that key.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from losswatch_server.keys.key import Key, Scope
from losswatch_server.keys.ring import KeyRing

_PICTURE = re.compile(r"/v1/runs/[A-Za-z0-9._-]{1,128}/(chart\.svg|chart\.png|badge\.svg)")
READ = frozenset({Scope.READ})


def picture_token(ring: KeyRing, project: str, path: str) -> str | None:
    """A token for the picture at this path, of the oldest key of the project that may read; None where keys are off,
    or none may."""
    key = next((key for key in ring.active(project) if key.allows(READ)), None)
    return None if key is None else f"{key.id}.{_signature(key, path)}"


def picture_key(ring: KeyRing, token: str, path: str) -> Key | None:
    """The key of a token that is for this very path; None where it is forged, or the key is over."""
    if not _PICTURE.fullmatch(path):
        return None
    id_, _, signature = token.partition(".")
    key = ring.known(id_)
    if key is None or not hmac.compare_digest(signature.encode(), _signature(key, path).encode()):
        return None
    return ring.use(id_)


def _signature(key: Key, path: str) -> str:
    text = f"picture.{key.id}.{path}"
    return hmac.new(key.digest.encode(), text.encode(), hashlib.sha256).hexdigest()[:40]
