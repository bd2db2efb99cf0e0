"""Calls to the API of a running service, for the commands that ask one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from losswatch_server.cli.exits import UNAVAILABLE, fail

SERVICE = "http://127.0.0.1:8000"
Address = Annotated[
    str, typer.Option("--service", help="Address of the service.", envvar="LOSSWATCH_URL", show_default=True)
]


def call(
    method: str, service: str, path: str, asked: Mapping[str, str | int], body: Mapping[str, Any] | None = None
) -> Any:
    """What the service answers, as JSON; None where it says nothing. Ends the command with a sentence on an error."""
    import httpx  # 0.1 s that no other command needs

    if not service.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--service is an address such as {SERVICE}, not {service!r}")
    key = os.environ.get("LOSSWATCH_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.request(method, service.rstrip("/") + path, params=asked, json=body, headers=headers, timeout=90)
        told = answer.json() if answer.content else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        fail(f"no service answers at {service}", UNAVAILABLE)
    if answer.is_error:
        fail(str(told.get("detail", answer.status_code)) if isinstance(told, dict) else str(answer.status_code), 1)
    return told
