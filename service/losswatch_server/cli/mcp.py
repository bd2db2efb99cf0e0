"""``losswatch-server mcp``: the tools for an agent on this machine, over standard input and output."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from losswatch_server.cli.exits import UNAVAILABLE, fail
from losswatch_server.cli.service_calls import SERVICE, Address


def mcp(
    service: Address = SERVICE,
    project: Annotated[
        str | None, typer.Option(help="Project of calls that name none.", envvar="LOSSWATCH_PROJECT")
    ] = None,
) -> None:
    """Give a coding agent tools for runs and logs, by the Model Context Protocol over standard input and output.

    The agent starts this command. Runs are those of the service, with the key in LOSSWATCH_API_KEY; logs are read
    here and need no service. Needs the extra losswatch-server[mcp].
    """
    from losswatch_server.agents.endpoint import INSTALL, is_installed

    if not is_installed():
        fail(f"the extra for agents is not installed: {INSTALL}", UNAVAILABLE)
    if not service.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--service is an address such as {SERVICE}, not {service!r}")
    from losswatch_server.agents.stdio import serve_stdio

    serve_stdio(service, os.environ.get("LOSSWATCH_API_KEY"), project)
