"""What a run was sent, read as the service reads it: fields of one step together, later contexts over earlier ones."""

from __future__ import annotations

from typing import Any

CRITICAL = {
    "status": "critical",
    "action": "stop",
    "headline": "The loss is diverging.",
    "findings": [
        {"id": "f", "severity": "critical", "summary": "It grew.", "advice": [{"summary": "Lower the learning rate."}]}
    ],
}


def points(service: Any) -> dict[int, dict[str, Any]]:
    """Step -> its fields."""
    steps: dict[int, dict[str, Any]] = {}
    for point in service.stored:
        known = steps.setdefault(point["step"], {})
        given = {name: value for name, value in point.items() if name not in ("step", "metrics")}
        twice = {name for name, value in given.items() if known.get(name, value) != value}
        assert not twice, f"step {point['step']} contradicts itself in {twice}"
        known.update(given)
        if "metrics" in point:
            known["metrics"] = {**known.get("metrics", {}), **point["metrics"]}
    return steps


def losses(service: Any) -> list[float]:
    """In the order of the steps, of those that have one."""
    return [point["loss"] for _, point in sorted(points(service).items()) if "loss" in point]


def context(service: Any) -> dict[str, Any]:
    """All that was told, facts merged."""
    told: dict[str, Any] = {}
    for request in service.requests:
        given = request.json.get("context") or {}
        facts = {**told.get("facts", {}), **given.get("facts", {})}
        told = {**told, **given, **({"facts": facts} if facts else {})}
    return told


def facts(service: Any) -> dict[str, Any]:
    """The facts of the context."""
    found: dict[str, Any] = context(service).get("facts", {})
    return found


def says_stop(service: Any) -> None:
    """From now on the service finds going on pointless."""
    service.answer = lambda request, stub: (200, {}, CRITICAL)
