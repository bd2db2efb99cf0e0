"""The results as people read them: the summary's table in markdown, and the list of runs that went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.detection.score import Judged


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


def markdown(summary: Mapping[str, Any]) -> str:
    """The whole summary. Every figure in brackets is a 95 % interval."""
    lines = [
        f"{summary['runs']} runs, {summary['healthy']} healthy and {summary['faulty']} faulty; in brackets the 95 % "
        "interval.",
        "",
        "| measure | value |",
        "| --- | --- |",
        f"| faults found, mean over conditions | {percent(summary['recall_macro'])} |",
        f"| faults found, all | {percent(summary['recall'])} |",
        f"| healthy runs with a false alarm | {percent(summary['false_alarm_rate'])} |",
        f"| healthy runs with a false alarm at any moment | {percent(summary['prefix_false_alarm_rate'])} |",
        f"| found before it began | {percent(summary['premature'])} |",
        f"| other conditions said of a faulty run | {summary['extra_per_faulty_run']} |",
        f"| median delay, share of the rest of the run | {median(summary['delay'])} |",
        f"| the cause stands first | {percent(summary['cause_at_1'])} |",
        f"| the cause is among the first three | {percent(summary['cause_at_3'])} |",
        *forecast_rows(summary),
        *framework_rows(summary),
        "",
        "| condition | found | median delay | healthy runs that raise it | per 10,000 healthy points | cause first |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in summary["conditions"].items():
        rate = row["false_alarms_per_10000_points"]
        lines.append(
            f"| {name} | {percent(row['recall'])} of {row['recall']['of']} | {median(row['delay'])} "
            f"| {percent(row['false_alarms'])} | {rate} | {percent(row['cause_at_1'])} |"
        )
    lines += ["", "| cause | runs | found | stands first | among three |", "| --- | --- | --- | --- | --- |"]
    for name, row in summary["causes"].items():
        lines.append(
            f"| {name} | {row['recall']['of']} | {percent(row['recall'])} "
            f"| {percent(row['cause_at_1'])} | {percent(row['cause_at_3'])} |"
        )
    return "\n".join(lines) + "\n"


def forecast_rows(summary: Mapping[str, Any]) -> list[str]:
    """The measured forecasts, where they were measured."""
    if "forecast_coverage" not in summary:
        return []
    return [
        f"| forecasts given where asked | {percent(summary['forecasts'])} |",
        f"| forecasts whose interval held what came | {percent(summary['forecast_coverage'])} |",
        f"| median width of the interval, in units of the loss then | {summary['forecast_width']} |",
    ]


def framework_rows(summary: Mapping[str, Any]) -> list[str]:
    """How many runs each framework trained and how they were judged, where the runs are the zoo's."""
    if "frameworks" not in summary:
        return []
    rows = [
        f"| {name} | {row['healthy']} | {row['faulty']} | {percent(row['recall'])} "
        f"| {percent(row['false_alarm_rate'])} | {percent(row['cause_at_1'])} |"
        for name, row in summary["frameworks"].items()
    ]
    head = "| trained in | healthy | faulty | found | healthy runs with a false alarm | cause first |"
    return ["", head, "| --- | --- | --- | --- | --- | --- |", *rows]


def error_line(row: Judged) -> str:
    """One run in one line: what is wrong, what it is, what was said of it and when."""
    faults = [
        name
        for name, wrong in (
            ("FALSE-ALARM", row.false_alarm),
            ("PREFIX-ALARM", bool(row.prefix_alarms) and not row.false_alarm),
            ("MISSED", row.counts and not row.detected),
            ("PREMATURE", row.premature),
            ("EXTRA", row.counts and row.extra > 0),
            ("CAUSE", row.counts and row.detected and row.cause_at_1 is False),
        )
        if wrong
    ]
    words = [
        f"{f.condition}/{f.series} {f.severity[:4]} {f.confidence:.3f} onset {f.onset_step} opened {f.opened_step}"
        + ("" if f.resolved_step is None else f" resolved {f.resolved_step}")
        + (f" <{', '.join(f'{name} {p:.2f}' for name, p in f.causes[:3])}>" if f.causes else "")
        for f in row.said
    ]
    words += [f"before the end: {', '.join(row.prefix_alarms)}"] if row.prefix_alarms else []
    onset = "" if row.healthy else f" onset {row.onset} cause {row.cause}"
    return (
        f"{'+'.join(faults) or 'ok'}: {row.id}: {row.condition}{onset}, steps {row.steps[0]}..{row.steps[1]} "
        f"({row.points} points); said " + ("; ".join(words) or "nothing")
    )


def errors(rows: Iterable[Judged], *, causes: bool = False, everything: bool = False) -> Iterable[str]:
    """A line for every run that is wrong; with ``causes`` also where only the cause is."""
    for row in rows:
        wrong_cause = causes and row.counts and row.detected and row.cause_at_1 is False
        if everything or row.wrong or wrong_cause:
            yield error_line(row)
