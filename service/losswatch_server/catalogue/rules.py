"""What a condition's page quotes of the rule's code, so that page and code cannot part.

``{{parameter:least_points}}`` is the value of a detector's parameter, or of the rule that decides from the clock;
``{{patience}}`` says how much of a run must have passed before a flat loss is more than impatience (``{{patience from
least_points}}`` where single steps are judged from that many on); ``{{life}}`` when the finding opens, resolves and
reopens, and which other conditions keep it from opening; ``{{needs}}`` what each rule needs to know of a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from losswatch_server.monitor import lifecycle, monitor
from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.known import Need, Needed, Noise, any_of
from losswatch_server.monitor.rules import minimum_runtime
from losswatch_server.monitor.rules.base import Detector
from losswatch_server.monitor.vocabulary import Condition
from losswatch_server.runs.liveness import rhythm, silence_rule

FULL_PATIENCE = 0.5
"""The share up to which ``patience_over`` waits for its whole number of steps where the length is not known."""
CLOCK = {
    "requests_needed": float(silence_rule.REQUESTS_NEEDED),
    "medians": silence_rule.MEDIANS,
    "longest": silence_rule.LONGEST,
    "shortest_s": silence_rule.SHORTEST_S,
    "unannounced_minutes": silence_rule.UNANNOUNCED_S / 60,
    "given_up_hours": silence_rule.GIVEN_UP_S / 3600,
    "replaced_minutes": silence_rule.REPLACED_S / 60,
    "kept_gaps": float(rhythm.KEPT_GAPS),
    "import_points": float(rhythm.IMPORT_POINTS),
    "import_minutes": rhythm.IMPORT_AGE_S / 60,
}
"""What decides when a run is silent: no detector, because no point says it."""
_PLACEHOLDER = re.compile(r"\{\{(?:parameter:([a-z0-9_]+)|(life|needs)|(patience)(?: from ([a-z_]+))?)\}\}")


def detectors_of(condition: Condition) -> tuple[Detector, ...]:
    """The detectors of one condition; none for what is decided from the clock (``CLOCK``)."""
    return CONDITIONS[condition].rules


def parameters(condition: Condition) -> dict[str, float]:
    """Name and value of every parameter of the condition's detectors, or of the rule for silent runs."""
    if condition is Condition.SILENT:
        return CLOCK
    return {
        field.name: getattr(detector, field.name)
        for detector in detectors_of(condition)
        for field in fields(cast(Any, detector))  # a Protocol cannot say that it is a dataclass
    }


def resolve(text: str, condition: Condition) -> str:
    """``text`` with every placeholder replaced; ValueError for a parameter that the detectors do not have."""
    values = parameters(condition)

    def replacement(match: re.Match[str]) -> str:
        name, part, patient, least = match.groups()
        if patient:
            return waiting(values, least=int(values[least]) if least else minimum_runtime.LEAST_SINGLE_STEPS)
        if part:
            return life(condition) if part == "life" else needs(condition)
        if name not in values:
            raise ValueError(f"{condition} has no parameter {name!r}; there are {', '.join(sorted(values))}")
        return f"{values[name]:g}"

    return _PLACEHOLDER.sub(replacement, text)


def waiting(values: Mapping[str, float], least: int = minimum_runtime.LEAST_SINGLE_STEPS) -> str:
    """How long a rule waits, in sentences: a share of the run, and at least ``least`` points."""
    share, rising = values["patience"], values.get("rising_patience")
    late = f" ({rising:g} while the gradient norm rises, which is how a network leaves a saddle)" if rising else ""
    scale = max(1.0, share / FULL_PATIENCE)
    steps, epochs = minimum_runtime.UNKNOWN_LENGTH_STEPS * scale, minimum_runtime.EPOCHS * scale
    return (
        f"It waits for a share of {share:g} of `total_steps`{late}, and never speaks within twice `warmup_steps`. "
        f"Where the length is not known it waits for {steps:g} steps, or {epochs:g} epochs. It needs "
        f"{least} points in any case, {minimum_runtime.LEAST_POINTS} where they are epochs or at "
        "least 5 steps apart. A log by the epoch (`step_unit`) is judged after "
        f"{minimum_runtime.MANY_EPOCHS} epochs, whatever was planned."
    )


def life(condition: Condition) -> str:
    """When a finding of this condition opens, resolves and reopens, in sentences."""
    every_point = any(detector.every_point for detector in detectors_of(condition))
    waits = [detector.recovered_after for detector in detectors_of(condition) if hasattr(detector, "recovered_after")]
    if waits:
        judged = f"It is judged at every point, and resolves once {waits[0]} losses are back."
    elif every_point:
        judged = f"It is judged at every point, and resolves after {lifecycle.QUIET_POINTS} quiet ones in a row."
    else:
        judged = (
            f"It is judged at counts of points that grow by 1/{monitor.REVIEW_SHARE} (in logs by the epoch, at "
            f"each of the first {monitor.EPOCHS_REVIEWED} points), and resolves after {lifecycle.QUIET_REVIEWS} quiet "
            "judgements in a row."
        )
    reopens = (
        f"If it returns within {lifecycle.REOPEN_POINTS} points, or {100 * lifecycle.REOPEN_SHARE:g} % of the run, the "
        "same finding reopens; later a new one begins."
    )
    masters = sorted(CONDITIONS[condition].absorbed_by - {condition})
    if not masters:
        return f"{judged} {reopens}"
    return f"{judged} {reopens} It does not open while one of these is open: {', '.join(f'`{m}`' for m in masters)}."


def needs(condition: Condition) -> str:
    """What the rules of a condition need, in a list: where it is not known they are silent."""
    known: dict[str, dict[str, None]] = {}
    of_all = {rule: found for detector in detectors_of(condition) for rule, found in detector.needs.items()}
    for rule, found in of_all.items():
        name = rule.rstrip("0123456789 ")  # a ladder has many rungs
        for need in found:
            if isinstance(need, Noise):
                rules = known.setdefault(f"the noise of the {need.of}", {})
                if not any(told.startswith(f"*{name}* ") for told in rules):
                    rules[f"*{name}* from {need.points} values on"] = None
            else:
                known.setdefault(", or ".join(map(_explained, any_of(need))), {})[f"*{name}*"] = None
    if not known:
        return "Its rules need nothing but the series itself."
    names = {f"*{rule.rstrip('0123456789 ')}*" for rule in of_all}
    lines = [f"- {what}: {'every rule' if set(told) == names else ', '.join(told)}" for what, told in known.items()]
    return "\n".join(["A rule is silent where it does not know what it needs:", "", *lines])


def _explained(need: Needed) -> str:
    return f"{need} ({need.known_where})" if isinstance(need, Need) else str(need)
