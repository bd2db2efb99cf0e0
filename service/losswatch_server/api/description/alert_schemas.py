"""Requests and answers about targets, deliveries and silences, with an example of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from losswatch_server.api.description.schemas import Answer
from losswatch_server.monitor.vocabulary import Condition

KINDS = ("webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email")
ABOUT = (*(condition.value for condition in Condition), "run.failed", "run.slow", "run.finished", "run.cancelled")
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
Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(_printable)]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_printable)]
Wait = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Repeat = Annotated[float, Field(ge=1, le=31 * 86_400, allow_inf_nan=False)]
Time = Annotated[
    str, StringConstraints(max_length=40), AfterValidator(_is_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]  # fmt: skip


class TargetRules(BaseModel):
    """What a target is sent, and how often."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    name: Text = ""
    """A name for people."""
    min_severity: Severity = "warning"
    """Nothing below it is sent."""
    conditions: Annotated[list[About], Field(max_length=64)] = []
    """Only these; empty: every one."""
    tags: Annotated[dict[TagName, Text], Field(max_length=32)] = {}
    """Only runs that carry all of these tags."""
    group_by: Annotated[list[Literal["group", "condition", "run"]], Field(max_length=3)] = ["group", "condition"]
    """What shares a message: the runs of a sweep (`group`; a run outside any stands alone), conditions that belong
    together (`condition`), or only the same run. For PagerDuty it is `group` alone when left out."""
    group_wait_s: Wait = 30.0
    """What follows within this time of a group's first message is one message; a resolution must hold as long."""
    group_interval_s: Wait = 300.0
    """After that, a group sends at most one message in this time."""
    repeat_interval_s: Repeat | None = None
    """Open, unacknowledged findings are sent again after this time: 14400 by default, 300 for an Alertmanager."""
    send_resolved: bool = True
    """Whether to report what has resolved."""
    max_per_hour: Annotated[int, Field(ge=1, le=36_000)] | None = None
    """A limit; beyond it, messages wait and are combined. 60 by default for people, 3600 for programs."""


class NewTarget(TargetRules):
    """A new notification target."""

    kind: Kind
    url: Address | None = None
    """Where to send: an https URL, or `mailto:a@example.org,b@example.org` for e-mail. Never shown again."""
    routing_key: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """PagerDuty: the integration's key. Never shown again."""
    secret: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Webhooks: a signing secret of your own (`whsec_…`); generated when left out."""


class TargetChange(TargetRules):
    """A change of a target; fields that are left out stay as they are."""

    url: Address | None = None
    """A new address of the same kind."""
    routing_key: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """PagerDuty: a new integration key."""
    enabled: bool | None = None
    """false switches the target off, true on again, also after it was switched off because of failures."""


class Target(Answer):
    """A notification target. Its address and secrets are never shown whole."""

    id: str
    kind: str
    name: str
    project: str
    url: str
    """The host and the last four characters."""
    state: Literal["active", "failing", "disabled"]
    """`failing`: the last messages did not arrive; `disabled`: switched off, see `disabled_reason`."""
    failing_since: datetime | None
    disabled_reason: str | None
    source: Literal["api", "file"]
    """`file`: from the operator's targets file; change it there."""
    min_severity: Severity
    conditions: list[str]
    tags: dict[str, str]
    group_by: list[str]
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    send_resolved: bool
    max_per_hour: int
    created_at: datetime
    updated_at: datetime


class TargetWithSecret(Target):
    """A target with its signing secret, which is shown only once; null for kinds that are not signed."""

    secret: str | None


class Targets(Answer):
    """The targets of a project, oldest first."""

    targets: list[Target]


class TestResult(Answer):
    """The result of a test message."""

    delivered: bool
    status: int | None
    """The HTTP or SMTP status that came back, if one did."""
    detail: str
    """What is wrong, in a sentence; empty when nothing is."""
    duration_ms: float
    delivery: str


class DeliveryTry(Answer):
    """One try to deliver."""

    at: datetime
    duration_ms: float
    result: Literal["delivered", "retry", "rejected", "gone"]
    status: int | None
    detail: str


class Delivery(Answer):
    """One notification and its outcome. The id is the `webhook-id` of every try."""

    id: str
    number: int
    """The number of the delivery, counted per target."""
    title: str
    runs: list[str]
    reason: str
    """Why it was sent: first, worsened, ended, resolved, repeat_interval, test, redelivered, target_disabled."""
    state: Literal["pending", "sending", "delivered", "failed", "superseded", "dropped"]
    """`superseded`: a later message replaced it; `dropped`: its run or target was deleted."""
    tries: int
    status: int | None
    detail: str
    created_at: datetime
    next_at: datetime | None
    """When the next try is due."""
    finished_at: datetime | None
    attempts: list[DeliveryTry]
    """The last twenty."""


class Deliveries(Answer):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None
    """Pass it as ?cursor= for the next page; null on the last one."""


class Recover(BaseModel):
    """The time from which failed notifications are sent again."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    since: Time
    """An RFC 3339 time with its offset."""


class Recovered(Answer):
    """How many deliveries are sent again."""

    recovered: int


class Matcher(BaseModel):
    """One comparison: equal or not. Patterns are not supported."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    field: Annotated[str, StringConstraints(pattern=r"^(run|group|condition|severity|tag:.{1,256})$")]
    """`run`, `group`, `condition`, `severity`, or `tag:` and a tag's name."""
    operator: Literal["is", "is_not", "starts_with", "contains"] = "is"
    value: Text
    """What to compare with."""


class NewSilence(BaseModel):
    """A new silence: give its end or its duration."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    matchers: Annotated[list[Matcher], Field(min_length=1, max_length=16)]
    """All must match."""
    starts_at: Time | None = None
    """Now, if left out."""
    ends_at: Time | None = None
    duration_s: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)] | None = None
    comment: Text = ""


class Silence(Answer):
    """Suppresses matching notifications. Findings that are still open when it ends are reported then."""

    id: str
    project: str
    matchers: list[Matcher]
    starts_at: datetime
    ends_at: datetime
    active: bool
    comment: str
    created_at: datetime


class Silences(Answer):
    """The silences of a project, newest first."""

    silences: list[Silence]


MODELS: tuple[type[BaseModel], ...] = (
    TargetWithSecret, Targets, TestResult, Deliveries, Recovered, Silence, Silences,
    NewTarget, TargetChange, Recover, NewSilence,
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
SILENCE: dict[str, Any] = {
    "id": "sil_9a8b7c6d5e4f3021",
    "project": "default",
    "matchers": [{"field": "group", "operator": "is", "value": "lr-scan"}],
    "starts_at": "2026-11-21T12:00:00.000Z",
    "ends_at": "2026-11-21T13:00:00.000Z",
    "active": True,
    "comment": "the cluster is being moved",
    "created_at": "2026-11-21T12:00:00.000Z",
}
