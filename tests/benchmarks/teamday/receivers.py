"""Receivers of a day's messages: real servers on this machine, which may be away for a while."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class Heard:
    """A message as a receiver of one kind took it; a mail as its id, subject and text."""

    at: float
    kind: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """What tells a copy from another message: its id, for receivers that are given none the whole of it."""
        match self.kind:
            case "webhook":
                return str(self.body["data"]["id"])
            case "email":
                return str(self.body["id"])
        return json.dumps(self.body, sort_keys=True)

    @property
    def title(self) -> str:
        """One line of it."""
        match self.kind:
            case "webhook":
                return str(self.body["title"])
            case "email":
                return str(self.body["subject"])
            case "pagerduty":
                summary = self.body.get("payload", {}).get("summary", self.body["dedup_key"])
                return f"{self.body['event_action']}: {summary}"
        return str(self.body["text"])

    @property
    def content(self) -> str:
        """What it says, without its id and its time: two that say the same are one too many."""
        match self.kind:
            case "webhook":
                data = self.body["data"]
                news = [[f["id"], f["change"], f["opened_at"], f["resolved_at"]] for f in data["findings"]]
                return json.dumps([data["reason"], sorted(news)])
            case "email":
                return json.dumps([self.body["subject"], self.body["text"].rpartition("\n\n")[0]])
            case "slack":
                *said, _ = self.body["attachments"][0]["blocks"]  # the last one is the footer with the time
                return json.dumps([self.body["text"], said])
        return json.dumps(self.body, sort_keys=True)


@dataclass
class Receiver:
    """What one target reaches. ``away`` (s of the day, from and to): it answers 503."""

    kind: str
    now: Callable[[], float]
    begin: float
    heard: list[Heard] = field(default_factory=list)
    away: tuple[float, float] = (0.0, 0.0)
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request over HTTP."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            is_away = self.away[0] <= self.now() - self.begin < self.away[1]
            if not is_away:
                self.heard.append(Heard(self.now(), self.kind, body))
            writer.write(f"HTTP/1.1 {503 if is_away else 200} X\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """One mail."""
        mail = message_from_bytes(envelope.content, policy=default)
        text = mail.get_body(("plain",))
        assert text is not None
        body = {"id": mail["message-id"], "subject": mail["subject"], "text": text.get_content().replace("\r\n", "\n")}
        self.heard.append(Heard(self.now(), self.kind, body))
        return "250 ok"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port on which it is reached meanwhile."""
        if self.kind == "email":
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", 0)
        else:
            server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        self.url = "mailto:team@example.org" if self.kind == "email" else f"http://127.0.0.1:{port}/hook"
        async with server:
            yield port
