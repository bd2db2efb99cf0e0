"""A run's report and a list of runs as plain pages: what a link in a notification opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse

from losswatch_server.api.http.html import html_page

MOST_NUMBERS = 8


def report_page(report: Mapping[str, Any]) -> HTMLResponse:
    """The page of one run, from its report as JSON."""
    facts = [(name, report[name]) for name in ("state", "status", "step", "points")]
    if report["error"]:
        facts.append(("failed of", report["error"]))
    body = f"<h1>{escape(report['run'])}</h1><p><strong>{escape(report['headline'])}</strong></p>{_table(facts)}"
    body += "".join(_finding(finding) for finding in sorted(report["findings"], key=_by_urgency))
    body += "".join(f"<p>{escape(note)}</p>" for note in report["notes"])
    body += '<p><a href="/docs/report">How to read a report</a></p>'
    return html_page(report["run"], body, (("Runs", "/v1/runs?" + urlencode({"project": report["project"]})),))


def runs_page(runs: Sequence[Mapping[str, Any]], title: str, following: str | None) -> HTMLResponse:
    """The page of a list of runs, each with a link to its own; ``following`` is the address of the next ones."""
    rows = "".join(
        f'<tr><td><a href="{escape(address(run))}">{escape(run["run"])}</a></td><td>{escape(run["state"])}</td>'
        f"<td>{escape(run['status'])}</td><td>{escape(run['headline'])}</td></tr>"
        for run in runs
    )
    head = "<tr><th>run</th><th>state</th><th>status</th><th>headline</th></tr>"
    more = f'<p><a href="{escape(following)}">Older runs</a></p>' if following else ""
    return html_page(title, f"<h1>{escape(title)}</h1><table>{head}{rows}</table>{more}")


def address(run: Mapping[str, Any]) -> str:
    """The address of a run's page in this service."""
    return f"/v1/runs/{quote(run['run'], safe='')}/report?" + urlencode({"project": run["project"]})


def _by_urgency(finding: Mapping[str, Any]) -> tuple[bool, int]:
    return finding["closed_by"] is not None, ("critical", "warning", "info").index(finding["severity"])


def _finding(finding: Mapping[str, Any]) -> str:
    state = "" if finding["closed_by"] is None else f" ({finding['closed_by'].replace('_', ' ')})"
    title = finding["condition"].replace("_", " ") + state
    numbers = list(finding["evidence"].items())[:MOST_NUMBERS]
    causes = "".join(f"<li>{_cause(cause)}</li>" for cause in finding["causes"][:3])
    advice = "".join(f"<li>{escape(advice['summary'])}</li>" for advice in finding["advice"])
    return (
        f'<h2><a href="{escape(finding["docs"])}">{escape(title)}</a></h2>'
        f"<p>{escape(finding['severity'])} since step {finding['onset_step']}. {escape(finding['summary'])}</p>"
        + (f"<h3>What to do</h3><ul>{advice}</ul>" if advice and finding["closed_by"] is None else "")
        + (f"<h3>Why it may be so</h3><ul>{causes}</ul>" if causes else "")
        + _table([(name.replace("_", " "), value) for name, value in numbers])
    )


def _cause(cause: Mapping[str, Any]) -> str:
    because = "; ".join(cause["because"])
    return escape(f"{cause['cause'].replace('_', ' ')}: {cause['probability']:.0%}. {because}")


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(_text(value))}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>" if cells else ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "–" if value is None else f"{value:,}" if type(value) is int else str(value)
