"""``losswatch-server projects``: the projects of a running service, what they keep, and their end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from losswatch_server.cli.exits import USAGE, fail
from losswatch_server.cli.plain_help import PlainCommand, PlainGroup
from losswatch_server.cli.service_calls import SERVICE, Address, call

projects = typer.Typer(
    name="projects",
    cls=PlainGroup,
    help="List, limit and erase the projects of a service, over its API.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="PROJECT", help="The project.", show_default=False)]


@projects.command("list", cls=PlainCommand)
def list_projects(service: Address = SERVICE) -> None:
    """List the projects with how many runs they have."""
    for one in call("GET", service, "/v1/projects", {})["projects"]:
        typer.echo(f"{one['project']}  {one['runs']} runs, {one['status']['critical']} critical")


@projects.command(cls=PlainCommand)
def retention(
    project: Name,
    thin_after_days: Annotated[float | None, typer.Option(help="Thin runs that ended so long ago.")] = None,
    thin_to_points: Annotated[int | None, typer.Option(help="Points that a thinned run keeps about.")] = None,
    delete_after_days: Annotated[
        float | None, typer.Option(help="Delete runs of which nothing was heard for so long.")
    ] = None,
    max_mib: Annotated[float | None, typer.Option(help="Beyond it, thin and delete the oldest ended runs.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the service's setting.")] = False,
    service: Address = SERVICE,
) -> None:
    """Show what a project keeps for how long; with options, set all of it: what is not given has no limit."""
    given: dict[str, Any] = {
        "thin_after_days": thin_after_days,
        "thin_to_points": thin_to_points,
        "delete_after_days": delete_after_days,
        "max_mib": max_mib,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    if reset and asked:
        raise typer.BadParameter("--reset stands alone")
    method = "DELETE" if reset else "PUT" if asked else "GET"
    told = call(method, service, "/v1/retention", {"project": project}, asked or None)
    for name in given:
        typer.echo(f"{name.replace('_', ' ')}: {'no limit' if told[name] is None else format(told[name], 'g')}")
    typer.echo(f"set for this {told['source']}" if told["source"] == "project" else "as the service is set")


@projects.command(cls=PlainCommand)
def erase(
    project: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    service: Address = SERVICE,
) -> None:
    """Erase a project: runs, targets, silences, events; its API keys end. Backups are not touched."""
    if not yes and typer.prompt(f"Everything of {project} will be gone. Type its name to go on") != project:
        fail("nothing was erased", USAGE)
    call("DELETE", service, f"/v1/projects/{project}", {})
