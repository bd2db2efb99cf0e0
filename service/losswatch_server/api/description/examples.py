"""The examples in the API's description. A test checks each against the schema it stands beside."""

from __future__ import annotations

from typing import Any

from losswatch_server.api.http.problems import INVALID_BODY, ProblemKind

POINT = {"step": 20, "loss": 41.7, "grad_norm": 812.5}
NAN_POINT = {"step": 21, "loss": "NaN"}
POINTS = {
    "points": [{"step": 1, "loss": 2.31, "grad_norm": 1.9, "learning_rate": 0.01}, {"step": 2, "loss": 2.18}],
    "context": {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 32},
    "writer": "host-4711-1",
}
CONTEXT = {"context": {"optimizer": "sgd", "learning_rate": 0.01, "total_steps": 1000, "tags": {"team": "vision"}}}
LOG = "epoch,loss,val_loss\n1,2.31,2.30\n2,1.92,1.99\n3,1.61,1.80\n"

CAUSE = {
    "cause": "learning_rate_too_high",
    "probability": 0.93,
    "because": ["exponential growth at a constant rate"],
    "against": [],
    "check": "Halve the learning rate twice; the growth must turn into a fall.",
}
ADVICE = {
    "action": "set_learning_rate",
    "value": 0.00347,
    "current": 0.01,
    "summary": "Lower the learning rate from 0.01 to about 0.0035: the growth implies a stable limit of 0.0069.",
    "reference": None,
    "cause": "learning_rate_too_high",
}
FINDING = {
    "id": "f_8c1d3f2a9b7e4d5061a2",
    "condition": "diverging",
    "series": "loss",
    "attempt": 1,
    "episode": 1,
    "severity": "critical",
    "confidence": 0.999,
    "onset_step": 1,
    "opened_step": 5,
    "last_step": 20,
    "resolved_step": None,
    "closed_by": None,
    "summary": "The loss grew in each of the last 19 steps, by a factor of 3.55 per step.",
    "evidence": {
        "rule": "growth",
        "rises": 19,
        "steady": True,
        "growth_per_step": 3.5547,
        "doubling_steps": 0.55,
        "lowest": 450.98,
        "current": 1.3068e13,
        "overflow_step": [64, 66],
        "learning_rate_times_sharpness": 2.885,
        "learning_rate_limit": 0.00693,
    },
    "causes": [CAUSE],
    "advice": [ADVICE],
    "docs": "/v1/conditions/diverging",
}
VERDICT: dict[str, Any] = {
    "status": "critical",
    "action": "stop",
    "headline": "The loss is diverging: x3.55 per step since step 2; it overflows float32 near step 64.",
    "findings": [FINDING],
    "suspicions": [],
    "forecast": {"floor": None, "interval": None, "steps_to_floor": None},
    "notes": [],
}
_WHO = {"run": "keras-demo", "project": "default", "uid": "01jd8w5c7v3k9m2n4p6q8r0s1t", "attempt": 1}
_WHERE = {"step": 20, "points": 20, "version": 20, "detection_version": 2}
COUNTS = {"accepted": 1, "duplicates": 0, "late": 0, "conflicts": 0}
COUNTED = {**_WHO, **COUNTS}
REPORT = {**_WHO, **_WHERE, "state": "running", **VERDICT, "error": None, "stale": False}
RECORDED = {**_WHO, **_WHERE, **COUNTS, "state": "running", **VERDICT, "error": None, "stale": False}
RUN = {
    **_WHO,
    **_WHERE,
    "state": "running",
    "status": "critical",
    "action": "stop",
    "headline": VERDICT["headline"],
    "context": {"optimizer": "sgd", "learning_rate": 0.01},
    "created_at": "2026-03-01T12:00:00.000Z",
    "last_seen_at": "2026-03-01T12:00:20.000Z",
    "finished_at": None,
    "error": None,
    "paused_until": None,
    "damaged": [],
}
RUNS = {"runs": [RUN], "next_cursor": None}
SERIES = {
    "points": [
        {"step": 1, "loss": 2.31, "grad_norm": 1.9, "attempt": 1, "superseded": False},
        {"step": 2, "loss": "NaN", "attempt": 1, "superseded": False},
    ],
    "next_cursor": None,
}
SERIES_CSV = "step,attempt,superseded,loss,grad_norm\n1,1,false,2.31,1.9\n2,1,false,NaN,\n"
SERIES_NDJSON = (
    '{"step":1,"loss":2.31,"attempt":1,"superseded":false}\n{"step":2,"loss":"NaN","attempt":1,"superseded":false}\n'
)
STORED_FINDING = {
    **FINDING,
    "opened_at": "2026-03-01T12:00:05.000Z",
    "closed_at": None,
    "acknowledged_at": None,
    "muted_until": None,
}
FINDINGS = {"findings": [STORED_FINDING], "next_cursor": None}
PROJECT_FINDINGS = {
    "findings": [{**STORED_FINDING, "run": "keras-demo", "project": "default", "uid": "01jd8w5c7v3k9m2n4p6q8r0s1t"}],
    "next_cursor": None,
}
DIAGNOSIS = {
    "attempt": 1,
    "step": 20,
    "points": 20,
    "detection_version": 2,
    **VERDICT,
    "read": {
        "format": "csv",
        "points": 20,
        "total_lines": 21,
        "read_as": ["'loss' as loss (20 values)", "'epoch' as the step: one point per epoch"],
        "columns": [
            {"name": "epoch", "values": 20, "first": 1, "last": 20, "read_as": "step"},
            {"name": "loss", "values": 20, "first": 4650.2, "last": 4.6e13, "read_as": "loss"},
        ],
        "doubts": [],
        "skipped": [],
        "skipped_lines": 0,
        "context": {},
    },
}
PAGE = {
    "name": "diverging",
    "kind": "condition",
    "title": "The loss is diverging",
    "summary": "The loss grows, and its growth is more than noise.",
    "url": "/v1/conditions/diverging",
    "markdown": "# The loss is diverging\n\nThe loss grows, and its growth is more than noise.\n",
}
_LINE = {name: PAGE[name] for name in ("name", "title", "summary", "url")}
CONDITIONS = {"conditions": [_LINE]}
CAUSES = {
    "causes": [
        {
            "name": "learning_rate_too_high",
            "title": "The learning rate is too high",
            "summary": "Each step overshoots the minimum and lands higher on the other side.",
            "url": "/v1/causes/learning_rate_too_high",
        }
    ]
}
ALIVE = {"status": "ok"}
READY = {"status": "ok", "not_running": []}


def problem(kind: ProblemKind) -> dict[str, Any]:
    """An example of a problem of this kind."""
    shown: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": kind.meaning}
    if kind is INVALID_BODY:
        shown["detail"] = "At /points/3/loss: loss is true; send a number, such as 1."
        shown["errors"] = [{"pointer": "/points/3/loss", "detail": "loss is true; send a number, such as 1"}]
        shown["errors_total"] = 1
    if kind.retry_after_s is not None:
        shown["retry_after"] = kind.retry_after_s
    return shown
