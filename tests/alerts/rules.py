"""What each receiver accepts, by its own documentation. Each function raises AssertionError where it would refuse.

Slack: docs.slack.dev/reference/block-kit/blocks. Discord: docs.discord.com/developers/resources/message#embed-object.
Teams: learn.microsoft.com/microsoftteams, incoming webhooks by Workflows; adaptivecards.io/explorer. PagerDuty:
developer.pagerduty.com/docs/events-api-v2. Alertmanager: api/v2/openapi.yaml. Standard Webhooks: spec 1.0.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

STRAY = re.compile(r"<(?!\Z)|>|&(?!amp;|lt;|gt;)")


def slack(body: bytes) -> None:
    payload = json.loads(body)
    assert payload["text"]
    assert not STRAY.search(payload["text"])
    blocks = payload["blocks"] + [b for a in payload["attachments"] for b in a["blocks"]]
    assert len(blocks) <= 50
    assert all(re.fullmatch("#[0-9a-f]{6}", a["color"]) for a in payload["attachments"])
    total = 0
    for block in blocks:
        match block["type"]:
            case "header":
                assert block["text"]["type"] == "plain_text"
                assert 1 <= units(block["text"]["text"]) <= 150
            case "section":
                assert ("text" in block) != ("fields" in block)
                texts = block.get("fields", []) or [block["text"]]
                assert len(texts) <= 10
                for text in texts:
                    assert units(text["text"]) <= (2000 if "fields" in block else 3000)
                    total += mrkdwn(text)
            case "context":
                assert 1 <= len(block["elements"]) <= 75
                total += sum(mrkdwn(text) for text in block["elements"])
            case "actions":
                (button,) = block["elements"]
                assert units(button["text"]["text"]) <= 75
                assert len(button["url"]) <= 3000
            case "image":
                assert block["image_url"].startswith("https://")
                assert len(block["image_url"]) <= 3000
                assert 1 <= units(block["alt_text"]) <= 2000
            case other:
                raise AssertionError(other)
    assert total <= 13_200


def mrkdwn(text: dict[str, Any]) -> int:
    assert text["type"] == "mrkdwn"
    assert text["verbatim"] is True
    assert text["text"]
    assert not STRAY.search(text["text"]), "only escaped text may reach mrkdwn"
    return units(text["text"])


def discord(body: bytes) -> None:
    payload = json.loads(body)
    assert payload["allowed_mentions"] == {"parse": []}
    (embed,) = payload["embeds"]
    assert 1 <= units(embed["title"]) <= 256
    assert units(embed["description"]) <= 4096
    assert units(embed["footer"]["text"]) <= 2048
    assert 0 <= embed["color"] <= 0xFFFFFF
    assert len(embed["fields"]) <= 25
    for field in embed["fields"]:
        assert 1 <= units(field["name"]) <= 256
        assert 1 <= units(field["value"]) <= 1024
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    assert sum(map(units, texts)) <= 6000
    datetime.fromisoformat(embed["timestamp"])
    for text in (embed["title"], embed["description"], *(f["value"] for f in embed["fields"])):
        assert not re.search(r"(?<!\\)[\[\]<@]", text), "markup of a client must be escaped"


def teams(body: bytes) -> None:
    assert len(body) < 28_000
    payload = json.loads(body)
    assert payload["type"] == "message"
    (attachment,) = payload["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for element in card["body"]:
        if element["type"] == "Image":
            assert element["url"].startswith("https://")
            continue
        assert element["type"] == "RichTextBlock", "only text runs show what a client wrote without markdown"
        assert all(run["type"] == "TextRun" and isinstance(run["text"], str) for run in element["inlines"])
    assert all(action["type"] == "Action.OpenUrl" for action in card.get("actions", []))
    assert "entities" not in card["msteams"]


def pagerduty(body: bytes) -> None:
    assert len(body) < 512_000
    event = json.loads(body)
    assert len(event["routing_key"]) == 32
    assert event["event_action"] in ("trigger", "resolve")
    assert 1 <= units(event["dedup_key"]) <= 255
    if event["event_action"] == "trigger":
        payload = event["payload"]
        assert 1 <= units(payload["summary"]) <= 1024
        assert payload["source"]
        assert payload["severity"] in ("critical", "error", "warning", "info")
        datetime.fromisoformat(payload["timestamp"])
        assert all(image["src"].startswith("https://") for image in event.get("images", []))


def alertmanager(body: bytes) -> None:
    alerts = json.loads(body)
    assert alerts
    for alert in alerts:
        assert set(alert) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
        assert alert["labels"]["alertname"]
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in alert["labels"])
        assert all(isinstance(value, str) and value for value in alert["labels"].values())
        assert all(isinstance(value, str) for value in alert["annotations"].values())
        assert datetime.fromisoformat(alert["startsAt"]) <= datetime.fromisoformat(alert["endsAt"])


def webhook(body: bytes) -> None:
    assert len(body) < 20_000
    payload = json.loads(body)
    assert re.fullmatch("[a-zA-Z0-9_]+([.][a-zA-Z0-9_]+)*", payload["type"])
    datetime.fromisoformat(payload["timestamp"])
    assert isinstance(payload["data"], dict)
    assert {"level", "title", "text", "project", "run", "step"} <= set(payload)
    assert payload["level"] in ("info", "warn", "error")


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)


BY_KIND = {
    "slack": slack,
    "discord": discord,
    "teams": teams,
    "pagerduty": pagerduty,
    "alertmanager": alertmanager,
    "webhook": webhook,
}
