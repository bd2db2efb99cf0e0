"""PagerDuty Events API v2: one incident per group, triggered and resolved under the same key.

Limits (developer.pagerduty.com, Events API v2): dedup_key 255, summary 1024, the event 512 kB; 202 is success, 400
must not be retried, 429 and 5xx may be.
"""

from __future__ import annotations

import hashlib
from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, post_json
from losswatch_server.alerts.channels.formatting import clip, evidence, lines, one_line, timestamp
from losswatch_server.alerts.egress.retry import Outcome
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

STAYS_OPEN = "The run is over. This stays open until a later attempt of the run is healthy or someone acknowledges it."
ENQUEUE = "https://events.pagerduty.com/v2/enqueue"


def payload(message: Message, links: Links, routing_key: str) -> dict[str, Any]:
    """A trigger while anything of the group is open or is what a run died of, a resolve when all is well again."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger" if message.is_firing else "resolve",
        "dedup_key": dedup_key(message),
    }
    if not message.is_firing:
        return event
    lead = message.lead
    details: dict[str, Any] = dict(evidence(message, 10))
    if lead.change == "ended":
        details["note"] = STAYS_OPEN
    if message.advice:
        details["what to do"] = clip(message.advice, 1_500)
    if message.total > 1:
        details["runs"] = lines(message.entries, 50)
    event["payload"] = {
        "summary": clip(one_line(f"{message.title}. {message.text}"), 1_024),
        "source": clip(lead.run, 255),
        "severity": message.severity.value,
        "timestamp": timestamp(lead.since),
        "component": clip(message.sweep or lead.run, 255),
        "group": clip(message.project, 255),
        "class": lead.condition,
        "custom_details": details,
    }
    event["client"] = "Losswatch"
    if (url := links.of(message)) is not None:
        event["client_url"] = url
        event["links"] = [{"href": url, "text": "Open in Losswatch"}]
    if (picture := links.picture(message)) is not None:
        event["images"] = [{"src": picture, "href": url, "alt": clip(one_line(message.title), 255)}]
    return event


def dedup_key(message: Message) -> str:
    """The group's name, hashed where it would be too long; a notice stands alone and gets its own."""
    key = message.key if any(e.change != "notice" for e in message.entries) else f"{message.key}/{message.lead.id}"
    return key if len(key) <= 255 else "sha256:" + hashlib.sha256(key.encode()).hexdigest()


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Enqueue the event."""
    return await post_json(payload(message, deps.links, target.routing_key or ""), target.url, deps)


CHANNEL = Channel(
    kind="pagerduty",
    send=send,
    default_url=ENQUEUE,
    for_people=False,
    tracks_state=True,
    group_by=frozenset({"group"}),
)
