"""Channel: what every kind of receiver offers; and what a channel may use to send."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from losswatch_server.alerts.egress.addresses import TargetRefusedError, is_allowed
from losswatch_server.alerts.egress.client import Answer, EgressClient, UnreachableError
from losswatch_server.alerts.egress.redaction import scrub
from losswatch_server.alerts.egress.retry import CHAT_PAUSES_S, RECORD_KEEPER_PAUSES_S, Outcome, Result, read_answer
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

Payload = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The operator's SMTP server. ``security``: ``none``, ``starttls`` or ``tls``."""

    host: str
    port: int = 587
    security: str = "starttls"
    username: str | None = None
    password: str | None = None
    sender: str = "losswatch@localhost"
    timeout_s: float = 20.0


def unsigned(project: str, path: str) -> None:
    """Where whoever reaches the service may see its pictures."""
    del project, path


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of runs in this service, as far as people can reach them from a message.

    ``only_here``: ``base`` is that of this machine, because nobody said at which address people reach it. ``sign``
    gives the token that a picture (project, path) is fetched with, where one is needed.
    """

    base: str | None = None
    only_here: bool = False
    sign: Callable[[str, str], str | None] = unsigned

    def picture(self, message: Message) -> str | None:
        """The chart of the one run that a message is about; None where the receiver could not fetch it.

        The time of the message in it keeps a receiver from showing the picture of an earlier one.
        """
        entry = message.detail
        if entry is None or not entry.uid or not self.base or not is_public(self.base):
            return None
        path = f"/v1/runs/{quote(entry.run, safe='')}/chart.png"
        token = self.sign(message.project, path)
        return self._page(path, message.project, version=f"{message.at:.0f}", **({"token": token} if token else {}))

    @property
    def warning(self) -> str:
        """What the operator should know of the links in messages; empty where they lead somewhere."""
        if not self.only_here:
            return ""
        where = f"to {self.base}, which only this machine reaches" if self.base else "nowhere"
        return f"Links in messages lead {where}: start the service with --base-url and the address that people use."

    def run(self, project: str, run: str, finding: str = "") -> str | None:
        """The page of a run, at one of its findings; None when the service does not know its public address."""
        page = self._page(f"/runs/{quote(run, safe='')}", project)
        return f"{page}#finding-{finding}" if page and finding.startswith("f_") else page

    def runs(self, project: str, sweep: str | None) -> str | None:
        """The list of runs, of one sweep if given."""
        return self._page("/", project, **({"group": sweep} if sweep else {}))

    def docs(self) -> str | None:
        """The documentation of notifications."""
        return None if not self.base else self.base.rstrip("/") + "/docs/notifications"

    def of(self, message: Message) -> str | None:
        """What a message is about: its run, or the list when it is about several."""
        if not any(entry.uid for entry in message.entries):  # a test, or about a target
            return self.docs()
        if len(message.runs) == 1:
            return self.run(message.project, message.runs[0], message.lead.id)
        return self.runs(message.project, message.sweep)

    def _page(self, path: str, project: str, **query: str) -> str | None:
        if not self.base:
            return None
        asked = {"project": project, **query} if project != "default" else query
        words = "&".join(f"{k}={quote(v, safe='', errors='replace')}" for k, v in asked.items())
        return self.base.rstrip("/") + path + ("?" + words if words else "")


PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".test")


def is_public(address: str) -> bool:
    """Whether a service such as Slack may reach it: https, and no name or number that only some network knows."""
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https" or not host:
        return False
    try:
        return is_allowed(host, allow_private=False)
    except ValueError:
        return "." in host and not host.endswith(PRIVATE_SUFFIXES)


async def no_picture(message: Message) -> bytes | None:
    """Where pictures cannot be drawn."""
    del message
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDeps:
    """What channels send with. ``draw`` gives the chart of the one run that a message is about, as PNG."""

    egress: EgressClient
    links: Links
    clock: Callable[[], float]
    mail: MailServer | None = None
    draw: Callable[[Message], Awaitable[bytes | None]] = no_picture


Send = Callable[[Message, Target, ChannelDeps], Awaitable[Outcome]]


def _any_address(url: str) -> None:
    del url


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of receiver.

    ``for_people``: a late message is replaced by the latest state, and there are fewer of them an hour.
    ``tracks_state``: the receiver keeps incidents, see ``policy.Rules``. ``signs``: targets get a signing secret.
    ``pause_s``: the shortest time between two messages, from the receiver's documented rate limit.
    """

    kind: str
    send: Send
    check_address: Callable[[str], None] = _any_address
    default_url: str | None = None
    by_http: bool = True
    allow_http: bool = False
    for_people: bool = True
    tracks_state: bool = False
    signs: bool = False
    pause_s: float = 0.0
    repeat_interval_s: float = 14_400.0
    group_by: frozenset[str] = frozenset({"group", "condition"})

    @property
    def pauses(self) -> tuple[float, ...]:
        """The pauses between tries."""
        return CHAT_PAUSES_S if self.for_people else RECORD_KEEPER_PAUSES_S

    @property
    def max_per_hour(self) -> int:
        """The default budget: people read 60 an hour at the very most, machines as many as come."""
        return 60 if self.for_people else 3_600


def dump(payload: Payload) -> bytes:
    """Minified strict JSON."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


async def post_json(
    payload: Payload,
    url: str,
    deps: ChannelDeps,
    *,
    read: Callable[[Answer, float], Outcome] = read_answer,
    headers: Callable[[bytes], Mapping[str, str]] = lambda body: {},
) -> Outcome:
    """Post a payload and read the answer. No error leaves this function, and no secret its sentences."""
    body = dump(payload)
    try:
        answer = await deps.egress.post(
            url, body, {"content-type": "application/json", "user-agent": "Losswatch/1", **headers(body)}
        )
    except TargetRefusedError as error:
        return Outcome(result=Result.REJECTED, detail=scrub(str(error)))
    except UnreachableError as error:
        return Outcome(result=Result.RETRY, detail=scrub(str(error)))
    return read(answer, deps.clock())
