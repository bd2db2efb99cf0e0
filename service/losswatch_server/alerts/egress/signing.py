"""Signatures by Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret; ``until`` (unix seconds) is set on one that was replaced and still signs for a while."""

    value: str
    until: float | None = None


def new_secret() -> str:
    """A fresh secret: 32 random bytes as ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raise ValueError unless this is ``whsec_`` and the base64 of 24 to 64 bytes."""
    try:
        if not secret.startswith(PREFIX) or not 24 <= len(_key(secret)) <= 64:
            raise ValueError
    except (ValueError, binascii.Error):
        raise ValueError("`secret` is whsec_ followed by the base64 of 24 to 64 bytes") from None


def signed_headers(message_id: str, body: bytes, now: float, signing: Iterable[Secret]) -> dict[str, str]:
    """The three headers. Every secret in force signs, so that a receiver may change over at its leisure."""
    sent_at = str(int(now))
    content = f"{message_id}.{sent_at}.".encode() + body
    in_force = (s for s in signing if s.until is None or now < s.until)
    signatures = (hmac.new(_key(s.value), content, hashlib.sha256).digest() for s in in_force)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": " ".join("v1," + base64.b64encode(s).decode() for s in signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
