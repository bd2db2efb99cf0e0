"""Requests and answers about targets and deliveries, with an example of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from losswatch_server.alerts.policy import SPEAKS, Reason, Rules
from losswatch_server.api.description.types import Answer
from losswatch_server.monitor.vocabulary import Condition

KINDS = ("webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email")
ABOUT = (*(condition.value for condition in Condition), "run.failed", "run.slow", "run.finished", "run.cancelled")
SENT = SPEAKS | {Reason.REPEAT_INTERVAL, Reason.TEST, Reason.REDELIVERED, Reason.TARGET_DISABLED}
Severity = Literal["info", "warning", "critical"]
Kind = Literal["webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email"]


def _known(name: str) -> str:
    if name not in ABOUT:
        raise ValueError(f"{name!r} is none of {', '.join(ABOUT)}")
    return name


def _printable(text: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise ValueError("control characters and lone surrogates cannot be kept")
    return text


def _is_time(text: str) -> str:
    read_time(text)
    return text


def read_time(text: str) -> float:
    """Unix seconds of an RFC 3339 time with its offset. Raises ValueError."""
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            raise ValueError
        return when.timestamp()
    except (ValueError, OverflowError):
        raise ValueError("write the time as 2026-01-31T12:00:00Z, with its offset") from None


About = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(ABOUT)})]
DeliveryState = Literal["pending", "sending", "delivered", "failed", "superseded", "dropped"]
SentBecause = Annotated[
    str,
    WithJsonSchema({"type": "string", "enum": [str(reason) for reason in Reason if reason in SENT]}),
]
Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(_printable)]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_printable)]
Wait = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Repeat = Annotated[float, Field(ge=1, le=31 * 86_400, allow_inf_nan=False)]
Time = Annotated[
    str, StringConstraints(max_length=40), AfterValidator(_is_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]  # fmt: skip


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out stays: a client that fills in defaults would change it."""
    for field in schema["properties"].values():
        field.pop("default", None)


def _with_defaults(schema: dict[str, Any]) -> None:
    """The defaults that are the same for every kind of target; only single values, which every generator takes."""
    _without_defaults(schema)
    for name, value in _DEFAULTS.items():
        schema["properties"][name]["default"] = value


_RULES = Rules()
_DEFAULTS: dict[str, Any] = {
    "min_severity": _RULES.min_severity.value,
    "group_wait_s": _RULES.group_wait_s,
    "group_interval_s": _RULES.group_interval_s,
    "send_resolved": _RULES.send_resolved,
}


class TargetRules(BaseModel):
    """What a target is sent, and how often."""

    model_config = ConfigDict(
        extra="forbid", strict=True, use_attribute_docstrings=True, json_schema_extra=_without_defaults
    )
    name: Text | None = None
    """A name for people."""
    min_severity: Severity | None = None
    """Nothing below it is sent."""
    conditions: Annotated[list[About], Field(max_length=64)] | None = None
    """Only these; empty: every one."""
    tags: Annotated[dict[TagName, Text], Field(max_length=32)] | None = None
    """Only runs that carry all of these tags."""
    group_by: Annotated[list[Literal["group", "condition", "run"]], Field(max_length=3)] | None = None
    """What shares a message: the runs of a sweep (`group`; a run outside any stands alone), conditions that belong
    together (`condition`), or only the same run. By default `group` and `condition`, for PagerDuty `group` alone."""
    group_wait_s: Wait | None = None
    """What follows within this time of a group's first message is one message; a resolution must hold as long."""
    group_interval_s: Wait | None = None
    """After that, a group sends at most one message in this time."""
    repeat_interval_s: Repeat | None = None
    """Open, unacknowledged findings are sent again after this time: 14400 by default, 300 for an Alertmanager."""
    send_resolved: bool | None = None
    """Whether to report what has resolved."""
    max_per_hour: Annotated[int, Field(ge=1, le=36_000)] | None = None
    """A limit; beyond it, messages wait and are combined. 60 by default for people, 3600 for programs."""


class NewTarget(TargetRules):
    """A new notification target."""

    model_config = ConfigDict(json_schema_extra=_with_defaults)
    kind: Kind
    """What receives the notifications."""
    url: Address | None = None
    """Where to send: an https URL, or `mailto:a@example.org,b@example.org` for e-mail. Never shown again."""
    routing_key: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """PagerDuty: the integration's key. Never shown again."""
    secret: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Webhooks: a signing secret of your own (`whsec_…`); generated when left out."""


class TargetChange(TargetRules):
    """A change of a target; fields that are left out or null stay as they are."""

    url: Address | None = None
    """A new address of the same kind."""
    routing_key: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """PagerDuty: a new integration key."""
    enabled: bool | None = None
    """false switches the target off, true on again, also after it was switched off because of failures."""


class Target(Answer):
    """A notification target. Its address and secrets are never shown whole."""

    id: str
    """The target's id."""
    kind: Literal["webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email", "apprise"]
    """What receives the notifications; `apprise` targets come from the targets file alone."""
    name: str
    """For people."""
    project: str
    """The project whose runs it hears of."""
    url: str
    """The host and the last four characters."""
    state: Literal["active", "failing", "disabled"]
    """`failing`: the last messages did not arrive; `disabled`: switched off, see `disabled_reason`."""
    failing_since: datetime | None
    """Since when messages have not arrived; null while they do."""
    disabled_reason: str | None
    """Why it is switched off; null while it is not."""
    source: Literal["api", "file"]
    """`file`: from the operator's targets file; change it there."""
    min_severity: Severity
    """Nothing below it is sent."""
    conditions: list[About]
    """Only these; empty: every one."""
    tags: dict[str, str]
    """Only runs that carry all of these tags."""
    group_by: list[Literal["group", "condition", "run"]]
    """What shares a message."""
    group_wait_s: float
    """Seconds within which what follows a group's first message is one message."""
    group_interval_s: float
    """Seconds between two messages of a group."""
    repeat_interval_s: float
    """Seconds after which open, unacknowledged findings are sent again."""
    send_resolved: bool
    """Whether what has resolved is reported."""
    max_per_hour: int
    """Messages an hour; beyond that they wait and are combined."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When it was last changed."""


class TargetWithSecret(Target):
    """A target with its signing secret, which is shown only once; null for kinds that are not signed."""

    secret: str | None
    """The signing secret, `whsec_…`."""


class NewlyMadeTarget(TargetWithSecret):
    """A target as it was just added."""

    warnings: list[str]
    """What to change before relying on it, such as an address that links in messages can lead to."""


class Targets(Answer):
    """The targets of a project, oldest first."""

    targets: list[Target]
    """Oldest first."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class TestResult(Answer):
    """The result of a test message."""

    delivered: bool
    """Whether it arrived."""
    status: int | None
    """The HTTP or SMTP status that came back, if one did."""
    detail: str
    """What is wrong, in a sentence; empty when nothing is."""
    duration_ms: float
    """How long it took, in milliseconds."""
    delivery: str
    """The id of the delivery."""


class DeliveryTry(Answer):
    """One try to deliver."""

    at: datetime
    """When it was sent."""
    duration_ms: float
    """How long it took, in milliseconds."""
    result: Literal["delivered", "retry", "rejected", "gone"]
    """`retry`: it is tried again; `rejected`: the receiver refuses this message; `gone`: it wants no more."""
    status: int | None
    """The HTTP or SMTP status that came back, if one did."""
    detail: str
    """What is wrong, in a sentence; empty when nothing is."""


class Delivery(Answer):
    """One notification and its outcome. The id is the `webhook-id` of every try."""

    id: str
    """The delivery's id."""
    number: int
    """The number of the delivery, counted per target."""
    title: str
    """What the message says, in a few words."""
    runs: list[str]
    """The runs that it is about, at most 100."""
    reason: SentBecause
    """Why it was sent: something is new, got worse, is over, its run has ended, or it is still open after
    `repeat_interval_s`; somebody asked for it (`test`, `redelivered`); or the target was switched off."""
    state: DeliveryState
    """`superseded`: a later message replaced it; `dropped`: its run or target was deleted."""
    tries: int
    """How often it was tried."""
    status: int | None
    """The HTTP or SMTP status of the last try."""
    detail: str
    """What was wrong with the last try; empty when nothing was."""
    created_at: datetime
    """When it was decided to send it."""
    next_at: datetime | None
    """When the next try is due."""
    finished_at: datetime | None
    """When it arrived or was given up; null before."""
    attempts: list[DeliveryTry]
    """The last twenty."""


class Deliveries(Answer):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    """Newest first."""
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Recover(BaseModel):
    """The time from which failed notifications are sent again."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    since: Time | None = None
    """An RFC 3339 time with its offset. Left out: 24 hours ago."""


class Recovered(Answer):
    """How many deliveries are sent again."""

    recovered: int
    """How many."""


MODELS: tuple[type[BaseModel], ...] = (
    TargetWithSecret, NewlyMadeTarget, Targets, TestResult, Deliveries, Recovered, NewTarget, TargetChange, Recover,
)  # fmt: skip

TARGET: dict[str, Any] = {
    "id": "tgt_5f0c2a9b7e4d5061",
    "kind": "slack",
    "name": "team channel",
    "project": "default",
    "url": "https://hooks.slack.com/…wXyz",
    "state": "active",
    "failing_since": None,
    "disabled_reason": None,
    "source": "api",
    "min_severity": "warning",
    "conditions": [],
    "tags": {},
    "group_by": ["condition", "group"],
    "group_wait_s": 30.0,
    "group_interval_s": 300.0,
    "repeat_interval_s": 14400.0,
    "send_resolved": True,
    "max_per_hour": 60,
    "created_at": "2026-11-21T12:00:00.000Z",
    "updated_at": "2026-11-21T12:00:00.000Z",
}
DELIVERY: dict[str, Any] = {
    "id": "msg_0f1e2d3c4b5a69788796a5b4",
    "number": 7,
    "title": "keras-demo: diverging",
    "runs": ["keras-demo"],
    "reason": "first",
    "state": "delivered",
    "tries": 1,
    "status": 200,
    "detail": "",
    "created_at": "2026-11-21T12:00:00.000Z",
    "next_at": None,
    "finished_at": "2026-11-21T12:00:00.180Z",
    "attempts": [
        {"at": "2026-11-21T12:00:00.020Z", "duration_ms": 160.2, "result": "delivered", "status": 200, "detail": ""}
    ],
}
