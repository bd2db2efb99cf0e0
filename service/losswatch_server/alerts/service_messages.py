"""Messages about the notifications themselves: the test message, and that a target was switched off."""

from __future__ import annotations

from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.policy import Reason
from losswatch_server.alerts.targets import Target
from losswatch_server.monitor.vocabulary import Severity


def disabled_message(target: Target, why: str, key: GroupKey, message_id: str, now: float) -> Message:
    """What the other targets are told about one that was switched off."""
    entry = Entry(
        id=f"target:{target.id}",
        run=target.label,
        uid="",
        condition="target.disabled",
        severity=Severity.WARNING,
        change="notice",
        summary=f"Notifications to {target.label} were switched off: {why}.",
        since=now,
    )
    return Message(
        id=message_id, project=target.project, key=key.text(), reason=Reason.TARGET_DISABLED, at=now,
        entries=(entry,), total=1,
    )  # fmt: skip


def sample(target: Target, message_id: str, now: float, warning: str = "") -> Message:
    """The message of ``POST /v1/targets/{id}/test``, with a ``warning`` for the operator."""
    entry = Entry(
        id=f"test:{target.id}",
        run="example-run",
        uid="",
        condition="test",
        severity=Severity.INFO,
        change="test",
        summary=f"This is a test message from Losswatch. Nothing is wrong with any run. {warning}".strip(),
        since=now,
        step=20,
        evidence={"growth_per_step": 3.5547, "overflow_step": [64, 66]},
        advice="Nothing to do: messages like this one will carry the first advice here.",
    )
    key = GroupKey(project=target.project, incident_class="test", uid=target.id)
    return Message(
        id=message_id, project=target.project, key=key.text(), reason=Reason.TEST, at=now, entries=(entry,), total=1
    )
