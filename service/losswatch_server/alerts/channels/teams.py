"""Microsoft Teams by a Workflows webhook: an Adaptive Card.

Limits (learn.microsoft.com, incoming webhooks and Adaptive Cards): 28 kB, four requests a second. What a client wrote
goes into ``TextRun`` only, which knows no markdown; ``TextBlock`` and ``Fact`` would turn ``[x](y)`` into a link.
"""

from __future__ import annotations

from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, dump, post_json
from losswatch_server.alerts.channels.formatting import clip, evidence, footer, lines, one_line
from losswatch_server.alerts.egress.retry import Outcome
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

MAX_BYTES = 28_000
COLOURS = {"critical": "Attention", "warning": "Warning", "info": "Accent"}


def payload(message: Message, links: Links) -> dict[str, Any]:
    """The message; the list of runs is shortened until the whole stays under 28 kB."""
    for listed in (60, 40, 20, 10, 5, 0):
        body = _wrapped(_card(message, links, listed))
        if len(dump(body)) < MAX_BYTES:
            return body
    return _wrapped(_card(message, Links(), 0))


def _wrapped(card: dict[str, Any]) -> dict[str, Any]:
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _card(message: Message, links: Links, listed: int) -> dict[str, Any]:
    tone = "Good" if message.is_recovery else COLOURS[message.severity]
    body = [
        _text(clip(one_line(message.title), 300), size="Large", weight="Bolder", color=tone),
        _text(clip(message.text, 1_500)),
    ]
    if message.total > 1 and listed:
        shown = lines(message.entries[:listed], listed)
        left = message.total - len(shown)
        body += [_text("• " + clip(line, 200)) for line in shown]
        body += [_text(f"and {left} more")] if left else []
    body += [_fact(clip(name, 100), clip(value, 200)) for name, value in evidence(message, 6)]
    if advice := message.advice:
        body.append(_fact("What to do", clip(advice, 1_500)))
    if (picture := links.picture(message)) is not None:
        body.append({"type": "Image", "url": picture, "altText": clip(one_line(message.title), 300)})
    body.append(_text(clip(footer(message), 300), size="Small", isSubtle=True))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": clip(one_line(message.title), 300),
        "msteams": {"width": "Full"},
        "body": body,
    }
    if (url := links.of(message)) is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in Losswatch", "url": url}]
    return card


def _text(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _fact(name: str, value: str) -> dict[str, Any]:
    inlines = [
        {"type": "TextRun", "text": f"{name}: ", "weight": "Bolder"},
        {"type": "TextRun", "text": value},
    ]
    return {"type": "RichTextBlock", "inlines": inlines}


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Post to the workflow. Its 202 says that the flow has started; whether it posts, only its history can tell."""
    return await post_json(payload(message, deps.links), target.url, deps)


CHANNEL = Channel(kind="teams", send=send, pause_s=0.25)
