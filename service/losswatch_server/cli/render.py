"""A report as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

STATUS_STYLES = {"waiting": "dim", "healthy": "bold green", "warning": "bold yellow", "critical": "bold red"}
_SEVERITY_STYLES = {"info": "cyan", "warning": "yellow", "critical": "red"}
_SIGNS = {"waiting": "…", "healthy": "✓", "warning": "▲", "critical": "✖"}
MOST_CAUSES = 3
BRIEF_NUMBERS = 6
_TELLING = (
    "growth_per_step",
    "doubling_steps",
    "overflow_step",
    "learning_rate_times_sharpness",
    "learning_rate_limit",
    "level",
    "chance_level",
    "progress_share",
    "noise",
    "factor",
    "level_before",
    "peak",
    "best_step",
    "best_validation",
    "validation_now",
)
"""Numbers that mean something without the rule that computed them, most telling first."""
UNLIKELY = 0.05


def headline(report: Mapping[str, Any]) -> Text:
    """Status and headline, in one line."""
    status = str(report["status"])
    style = STATUS_STYLES.get(status, "bold")
    return Text.assemble((f"{_SIGNS.get(status, '•')} {status}  ", style), (str(report["headline"]), "bold"))


def report_lines(report: Mapping[str, Any]) -> Group:
    """The headline, then each open finding with its evidence, causes and advice, and the notes."""
    parts: list[RenderableType] = [headline(report)]
    parts.extend(
        Padding(finding_lines(finding), (1, 0, 0, 2)) for finding in report["findings"] if finding["closed_by"] is None
    )
    closed = [finding for finding in report["findings"] if finding["closed_by"] is not None]
    if closed:
        parts.append(Text(""))
    parts.extend(
        Text(f"  over: {finding['condition']}, {_steps(finding)}. {finding['summary']}", style="dim")
        for finding in closed
    )
    suspicions = report.get("suspicions") or []
    if suspicions:
        parts.append(Text("\n  If you are not content, it may be:", style="dim"))
    parts.extend(Padding(suspicion_lines(suspicion), (0, 0, 0, 4)) for suspicion in suspicions)
    if report["notes"]:
        parts.append(Text(""))
    parts.extend(Text(f"  note: {note}", style="dim") for note in report["notes"])
    return Group(*parts)


def finding_lines(finding: Mapping[str, Any], *, told: str = "", brief: bool = False) -> Group:
    """One finding: what, since when, how sure; the numbers; why; what to do.

    A summary that was ``told`` already is left out; ``brief`` shows the first numbers and the first advice alone.
    """
    style = _SEVERITY_STYLES.get(str(finding["severity"]), "white")
    title = Text.assemble(
        (f"{finding['condition']}", f"bold {style}"),
        (
            f" in {finding['series']}: since step {finding['onset_step']:,}, clear at step {finding['opened_step']:,}",
            "",
        ),
        (f"  ({finding['severity']}, confidence {finding['confidence']:.3g})", "dim"),
    )
    parts: list[RenderableType] = [title]
    if finding["summary"] != told:
        parts.append(Text(str(finding["summary"])))
    numbers = [(name, value) for name, value in finding["evidence"].items() if value is not None]
    if numbers:
        if brief:
            numbers.sort(key=lambda item: _TELLING.index(item[0]) if item[0] in _TELLING else len(_TELLING))
        shown = numbers[:BRIEF_NUMBERS] if brief else numbers
        parts.append(Text("  ".join(f"{name}\u00a0{_number(value)}" for name, value in shown), style="dim"))
    parts.extend(_causes(finding))
    parts.extend(
        Text.assemble(("→ ", f"bold {style}"), (str(advice["summary"]), "bold" if place == 0 else ""))
        for place, advice in enumerate(finding["advice"][: 1 if brief else None])
    )
    return Group(*parts)


def suspicion_lines(suspicion: Mapping[str, Any]) -> Group:
    """What may be wrong, how likely that is, why, and the first thing to do."""
    name = str(suspicion["condition"]).replace("_", " ")
    title = Text.assemble((f"{suspicion['probability']:.0%} {name}", "bold cyan"), (f"  {suspicion['summary']}", ""))
    advice = [Text.assemble(("→ ", "bold cyan"), str(one["summary"])) for one in suspicion["advice"][:1]]
    return Group(title, *_causes(suspicion), *advice)


def _causes(finding: Mapping[str, Any]) -> Iterator[Text]:
    for place, cause in enumerate(finding["causes"][:MOST_CAUSES]):
        if place and cause["probability"] < UNLIKELY:
            return
        share = round(10 * cause["probability"])
        why = f"  {'; '.join(cause['because'][:2])}" if cause["because"] else ""
        yield Text.assemble(
            ("█" * share + "░" * (10 - share), "blue"),
            f" {cause['probability']:4.0%} {str(cause['cause']).replace('_', ' ')}",
            (why, "dim"),
        )


def _steps(finding: Mapping[str, Any]) -> str:
    """From its first step to its last one: where it is known, to the one at which the loss was back."""
    first, last = finding["onset_step"], finding["evidence"].get("recovered_step")
    if last is None:
        last = finding["last_step"] if finding["resolved_step"] is None else finding["resolved_step"]
    return f"steps {first:,} to {last:,}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "–".join(_number(item) for item in value)
    return str(value)
