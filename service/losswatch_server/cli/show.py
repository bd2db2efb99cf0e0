"""``losswatch-server show``: a run of a running service, drawn as ``diagnose`` draws a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from losswatch_server.cli.exits import EXIT_OF_STATUS
from losswatch_server.cli.service_calls import SERVICE, Address, call
from losswatch_server.monitor.vocabulary import Status

RESOLUTION = 2_000
"""Points of the curve: more than a terminal shows."""


def show(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, like the service.")] = False,
    plot: Annotated[bool, typer.Option(help="Draw the loss.")] = True,
    service: Address = SERVICE,
    project: Annotated[str, typer.Option(help="Project of the run.", envvar="LOSSWATCH_PROJECT")] = "default",
) -> None:
    """Show a run of a service: its loss, what is wrong, why, and what to do.

    Exit status: 0 healthy or too short to judge, 1 warning or no such run, 2 critical, 64 wrong usage, 69 no service.
    """
    path, asked = f"/v1/runs/{quote(run, safe='')}", {"project": project}
    report = call("GET", service, path + "/report", asked)
    if as_json:
        from losswatch_server.codec import dumps

        sys.stdout.buffer.write(dumps(report) + b"\n")
    else:
        from rich.console import Console
        from rich.text import Text

        from losswatch_server.cli.judgement import show_report

        points = call("GET", service, path + "/points", {**asked, "resolution": RESOLUTION})["points"] if plot else []
        console = Console(highlight=False)
        console.print(Text(f"\n{run}  {report['state']}, step {report['step']}", style="bold underline"))
        show_report(console, _curve(points), report)
    raise typer.Exit(EXIT_OF_STATUS[Status(report["status"])])


def _curve(points: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Steps and losses of rank 0, without what a later attempt superseded."""
    return sorted(
        (point["step"], float(point["loss"]))
        for point in points
        if point.get("loss") is not None and not point.get("rank") and not point["superseded"]
    )
