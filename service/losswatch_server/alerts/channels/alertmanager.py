"""A Prometheus Alertmanager as receiver: a site's own routes, silences and receivers take it from there.

Alertmanager forgets an alert whose ``endsAt`` passes. So an open incident carries an end three repeat intervals ahead
and is sent anew every interval; one that is over carries its true end. Labels identify an alert: a raised severity is
another alert, and the old one is ended in the same request (prometheus/alertmanager, docs/alerts_api.md). What a run
died of stands for an hour, and is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, post_json
from losswatch_server.alerts.channels.formatting import clip, number, one_line, plain_evidence, timestamp
from losswatch_server.alerts.egress.retry import Outcome
from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.targets import Target

REPEAT_S = 300.0
DEAD_S = 3_600.0
API = "/api/v2/alerts"


def payload(message: Message, links: Links, repeat_interval_s: float) -> list[dict[str, Any]]:
    """The alerts of a message, each with labels, annotations and its time."""
    return list(_alerts(message, links, message.at + 3 * repeat_interval_s))


def _alerts(message: Message, links: Links, lapses_at: float) -> Iterator[dict[str, Any]]:
    for entry in message.entries:
        ends_at = _ends_at(message, entry, lapses_at)
        yield _alert(message, entry, links, ends_at)
        if entry.change == "worsened" and entry.was_severity is not None:
            yield _alert(message, replace(entry, severity=entry.was_severity), links, message.at)


def _ends_at(message: Message, entry: Entry, lapses_at: float) -> float:
    """An alert that is over before Alertmanager has sent it is never sent: what a run died of stands for an hour."""
    if entry.until is None:
        return lapses_at
    return message.at + DEAD_S if entry.change == "ended" else entry.until


def _alert(message: Message, entry: Entry, links: Links, ends_at: float) -> dict[str, Any]:
    labels = {
        "alertname": "Losswatch_" + entry.condition.replace(".", "_"),
        "condition": entry.condition,
        "severity": entry.severity.value,
        "project": message.project,
        "run": entry.run,
        "finding": entry.id,
    }
    if message.sweep:
        labels["group"] = clip(one_line(message.sweep), 200)
    annotations = {"summary": clip(entry.sentence, 1_000), "advice": clip(entry.advice, 1_000)}
    annotations |= {
        "evidence_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name): number(value)
        for name, value in list(plain_evidence(entry).items())[:20]
    }
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": timestamp(entry.since),
        "endsAt": timestamp(max(ends_at, entry.since)),
    }
    if (url := links.run(message.project, entry.run, entry.id)) is not None:
        alert["generatorURL"] = url
    return alert


def endpoint(url: str) -> str:
    """The address of the API under the address of an Alertmanager."""
    parts = urlsplit(url)
    if parts.path.endswith(API):
        return url
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + API))


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Post the alerts."""
    return await post_json(payload(message, deps.links, target.rules.repeat_interval_s), endpoint(target.url), deps)


CHANNEL = Channel(
    kind="alertmanager",
    send=send,
    for_people=False,
    tracks_state=True,
    allow_http=True,
    repeat_interval_s=REPEAT_S,
)
