"""``losswatch-server targets``: notification targets of a running service, over its API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from losswatch_server.alerts.group_by import GroupBy
from losswatch_server.cli.exits import UNAVAILABLE, fail
from losswatch_server.cli.plain_help import PlainCommand, PlainGroup
from losswatch_server.cli.service_calls import SERVICE, Address, call
from losswatch_server.monitor.vocabulary import Condition, Severity

targets = typer.Typer(
    name="targets", cls=PlainGroup, help="Manage the notification targets of a service.", no_args_is_help=True
)

Project = Annotated[str, typer.Option(help="Project of the targets.", envvar="LOSSWATCH_PROJECT")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The target's id.")]

Kind = Literal["webhook", "slack", "discord", "teams", "pagerduty", "alertmanager", "email"]

State = Literal["pending", "sending", "delivered", "failed", "superseded", "dropped"]


@targets.command("list", cls=PlainCommand)
def list_targets(service: Address = SERVICE, project: Project = "default") -> None:
    """List the targets and their state."""
    for target in _call("GET", service, "", project)["targets"]:
        state = target["state"] if not target["disabled_reason"] else f"disabled: {target['disabled_reason']}"
        typer.echo(f"{target['id']}  {target['kind']:<12}  {target['min_severity']:<8}  {target['url']}  {state}")


@targets.command("add", cls=PlainCommand)
def add(
    kind: Annotated[Kind, typer.Argument(help="Where messages go.", show_default=False)],
    url: Annotated[str | None, typer.Argument(help="Where to send; - reads it from standard input.")] = None,
    min_severity: Annotated[Severity, typer.Option(help="Send nothing below it.")] = Severity.WARNING,
    condition: Annotated[list[Condition] | None, typer.Option(help="Only this condition; can be repeated.")] = None,
    group_by: Annotated[
        list[GroupBy] | None,
        typer.Option(help="What shares a message: the runs of a group, related conditions, one run; can be repeated."),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    routing_key: Annotated[str | None, typer.Option(help="PagerDuty's integration key.")] = None,
    service: Address = SERVICE,
    project: Project = "default",
) -> None:
    """Add a target. Its signing secret, if it has one, is shown only now."""
    address = typer.get_text_stream("stdin").readline().strip() if url == "-" else url
    asked: dict[str, object] = {
        "kind": kind,
        "url": address,
        "min_severity": min_severity,
        "name": name,
        "routing_key": routing_key,
    }
    asked |= {"conditions": condition or [], "group_by": group_by or None}
    made = _call("POST", service, "", project, asked)
    typer.echo(f"{made['id']}  {made['kind']}  {made['url']}")
    if made["secret"]:
        typer.echo(f"signing secret, shown only now: {made['secret']}")
    for warning in made.get("warnings", ()):
        typer.echo(f"warning: {warning}", err=True)


@targets.command("test", cls=PlainCommand)
def send_test(target: Id, service: Address = SERVICE, project: Project = "default") -> None:
    """Send a test message and print the result."""
    tried = _call("POST", service, f"/{target}/test", project)
    if not tried["delivered"]:
        fail(f"not delivered: {tried['detail']}", UNAVAILABLE)
    typer.echo(f"delivered in {tried['duration_ms']:.0f} ms" + (f" ({tried['status']})" if tried["status"] else ""))


@targets.command("deliveries", cls=PlainCommand)
def list_deliveries(
    target: Id,
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    service: Address = SERVICE,
    project: Project = "default",
) -> None:
    """List what became of the last messages, newest first."""
    for one in _call("GET", service, f"/{target}/deliveries", project, state=state)["deliveries"]:
        detail = f"  ({one['tries']} tries: {one['detail']})" if one["detail"] else ""
        typer.echo(f"{one['created_at']}  {one['state']:<10}  {one['title']}{detail}")


@targets.command("remove", cls=PlainCommand)
def remove(target: Id, service: Address = SERVICE, project: Project = "default") -> None:
    """Remove a target with its delivery log."""
    _call("DELETE", service, f"/{target}", project)


def _call(
    method: str, service: str, path: str, project: str, body: dict[str, Any] | None = None, *, state: str | None = None
) -> Any:
    asked = {"project": project} if state is None else {"project": project, "state": state}
    return call(method, service, f"/v1/targets{path}", asked, body)
