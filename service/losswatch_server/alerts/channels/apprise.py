"""The long tail by way of apprise (``pip install losswatch-server[apprise]``): some 170 services.

Only the operator can name such targets, in the targets file: apprise follows addresses of any kind, so that the wall
against private addresses does not hold here. It runs in a thread under a time limit.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links
from losswatch_server.alerts.channels.formatting import clip, evidence, footer, lines, one_line
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

TIMEOUT_S = 30.0
TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


def payload(message: Message, links: Links) -> dict[str, str]:
    """Title, body and type, all plain text; apprise cuts them to each service's limits."""
    parts = [clip(message.text, 1_500)]
    if message.total > 1:
        parts.append("\n".join(lines(message.entries, 20)))
    if pieces := evidence(message, 6):
        parts.append("\n".join(f"{name}: {value}" for name, value in pieces))
    if advice := message.advice:
        parts.append(f"What to do: {clip(advice, 1_500)}")
    if (url := links.of(message)) is not None:
        parts.append(url)
    return {
        "title": clip(one_line(message.title), 250),
        "body": "\n\n".join([*parts, footer(message)]),
        "notify_type": "success" if message.is_recovery else TYPES[message.severity],
        "body_format": "text",
    }


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Let apprise send it. It tells only success or failure, so that a failure is always tried again."""
    try:
        apprise: Any = importlib.import_module("apprise")
    except ImportError:
        return Outcome(result=Result.REJECTED, detail="apprise is not installed: pip install losswatch-server[apprise]")

    def notify() -> bool | None:
        sender = apprise.Apprise()
        return bool(sender.notify(**payload(message, deps.links))) if sender.add(target.url) else None

    try:
        async with asyncio.timeout(TIMEOUT_S):
            sent = await asyncio.to_thread(notify)
    except TimeoutError:
        return Outcome(result=Result.RETRY, detail=f"apprise did not finish within {TIMEOUT_S:g} s")
    if sent is None:
        return Outcome(result=Result.REJECTED, detail="apprise does not know this kind of address")
    if sent:
        return Outcome(result=Result.DELIVERED)
    return Outcome(result=Result.RETRY, detail="apprise could not deliver it")


CHANNEL = Channel(kind="apprise", send=send, by_http=False)
