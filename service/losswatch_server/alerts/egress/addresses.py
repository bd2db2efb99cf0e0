"""Which addresses the service may connect to on somebody's behalf. Pure; the wall against request forgery.

Written as what is allowed, not as a list of what is forbidden: globally routable unicast, and nothing that carries
another address inside. ``ipaddress.is_global`` alone lets through multicast, NAT64 and deprecated tunnels.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

PUBLIC_PORTS = (80, 443, 8443)

_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = (
    IPv6Network("2001::/23"),  # Teredo, ORCHID, benchmarking and other protocol assignments
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")
_RELAY_V4 = IPv4Network("192.88.99.0/24")
_NEVER = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),  # link-local: the metadata services of most clouds (169.254.169.254 and others)
    IPv4Network("168.63.129.16/32"),  # Azure's WireServer: a public address, but the host machine answers there
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud
    IPv4Network("192.0.0.192/32"),  # Oracle Cloud
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::/32"),  # Amazon: metadata, name service, time
    IPv6Network("fd20:ce::254/128"),  # Google Cloud
    IPv6Network("fd00:42::42/128"),  # Scaleway
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle Cloud
    IPv6Network("ff00::/8"),
)


class TargetRefusedError(ValueError):
    """The address of a target is not one this service connects to."""


def is_allowed(address: str, *, allow_private: bool = False) -> bool:
    """Whether a connection to this numeric address is allowed.

    ``allow_private`` opens loopback and private ranges for operators who said so; link-local, multicast and the
    metadata addresses stay shut.
    """
    ip = _unwrapped(ip_address(address.partition("%")[0]))
    if ip is None or any(ip in network for network in _NEVER if network.version == ip.version):
        return False
    return allow_private or _is_public(ip)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """The address that a connection would reach: the IPv4 one inside a mapped, NAT64 or 6to4 address.

    None for the deprecated IPv4-compatible form, whose meaning differs between systems.
    """
    if isinstance(ip, IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _SIX_TO_FOUR:
        return IPv4Address((int(ip) >> 80) & 0xFFFFFFFF)
    if int(ip) >> 32 == 0 and int(ip) > 1:
        return None
    return ip


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast and ip not in _RELAY_V4
    return ip in _GLOBAL_V6 and not any(ip in network for network in _SPECIAL_V6)


def read_url(url: str, *, allow_private: bool = False, allow_http: bool = False) -> SplitResult:
    """The parts of a target's URL.

    Raises
    ------
    TargetRefusedError
        For another scheme than https (or http where allowed), a user name in the URL, an unusual port, or a numeric
        address that is not allowed. Names are resolved and checked when a connection is made. No message repeats
        the URL: its path is often the secret.
    """
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise TargetRefusedError("the URL contains white space or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefusedError("the URL cannot be read") from None
    if parts.hostname:  # first: what is refused for where it leads is not mended by another scheme or port
        check_host(parts.hostname, allow_private=allow_private)
    if parts.scheme != "https" and not (parts.scheme == "http" and (allow_http or allow_private)):
        raise TargetRefusedError("the URL must begin with https://")
    if not parts.hostname:
        raise TargetRefusedError("the URL has no host")
    if parts.username is not None or parts.password is not None:
        raise TargetRefusedError("the URL must not carry a user name or password")
    if not allow_private and port is not None and port not in PUBLIC_PORTS:
        raise TargetRefusedError(f"port {port} is not one of {', '.join(map(str, PUBLIC_PORTS))}")
    return parts


def check_host(host: str, *, allow_private: bool = False) -> None:
    """Refuse hosts that name a forbidden place without any look-up: numbers and ``localhost``."""
    name = host.rstrip(".").lower()
    if not allow_private and (name == "localhost" or name.endswith(".localhost")):
        raise TargetRefusedError(refusal(host))
    try:
        allowed = is_allowed(host, allow_private=allow_private)
    except ValueError:
        return  # a name, not a number
    if not allowed:
        raise TargetRefusedError(refusal(host))


def refusal(host: str) -> str:
    """The sentence for a host at a forbidden address."""
    return (
        f"{host} is at a loopback, private or reserved address; "
        "the operator can permit private ones with --allow-private-targets"
    )
