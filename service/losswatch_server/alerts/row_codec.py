"""Targets, mute rules, rules and groups as the rows of the store, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, TypeVar

from losswatch_server.alerts import grouping, incidents, message
from losswatch_server.alerts.egress.signing import Secret
from losswatch_server.alerts.grouping import Group, GroupKey
from losswatch_server.alerts.incidents import Event, Incident
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.mute_rules import Matcher, MuteRule
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.sweep import SweepRun
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.codec import damage
from losswatch_server.monitor.vocabulary import Severity
from losswatch_server.store.alerting.configuration import MuteRuleRow, TargetRow
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.alerting.outbox import GroupRow, IncidentRow
from losswatch_server.store.alerting.watching import SweepRow
from losswatch_server.store.rows import StoredEvent

T = TypeVar("T")
R = TypeVar("R")
KINDS = ("webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email", "apprise")
DAMAGED = "what was kept of this target is damaged; delete it and make it anew"


class DamagedRowError(ValueError):
    """A row of the store is not what was written; it has been logged."""


@contextmanager
def _reading(what: str, *key: object) -> Iterator[None]:
    try:
        yield
    except damage.MISSHAPEN as error:
        damage.note(what, key, error)
        raise DamagedRowError(f"the {what} is damaged") from error


def sound(read: Callable[[R], T], rows: Iterable[R]) -> list[T]:
    """What the rows say, without those that are damaged."""
    found = []
    for row in rows:
        with suppress(DamagedRowError):
            found.append(read(row))
    return found


def dumps(plain: Any) -> str:
    """Compact JSON for a column; infinities stay what they are."""
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def event_from(stored: StoredEvent) -> Event:
    """An event of the outbox with its body read. Raises DamagedRowError."""
    with _reading("event", stored.id):
        return Event(
            id=stored.id,
            project=stored.project,
            uid=stored.uid,
            run=stored.run,
            kind=stored.kind,
            at=stored.at,
            finding_id=stored.finding_id,
            body=dict(json.loads(stored.body)) if stored.body else {},
        )


def incident_row(incident: Incident) -> IncidentRow:
    """An incident as a row."""
    return IncidentRow(
        project=incident.project,
        uid=incident.uid,
        id=incident.id,
        sweep=incident.sweep or "",
        story=incident.incident_class,
        closed_at=incident.closed_at,
        body=dumps(incidents.as_json(incident)),
    )


def incident_from(row: IncidentRow) -> Incident:
    """The inverse of ``incident_row``. Raises DamagedRowError."""
    with _reading("incident", row.project, row.uid, row.id):
        return incidents.from_json(json.loads(row.body))


def group_row(group: Group, target: str, due_at: float | None) -> GroupRow:
    """A group as a row; the row's key is the group's text."""
    key = group.key
    selector = [key.sweep, key.incident_class, key.uid]
    body = dumps({"selector": selector, **grouping.as_json(group)})
    return GroupRow(project=key.project, target=target, key=key.text(), due_at=due_at, body=body)


def group_from(row: GroupRow) -> Group:
    """The inverse of ``group_row``. Raises DamagedRowError."""
    with _reading("group of notifications", row.project, row.target, row.key):
        plain = json.loads(row.body)
        sweep, incident_class, uid = plain["selector"]
        return grouping.from_json(
            GroupKey(project=row.project, sweep=sweep, incident_class=incident_class, uid=uid), plain
        )


def rules_json(rules: Rules) -> dict[str, Any]:
    """Rules as plain values."""
    plain = asdict(rules)
    plain["conditions"] = sorted(rules.conditions)
    plain["group_by"] = sorted(rules.group_by)
    return plain


def rules_from(plain: dict[str, Any]) -> Rules:
    """The inverse of ``rules_json``."""
    return Rules(
        **{
            **plain,
            "min_severity": Severity(plain["min_severity"]),
            "conditions": frozenset(plain["conditions"]),
            "group_by": frozenset(plain["group_by"]),
        }
    )


def sweep_run_from(row: SweepRow) -> SweepRun:
    """A run of a sweep with its settings. Raises DamagedRowError."""
    with _reading("context", row.uid):
        settings = dict(json.loads(row.context))
        return SweepRun(uid=row.uid, status=row.status, settings=settings)


def target_row(target: Target) -> TargetRow:
    """A target as a row."""
    secret = {
        "url": target.url,
        "routing_key": target.routing_key,
        "secrets": [[s.value, s.until] for s in target.secrets],
    }
    return TargetRow(
        project=target.project,
        id=target.id,
        kind=target.kind,
        source=target.source,
        secret=dumps(secret),
        body=dumps({"name": target.name, "rules": rules_json(target.rules)}),
        state=target.state.value,
        failing_since=target.failing_since,
        disabled_reason=target.disabled_reason,
        created_at=target.created_at,
        updated_at=target.updated_at,
    )


def target_from(row: TargetRow) -> Target:
    """The inverse of ``target_row``; where that is damaged, a target that is switched off and says so."""
    try:
        with _reading("target", row.project, row.id):
            return _target_from(row)
    except DamagedRowError:
        return Target(
            id=row.id,
            project=row.project,
            kind=row.kind if row.kind in KINDS else KINDS[0],
            url="",
            name="(damaged)",
            state=TargetState.DISABLED,
            disabled_reason=DAMAGED,
            source=row.source,
        )


def _target_from(row: TargetRow) -> Target:
    if row.kind not in KINDS:
        raise ValueError(f"no kind of target: {row.kind}")
    secret, body = json.loads(row.secret), json.loads(row.body)
    return Target(
        id=row.id,
        project=row.project,
        kind=row.kind,
        url=secret["url"],
        routing_key=secret["routing_key"],
        secrets=tuple(Secret(value, until) for value, until in secret["secrets"]),
        name=body["name"],
        rules=rules_from(body["rules"]),
        state=TargetState(row.state),
        failing_since=row.failing_since,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        source=row.source,
    )


def mute_rule_row(mute_rule: MuteRule) -> MuteRuleRow:
    """A mute rule as a row."""
    body = {"matchers": [asdict(m) for m in mute_rule.matchers], "comment": mute_rule.comment}
    return MuteRuleRow(
        project=mute_rule.project,
        id=mute_rule.id,
        starts_at=mute_rule.starts_at,
        ends_at=mute_rule.ends_at,
        created_at=mute_rule.created_at,
        body=dumps(body),
    )


def mute_rule_from(row: MuteRuleRow) -> MuteRule:
    """The inverse of ``mute_rule_row``. Raises DamagedRowError."""
    with _reading("mute rule", row.project, row.id):
        plain = json.loads(row.body)
        return MuteRule(
            id=row.id,
            project=row.project,
            matchers=tuple(Matcher(**m) for m in plain["matchers"]),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            comment=plain["comment"],
            created_at=row.created_at,
        )


def message_from(row: DeliveryRow) -> Message:
    """The message of a delivery. Raises DamagedRowError."""
    with _reading("message of delivery", row.project, row.id):
        return message.from_json(json.loads(row.body))


def tries_from(row: DeliveryRow) -> list[dict[str, Any]]:
    """The tries of a delivery, oldest first; none where that is damaged."""
    try:
        with _reading("tries of delivery", row.project, row.id):
            return [{**delivery_try, "at": float(delivery_try["at"])} for delivery_try in json.loads(row.attempts)]
    except DamagedRowError:
        return []
