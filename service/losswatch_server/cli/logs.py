"""How the process writes its log: a line for people, or one of JSON with the request that it is about."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from losswatch_server.api.http.request_id import request_id

TEXT, JSON = "text", "json"
CHATTY = ("uvicorn", "alembic", "mcp", "httpx")


class JsonLines(logging.Formatter):
    """One object a line: ``at``, ``level``, ``logger``, ``message``; ``request_id`` and ``error`` where there are."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, str] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (named := request_id.get()) is not None:
            told["request_id"] = named
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def set_up_logs(level: str, form: str) -> None:
    """Write the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == JSON else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
