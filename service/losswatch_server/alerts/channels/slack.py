"""Slack incoming webhooks: Block Kit, coloured by severity.

Limits (docs.slack.dev, Block Kit reference): header 150, section text 3000, at most 10 fields of 2000, context
element 75 objects, 50 blocks; about 13,000 characters altogether. One message a second. Only ``& < >`` have to be
escaped; that takes the power from ``<!channel>``, ``<@U1>`` and ``<http://x|y>``, and ``verbatim`` keeps Slack from
finding links and channel names by itself.
"""

from __future__ import annotations

from typing import Any

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, post_json
from losswatch_server.alerts.channels.formatting import clip, colour, evidence, footer, lines, one_line
from losswatch_server.alerts.egress.client import Answer
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.egress.retry import read_answer as read_status
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

MAX_LINES, PER_SECTION = 60, 20
SIGNS = {"critical": ":rotating_light:", "warning": ":warning:", "info": ":information_source:"}
DEAD_HOOK = frozenset({
    "no_service", "no_active_hooks", "no_service_id", "no_team", "team_disabled", "invalid_token",
    "channel_not_found", "channel_is_archived", "action_prohibited", "posting_to_general_channel_denied",
})  # fmt: skip
"""Answers after which no message will ever arrive: the webhook has to be made anew."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def payload(message: Message, links: Links, *, pictured: bool = True) -> dict[str, Any]:
    """The message: ``text`` for the line on a phone, the title as header, the rest in a coloured attachment."""
    return {
        "text": escaped(one_line(f"{message.title}. {message.text}"), 300),
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": clip(one_line(message.title), 150), "emoji": False},
            }
        ],
        "attachments": [{"color": colour(message), "blocks": _body(message, links, pictured)}],
    }


def escaped(text: str, limit: int) -> str:
    """Text that Slack shows as it is."""
    return clip(text, limit, lambda c: _ENTITIES.get(c, c))


def _body(message: Message, links: Links, pictured: bool) -> list[dict[str, Any]]:
    sign = ":white_check_mark:" if message.is_recovery else SIGNS[message.severity]
    blocks = [_section(f"{sign} {escaped(message.text, 1_500)}")]
    if message.total > 1:
        listed = ["• " + escaped(line, 130) for line in _listed(message)]
        blocks += [_section("\n".join(listed[i : i + PER_SECTION])) for i in range(0, len(listed), PER_SECTION)]
    if fields := evidence(message, 6):
        blocks.append({
            "type": "section",
            "fields": [_text(f"*{escaped(name, 100)}*\n{escaped(value, 200)}") for name, value in fields],
        })  # fmt: skip
    if advice := message.advice:
        blocks.append(_section(f"*What to do:* {escaped(advice, 1_500)}"))
    if pictured and (picture := links.picture(message)) is not None:
        blocks.append({"type": "image", "image_url": picture[:3000], "alt_text": clip(one_line(message.title), 300)})
    if (url := links.of(message)) is not None:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open in Losswatch"}, "url": url[:3000]}
        blocks.append({"type": "actions", "elements": [button]})
    blocks.append({"type": "context", "elements": [_text(escaped(footer(message), 300))]})
    return blocks


def _listed(message: Message) -> list[str]:
    shown = lines(message.entries[:MAX_LINES], MAX_LINES)
    left = message.total - len(shown)
    return [*shown, f"and {left} more"] if left > 0 else shown


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text)}


def _text(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def read_answer(answer: Answer, now: float) -> Outcome:
    """Slack says in a word what is wrong.

    The words: api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks.
    """
    word = answer.body[:100].decode("ascii", "replace").strip()
    if word in DEAD_HOOK:
        return Outcome(result=Result.GONE, status=answer.status, detail=f"Slack says {word}: connect the webhook anew")
    outcome = read_status(answer, now)
    if outcome.result is Result.REJECTED and word.replace("_", "").isalpha() and len(word) < 60:
        return Outcome(result=outcome.result, status=answer.status, detail=f"Slack says {word} ({answer.status})")
    return outcome


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Post to the incoming webhook. Slack refuses a message whose picture it cannot fetch: then it goes without."""
    outcome = await post_json(payload(message, deps.links), target.url, deps, read=read_answer)
    if outcome.result is Result.REJECTED and deps.links.picture(message) is not None:
        plain = payload(message, deps.links, pictured=False)
        outcome = await post_json(plain, target.url, deps, read=read_answer)
    return outcome


CHANNEL = Channel(kind="slack", send=send, pause_s=1.0)
