"""Targets and mute rules as rows."""

from __future__ import annotations

from typing import NamedTuple

from losswatch_server.store.cells import sound_row, sound_rows
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import upsert


class TargetRow(NamedTuple):
    """``secret`` and ``body`` are JSON; ``secret`` holds what no answer may show."""

    project: str
    id: str
    kind: str
    source: str
    secret: str
    body: str
    state: str
    failing_since: float | None
    disabled_reason: str | None
    created_at: float
    updated_at: float


class MuteRuleRow(NamedTuple):
    """A mute rule (a silence of the API); ``body`` is JSON."""

    project: str
    id: str
    starts_at: float
    ends_at: float
    created_at: float
    body: str


_TARGET = ", ".join(TargetRow._fields)
_SILENCE = ", ".join(MuteRuleRow._fields)


def targets(connection: DatabaseConnection, project: str | None = None) -> list[TargetRow]:
    """The targets of a project (None: of all), oldest first."""
    where, values = ("", ()) if project is None else ("WHERE project = ?", (project,))
    found = connection.execute(f"SELECT {_TARGET} FROM target {where} ORDER BY created_at, id", values)
    return list(sound_rows(TargetRow, "target", 2, found))


def target(connection: DatabaseConnection, project: str, target_id: str) -> TargetRow | None:
    """One target."""
    query = f"SELECT {_TARGET} FROM target WHERE project = ? AND id = ?"
    found = connection.execute(query, (project, target_id)).fetchone()
    return sound_row(TargetRow, "target", 2, found)


def put_target(connection: DatabaseConnection, row: TargetRow) -> None:
    """Insert or replace a target."""
    connection.execute(upsert("target", _TARGET, "project, id"), row)


def set_health(
    connection: DatabaseConnection,
    project: str,
    target_id: str,
    health: tuple[str, float | None, str | None],
    expected_state: tuple[str, ...],
) -> bool:
    """Set (state, failing_since, disabled_reason) if the state is still one of the expected; whether it was."""
    marks = ", ".join("?" * len(expected_state))
    changed = connection.execute(
        "UPDATE target SET state = ?, failing_since = ?, disabled_reason = ? "
        f"WHERE project = ? AND id = ? AND state IN ({marks})",
        (*health, project, target_id, *expected_state),
    )
    return changed.rowcount == 1


def delete_target(connection: DatabaseConnection, project: str, target_id: str) -> bool:
    """Remove a target with its groups and deliveries; whether it was there."""
    connection.execute("DELETE FROM delivery WHERE project = ? AND target = ?", (project, target_id))
    connection.execute("DELETE FROM target_group WHERE project = ? AND target = ?", (project, target_id))
    deleted = connection.execute("DELETE FROM target WHERE project = ? AND id = ?", (project, target_id))
    return deleted.rowcount == 1


def mute_rules(connection: DatabaseConnection, project: str) -> list[MuteRuleRow]:
    """The mute rules of a project, newest first."""
    query = f"SELECT {_SILENCE} FROM silence WHERE project = ? ORDER BY created_at DESC, id"
    return list(sound_rows(MuteRuleRow, "silence", 2, connection.execute(query, (project,))))


def mute_rules_in_force(connection: DatabaseConnection, project: str, now: float) -> list[MuteRuleRow]:
    """Those that have not ended."""
    query = f"SELECT {_SILENCE} FROM silence WHERE project = ? AND ends_at > ?"
    return list(sound_rows(MuteRuleRow, "silence", 2, connection.execute(query, (project, now))))


def put_mute_rule(connection: DatabaseConnection, row: MuteRuleRow) -> None:
    """Insert a mute rule."""
    connection.execute(f"INSERT INTO silence ({_SILENCE}) VALUES (?, ?, ?, ?, ?, ?)", row)


def end_mute_rule(connection: DatabaseConnection, project: str, rule_id: str, now: float) -> bool:
    """End a mute rule now; whether it was there. Groups of the project are looked at again."""
    ended = connection.execute(
        "UPDATE silence SET ends_at = CASE WHEN ends_at < ? THEN ends_at ELSE ? END WHERE project = ? AND id = ?",
        (now, now, project, rule_id),
    )
    connection.execute("UPDATE target_group SET due_at = ? WHERE project = ?", (now, project))
    return ended.rowcount == 1
