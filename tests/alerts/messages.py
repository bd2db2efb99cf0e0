"""Messages to render: ordinary ones, a large group, and one in which a client wrote everything that may hurt."""

from __future__ import annotations

from dataclasses import replace

from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.policy import Reason
from losswatch_server.monitor.vocabulary import Severity

AT = 1_795_262_400.0

DIVERGING = Entry(
    id="f_8c1d3f2a9b7e4d5061a2",
    run="keras-demo",
    uid="01a1fe7a86df977abf00142b",
    condition="diverging",
    severity=Severity.CRITICAL,
    change="opened",
    summary="The loss grew in each of the last 19 steps, by a factor of 3.55 per step.",
    headline="The loss is diverging: x3.55 per step since step 2; it overflows float32 near step 64.",
    since=AT - 2,
    step=20,
    evidence={"rule": "growth", "growth_per_step": 3.5547, "overflow_step": [64, 66], "steady": True},
    advice="Lower the learning rate from 0.01 to about 0.0035: the growth implies a stable limit of 0.0069.",
)


def message(*entries: Entry, **changes: object) -> Message:
    made = Message(
        id="msg_0f1e2d3c4b5a69788796a5b4",
        project="default",
        key="=default/=/=instability/*",
        reason=Reason.FIRST,
        at=AT,
        entries=entries,
        total=len(entries),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


OPENED = message(DIVERGING)
RESOLVED = message(
    replace(DIVERGING, change="resolved", until=AT - 1, closed_by="resolved", was_severity=Severity.CRITICAL),
    reason=Reason.RESOLVED,
)
WORSENED = message(replace(DIVERGING, change="worsened", was_severity=Severity.WARNING), reason=Reason.WORSENED)
GROUP = message(
    *(replace(DIVERGING, id=f"f_{i}", run=f"lr-{i:03}", uid=f"u{i}") for i in range(500)),
    sweep="lr-scan",
    total=700,
)

STOPPED = message(
    replace(DIVERGING, change="ended", until=AT - 1, closed_by="run.finished", advice_action="set_learning_rate"),
)
SWEEP = message(
    *(
        replace(
            DIVERGING, id=f"f_{i}", run=f"lr-{i:02}", uid=f"u{i}", change="ended", until=AT - 1,
            closed_by="run.failed" if i % 2 else "run.finished", advice_action="set_learning_rate",
            error="FloatingPointError: the loss is nan" if i % 2 else "",
        )
        for i in range(20, 30)
    ),
    sweep="lr-scan", size=30, recovered=1,
    apart="All 10 faulty runs so far have learning_rate >= 0.01; the 20 at or below 0.0095 are healthy.",
)  # fmt: skip
FAILED = message(
    replace(
        DIVERGING, condition="run.failed", change="notice", headline="", evidence={}, advice="",
        summary="OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        error="OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
)  # fmt: skip
SILENT_ENTRY = replace(
    DIVERGING, condition="silent", severity=Severity.WARNING, headline="", advice="",
    summary="Nothing has been heard of this run for 7 minutes.",
    evidence={"last_seen_at": "2026-11-21T11:52:58.125Z", "silent_s": 420.0, "expected_gap_s": 30.0},
)  # fmt: skip
SILENT = message(SILENT_ENTRY)
RETURNED = message(
    replace(
        SILENT_ENTRY, change="resolved", until=AT - 1, closed_by="returned",
        summary="The run reports again, after 7 minutes without a word.",
    ),
    reason=Reason.RESOLVED,
)  # fmt: skip

NASTY = (
    "<!channel> <@U123> <http://evil.example|click> @everyone @here <@&1> [click](https://evil.example) "
    "*bold* `code` </td><script>alert(1)</script> =HYPERLINK(1) & \x1b[31mred\x00 \u202eabc\r\n"
    "Bcc: x@evil.example\ud800 "
)
HOSTILE = message(
    replace(
        DIVERGING,
        summary=NASTY * 200,
        headline=NASTY,
        advice=NASTY * 200,
        run="x" * 128,
        evidence={NASTY * 9: NASTY * 200, **{f"layer_{i}": 1e300 for i in range(100)}},
    ),
    *(replace(DIVERGING, id=f"f_{i}", run="y" * 128, uid=f"u{i}", summary=NASTY * 20, evidence={}) for i in range(499)),
    sweep=NASTY * 20,
    total=100_000,
    key="k" * 2_000,
)

ALL = {
    "opened": OPENED, "resolved": RESOLVED, "worsened": WORSENED, "stopped": STOPPED, "sweep": SWEEP, "failed": FAILED,
    "silent": SILENT, "returned": RETURNED, "group": GROUP, "hostile": HOSTILE,
}  # fmt: skip
