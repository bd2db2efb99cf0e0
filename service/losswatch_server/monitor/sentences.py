"""The human sentence of a finding, made from its machine evidence. Nothing is judged here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.memory.quality import quality_of
from losswatch_server.monitor.vocabulary import Severity

Facts = Mapping[str, Any]


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: three significant digits, no trailing zeros, powers of ten only where they help."""
    if value is None:
        return "unknown"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("infinity" if value > 0 else "-infinity")
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{places}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.{digits - 1}e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def apart(one: float | None, other: float | None) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart, at most eight."""
    for digits in range(3, 8):
        told = number(one, digits), number(other, digits)
        if told[0] != told[1]:
            return told
    return number(one, 8), number(other, 8)


def percent(share: float | None) -> str:
    """A share for people: whole percents, finer ones where they are few."""
    if share is None or not math.isfinite(share):
        return "unknown"
    return f"{number(100 * share, 2)} %" if abs(share) < 0.1 else f"{100 * share:,.0f} %"


def counted(count: int, thing: str) -> str:
    """ "1 point", "2 points"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def non_finite(f: Finding, e: Facts) -> str:
    if e.get("loss_scale") is not None:
        fell = f"from {number(e['highest_loss_scale'])} to {number(e['loss_scale'])}"
        return f"The loss scale has come down {fell}: the gradients overflow although nothing scales them up any more."
    what = {"loss": "loss", "validation_loss": "validation loss"}.get(f.series, "gradient norm")
    word = {"nan": "NaN", "inf": "infinite", "-inf": "minus infinity"}.get(e["kind"], "null")
    where = f" on rank {e['rank']}" if e.get("rank") else ""
    if e["kind"] == "unknown":
        return f"The loss arrived as null at step {f.onset_step:,}{where}: most encoders write NaN that way."
    often = f" and stayed so for {counted(e['consecutive'], 'point')}" if e["consecutive"] > 1 else ""
    if f.series == "grad_norm" and f.severity is Severity.INFO:
        return f"The gradient norm was {word} at step {f.last_step:,}{where}; a loss scaler skips such steps."
    before = f" (last finite loss {number(e['last_finite'])})" if e.get("last_finite") is not None else ""
    return f"The {what} became {word} at step {f.onset_step:,}{where}{often}{before}."


def diverging(f: Finding, e: Facts) -> str:
    if e.get("rule") == "start":
        highest, first = number(e["highest_at_start"]), number(e["initial"])
        rose = f"was {highest} when it was first printed" if highest == first else f"rose from {first} to {highest}"
        return f"The loss {rose}: the training exploded at once. It is {number(e['current'])} now."
    if e.get("rule") == "unbounded":
        return f"The loss falls below zero without end: from {number(e['initial'])} to {number(e['current'])}."
    if e.get("growth_per_step") and e.get("steady"):
        return (
            f"The loss grew in each of the last {counted(e['rises'], 'point')}, by a factor of "
            f"{number(e['growth_per_step'])} per step."
        )
    grown = f", {number(e['rise_factor'])} times its lowest" if e.get("rise_factor") else ""
    levels = f"from {number(e['lowest'])} to {number(e['current'])}"
    if not e["current"] > e["lowest"] or (e.get("rise_factor") or BACK) < BACK:
        return f"The loss went up after step {f.onset_step:,} and has come back to {number(e['current'])}."
    return f"The loss has been rising since step {f.onset_step:,}: {levels}{grown}."


BACK = 1.05
"""Times its lowest value within which a loss that went up is back."""


def loss_spike(f: Finding, e: Facts) -> str:
    # one that a worse condition has taken over did not recover
    back = e.get("recovered_step")
    end = "" if back is None else f", and was back at step {back:,}"
    # the height is that of the first point over the limit, the peak may have come later: only one of them is told
    before, peak = apart(e["level_before"], e["peak"])
    levels = f"from about {before} to {peak}"
    factor = e.get("factor")
    far = f", {number(factor, 2)} times that" if factor is not None and factor > 1.05 else ""
    return f"The loss jumped at step {f.onset_step:,} {levels}{far}{end}."


def exploding_gradient(f: Finding, e: Facts) -> str:
    if e["start"] and e.get("loss_over_chance") is None:
        return (
            f"The first gradient norms ({number(e['first_norm'])}) are so large for this loss that the inputs of a "
            f"layer must be of size {number(e['input_size'])} or more: they are not scaled."
        )
    if e["start"]:
        return (
            f"The loss began at {number(e['loss_over_chance'])} times chance level (gradient norm "
            f"{number(e['first_norm'])}): the initial weights or the inputs are far too large."
        )
    return (
        f"The gradient norm rose from about {number(e['median_before'])} to {number(e['median_now'])} "
        f"({number(e['ratio'])} times) since step {f.onset_step:,}."
    )


def vanishing_gradient(f: Finding, e: Facts) -> str:
    if e.get("layers_dead"):
        since = "from the start" if e.get("dead_from_start") == e["layers_dead"] else "by now"
        return (
            f"{e['layers_dead']} of {e['layers']} layers {'gets' if e['layers_dead'] == 1 else 'get'} no gradient at "
            f"all, {since}, and the loss is still high."
        )
    if "first_layer" in e:
        return (
            f"The first layer's gradient ({number(e['first_layer'])}) is {number(e['ratio'])} of the largest layer's: "
            "the early layers cannot learn, and the loss is still high."
        )
    if e["ratio"] == 0:
        before = f" (it was {number(e['median_before'])} at the start)" if e.get("median_before") else ""
        return f"The gradient norm is exactly 0{before}: no step changes anything, and the loss is still high."
    return f"The gradient norm fell to {number(e['ratio'])} of its start while the loss is still high."


def _levels(e: Facts) -> str:
    chance = f"; chance level is {number(e['chance_level'])}" if e.get("chance_level") else ""
    first, level = number(e["first_level"]), number(e["level"])
    levels = f"{number(e['level'], 4)}" if first == level else f"from {first} to {level}"
    return f"{levels} in {counted(e['points'], 'point')}{chance}"


def chance_for(classes: int | None) -> str:
    """Whose chance level this loss would be; nothing where it is none."""
    return f", which would be chance level for {classes:,} classes" if classes else ""


AT_CHANCE = 0.1
"""How far, relative, a loss may lie from chance level and still be said to sit there."""


def not_learning(f: Finding, e: Facts) -> str:
    first, level, chance = e["first_level"], e["level"], e.get("chance_level")
    if e.get("rule") == "validation is one number":
        return (
            f"The validation loss has been {number(e['validation'], 6)} at all "
            f"{counted(e['validations'], 'evaluation')}: the parameters do not change between them."
        )
    if e.get("rule") == "validation not moved":
        return (
            f"In {counted(e['validations'], 'evaluation')} the validation loss has not got better: it began at "
            f"{number(e['first_validation'])} and is {number(e['validation'])} now."
        )
    if e["constant"]:
        return (
            f"The loss has been exactly {number(level, 6)} in all {counted(e['points'], 'point')}"
            f"{chance_for(e.get('chance_classes'))}: nothing is learned."
        )
    if chance and abs(level / chance - 1) < AT_CHANCE:
        return f"The loss sits at chance level: {_levels(e)}."
    if level - first > HARDLY * abs(first) and number(level) != number(first):
        return f"The loss has risen instead of falling: {_levels(e)}."
    if first > 0 and 1 - level / first > HARDLY:
        return f"The loss came down {_levels(e)}, and has not got better since."
    return f"The loss has hardly moved: {_levels(e)}{chance_for(e.get('chance_classes'))}."


HARDLY = 0.1
"""Share of the first level up to which a fall is called none, and a rise too."""


def plateau(f: Finding, e: Facts) -> str:
    level = number(e["level"])
    if e.get("rule") == "validation became one number":
        return (
            f"The validation loss has been {number(e['validation'], 6)} at each of the last "
            f"{counted(e['equal_validations'], 'evaluation')}: the parameters have stayed the same since."
        )
    if e.get("best_level") is not None:
        return (
            f"The loss had come down to {number(e['best_level'])}, went back up near step {f.onset_step:,} and stays "
            f"at {level}."
        )
    asked = "" if e.get("chance_level") else f" More of the same steps will not lower it: is {level} good enough?"
    return f"The loss stopped falling at {level} near step {f.onset_step:,}: {_levels(e)}.{asked}"


def slow_convergence(f: Finding, e: Facts) -> str:
    end = e["level_at_end"]
    at_end = f"; at this pace it ends near {number(end)}" if end is not None and end < e["level"] else ""
    if not e["level"] < e["first_level"]:
        return f"The loss does not fall at this pace: {_levels(e)}."
    return f"The loss falls too slowly: {_levels(e)}{at_end}."


def oscillation(f: Finding, e: Facts) -> str:
    return (
        f"The loss swings by {number(e['amplitude'])} around {number(e['level'])} without getting lower "
        f"(period about {number(e['period'], 2)} {'point' if e['period'] == 1 else 'points'})."
    )


_METRICS = {"acc": "accuracy", "top1": "accuracy", "ppl": "perplexity", "err": "error"}


def overfitting(f: Finding, e: Facts) -> str:
    meanwhile = f"stays near {number(e['train_now'])}" if e.get("rule") == "apart" else "kept falling"
    what = "loss was lowest"
    if e.get("metric"):
        bare = quality_of(e["metric"]) or "metric"
        what = f"{_METRICS.get(bare, bare)} was best"
    best, now = number(e["best_validation"]), number(e["validation_now"])
    step = f"{e['best_step']:,}"
    return f"The validation {what} at step {step} ({best}) and is now {now}, while the training loss {meanwhile}."


def converged(f: Finding, e: Facts) -> str:
    chance = f"; chance level is {number(e['chance_level'])}" if e.get("chance_level") else ""
    points = counted(e["points"], "point")
    return f"The loss has settled at {number(e['level'])} (it began at {number(e['first_level'])}, {points}{chance})."


def silent(f: Finding, e: Facts) -> str:
    expected = f", expected one every {number(e['expected_gap_s'], 2)} s" if e.get("expected_gap_s") else ""
    return f"Nothing has been heard of this run for {number(e.get('silent_s'), 2)} s{expected}."


def diverging_headline(f: Finding, e: Facts) -> str:
    """The sentence, or for a steady growth what it amounts to: when the loss overflows."""
    if not (e.get("growth_per_step") and e.get("steady")):
        return diverging(f, e)
    overflow = e.get("overflow_step")
    end = f"; it overflows near step {overflow[0]:,}" if overflow else ""
    return f"The loss is diverging: x{number(e['growth_per_step'])} per step since step {f.onset_step:,}{end}."


def plainly(finding: Finding) -> str:
    """The sentence that needs nothing but the finding itself, for when its own could not be made."""
    return f"{finding.condition} ({finding.series}) since step {finding.onset_step:,}."
