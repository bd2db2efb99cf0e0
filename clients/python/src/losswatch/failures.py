"""What the service is told of the exception that ended a run: its type and first line, without secrets. Pure."""

from __future__ import annotations

import re
from typing import Optional, Union

LONGEST = 500
_MASK = "[redacted]"
_SECRETS = (
    (
        re.compile(
            r"(?i)([\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|authorization|credential)[\w-]*[\"']?\s*[=:]\s*[\"']?)"
            r"(?:(?:bearer|basic)\s+)?[^\s\"',;)]+"
        ),
        r"\g<1>" + _MASK,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S{8,}"), r"\g<1> " + _MASK),
    (re.compile(r"://[^/\s@]+@"), "://" + _MASK + "@"),
    (re.compile(r"([?&][\w-]*(?:sig|signature|key)=)[^&\s]+", re.IGNORECASE), r"\g<1>" + _MASK),
    (re.compile(r"\b(?:sk|pk|rk|hf|gh[a-z]|xox[a-z]|whsec|glpat|AKIA)[-_]?[A-Za-z0-9_-]{12,}"), _MASK),
    (re.compile(r"(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{40,}"), _MASK),
)  # fmt: skip
"""Names that announce a secret, what stands in addresses, the well-known beginnings of keys, and long opaque words."""


def describe(error: Union[str, BaseException, None]) -> Optional[str]:
    """``ValueError: the first line of its message``, or the first line of a text; None without either. Never raises."""
    if not error and not isinstance(error, BaseException):
        return None
    kind = "" if isinstance(error, str) else type(error).__name__
    try:
        lines = str(error).strip().splitlines()
        text = ": ".join(part for part in (kind, *lines[:1]) if part)
        for pattern, mask in _SECRETS:
            text = pattern.sub(mask, text)
    except Exception:  # noqa: BLE001 - an exception whose text fails is told by its type
        text = kind
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"
