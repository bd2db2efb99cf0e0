"""Who calls: what a request needs of a key, and the project that it is then about.

Both paths to the points, everything else below ``/v1`` and ``/api``, and ``/mcp`` pass here once (see ``middleware``),
so no endpoint can be forgotten. A key belongs to one project: a request that names none is about that one, and one that
names another gets 404 like everything that does not exist. Probes, metrics, documentation and login page need no key.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.types import Scope as Request

from losswatch_server.api.http.problems import KEY_MISSING, KEY_SCOPE, PROJECT_NOT_FOUND, ProblemError
from losswatch_server.api.http.proxy_users import ProxyUsers
from losswatch_server.api.http.site import is_navigation
from losswatch_server.keys import Key, KeyRing, Scope
from losswatch_server.keys.picture import picture_key
from losswatch_server.keys.session import COOKIE, opened

KEY, PROJECT, MAY_READ = "losswatch.key", "losswatch.project", "losswatch.may_read"
"""Where the scope of a request has the id and the project of its key, and whether that may read; none where keys are
off."""
LIMITS, POINTS_PER_DAY = "losswatch.limits", "losswatch.points_per_day"
"""Where it has the limits of a key that has its own, of a minute and of a day."""

_READ = frozenset({Scope.READ})
_INGEST = frozenset({Scope.INGEST})
_ADMIN = frozenset({Scope.ADMIN})
_EITHER = frozenset({Scope.READ, Scope.INGEST})
_POSTED_BY_RUNS = frozenset({"points", "finish", "pause", "context"})
"""What a training does: everything else that changes something is administration."""


def scopes_needed(method: str, path: str) -> frozenset[Scope] | None:
    """The scopes of which one is enough; None for what needs no key."""
    if path == "/mcp":  # what a tool does is a request of its own, with the same key
        return _EITHER
    if path == "/api" or path.startswith("/api/"):
        return _scopes_of_mlflow(method, path)
    if path != "/v1" and not path.startswith("/v1/"):
        return None
    parts = path.removeprefix("/v1").removeprefix("/").split("/")
    if method == "POST" and parts[0] in ("metrics", "compat"):  # what other tools' clients send of a training
        return _INGEST
    if parts[0] in ("conditions", "causes", "diagnose"):  # pages that are the same for all; nothing is stored
        return _EITHER
    if method in ("GET", "HEAD", "OPTIONS"):
        return _READ
    described = method in ("PUT", "PATCH") and len(parts) == 2
    reported = method == "POST" and len(parts) == 3 and parts[2] in _POSTED_BY_RUNS
    return _INGEST if parts[0] == "runs" and (described or reported) else _ADMIN


def _scopes_of_mlflow(method: str, path: str) -> frozenset[Scope]:
    """Whoever logs asks for its experiment and its run, too; what the answer says of the run's numbers needs more."""
    if "/search" in path or "/metrics/" in path or "/artifacts/" in path:
        return _READ
    return _EITHER if method in ("GET", "HEAD") else _INGEST


class Authentication:
    """Admits requests. ``ring`` gives the keys, or None while the service starts (it answers nothing then);
    ``users`` are those whom a proxy has authenticated: where there may be some, nobody else needs no key."""

    def __init__(self, ring: Callable[[], KeyRing | None], users: ProxyUsers | None = None) -> None:
        self._ring = ring
        self._users = users

    def admit(self, request: Request) -> ProblemError | None:
        """Why this request is refused; None where it is served, for the project of its key from now on."""
        ring = self._ring()
        if ring is None or not (ring.is_on or self._users is not None):
            return None
        scopes = scopes_needed(request["method"], request["path"])
        if scopes is None:
            return None
        key = _key_of(request, ring)
        pictured = _key_of_picture(request, ring) if key is None else None
        user = self._users.user_of(request) if self._users is not None and key is None and pictured is None else None
        if user is not None and self._users is not None:
            request[KEY] = f"user:{user}"
            return None if self._users.allows(scopes) else _not_with_this_key(scopes)
        if key is None and pictured is None:
            return _key_missing()
        key = key or pictured
        assert key is not None
        request[KEY], request[PROJECT] = key.id, key.project
        request[MAY_READ] = key.allows(_READ)
        if key.limits is not None:
            request[POINTS_PER_DAY] = key.limits.points_per_day
            if key.limits.is_of_a_minute:
                request[LIMITS] = key.limits
        if pictured is None and not key.allows(scopes):
            return _not_with_this_key(scopes)
        return _in_its_project(request, key)


def _key_of(request: Request, ring: KeyRing) -> Key | None:
    for name, value in request["headers"]:
        if name == b"authorization":
            return ring.find(_key_in(value.decode("latin-1")))
    return session_of(request, ring)


def _key_in(authorization: str) -> str:
    """The key in a header: a bearer token, or the password of basic authentication under any name."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            return base64.b64decode(text, validate=True).decode("latin-1").partition(":")[2]
        return ""
    return text if scheme.lower() == "bearer" else ""


def session_of(request: Request, ring: KeyRing) -> Key | None:
    """The key with which the browser that asks has logged in."""
    for name, value in request["headers"]:
        if name == b"cookie" and COOKIE.encode() in value:
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return None
            return None if found is None else opened(found.value, ring, time.time())
    return None


def _key_of_picture(request: Request, ring: KeyRing) -> Key | None:
    """The key whose signature opens this picture, and nothing else."""
    query = request.get("query_string", b"")
    if b"token=" not in query or request["method"] != "GET":
        return None
    tokens = [value for name, value in parse_qsl(query.decode("latin-1")) if name == "token"]
    return picture_key(ring, tokens[0], request["path"]) if len(tokens) == 1 else None


def log_in_first(refusal: ProblemError, request: Request) -> Response | None:
    """Where somebody follows a link in a browser without a session: the way to the login page, and back from there."""
    if refusal.kind is not KEY_MISSING or not is_navigation(request):
        return None
    query = request["query_string"].decode("latin-1")
    asked = quote(request["path"]) + (f"?{query}" if query else "")
    return RedirectResponse("/login?" + urlencode({"next": asked}), 303)


def _in_its_project(request: Request, key: Key) -> ProblemError | None:
    query = request.get("query_string", b"")
    if b"project" not in query and b"%" not in query:  # the common case, without taking the query apart
        request["query_string"] = query + (b"&" if query else b"") + b"project=" + key.project.encode()
        return None
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if any(name == "project" and value != key.project for name, value in given):
        return ProblemError(PROJECT_NOT_FOUND, "There is no such project, or this key is not for it.")
    others = [(name, value) for name, value in given if name != "project"]
    request["query_string"] = urlencode([*others, ("project", key.project)]).encode()
    return None


def _key_missing() -> ProblemError:
    return ProblemError(
        KEY_MISSING,
        "This service asks for an API key: send Authorization: Bearer lw_… (the client: LOSSWATCH_API_KEY), or log in "
        "at /login. The key is missing, mistyped, expired or revoked.",
        headers={"WWW-Authenticate": 'Bearer realm="losswatch"'},
    )


def _not_with_this_key(scopes: frozenset[Scope]) -> ProblemError:
    return ProblemError(
        KEY_SCOPE,
        f"This key may not do this: it needs the scope {' or '.join(sorted(scopes))}.",
        headers={"WWW-Authenticate": f'Bearer realm="losswatch", error="insufficient_scope", scope="{min(scopes)}"'},
    )
