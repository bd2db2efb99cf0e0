"""Users whom a reverse proxy of the operator has authenticated (OIDC, for example) and names in a header.

The header counts only from an address that the operator trusts: whoever can send a request from there is whoever the
header says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import quote

from starlette.types import Scope as Request

from losswatch_server.keys import Scope

PEER = "losswatch.peer"
"""Where the scope of a request has the address that the connection comes from, whatever a proxy says of its client."""
MOST = 256
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyUsers:
    """``header`` names the user; requests from ``trusted`` networks alone are believed. ``scopes`` are what each may
    do, in every project."""

    def __init__(self, header: str, trusted: Iterable[Network], scopes: frozenset[Scope]) -> None:
        self._header = header.strip().lower().encode("latin-1")
        self._trusted = tuple(trusted)
        self.scopes = scopes

    def user_of(self, request: Request) -> str | None:
        """Who asks; None where nobody says, or nobody who is trusted."""
        named = [value for name, value in request["headers"] if name == self._header]
        if len(named) != 1 or not 0 < len(named[0].strip()) <= MOST or not self._is_trusted(request):
            return None
        return quote(named[0].strip(), safe="@.-_+:")

    def allows(self, needed: frozenset[Scope]) -> bool:
        """Whether one of the ``needed`` scopes is theirs; ``admin`` stands for all."""
        return Scope.ADMIN in self.scopes or bool(needed & self.scopes)

    def _is_trusted(self, request: Request) -> bool:
        try:
            peer = ipaddress.ip_address(request[PEER])
        except (KeyError, ValueError):
            return False
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._trusted)


def networks(text: str) -> list[Network]:
    """Addresses and networks with commas between. Raises ValueError."""
    return [ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]
