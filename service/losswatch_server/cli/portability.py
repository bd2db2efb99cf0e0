"""``losswatch-server export`` and ``import``: a run from one service to another, as lines of JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from urllib.parse import quote

import typer

from losswatch_server.cli.exits import UNAVAILABLE, UNREADABLE, fail
from losswatch_server.cli.service_calls import SERVICE, Address

if TYPE_CHECKING:
    import httpx

Project = Annotated[str, typer.Option(help="Project of the run.", envvar="LOSSWATCH_PROJECT")]
_PART = 1 << 16


def export(
    run: Annotated[str, typer.Argument(help="The run's name.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; standard output, if left out.")
    ] = None,
    service: Address = SERVICE,
    project: Project = "default",
) -> None:
    """Write out a run with all it has, for import."""
    path = f"/v1/runs/{quote(run, safe='')}/export"
    partial = None if output is None else output.with_name(output.name + ".partial")
    last = b""
    with _client(service, project) as http, http.stream("GET", path) as answer:
        if answer.is_error:
            answer.read()
            _refused(answer)
        with sys.stdout.buffer if partial is None else partial.open("wb") as file:
            for part in answer.iter_bytes():
                file.write(part)
                last = (last + part)[-100:]
    if b'{"line":"end",' not in last:
        fail("the run was cut off on its way", UNAVAILABLE)
    if partial is not None and output is not None:
        partial.replace(output)


def import_(
    file: Annotated[Path, typer.Argument(help="What export wrote; - for standard input.", show_default=False)],
    name: Annotated[str | None, typer.Option("--as", help="Another name for the run.")] = None,
    service: Address = SERVICE,
    project: Project = "default",
) -> None:
    """Take in a run that export wrote, whole or not at all."""
    try:
        source: BinaryIO = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    except OSError as error:
        fail(f"{file}: {error.strerror}", UNREADABLE)
    with source:
        first = source.readline()
        called = name or _name(first, file)
        with _client(service, project) as http:
            path = f"/v1/runs/{quote(called, safe='')}/import"
            headers = {"Content-Type": "application/x-ndjson"}
            answer = http.post(path, content=_parts(first, source), headers=headers)
            if answer.is_error:
                _refused(answer)
    typer.echo(f"{called} has {answer.json()['points']} points")


def _parts(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    yield first
    while part := source.read(_PART):
        yield part


def _name(first: bytes, file: Path) -> str:
    import json

    try:
        name = json.loads(first)["name"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not name:
        fail(f"{file} is no run that export wrote", UNREADABLE)
    return name


@contextmanager
def _client(service: str, project: str) -> Iterator[httpx.Client]:
    """A connection; ends the command with a sentence where nothing answers."""
    import httpx  # 0.1 s that no other command needs

    if not service.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--service is an address such as {SERVICE}, not {service!r}")
    key = os.environ.get("LOSSWATCH_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(
            base_url=service.rstrip("/"), params={"project": project}, headers=headers, timeout=600
        ) as client:
            yield client
    except (httpx.HTTPError, httpx.InvalidURL):
        fail(f"no service answers at {service}", UNAVAILABLE)


def _refused(answer: httpx.Response) -> None:
    try:
        fail(str(answer.json()["detail"]), 1)
    except (ValueError, KeyError, TypeError):
        fail(f"the service answers {answer.status_code}", 1)
