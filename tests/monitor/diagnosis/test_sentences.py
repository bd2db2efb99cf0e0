"""Every sentence of thousands of reports is read against its own numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from losswatch_server.monitor.advice import ACTIONS
from losswatch_server.monitor.findings import Advice
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import Assessment, diagnose
from losswatch_server.monitor.sentences import apart
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.odd_trainings import trainings
from monitor.diagnosis.other_trainings import other_trainings

Trainings = Callable[..., Iterator[tuple[str, list[Point], Context]]]

NUMBER = r"(-?[\d,]+(?:\.\d+)?(?:e-?\d+)?)"
ROUNDED = 1.02
"""Numbers are told with three digits: two of them may seem to agree although they differ by 1 %."""


def value(text: str) -> float:
    return float(text.replace(",", ""))


def pairs(pattern: str, text: str) -> Iterator[tuple[float, ...]]:
    """The numbers of every place at which the pattern stands; ``#`` is a number."""
    for match in re.finditer(pattern.replace("#", NUMBER), text):
        yield tuple(value(group) for group in match.groups() if group is not None)


FALLS = (
    "came down from # to #", "stopped falling at #[^:]*: from # to #", "shrank from # to #",
    "had come down from # to #", "Lower the learning rate from # to about #",
    "Lower the weight decay from # to #", "Lower the momentum from # to #", "lowered from # to #",
    "falls too slowly: from # to #", "fell at once from #, then stayed near #", "steadily but slowly: .* from # to #",
)  # fmt: skip
RISES = (
    "has risen instead of falling: from # to #", "scatter of the loss grew from # to #",
    "jumped at step # from about # to #", "has been rising since step #: from # to #",
    "Raise the learning rate from # to about #", "gradient norm rose from about # to #",
    "Raise the batch size from # to about #", "Raise the clip value from # to #", r"(?<!Go )raised from # to #",
    "had come down to #, went back up near step [0-9,]+ and stays at #", "stable at # and jumped to #",
    "went from (?:about )?# to (?:about )?# in [0-9,]+ points: it has risen",
)  # fmt: skip
WITHIN = {
    r"hardly moved: from # to #": (0.85, 1.11),
    r"has not fallen in [0-9,]+ points?: # at first, # now": (0.98, 1.02),
    r"went from # to #: about the same": (0.88, 1.14),
}
"""Two numbers that are said to be alike: bounds of the second over the first."""
RATIOS = (
    "rising since step [0-9,]+: from # to #, # times its lowest",
    "jumped at step [0-9,]+ from about # to #, # times that", r"norm rose from about # to # \(# times\)",
)  # fmt: skip
"""Two numbers, and how many times the first the second is: told with two digits or more."""
NEVER = (
    r"(?<![\d.,])1 (points|steps|samples|times)\b", r"\bunknown\b", r"\bNone\b(?! of the)", "times the noise",
    "guessing", "with a finite loss", r"\.\.$", "  ",
)  # fmt: skip


def contradictions(text: str) -> list[str]:
    """What in a text does not agree with its own numbers."""
    falls = [pair for pattern in FALLS for pair in pairs(pattern, text)]
    rises = [pair for pattern in RISES for pair in pairs(pattern, text)]
    alike = [
        (low, pair[1] / pair[0], high)
        for pattern, (low, high) in WITHIN.items() for pair in pairs(pattern, text) if pair[0] > 0
    ]  # fmt: skip
    ratios = [(b / a, ratio) for pattern in RATIOS for a, b, ratio in pairs(pattern, text) if a > 0]
    chance = pairs(r"sits at chance level: from # to # in [\d,]+ points?; chance level is #", text)
    wrong = {
        "no fall": any(after - before > (ROUNDED - 1) * abs(before) for *_, before, after in falls),
        "no rise": any(before - after > (ROUNDED - 1) * abs(before) for *_, before, after in rises),
        "not so many times": any(abs(is_so / told - 1) > 0.06 for is_so, told in ratios),
        "no fall that goes on": any(fall <= 0 for (fall,) in pairs("keeps falling, but only by # %", text)),
        "not alike": any(not low < ratio < high for low, ratio, high in alike),
        "not at chance level": any(abs(level / of - 1) > 0.12 for _, level, of in chance),
        "did not rise": any(ratio < 1 for _, ratio in pairs(r"rose to # \(x# its start\)", text)),
        "a word that says nothing": any(re.search(pattern, text) for pattern in NEVER),
    }
    return [f"{what}: {text}" for what, is_so in wrong.items() if is_so]


def said(report: Assessment) -> Iterator[str]:
    yield report.headline
    for finding in report.findings:
        yield finding.summary
    for item in (*report.findings, *report.suspicions):
        yield item.summary
        for cause in item.causes:
            yield from (*cause.because, *cause.against, cause.check)
        yield from (advice.summary for advice in item.advice)


def raised(advice: Advice, rate: float | None) -> bool:
    if not isinstance(advice.value, float):
        return False
    if advice.action == "multiply_learning_rate":
        return advice.value > 1
    return advice.action == "set_learning_rate" and rate is not None and advice.value > rate


def blew_up(points: list[Point]) -> bool:
    losses = [p.loss for p in points if p.loss is not None]
    first = max(map(abs, losses[:8]), default=0.0)
    return any(loss != loss or loss > 4 * first for loss in losses) or first > 1e4


def harm(points: list[Point], report: Assessment, rate: float | None, loss_name: str | None) -> Iterator[str]:
    """Advice that would make it worse, or is for another kind of task."""
    broken = {Condition.DIVERGING, Condition.NON_FINITE, Condition.EXPLODING_GRADIENT, Condition.OSCILLATION}
    for item in (*report.findings, *report.suspicions):
        for advice in item.advice:
            if advice.action not in ACTIONS:
                yield f"no action: {advice}"
            if raised(advice, rate) and (item.condition in broken or blew_up(points) or points[0].step > 4000):
                yield f"a higher rate: {item.condition} {advice.summary}"
            regression = loss_name in ("mse", "mae") and "cross_entropy" in str(advice.value)
            if regression and not any(word in str(advice.summary) for word in ("For classes",)):
                yield f"for another task: {advice.summary}"


def beside(text: str, points: list[Point]) -> Iterator[str]:
    """What in a text does not agree with the points that it is about."""
    first, last = points[0].step, points[-1].step
    if any(not first <= step <= last for (step,) in pairs("(?:jumped at|rising since) step #", text)):
        yield f"a step of another run: {text}"
    if any(count > len(points) for (count,) in pairs("in (?:all )?# points?", text)):
        yield f"more points than there are: {text}"
    if any(period > len(points) for _, period in pairs(r"around # without getting lower \(period about # point", text)):
        yield f"a period that was never seen: {text}"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
@pytest.mark.parametrize("kinds", [trainings, other_trainings])
def test_every_sentence_agrees_with_its_numbers_and_no_advice_does_harm(kinds: Trainings, part: int) -> None:
    found = []
    for name, points, context in kinds(60, seed=part):
        report = diagnose(points, context, asked=True)
        assert report.faults == (), (name, report.faults)
        found += [f"{name}: {wrong}" for text in said(report) for wrong in contradictions(text)]
        found += [f"{name}: {wrong}" for text in said(report) for wrong in beside(text, points)]
        rate = points[-1].learning_rate
        found += [f"{name}: {wrong}" for wrong in harm(points, report, rate, context.loss_name)]
    assert not found, "\n".join(dict.fromkeys(found))


def test_a_floor_of_unknown_level_is_asked_about_and_a_known_one_is_not() -> None:
    floor = (0.0057 + 0.04 * np.exp(-np.arange(400) / 10)).tolist()
    points = [Point(step, loss) for step, loss in enumerate(floor, 1)]
    asked = diagnose(points, Context(loss_name="mse", full_batch=True))
    assert "is 0.0057 good enough?" in asked.headline
    high = [Point(step, 2.25 + 12 * (loss - 0.0057)) for step, loss in enumerate(floor, 1)]
    known = diagnose(high, Context(loss_name="cross_entropy", num_classes=10, full_batch=True))
    assert "stopped falling" in known.headline
    assert "?" not in known.headline


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [(0.005676, 0.0056789, ("0.005676", "0.005679")), (1.0, 2.0, ("1", "2")), (1.0, 1.0, ("1", "1"))],
)
def test_two_numbers_that_differ_are_told_so_that_one_sees_it(one: float, other: float, told: tuple[str, str]) -> None:
    assert apart(one, other) == told
