"""The results as people read them: the tables in markdown, and the list of runs that went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.detection.judging import Judged
from benchmarks.detection.score import SECONDS_A_POINT, SECONDS_AN_EPOCH

BRIEF = ("healthy", "faulty", "false_alarm_rate", "recall", "cause_at_1", "fair_cause_at_1")
BRIEF_WORDS = ("healthy", "faulty", "healthy with a false alarm", "faults found", "cause first", "fair cause first")


def percent(share: Mapping[str, Any]) -> str:
    """A share with its interval, as ``93 % (89-96)``."""
    if share["share"] is None:
        return "-"
    low, high = share["interval"]
    digits = 1 if share["share"] < 0.1 or high - low < 0.03 else 0
    return f"{100 * share['share']:.{digits}f} % ({100 * low:.{digits}f}-{100 * high:.{digits}f})"


def median(delay: Mapping[str, Any] | None) -> str:
    """A median share of the run with its interval."""
    if delay is None:
        return "-"
    return f"{100 * delay['median']:.1f} % ({100 * delay['interval'][0]:.1f}-{100 * delay['interval'][1]:.1f})"


def row(*cells: object) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*names: str) -> list[str]:
    """The first two rows of a table."""
    return [row(*names), row(*("---" for _ in names))]


def brief_table(first: str, groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line a group with the main figures."""
    lines = ["", *head(first, *BRIEF_WORDS)]
    for name, of in groups.items():
        cells = [of[key] if isinstance(of[key], int) else percent(of[key]) for key in BRIEF]
        lines.append(row(name, *cells))
    return lines


def markdown(summary: Mapping[str, Any]) -> str:
    """The whole summary. Every figure in brackets is a 95 % interval."""
    lines = [
        f"{summary['runs']} runs of {summary['families']} families, {summary['healthy']} healthy and "
        f"{summary['faulty']} faulty; in brackets the 95 % interval, whole families drawn anew.",
        "",
        *head("measure", "value"),
        row("faults found, mean over conditions", percent(summary["recall_macro"])),
        row("faults found, all", percent(summary["recall"])),
        row("healthy runs with a false alarm at any moment", percent(summary["false_alarm_rate"])),
        row(
            f"false alarms per 10,000 hours of healthy runs, if a point comes every {SECONDS_A_POINT:.0f} s, "
            f"an epoch every {SECONDS_AN_EPOCH:.0f} s",
            summary["false_alarms_per_10000_hours"],
        ),
        row("found before it began", percent(summary["premature"])),
        row("other conditions said of a faulty run", summary["extra_per_faulty_run"]),
        row("median delay, share of the rest of the run", median(summary["delay"])),
        row("the injected cause stands first", percent(summary["cause_at_1"])),
        row("it, or one that cannot be told from it, stands first", percent(summary["fair_cause_at_1"])),
        row("the injected cause is among the first three", percent(summary["cause_at_3"])),
        row("expected calibration error of the causes' probabilities", summary["cause_calibration_error"]),
        *forecast_rows(summary),
    ]
    for name, title in (
        ("by_way", "as logged"),
        ("by_knowledge", "the same runs"),
        ("by_length", "points"),
        ("by_family", "family"),
    ):
        if name in summary:
            lines += brief_table(title, summary[name])
    lines += ["", *head("condition", "found", "median delay", "healthy runs that raise it", "per 10,000 healthy points",
                        "precision", "confidence off by", "cause first")]  # fmt: skip
    for name, of in summary["conditions"].items():
        lines.append(
            row(name, f"{percent(of['recall'])} of {of['recall']['of']}", median(of["delay"]),
                percent(of["false_alarms"]), of["false_alarms_per_10000_points"], percent(of["precision"]),
                "-" if of["confidence_error"] is None else of["confidence_error"], percent(of["cause_at_1"]))
        )  # fmt: skip
    lines += ["", *head("cause", "runs", "found", "stands first", "fairly", "among three", "most often instead")]
    for name, of in summary["causes"].items():
        lines.append(
            row(name, of["recall"]["of"], percent(of["recall"]), percent(of["cause_at_1"]),
                percent(of["fair_cause_at_1"]), percent(of["cause_at_3"]), of["instead"] or "-")
        )  # fmt: skip
    for name, title in (("cause_reliability", "probability of a cause"), ("confidence_reliability", "confidence")):
        lines += ["", *head(title, "claims", "said", "right")]
        lines += [row(f"{of['from']:.1f}-", of["of"], of["said"], of["right"]) for of in summary[name]]
    return "\n".join(lines) + "\n"


def forecast_rows(summary: Mapping[str, Any]) -> list[str]:
    """The measured forecasts, where they were measured."""
    if "forecast_coverage" not in summary:
        return []
    return [
        row("forecasts given where asked", percent(summary["forecasts"])),
        row("forecasts whose interval held what came", percent(summary["forecast_coverage"])),
        row("median width of the interval, in units of the loss then", summary["forecast_width"]),
    ]


def error_line(of: Judged) -> str:
    """One run in one line: what is wrong, what it is, what was said of it and when."""
    faults = [
        name
        for name, wrong in (
            ("FALSE-ALARM", of.false_alarm),
            ("MISSED", of.counts and not of.detected),
            ("PREMATURE", of.premature),
            ("EXTRA", of.counts and of.extra > 0),
            ("CAUSE", of.counts and of.detected and of.cause_at_1 is False),
        )
        if wrong
    ]
    words = [
        f"{f.condition}/{f.series} {f.severity[:4]} {f.confidence:.3f} onset {f.onset_step} opened {f.opened_step}"
        + ("" if f.resolved_step is None else f" resolved {f.resolved_step}")
        + (f" <{', '.join(f'{name} {p:.2f}' for name, p in f.causes[:3])}>" if f.causes else "")
        for f in of.said
    ]
    onset = "" if of.healthy else f" onset {of.onset} cause {of.cause}"
    return (
        f"{'+'.join(faults) or 'ok'}: {of.id}: {of.condition}{onset}, steps {of.steps[0]}..{of.steps[1]} "
        f"({of.points} points); said " + ("; ".join(words) or "nothing")
    )


def errors(rows: Iterable[Judged], *, causes: bool = False, everything: bool = False) -> Iterable[str]:
    """A line for every run that is wrong; with ``causes`` also where only the cause is."""
    for of in rows:
        wrong_cause = causes and of.counts and of.detected and of.cause_at_1 is False
        if everything or of.wrong or wrong_cause:
            yield error_line(of)
