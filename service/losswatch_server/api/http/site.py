"""As whom the service answers: the hosts it may be called by, and which requests come from web pages of others. Pure.

Without keys whoever reaches the service may use it, and a browser on this machine reaches it on behalf of every page
that it shows. Two checks keep those pages out: a page cannot choose the ``Origin`` and ``Sec-Fetch-Site`` that its
browser sends, and a page that has its own name resolve to this machine (DNS rebinding) is betrayed by ``Host``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import Scope

from losswatch_server.api.http.problems import FOREIGN_PAGE, WRONG_HOST, ProblemError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")
"""Reserved for networks of one's own (RFC 6761, 6762, 8375, ICANN 2024): nobody can have them resolve elsewhere."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OWN = (b"same-origin", b"none")
_CACHED = 64


class Site:
    """The names under which the service may be called, and its address behind a proxy.

    ``names`` are hosts without a port; ``*.example.org`` stands for all below it and ``*`` for any. ``any_private``
    also takes what no stranger can own: numeric addresses, names without a dot and names reserved for private networks.
    ``base_url`` is the address that people use; pages of its origin are the service's own.
    """

    def __init__(self, names: Iterable[str] = (), *, any_private: bool = False, base_url: str | None = None) -> None:
        given = {name.strip().lower() for name in names if name.strip()}
        self._any_private = any_private
        self._public = None if base_url is None else urlsplit(base_url)
        if self._public is not None and self._public.hostname:
            given.add(_bracketed(self._public.hostname))
        self._any = "*" in given
        self._suffixes = tuple(name[1:] for name in given if name.startswith("*."))
        self._names = frozenset(given)
        self._seen: set[bytes] = set()

    def refusal(self, scope: Scope) -> ProblemError | None:
        """Why this request is not served: 421 for a foreign host, 403 for a foreign page; None when it is."""
        host = origin = fetch_site = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                fetch_site = value
        if host is None or host not in self._seen:
            if not self.answers_as(host or b""):
                return _wrong_host(host or b"")
            if host is not None and len(self._seen) < _CACHED:
                self._seen.add(host)
        if (origin is None and fetch_site is None) or is_navigation(scope):
            return None
        if (fetch_site is None or fetch_site in _OWN) and (origin is None or self._is_own(origin, host or b"")):
            return None
        return _foreign_page(origin)

    def answers_as(self, host: bytes) -> bool:
        """Whether the service may be called by this value of ``Host``."""
        name = _without_port(host.decode("latin-1").strip().lower())
        if self._any or name in self._names or name.endswith(self._suffixes):
            return True
        return self._any_private and is_private(name)

    def _is_own(self, origin: bytes, host: bytes) -> bool:
        try:
            parts = urlsplit(origin.decode("latin-1").lower())
            own = _authority(parts.scheme, parts.netloc)
        except ValueError:
            return False
        if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
            return False  # "null", a file, an extension
        if own == _authority(parts.scheme, host.decode("latin-1").strip().lower()):
            return True
        public = self._public
        return (
            public is not None
            and public.scheme == parts.scheme
            and own == _authority(public.scheme, public.netloc.rpartition("@")[2].lower())
        )


def is_private(name: str) -> bool:
    """Whether no stranger can have this host (lower case, without a port) resolve to an address of his choice."""
    if name.startswith("["):
        return _is_address(name[1:-1])
    if "." not in name or _is_address(name):
        return True
    return name.endswith(_PRIVATE_SUFFIXES)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_navigation(scope: Scope) -> bool:
    """Somebody follows a link, in a message for instance: the page that has the link learns nothing."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    headers = dict(scope["headers"])
    return headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _authority(scheme: str, netloc: str) -> str:
    return netloc.removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")


def _bracketed(hostname: str) -> str:
    return f"[{hostname}]" if ":" in hostname else hostname


def _wrong_host(host: bytes) -> ProblemError:
    name = _without_port(host.decode("latin-1").strip().lower())
    return ProblemError(
        WRONG_HOST,
        f'The service does not answer under the name "{_shown(name)}". Use localhost or its numeric address, or start '
        "it with --allowed-hosts and this name, or with --base-url and the address that people use.",
    )


def _foreign_page(origin: bytes | None) -> ProblemError:
    whose = "another site" if origin in (None, b"null") else f'"{_shown((origin or b"").decode("latin-1"))}"'
    return ProblemError(
        FOREIGN_PAGE,
        f"The request comes from a web page of {whose}, and pages of other sites may neither change nor read anything "
        "here. If people reach the service at that address, start it with --base-url and this address.",
    )


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in text[:80])
