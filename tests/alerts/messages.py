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
        DIVERGING, condition="run.failed", change="notice", evidence={}, advice="",
        summary="OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        error="OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
)  # fmt: skip
SILENT_ENTRY = replace(
    DIVERGING, condition="silent", severity=Severity.WARNING, advice="",
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

HOUR = 3_600.0
PLATEAU = replace(
    DIVERGING, id="f_plateau", condition="plateau", severity=Severity.WARNING, since=AT - 90, step=2_000,
    summary="The loss stopped falling at 0.693 near step 1200: from 2.3 to 0.693 in 2,000 points; chance level is 2.3.",
    evidence={"level": 0.693147, "first_level": 2.302585, "chance_level": 2.302585, "points": 2_000},
    advice="Lower the learning rate from 0.01 to about 0.003, and see whether the loss falls again.",
)  # fmt: skip
SPIKE = replace(
    DIVERGING, id="f_spike", condition="loss_spike", severity=Severity.WARNING, since=AT - 40, step=211,
    summary="The loss jumped at step 200 from about 0.549 to 29, 53 times that.",
    evidence={"level_before": 0.549, "peak": 29.02, "factor": 52.9}, advice="Look at the batch of step 200.",
)  # fmt: skip
NOT_FINITE = replace(
    DIVERGING, id="f_nan", condition="non_finite", step=154,
    summary="The loss became NaN at step 150 and stayed so for 5 points (last finite loss 0.691).",
    evidence={"kind": "nan", "consecutive": 5, "last_finite": 0.691}, advice="Halve the learning rate.",
)  # fmt: skip
OVER = {"until": AT - 1, "was_severity": Severity.WARNING}


def _ended(entry: Entry, closed_by: str, **changes: object) -> Entry:
    fields = {"change": "ended", "until": AT - 1, "closed_by": closed_by} | changes
    return replace(entry, **fields)  # type: ignore[arg-type]


def _notice(condition: str, severity: Severity, summary: str, **changes: object) -> Entry:
    return replace(
        DIVERGING, condition=condition, severity=severity, change="notice", summary=summary, evidence={}, advice="",
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip


def _of_runs(entry: Entry, count: int) -> list[Entry]:
    return [replace(entry, id=f"{entry.id}_{i}", run=f"lr-{i:02}", uid=f"u{i}") for i in range(count)]


READ: dict[str, Message] = {
    "a plateau": message(PLATEAU),
    "a plateau, four hours later": message(
        replace(PLATEAU, change="still", since=AT - 4 * HOUR), reason=Reason.REPEAT_INTERVAL
    ),
    "a plateau that went by": message(
        replace(PLATEAU, change="resolved", since=AT - 3 * HOUR, closed_by="resolved", **OVER), reason=Reason.RESOLVED
    ),
    "a plateau at the end": message(_ended(PLATEAU, "run.finished"), reason=Reason.ENDED),
    "a plateau that was cancelled": message(_ended(PLATEAU, "run.cancelled"), reason=Reason.ENDED),
    "a plateau before a resume": message(_ended(PLATEAU, "superseded"), reason=Reason.ENDED),
    "a plateau that was a mistake": message(
        replace(PLATEAU, change="resolved", closed_by="withdrawn", **OVER), reason=Reason.RESOLVED
    ),
    "a plateau that newer rules do not find": message(
        replace(PLATEAU, change="resolved", closed_by="rule_changed", **OVER), reason=Reason.RESOLVED
    ),
    "a spike": message(SPIKE),
    "a spike that recovered": message(
        replace(
            SPIKE, change="resolved", closed_by="resolved", **OVER,
            summary="The loss jumped at step 200 from about 0.549 to 29, 53 times that, and was back at step 214.",
        ),
        reason=Reason.RESOLVED,
    ),
    "a loss that is not finite": message(NOT_FINITE),
    "a loss that was not finite when its run failed": message(
        _ended(NOT_FINITE, "run.failed", error="FloatingPointError: loss is nan")
    ),
    "a loss that was not finite when its run was cancelled": message(_ended(NOT_FINITE, "run.cancelled")),
    "two findings of one run": message(NOT_FINITE, PLATEAU),
    "a finding beside one that stands": message(NOT_FINITE, replace(PLATEAU, change="still")),
    "a failure without an error": message(
        _notice("run.failed", Severity.CRITICAL, "No error message was sent. The last report said: Healthy: the loss "
                "went from 2.1 to 0.21 in 200 points.", step=199)
    ),
    "a run that slowed down": message(
        _notice("run.slow", Severity.WARNING, "The run has slowed down to 20 steps a minute; before it made 60 steps a "
                "minute. Look for another job on the same machine, or a slow disk or network.", step=3_000)
    ),
    "a run that finished": message(
        _notice("run.finished", Severity.INFO, "Healthy: the loss went from 2.1 to 0.21 in 200 points.", step=199)
    ),
    "ten runs of a sweep that diverge": message(
        *_of_runs(replace(DIVERGING, advice_action="set_learning_rate"), 10), sweep="lr-scan", size=30),
    "three runs of a sweep that fell silent": message(*_of_runs(SILENT_ENTRY, 3), sweep="lr-scan", size=30),
    "strangers": message(*_of_runs(DIVERGING, 2), replace(PLATEAU, run="base", uid="ub"),
        replace(SPIKE, run="eval-2", uid="ue")),
    "a run of another project": message(PLATEAU, project="vision"),
}  # fmt: skip
"""More of what people read, for reading."""

NASTY = (
    "<!channel> <@U123> <http://evil.example|click> @everyone @here <@&1> [click](https://evil.example) "
    "*bold* `code` </td><script>alert(1)</script> =HYPERLINK(1) & \x1b[31mred\x00 \u202eabc\r\n"
    "Bcc: x@evil.example\ud800 "
)
HOSTILE = message(
    replace(
        DIVERGING,
        summary=NASTY * 200,
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
    "silent": SILENT, "returned": RETURNED, "group": GROUP, **READ, "hostile": HOSTILE,
}  # fmt: skip
