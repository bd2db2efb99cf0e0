"""How the commands end: exit statuses that a script can rely on, and last words on standard error."""

from __future__ import annotations

from typing import NoReturn

import typer

from losswatch_server.monitor.vocabulary import Status

# The numbers of BSD's sysexits.h: 2, the usual one for wrong usage, is taken by "critical".
USAGE = 64
UNREADABLE = 66
UNAVAILABLE = 69

EXIT_OF_STATUS = {Status.WAITING: 0, Status.HEALTHY: 0, Status.WARNING: 1, Status.CRITICAL: 2}


def fail(message: str, status: int) -> NoReturn:
    """Says why on standard error and ends the command."""
    typer.secho(f"losswatch-server: {message}", err=True)
    raise typer.Exit(status)
