"""Stage 1, absorb: events of the outbox become incidents, and say which groups of which targets they touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.grouping import GroupKey, group_key
from losswatch_server.alerts.incidents import MATTERS, Event, apply
from losswatch_server.alerts.policy import wants
from losswatch_server.alerts.stages.planning import Planning, alone
from losswatch_server.alerts.targets import Target
from losswatch_server.store.alerting import deliveries, watching
from losswatch_server.store.queries import events as read_events
from losswatch_server.store.rows import StoredEvent

EVENTS_AT_ONCE = 200


def absorb(work: Planning) -> None:
    """Read the next events and fold them into the incidents of their runs."""
    stored = read_events(work.connection, None, work.plan.seen.event_id, None, EVENTS_AT_ONCE)
    if stored:
        work.plan.event_id = stored[-1].id
    for row in (row for row in stored if row.kind in MATTERS):
        with alone("event", row.id):
            for target, key in _fold(_event(row, work), work):
                work.touched[target.id, key.text()] = (target, key)
    work.plan.incidents = list(work.changed.values())
    work.plan.complete &= len(stored) < EVENTS_AT_ONCE


def _event(stored: StoredEvent, work: Planning) -> Event:
    """An event of the outbox; a mute's end stands beside the finding and not in the event."""
    event = row_codec.event_from(stored)
    if event.kind != "finding.muted" or event.finding_id is None:
        return event
    until = watching.muted_until(work.connection, event.project, event.uid, event.finding_id)
    finding = {"muted_until": until} if until is not None else {}
    return replace(event, body={**event.body, "finding": {**(event.body.get("finding") or {}), **finding}})


def _fold(event: Event, work: Planning) -> Iterable[tuple[Target, GroupKey]]:
    """Fold an event into the incidents of its run; the groups of each target that it touches."""
    known = work.incidents_of_run(event.project, event.uid)
    changed = apply(event, known)
    for incident in changed:
        known[incident.id] = incident
        work.changed[incident.project, incident.uid, incident.id] = incident
    if event.kind == "run.deleted":
        _drop_undelivered(event, work)
    affected = [*changed, *(i for i in known.values() if i.is_open and i not in changed)]  # one may hide the others
    for target in work.targets_of(event.project):
        for incident in affected:
            if wants(incident, target.rules) and incident.severity.rank >= target.rules.min_severity.rank:
                yield target, group_key(incident, target.rules)


def _drop_undelivered(event: Event, work: Planning) -> None:
    for row in deliveries.waiting_about(work.connection, event.project, event.uid):
        try:
            about = row_codec.message_from(row)
        except row_codec.DamagedRowError:
            continue
        if {entry.uid for entry in about.entries} == {event.uid}:
            work.plan.retired.append((row.project, row.id, "dropped", "the run was deleted"))
