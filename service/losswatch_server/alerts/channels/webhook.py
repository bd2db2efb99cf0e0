"""The generic webhook: JSON for programs, signed by Standard Webhooks 1.0.0.

The top level carries ``level``, ``title``, ``text``, ``project``, ``run``, ``step`` and ``timestamp`` as Trackio's
webhook does, so that receivers written for it work unchanged; ``type`` and ``data`` are the standard's.
"""

from __future__ import annotations

from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, dump, post_json
from losswatch_server.alerts.channels.formatting import clip, plain_evidence, timestamp
from losswatch_server.alerts.egress.retry import Outcome, read_answer
from losswatch_server.alerts.egress.signing import signed_headers
from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.policy import Reason
from losswatch_server.alerts.targets import Target
from losswatch_server.monitor.vocabulary import Condition, Severity

MAX_BYTES = 20_000
"""The standard asks for less than 20 kB."""

LEVELS = {Severity.INFO: "info", Severity.WARNING: "warn", Severity.CRITICAL: "error"}


def payload(message: Message, links: Links) -> dict[str, Any]:
    """The body; entries that would take it over 20 kB are left out and counted in ``truncated``."""
    lead = message.lead
    body: dict[str, Any] = {
        "type": event_type(message),
        "timestamp": timestamp(message.at),
        "level": LEVELS[message.severity],
        "title": clip(message.title, 300),
        "text": clip(message.text, 2_000),
        "project": message.project,
        "run": lead.run,
        "step": lead.step,
        "data": {
            "id": message.id,
            "reason": message.reason.value,
            "status": _status(message),
            "severity": message.severity.value,
            "group": None if message.sweep is None else clip(message.sweep, 256),
            "group_key": clip(message.key, 300),
            "url": links.of(message),
            "total": message.total,
            "runs_in_group": message.size,
            "recovered": message.recovered,
            "truncated": message.total,
            "findings": [],
        },
    }
    room = MAX_BYTES - len(dump(body)) - 1
    findings: list[dict[str, Any]] = body["data"]["findings"]
    for entry in message.entries:
        finding = _entry(entry, message.project, links)
        if (room := room - len(dump(finding)) - 1) < 0:
            break
        findings.append(finding)
    body["data"]["truncated"] = message.total - len(findings)
    return body


def event_type(message: Message) -> str:
    """``finding.opened``, ``run.silent`` and so on, by the entry that speaks for the message."""
    lead = message.lead
    if lead.change == "test" or message.reason is Reason.TEST:
        return "target.test"
    if lead.condition.startswith(("run.", "target.")):
        return lead.condition
    if lead.condition == Condition.SILENT:
        return {"resolved": "run.returned", "ended": "finding.ended"}.get(lead.change, "run.silent")
    change = "repeated" if lead.change == "still" else lead.change
    return f"finding.{change}"


def _status(message: Message) -> str:
    """``open`` while anything is, ``resolved`` when runs are well again, ``ended`` when runs are over."""
    if any(entry.is_open for entry in message.entries):
        return "open"
    return "resolved" if message.is_recovery else "ended"


def _entry(entry: Entry, project: str, links: Links) -> dict[str, Any]:
    return {
        "id": entry.id,
        "run": entry.run,
        "uid": entry.uid,
        "condition": entry.condition,
        "severity": entry.severity.value,
        "change": entry.change,
        "summary": clip(entry.sentence, 1_000),
        "step": entry.step,
        "opened_at": timestamp(entry.since),
        "resolved_at": None if entry.until is None else timestamp(entry.until),
        "closed_by": entry.closed_by,
        "error": clip(entry.error, 500) or None,
        "evidence": plain_evidence(entry),
        "advice": clip(entry.advice, 1_000) or None,
        "url": links.run(project, entry.run, entry.id),
    }


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Sign for the moment of this try and post."""
    return await post_json(
        payload(message, deps.links),
        target.url,
        deps,
        read=lambda answer, now: read_answer(answer, now, retry_refusals=True),
        headers=lambda body: signed_headers(message.id, body, deps.clock(), target.secrets),
    )


CHANNEL = Channel(kind="webhook", send=send, signs=True, for_people=False, allow_http=True)
