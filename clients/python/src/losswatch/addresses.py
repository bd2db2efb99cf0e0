"""The address of the service: as it is used, and what to say of one at which no service answers. Pure."""

from __future__ import annotations

from typing import Tuple
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8000"
_SETTING = "LOSSWATCH_URL or url= sets another"


def address(given: str) -> str:
    """A service's URL as it is used: with its scheme, without a slash at the end."""
    url = given.strip().rstrip("/")
    return url if "://" in url else "http://" + url


def heard(why: str, status: int) -> Tuple[str, str]:
    """What an address does that takes no points, with ``why`` it does not, and once that has been told.

    It refuses them where somebody is there and says no, now and in a minute: no key, no project, no such path.
    """
    if 300 <= status < 500 and status not in (408, 429):
        return f"refuses the points ({why})", f"refuses them (status {status})"
    return f"is away ({why})", f"is away ({why})"


def mend(url: str, why: str, status: int) -> str:
    """How an address is mended that never answered as a Losswatch service, ``why`` being what was heard instead.

    ``status`` is that of the answer, 0 where none came.
    """
    parts = urlsplit(url)
    words = why.lower()
    if parts.scheme not in ("http", "https"):
        return f"an address begins with http:// or https://; {_SETTING}"
    if "ssl" in words or "tls" in words:
        return f"does it speak plain HTTP? then it is {url.replace('https://', 'http://', 1)}; {_SETTING}"
    if status in (401, 403):
        return "it wants a valid key: LOSSWATCH_API_KEY or api_key= gives one"
    if parts.path not in ("", "/") and status:
        return f"leave out the path: {parts.scheme}://{parts.netloc}; {_SETTING}"
    if status == 404 and "project" in words:
        return "LOSSWATCH_PROJECT or project= names another"
    if status:
        return f"something else answers there; {_SETTING}"
    if "refused" in words and parts.hostname in ("127.0.0.1", "localhost", "::1"):
        return f"is the service running? `losswatch-server serve` starts one on this machine; {_SETTING}"
    return f"is that the address? {_SETTING}"
