"""The parts of the documentation that are written by machine: figures, tables, and an answer of the service.

A part stands between ``<!-- written: name -->`` and ``<!-- /written -->``. ``make docs`` writes every part anew,
and the tests of this folder fail while one is stale. ``WRITTEN`` says what is written where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from losswatch.metric_names import TABLE as METRIC_NAMES
from losswatch.parameter_names import TABLE as PARAMETER_NAMES
from losswatch_server.api.http.problems import KINDS
from losswatch_server.catalogue.figures import NOT_MEASURED, figure
from losswatch_server.catalogue.markdown import split_front_matter
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, Condition
from losswatch_server.settings import Settings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = ROOT / "service" / "losswatch_server" / "docs"
OPENAPI = ROOT / "openapi.json"
CONDITION_PAGES = "service/losswatch_server/catalogue/conditions"
NO_DETECTION = f"These figures are {NOT_MEASURED}; `make bench-test-half` measures them.\n"
DETECTION_RESULTS = ROOT / "tests" / "benchmarks" / "detection" / "results.json"
CLIENT_RESULTS = ROOT / "tests" / "benchmarks" / "client" / "results.txt"
INGEST_RESULTS = ROOT / "tests" / "benchmarks" / "ingest" / "results.txt"
SCALE_RESULTS = ROOT / "tests" / "benchmarks" / "scale" / "results.txt"
FIGURES = ROOT / "service" / "losswatch_server" / "catalogue" / "figures.json"

_FOUND = ("faults found (mean over the conditions)", "recall_macro")
_FALSE_ALARMS = ("healthy runs with a false alarm at any moment", "false_alarm_rate")
_CAUSES = ("faulty runs found, with the injected cause in first place", "cause_at_1")
_IN_SHORT = (_FOUND, _FALSE_ALARMS, _CAUSES)
_NOT_QUOTED = (
    "cause_reliability",
    "confidence_reliability",
    "cause_calibration_by_way",
    "detection_version",
    "frameworks",
    "left_out",
    "failed",
)
_OVERALL = (
    _FOUND,
    _FALSE_ALARMS,
    ("false alarms per 10,000 hours of healthy runs", "false_alarms_per_10000_hours"),
    ("faulty runs reported before anything was wrong", "premature"),
    ("median delay, as a share of the run after the onset", "delay"),
    _CAUSES,
    ("the same, or with a cause in first place that cannot be told from it by what was logged", "fair_cause_at_1"),
    ("faulty runs found, with the injected cause among the first three", "cause_at_3"),
    ("faulty models that train as well as healthy ones after following the advice, up to three times", "repaired"),
    ("faulty models that the first piece of advice made worse", "harmed"),
    ("forecasts whose interval held", "forecast_coverage"),
    ("simulated runs of pure noise, of nine kinds, with a false alarm", "null_false_alarm_rate"),
)


def part(text: str, name: str) -> str:
    """What stands between the marks of a part; ValueError when there is not exactly one such part."""
    found = re.findall(rf"<!-- written: {name} -->\n(.*?)<!-- /written -->", text, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} parts marked {name!r}, not one")
    content: str = found[0]
    return content


def with_part(text: str, name: str, content: str) -> str:
    """``text`` with one part written anew."""
    old = part(text, name)
    return text.replace(
        f"<!-- written: {name} -->\n{old}<!-- /written -->", f"<!-- written: {name} -->\n{content}<!-- /written -->"
    )


def summary_of(results: Path = DETECTION_RESULTS) -> Mapping[str, Any]:
    """The summary of the last detection benchmark; empty when there was none."""
    if not results.exists():
        return {}
    summary: Mapping[str, Any] = json.loads(results.read_text(encoding="utf-8"))["summary"]
    return summary


def figures_json(summary: Mapping[str, Any]) -> str:
    """The catalogue's ``figures.json``: the figures over all runs, and those of each condition and cause."""
    quoted = {name: value for name, value in summary.items() if not name.startswith("by_") and name not in _NOT_QUOTED}
    return json.dumps(quoted, indent=1, sort_keys=True) + "\n"


def detection(summary: Mapping[str, Any]) -> str:
    """Every figure over all runs of the benchmark; or that nothing has been measured."""
    if not summary:
        return NO_DETECTION
    lines = [
        f"Measured on {figure('runs', summary)} trainings of {figure('families', summary)} families: "
        f"{figure('healthy', summary)} are healthy, many in unusual",
        f"ways, {figure('faulty', summary)} have an injected fault; the others have one that a log need not show, and",
        f"nothing was reported of them; {judged_by(summary)}. In brackets: the 95 % interval.",
        "",
        "| measured | figure |",
        "| --- | --- |",
        *(f"| {words} | {figure(name, summary)} |" for words, name in _OVERALL),
    ]
    return "\n".join(lines) + "\n"


_WAYS = {
    "as is": "as it was logged",
    "every 10th": "every tenth point alone",
    "40 epoch means": "as 40 means",
    "three decimals": "rounded to three decimals",
    "excerpt": "from the middle on",
    "loss alone": "the loss alone, without settings",
    "no context": "all series, without settings",
    "whole context": "all series, with the settings",
    "context and facts": "with the settings and facts of the model and the data",
}
_BRIEFLY = ("false_alarm_rate", "recall", "cause_at_1", "fair_cause_at_1")


def ways(summary: Mapping[str, Any]) -> str:
    """The main figures by way of logging and by what is known of the job; or that nothing has been measured."""
    if not summary:
        return NO_DETECTION
    lines = [
        "| logged | healthy runs with a false alarm | faults found | injected cause first | it, or one alike, first |",
        "| --- | --- | --- | --- | --- |",
    ]
    for way, words in _WAYS.items():
        of = summary["by_way"][way]
        lines.append(f"| {words} | {' | '.join(_briefly(of[name]) for name in _BRIEFLY)} |")
    return "\n".join(lines) + "\n"


def _briefly(share: Mapping[str, Any]) -> str:
    low, high = share["interval"]
    return f"{share['share']:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")


def reliability(summary: Mapping[str, Any]) -> str:
    """What was said with which probability, and how often it was right; or that nothing has been measured."""
    if not summary:
        return NO_DETECTION
    lines = [
        "| what is said to be | a cause: how often it was right | a finding: how often it was right |",
        "| --- | --- | --- |",
    ]
    sides = [{row["from"]: row for row in summary[f"{of}_reliability"]} for of in ("cause", "confidence")]
    for tenth in range(10):
        cells = [_came_true(side.get(tenth / 10)) for side in sides]
        lines.append(f"| {tenth / 10:.1f} to {(tenth + 1) / 10:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _came_true(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else f"{row['right']:.2f} of {row['of']:,}, said {row['said']:.2f}"


def detection_in_short(summary: Mapping[str, Any]) -> str:
    """The three figures that matter most."""
    if not summary:
        return NO_DETECTION
    lines = [
        f"| on {figure('runs', summary)} benchmark trainings, {judged_by(summary)} | 95 % interval in brackets |",
        "| --- | --- |",
        *(f"| {words} | {figure(name, summary)} |" for words, name in _IN_SHORT),
    ]
    return "\n".join(lines) + "\n"


def judged_by(summary: Mapping[str, Any], current: int = DETECTION_VERSION) -> str:
    """The version of the rules that the figures are of, and whether it is still the one that judges."""
    measured = summary["detection_version"]
    now = ", the current one" if measured == current else f"; the current one is {current}"
    return f"judged by detection version {measured}{now}"


def performance(results: Path = INGEST_RESULTS, command: str = "make bench") -> str:
    """What the command printed when its output was last kept, or that it was not."""
    if not results.exists():
        return f"These figures are {NOT_MEASURED}; `{command}` measures them on your machine.\n"
    return f"What `{command}` printed on a machine with two cores:\n\n```text\n{results.read_text().strip()}\n```\n"


def scale(results: Path = SCALE_RESULTS) -> str:
    """What ``make bench-scale`` printed when its output was last kept, or that it was not."""
    if not results.exists():
        return f"These figures are {NOT_MEASURED}; `make bench-scale` measures them on your machine.\n"
    return f"What `make bench-scale` printed:\n\n```text\n{results.read_text().strip()}\n```\n"


def conditions() -> str:
    """The table of conditions, from the front matter of their pages."""
    rows = []
    for condition in Condition:
        path = f"{CONDITION_PAGES}/{condition}.md"
        header, _ = split_front_matter((ROOT / path).read_text(encoding="utf-8"))
        rows.append(f"| [`{condition}`]({path}) | {header['severity']} | {header['summary']} |")
    return "\n".join(["| condition | max severity | what is wrong |", "| --- | --- | --- |", *rows]) + "\n"


def settings() -> str:
    """The table of settings."""
    rows = []
    for row in Settings.table():
        default = f"`{row.default.replace(str(Path.home()), '~')}`" if row.default else "none"
        rows.append(f"| `{row.variable}` | `{row.option}` | {default} | {row.help} |")
    return "\n".join(["| variable | option | default | what it does |", "| --- | --- | --- | --- |", *rows]) + "\n"


def endpoints() -> str:
    """The table of calls, from the API's description."""
    openapi = json.loads(OPENAPI.read_text(encoding="utf-8"))
    rows = [
        f"| `{method.upper()} {path}` | {operation['summary']} |"
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "patch", "delete")
    ]
    return "\n".join(["| call | what it does |", "| --- | --- |", *rows]) + "\n"


def names() -> str:
    """The table of metric names."""
    rows = [f"| `{field}` | {_listed(several)} |" for field, several in METRIC_NAMES.items()]
    return "\n".join(["| field | names |", "| --- | --- |", *rows]) + "\n"


def parameters() -> str:
    """The table of names of hyper-parameters."""
    rows = [f"| `{field}` | {_listed(several)} |" for field, several in PARAMETER_NAMES.items()]
    return "\n".join(["| context | names |", "| --- | --- |", *rows]) + "\n"


def _listed(several: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in several)


def problems() -> str:
    """The table of errors."""
    rows = [f"| {kind.status} | `{kind.type}` | {kind.title}. {kind.meaning} |" for kind in KINDS]
    return "\n".join(["| status | `type` | meaning |", "| --- | --- | --- |", *rows]) + "\n"


WRITTEN: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: {"conditions": conditions, "detection": lambda: detection_in_short(summary_of())},
    PAGES / "accuracy.md": {
        "detection": lambda: detection(summary_of()),
        "ways": lambda: ways(summary_of()),
        "reliability": lambda: reliability(summary_of()),
    },
    PAGES / "performance.md": {
        "performance": performance,
        "client": lambda: performance(CLIENT_RESULTS, "make bench-client"),
    },
    PAGES / "scaling.md": {"scale": scale},
    PAGES / "configuration.md": {"settings": settings},
    PAGES / "what-you-already-have.md": {"names": names, "parameters": parameters},
    PAGES / "http-api.md": {"endpoints": endpoints, "problems": problems},
}
"""What is written into each document. The example answer is written too, into README and report.md, by a service."""


def in_short(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of an answer that matter most: how the run is doing, why, and what to do."""
    finding = answer["findings"][0]
    cause, advice = finding["causes"][0], finding["advice"][0]
    return {
        **{name: answer[name] for name in ("status", "action", "headline")},
        "findings": [
            {
                **{name: finding[name] for name in ("condition", "severity")},
                "causes": [{name: cause[name] for name in ("cause", "probability")}],
                "advice": [{name: advice[name] for name in ("action", "value", "summary")}],
            }
        ],
    }


def folded_json(value: Any, width: int = 118, indent: int = 0, before: int = 0) -> str:
    """JSON for people: what fits into ``width`` columns stands on one line, and short items share lines.

    ``before``: columns that are already taken on the first line.
    """
    line = json.dumps(value, ensure_ascii=False)
    if indent + before + len(line) < width or not isinstance(value, dict | list) or not value:
        return line
    if isinstance(value, dict):
        items = [(json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items()]
    else:
        items = [("", item) for item in value]
    lines: list[str] = []
    pad = " " * (indent + 2)
    for key, item in items:
        text = key + folded_json(item, width, indent + 2, len(key))
        if (
            lines
            and isinstance(value, dict)
            and len(lines[-1]) + len(text) + 2 < width
            and "\n" not in lines[-1] + text
        ):
            lines[-1] += f", {text}"
        else:
            lines.append(pad + text)
    left, right = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{left}\n" + ",\n".join(lines) + f"\n{' ' * indent}{right}"
