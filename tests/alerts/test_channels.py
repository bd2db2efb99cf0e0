"""Every channel against the documented rules of its receiver: golden payloads, hostile words, real HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from alerts import rules
from alerts.messages import ALL, AT, GROUP, HOSTILE, OPENED, RESOLVED, WORSENED
from losswatch_server.alerts.channels import BY_KIND, alertmanager, discord, email, pagerduty, slack, teams, webhook
from losswatch_server.alerts.channels.channel import ChannelDeps, Links, MailServer
from losswatch_server.alerts.channels.formatting import clip, number, width
from losswatch_server.alerts.egress.client import Answer, EgressClient
from losswatch_server.alerts.egress.retry import Result, read_answer
from losswatch_server.alerts.egress.signing import Secret, new_secret
from losswatch_server.alerts.message import Message, from_json
from losswatch_server.alerts.message import as_json as message_json
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.targets import Target

LINKS = Links("https://losswatch.example.org")
GOLDEN = Path(__file__).parent / "golden"
KEY = "R" * 32
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]")
HTTP_KINDS = sorted(rules.BY_KIND)


def rendered(kind: str, said: Message, links: Links = LINKS) -> Any:
    match kind:
        case "pagerduty":
            return pagerduty.payload(said, links, KEY)
        case "alertmanager":
            return alertmanager.payload(said, links, 300)
    module = {"slack": slack, "discord": discord, "teams": teams, "webhook": webhook}[kind]
    return module.payload(said, links)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("name", ["opened", "resolved", "stopped", "sweep", "failed", "silent", "returned"])
def test_the_payload_is_the_golden_one(kind: str, name: str) -> None:
    """Delete a file of ``golden/`` and run the test twice to write it anew; then look at the difference."""
    path = GOLDEN / f"{kind}-{name}.json"
    text = json.dumps(rendered(kind, ALL[name]), indent=1, ensure_ascii=False) + "\n"
    if not path.exists():
        path.write_text(text, "utf-8")
        pytest.fail(f"{path.name} was missing and has been written")
    assert text == path.read_text("utf-8")


@dataclass
class Receiver:
    """Stands for a service: takes a request if its body obeys the service's rules, else answers 400."""

    kind: str
    url: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def receiving(kind: str) -> Iterator[Receiver]:
    receiver = Receiver(kind)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                assert self.headers["content-type"] == "application/json"
                rules.BY_KIND[kind](body)
                receiver.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status, answer = {"pagerduty": (202, b"{}"), "discord": (204, b"")}.get(kind, (200, b"ok"))
            except (AssertionError, KeyError, ValueError) as error:
                receiver.wrong.append(f"{type(error).__name__}: {error}")
                status, answer = 400, b"invalid_payload"
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/services/T000/B000/SECRET"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(kind: str, said: Message, url: str, mail: MailServer | None = None, *secrets: Secret) -> Any:
    async def go() -> Any:
        import time

        deps = ChannelDeps(
            egress=EgressClient(allow_private=True, timeout_s=5), links=LINKS, clock=time.time, mail=mail
        )
        target = Target(id="t", project="default", kind=kind, url=url, routing_key=KEY, secrets=secrets, rules=Rules())
        return await BY_KIND[kind].send(said, target, deps)

    return asyncio.run(go())


@pytest.mark.slow
@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_the_service_takes_every_message_however_large_or_hostile(kind: str) -> None:
    with receiving(kind) as receiver:
        for name, said in ALL.items():
            outcome = send(kind, said, receiver.url)
            assert (outcome.result, receiver.wrong) == (Result.DELIVERED, []), name
    assert len(receiver.taken) == len(ALL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_no_control_characters_reach_a_receiver(kind: str) -> None:
    for text in rules.strings(rendered(kind, HOSTILE)):
        assert not FORBIDDEN.search(text), text


def test_a_message_stays_the_same_on_its_way_through_the_store() -> None:
    for said in ALL.values():
        assert from_json(json.loads(json.dumps(message_json(said)))) == said


@pytest.mark.slow
def test_a_webhook_is_signed_as_the_standard_wants_and_by_every_secret_in_force() -> None:
    fresh, old, over = new_secret(), new_secret(), new_secret()
    secrets = (Secret(fresh), Secret(old, until=AT + 10**9), Secret(over, until=1.0))
    with receiving("webhook") as receiver:
        send("webhook", OPENED, receiver.url, None, *secrets)
        send("webhook", OPENED, receiver.url, None, *secrets)
    for headers, body in receiver.taken:
        for secret in (fresh, old):
            assert Webhook(secret).verify(body, headers)["type"] == "finding.opened"
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(over).verify(body, headers)
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(fresh).verify(body.replace(b"diverging", b"healthy"), headers)
    ids = {headers["webhook-id"] for headers, _ in receiver.taken}
    assert ids == {OPENED.id}


def test_trackios_fields_are_there() -> None:
    body = webhook.payload(OPENED, LINKS)
    assert (body["level"], body["project"], body["run"], body["step"]) == ("error", "default", "keras-demo", 20)
    assert body["title"] == "keras-demo: diverging"
    assert body["text"].startswith("The loss grew in each of the last 19 steps")


def test_a_large_group_says_how_many_it_leaves_out() -> None:
    body = webhook.payload(GROUP, LINKS)
    assert body["data"]["total"] == 700
    assert body["data"]["truncated"] == 700 - len(body["data"]["findings"])
    assert "and 640 more" in json.dumps(slack.payload(GROUP, LINKS))
    assert "and 660 more" in json.dumps(discord.payload(GROUP, LINKS))
    assert "and 640 more" in json.dumps(teams.payload(GROUP, LINKS))


def test_alertmanager_ends_the_milder_alert_when_a_finding_worsens() -> None:
    now, before = alertmanager.payload(WORSENED, LINKS, 300)
    assert (now["labels"]["severity"], before["labels"]["severity"]) == ("critical", "warning")
    assert before["endsAt"] < now["endsAt"]
    assert alertmanager.endpoint("http://am:9093/") == "http://am:9093/api/v2/alerts"


SLACK_ANSWERS = [
    (404, b"no_service", Result.GONE), (410, b"channel_is_archived", Result.GONE), (403, b"invalid_token", Result.GONE),
    (404, b"channel_not_found", Result.GONE), (400, b"invalid_payload", Result.REJECTED),
    (429, b"rate_limited", Result.RETRY), (500, b"rollup_error", Result.RETRY), (200, b"ok", Result.DELIVERED),
    (400, b"\xff<html>", Result.REJECTED),
]  # fmt: skip


@pytest.mark.parametrize(("status", "word", "result"), SLACK_ANSWERS)
def test_slacks_words_are_understood(status: int, word: bytes, result: Result) -> None:
    outcome = slack.read_answer(Answer(status, {}, word), 0)
    assert outcome.result is result
    assert "<" not in outcome.detail


ANSWERS = [
    (200, Result.DELIVERED, Result.DELIVERED), (204, Result.DELIVERED, Result.DELIVERED),
    (302, Result.REJECTED, Result.RETRY), (400, Result.REJECTED, Result.RETRY), (401, Result.REJECTED, Result.RETRY),
    (404, Result.REJECTED, Result.RETRY), (408, Result.RETRY, Result.RETRY), (410, Result.GONE, Result.GONE),
    (425, Result.RETRY, Result.RETRY), (429, Result.RETRY, Result.RETRY), (500, Result.RETRY, Result.RETRY),
    (503, Result.RETRY, Result.RETRY), (101, Result.REJECTED, Result.RETRY),
]  # fmt: skip


@pytest.mark.parametrize(("status", "elsewhere", "own"), ANSWERS)
def test_a_status_is_judged(status: int, elsewhere: Result, own: Result) -> None:
    assert read_answer(Answer(status), 0).result is elsewhere
    assert read_answer(Answer(status), 0, retry_refusals=True).result is own


WAITS = [
    ({"retry-after": "7"}, 7.0), ({"retry-after": "0.5"}, 0.5), ({}, None), ({"retry-after": "soon"}, None),
    ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0), ({"retry-after": "-5"}, None),
    ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20.0), ({"retry-after": "²"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "wait"), WAITS)
def test_retry_after_is_read(headers: dict[str, str], wait: float | None) -> None:
    now = 100.0 if "1970" in str(headers) else 10**9
    assert read_answer(Answer(503, headers), now).retry_after_s == wait


@pytest.mark.parametrize(("body", "wait"), [(b'{"retry_after": 1.5}', 1.5), (b"[]", None), (b"x", None),
                                            (b'{"retry_after": "NaN"}', None)])  # fmt: skip
def test_discord_says_its_wait_in_the_body(body: bytes, wait: float | None) -> None:
    assert discord.read_answer(Answer(429, {}, body), 0).retry_after_s == wait


@given(st.text(max_size=400), st.integers(1, 100))
def test_a_clipped_text_fits_and_never_splits_an_escape(text: str, limit: int) -> None:
    clipped = clip(text, limit, lambda c: {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(c, c))
    assert width(clipped) <= limit
    assert not rules.STRAY.search(clipped.removesuffix("…"))
    clipped.encode()


NUMBERS = [(3.5547, "3.55"), (64, "64"), ([64, 66], "64 to 66"), (1e-9, "1.00e-9"), (float("nan"), "NaN"), (None, "–"),
           (1234567, "1,234,567"), ("NaN", "NaN")]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers_are_written_for_people(value: object, text: str) -> None:
    assert number(value) == text


class Mailbox:
    """Takes mails as aiosmtpd hands them over; refuses recipients that ask for it."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("later"):
            return "450 busy"
        if address.startswith("never"):
            return "550 unknown"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 ok"


@contextmanager
def smtp() -> Iterator[tuple[Mailbox, MailServer]]:
    from aiosmtpd.controller import Controller

    mailbox = Mailbox()
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailbox, "127.0.0.1", port)
    controller.start()
    try:
        yield mailbox, MailServer(host="127.0.0.1", port=port, security="none", sender="watch@example.org")
    finally:
        controller.stop()


@pytest.mark.slow
def test_mails_arrive_in_text_and_html_with_a_stable_id() -> None:
    from email import message_from_bytes
    from email.policy import default

    with smtp() as (mailbox, server):
        for said in ALL.values():
            assert send("email", said, "mailto:a@example.org,b@example.org", server).result is Result.DELIVERED
    mails = [message_from_bytes(envelope.content, policy=default) for envelope in mailbox.mails]
    first, hostile = mails[0], mails[-1]
    assert mailbox.mails[0].rcpt_tos == ["a@example.org", "b@example.org"]
    assert first["subject"] == "[critical] keras-demo: diverging"
    assert first["message-id"] == f"<{OPENED.id}@example.org>"
    assert first["references"] == mails[1]["references"], "the resolution belongs to the same thread"
    assert "What to do: Lower the learning rate" in first.get_body(("plain",)).get_content()
    html = hostile.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert hostile["bcc"] is None


@pytest.mark.parametrize(("address", "result", "status"), [("later@example.org", Result.RETRY, 450),
                                                           ("never@example.org", Result.REJECTED, 550)])  # fmt: skip
def test_what_a_mail_server_refuses_is_judged_by_its_code(address: str, result: Result, status: int) -> None:
    with smtp() as (_, server):
        outcome = send("email", OPENED, f"mailto:{address}", server)
    assert (outcome.result, outcome.status) == (result, status)


def test_a_mail_server_that_is_away_is_asked_again() -> None:
    outcome = send("email", OPENED, "mailto:a@example.org", MailServer(host="127.0.0.1", port=9, security="none"))
    assert outcome.result is Result.RETRY


@pytest.mark.parametrize("url", ["mailto:", "mailto:a", "mailto:a@b.org?bcc=c@d.org", "a@b.org", "mailto:@b.org",
                                 "mailto:a@b.org\r\nX: y", "mailto:" + ",".join(["a@b.org"] * 21)])  # fmt: skip
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        email.addresses(url)


def test_apprise_says_so_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "apprise", None)
    outcome = send("apprise", OPENED, "ntfy://topic")
    assert (outcome.result, "pip install" in outcome.detail) == (Result.REJECTED, True)


def test_apprise_sends_where_it_is_installed() -> None:
    pytest.importorskip("apprise")
    with create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert send("apprise", OPENED, f"json://127.0.0.1:{port}/x").result is Result.RETRY
    assert send("apprise", OPENED, "nonsense").result is Result.REJECTED


def test_random_groups_keep_every_rule() -> None:
    rng = random.Random(7)
    for _ in range(8):
        entries = rng.sample(HOSTILE.entries, rng.randint(1, 60))
        said = Message(id="m", project="p", key="k", reason=RESOLVED.reason, at=AT, entries=tuple(entries), total=60)
        for kind, check in rules.BY_KIND.items():
            check(json.dumps(rendered(kind, said), ensure_ascii=False, separators=(",", ":")).encode())
