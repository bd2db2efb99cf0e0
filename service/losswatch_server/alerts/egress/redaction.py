"""Keeping secrets out of logs, errors and answers: a webhook's URL is as good as its password."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

_SECRETS = (
    re.compile(r"whsec_[A-Za-z0-9+/=_-]+"),
    re.compile(r"(?i)\b(?:sig|token|key|password|secret|routing_key)=[^&\s\"']+"),
    re.compile(r"(?i)\b(?:https?|smtps?|apprise|[a-z]+s?)://[^\s\"'<>]+"),
)


def shown(url: str) -> str:
    """A URL as people may see it: the host, and the last four characters when the rest is long enough to hide."""
    parts = urlsplit(url)
    if parts.scheme == "mailto":
        return url
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    hidden = parts.path + parts.query
    tail = hidden[-4:] if len(hidden) >= 16 else ""
    return f"{parts.scheme}://{host}{port}/" + (f"…{tail}" if hidden.strip("/") else "")


def scrub(text: str) -> str:
    """The text with everything that looks like a secret or a URL cut down; one line, at most 300 characters."""
    line = " ".join(text.split())
    for pattern in _SECRETS[:2]:
        line = pattern.sub("[redacted]", line)
    line = _SECRETS[2].sub(lambda m: _shown_or_hidden(m.group()), line)
    return line[:300]


def _shown_or_hidden(url: str) -> str:
    try:
        return shown(url)
    except ValueError:
        return "[redacted]"


class ScrubbingFilter(logging.Filter):
    """Takes secrets out of every record of the loggers it sits on, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = scrub(f"{record.msg}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
            record.exc_info = record.exc_text = None
        return True
