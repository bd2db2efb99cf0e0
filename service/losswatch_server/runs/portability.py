"""Carrying a run from one service to another: ``export`` writes its lines, ``Importer`` reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from losswatch_server.codec import portable
from losswatch_server.codec.blocks import pack
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.codec.findings import finding_from_text
from losswatch_server.codec.portable import NotPortableError
from losswatch_server.monitor.entries import Attempt, EntryKind
from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status
from losswatch_server.runs.answers import RunNotFoundError
from losswatch_server.store import RunMovedError
from losswatch_server.store.cells import LATEST, MOST, given, moment, text, whole
from losswatch_server.store.portable import NewRun, put_run, write_run
from losswatch_server.store.rows import RecordRow, RunRow, Snapshot, StoredFinding, StoredRun, Writer
from losswatch_server.store.sealing import SEAL_POINTS, is_full, seal
from losswatch_server.store.transactions import Transactions

_MS = int(LATEST * 1000)


class RunExistsError(Exception):
    """The project has a run of this name, or this very run, already."""


async def export(database: Transactions, project: str, name: str, file: BinaryIO) -> None:
    """Write the run to ``file``, as it is at one moment. Raises RunNotFoundError."""
    if not await database.read(partial(write_run, project=project, name=name, file=file)):
        raise RunNotFoundError(f"There is no run named {name!r} in project {project!r}.")


class _Fields(NamedTuple):
    kind: str
    of: dict[str, Any]

    def __call__(self, name: str, check: Callable[[object], Any]) -> Any:
        try:
            return check(self.of.get(name))
        except (ValueError, TypeError) as error:
            raise NotPortableError(f"{name}: {error}") from None

    def optional(self, name: str, check: Callable[[object], Any]) -> Any:
        return self(name, lambda value: given(check, value))


class Importer:
    """Takes the lines of one run, in order; ``finish`` gives what they make together. Nothing is kept before that.

    ``take`` is told how many bytes of memory are about to be held.
    """

    def __init__(self, project: str, name: str, take: Callable[[int], None]) -> None:
        self._project = project
        self._name = name
        self._take = take
        self._run: tuple[RunRow, int, bytes | None] | None = None
        self._lines = 0
        self._ended = False
        self._seq = 0
        self._rows: list[RecordRow] = []
        self._waiting: list[RecordRow] = []
        self._waiting_points = 0
        self._attempts: list[Attempt] = []
        self._writers: list[Writer] = []
        self._findings: list[StoredFinding] = []
        self._snapshots: list[Snapshot] = []

    def line(self, raw: bytes) -> None:
        """The next line. Raises NotPortableError."""
        try:
            if self._ended:
                raise NotPortableError("something follows the end")
            fields = _Fields((found := portable.read_line(raw))["line"], found)
            if (fields.kind == "run") != (self._run is None):
                raise NotPortableError("a run begins with the line of the run, and has one")
            self._read(fields)
        except NotPortableError as error:
            raise NotPortableError(f"line {self._lines + 1}: {error}") from None
        self._lines += 1

    def finish(self) -> NewRun:
        """The run. Raises NotPortableError where it did not come whole."""
        if not self._ended or self._run is None:
            raise NotPortableError("it was cut off: the last line is not there")
        self._flush(len(self._waiting))
        row, entries, report = self._run
        if self._seq != entries:
            raise NotPortableError(f"its record has {self._seq} entries instead of {entries}")
        known = {writer.name for writer in self._writers}
        if any(snapshot.seq > self._seq for snapshot in self._snapshots) or len(known) != len(self._writers):
            raise NotPortableError("its lines contradict each other")
        run = StoredRun(
            row,
            next_seq=self._seq,
            unsealed=0,
            report=report,
            attempts=tuple(self._attempts),
            writers=tuple(self._writers),
        )
        return NewRun(run, self._rows, self._findings, self._snapshots)

    def _read(self, fields: _Fields) -> None:
        match fields.kind:
            case "run":
                self._read_run(fields)
            case "writer":
                self._writers.append(
                    Writer(
                        fields("name", lambda value: text(value, 1)),
                        fields.optional("attempt", lambda value: whole(value, 1)),
                        fields.optional("ordinal", whole),
                        fields.optional("concurrent_with", text),
                    )
                )
            case "attempt" | "context":
                self._flush(len(self._waiting))
                self._read_mark(fields)
            case "finding":
                self._read_finding(fields)
            case "state":
                body = portable.unpacked(fields.of.get("packed")) or b""
                self._take(len(body))
                version = fields("detection_version", whole)
                self._snapshots.append(
                    Snapshot(fields("seq", whole), fields("step", lambda v: whole(v, -1)), version, body)
                )
            case "end":
                if fields("lines", whole) != self._lines:
                    raise NotPortableError(f"there were {self._lines} lines, not {fields.of['lines']}")
                self._ended = True
            case kind if kind in portable.KINDS:
                self._read_points(fields)
            case kind:
                raise NotPortableError(f"there is no line {kind!r:.40}; a newer version may have written it")

    def _read_run(self, fields: _Fields) -> None:
        if fields.of.get("format") != portable.FORMAT:
            raise NotPortableError(
                f"its format is {fields.of.get('format')!r:.20}; this version reads {portable.FORMAT}"
            )
        row = RunRow(
            project=self._project,
            name=self._name,
            uid=fields("uid", lambda value: text(value, 1)),
            created_at=fields("created_at", moment),
            last_seen_at=fields("last_seen_at", moment),
            attempt=fields("attempt", lambda value: whole(value, 1)),
            step=fields.optional("step", whole),
            points=fields("points", whole),
            version=fields("version", whole),
            detection_version=fields("detection_version", whole),
            state=fields("state", lambda value: RunState(text(value))),
            status=fields("status", lambda value: Status(text(value))),
            action=fields("action", lambda value: LoopAction(text(value))),
            headline=fields("headline", text),
            context=portable.read_context_line(fields.of.get("context")),
            finished_at=fields.optional("finished_at", moment),
            paused_until=fields.optional("paused_until", moment),
            error=fields("error", text),
        )
        if len(row.uid) > 64:
            raise NotPortableError("uid: it is too long")
        self._run = (row, fields("entries", whole), portable.unpacked(fields.of.get("report")))

    def _read_mark(self, fields: _Fields) -> None:
        number, body, step = fields("attempt", lambda value: whole(value, 1)), b"", 0
        if fields.kind == "context":
            kind = EntryKind.CONTEXT
            body = portable.exact_context(portable.read_context_line(fields.of.get("exact"))).encode()
        else:
            kind, step = EntryKind.ATTEMPT, fields("step", whole)
            self._attempts.append(Attempt(number, step, self._seq))
        self._rows.append(self._row(fields, kind, 1, (step, step), body))

    def _read_points(self, fields: _Fields) -> None:
        points = portable.read_points(fields.of.get("points"))
        steps = [point.step for point in points]
        kind = portable.KINDS[fields.kind]
        self._waiting.append(self._row(fields, kind, len(points), (min(steps), max(steps)), pack(points)))
        self._waiting_points += len(points)
        if self._waiting_points >= 2 * SEAL_POINTS:
            self._flush(len(self._waiting) - 1)

    def _row(self, fields: _Fields, kind: EntryKind, n: int, steps: tuple[int, int], body: bytes) -> RecordRow:
        attempt = fields("attempt", lambda value: whole(value, 1))
        received = fields("received_ms", lambda value: whole(value, 0, _MS))
        writer = fields.optional("writer", text)
        self._take(len(body) + 200)
        row = RecordRow(self._seq, n, kind, attempt, writer, received, *steps, body)
        self._seq = whole(self._seq + n, 0, MOST)
        return row

    def _flush(self, count: int) -> None:
        """Compress the first of the rows with points that wait; what does not fill a block waits on."""
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        if not some:
            return
        new = seal(some) if len(some) > 1 else some
        self._take(-sum(len(row.body) + 200 for row in some))
        self._take(sum(len(row.body) + 200 for row in new))
        if self._waiting and not is_full(new[-1]):
            self._waiting.insert(0, new.pop())
        self._rows += new
        self._waiting_points = sum(row.n for row in self._waiting)

    def _read_finding(self, fields: _Fields) -> None:
        try:
            finding = finding_from_text(fields.of.get("exact", ""))
        except (DamagedCellError, TypeError) as error:
            raise NotPortableError(f"its finding cannot be read: {error}") from None
        self._take(4 * len(fields.of["exact"]))
        times = (fields.optional(name, moment) for name in ("closed_at", "acknowledged_at", "muted_until"))
        closed, acknowledged, muted = times
        self._findings.append(
            StoredFinding(
                finding=finding,
                opened_at=fields("opened_at", moment),
                closed_at=closed,
                acknowledged_at=acknowledged,
                muted_until=muted,
            )
        )


async def put(database: Transactions, new: NewRun) -> None:
    """Keep the run whole, or not at all. Raises RunExistsError."""
    row = new.run.row
    try:
        await database.write(partial(put_run, new=new))
    except RunMovedError:
        raise RunExistsError(f"Project {row.project!r} has a run {row.name!r}, or this very run, already.") from None


async def take_lines(importer: Importer, lines: list[bytes]) -> None:
    """Some lines, beside the event loop."""

    def work() -> None:
        for one in lines:
            importer.line(one)

    await asyncio.to_thread(work)
