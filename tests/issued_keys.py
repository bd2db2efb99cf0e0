"""API keys of a service that a test is about to start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from losswatch_server.keys import Scope, table
from losswatch_server.store import places

OF_TWO_PROJECTS = {
    "ingest": ("a", [Scope.INGEST]),
    "read": ("a", [Scope.READ]),
    "admin": ("a", [Scope.ADMIN]),
    "other": ("b", [Scope.ADMIN]),
}
"""Of project a one for each scope, of project b one for everything."""


def issue(data: Path | str, wanted: Mapping[str, tuple[str, list[Scope]]] = OF_TWO_PROJECTS) -> dict[str, str]:
    """The text of a new key for each name, of a project and with some scopes."""

    def one(project: str, scopes: list[Scope]) -> str:
        made = places.change(data, table.KEYS_SINCE, lambda one: table.create(one, project, scopes, now=time.time()))
        return made.text

    return {name: one(*what) for name, what in wanted.items()}
