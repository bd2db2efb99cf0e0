"""Discord webhooks: one embed.

Limits (discord.com/developers/docs, Embed Limits): title 256, description 4096, 25 fields of name 256 and value 1024,
footer 2048, 6000 characters in all. ``allowed_mentions`` with an empty list keeps every ``@everyone`` powerless.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, post_json
from losswatch_server.alerts.channels.formatting import clip, colour, evidence, footer, lines, one_line, timestamp
from losswatch_server.alerts.egress.client import Answer
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.egress.retry import read_answer as read_status
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

MAX_LINES = 40
_MARKUP = frozenset("\\*_~`|>#-[]()<@:")


def payload(message: Message, links: Links) -> dict[str, Any]:
    """The message. The parts are clipped so that their sum stays under 6000: 256 + 1600 + 6 x 220 + 1024 + 300, or
    256 + 3000 + 1024 + 300 where several runs share the message."""
    text = escaped(message.text, 800)
    if message.total > 1:
        left = message.total - min(MAX_LINES, len(message.entries))
        listed = lines(message.entries[:MAX_LINES], MAX_LINES) + ([f"and {left} more"] if left else [])
        text = clip_lines([text, *(escaped(line, 120) for line in listed)], 1_600 if message.detail else 3_000)
    fields = [
        {"name": escaped(name, 100), "value": escaped(value, 120) or "–", "inline": True}
        for name, value in evidence(message, 6)
    ]
    if advice := message.advice:
        fields.append({"name": "What to do", "value": escaped(advice, 1_000), "inline": False})
    embed: dict[str, Any] = {
        "title": escaped(one_line(message.title), 256),
        "description": text,
        "color": int(colour(message)[1:], 16),
        "fields": fields,
        "footer": {"text": clip(footer(message), 300)},
        "timestamp": timestamp(message.at),
    }
    if (url := links.of(message)) is not None:
        embed["url"] = url
    if (picture := links.picture(message)) is not None:
        embed["image"] = {"url": picture}
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def escaped(text: str, limit: int) -> str:
    """Text whose markup Discord shows and does not follow."""
    return clip(text, limit, lambda c: "\\" + c if c in _MARKUP else c)


def clip_lines(listed: list[str], limit: int) -> str:
    """As many whole lines as fit."""
    kept: list[str] = []
    room = limit - 20
    for index, line in enumerate(listed):
        if (room := room - len(line) - 1) < 0:
            return "\n".join([*kept, f"and {len(listed) - index} more"])
        kept.append(line)
    return "\n".join(kept)


def read_answer(answer: Answer, now: float) -> Outcome:
    """Discord puts the wait of a 429 into the body as ``retry_after`` seconds; 404 means a deleted webhook."""
    outcome = read_status(answer, now)
    if answer.status == 404:
        return Outcome(result=Result.GONE, status=404, detail="the webhook was deleted in Discord (404)")
    if answer.status == 429 and outcome.retry_after_s is None:
        return replace(outcome, retry_after_s=_wait(answer.body))
    return outcome


def _wait(body: bytes) -> float | None:
    try:
        wait = json.loads(body).get("retry_after")
        return float(wait) if math.isfinite(float(wait)) and float(wait) >= 0 else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Post to the webhook."""
    return await post_json(payload(message, deps.links), target.url, deps, read=read_answer)


CHANNEL = Channel(kind="discord", send=send, pause_s=0.5)
