"""Runs over a real store, SQLite's in a temporary directory or PostgreSQL's, driven from plain test functions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from losswatch_server.codec import dumps, report_json
from losswatch_server.runs import Runs
from losswatch_server.store.places import open_store
from losswatch_server.workers import Elsewhere

T = TypeVar("T")


class House:
    """One service without HTTP: a store, its runs, and a clock that stands still unless it is moved."""

    def __init__(
        self,
        path: Path | str,
        kept: int = 512,
        elsewhere: Elsewhere | None = None,
        runner: asyncio.Runner | None = None,
    ) -> None:
        self.path = path
        self.elsewhere = elsewhere or Elsewhere(None, 1)
        self.kept = kept
        self.now = 1_800_000_000.0
        self.uids = 0
        self._runner = runner or asyncio.Runner()
        self._lent = runner is not None
        self._open()

    def _open(self) -> None:
        self.store = open_store(self.path)
        self.store.elsewhere = self.elsewhere
        self.runs = Runs(self.store, lambda: self.now, kept=self.kept, uid=self._uid, elsewhere=self.elsewhere)

    def _uid(self) -> str:
        self.uids += 1
        return f"uid{self.uids:04d}"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def record(
        self, points: Any, context: Any = None, writer: str | None = None, name: str = "run", report: bool = False
    ) -> Any:
        return self.do(self.runs.record("default", name, points, context, writer, report=report))

    def report(self, name: str = "run") -> Any:
        return self.do(self.runs.report("default", name))

    def report_bytes(self, name: str = "run") -> bytes:
        return dumps(report_json(self.report(name)))

    def stored(self, name: str = "run", **choice: Any) -> Any:
        return self.do(self.runs.points("default", name, **choice))[0]

    def columns(self, name: str = "run") -> set[str]:
        uid = self.do(self.runs.get("default", name)).uid
        return self.do(self.store.column_names("default", uid))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.do(self.runs.events(None, after=0))]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        return self.do(self.store.write(lambda connection: connection.execute(statement, values).fetchall()))

    def restart(self) -> None:
        self._close()
        self._open()

    def _close(self) -> None:
        self._runner.run(self.runs.close())
        self.store.close()

    def close(self) -> None:
        self._close()
        if not self._lent:
            self._runner.close()
