"""A receiver in a process of its own: writes down the time and id of every message the moment it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORK = multiprocessing.get_context("fork")


@contextlib.contextmanager
def receiver(log: Path) -> Iterator[str]:
    """The URL of a receiver that appends one JSON line per message to ``log``."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=_serve, args=(log, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/hook"
    finally:
        process.kill()
        process.join()


def received(log: Path) -> list[dict[str, Any]]:
    """What arrived so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _serve(log: Path, ready: Any) -> None:
    asyncio.run(_listen(log, ready))


async def _listen(log: Path, ready: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            at = time.time()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            line = {"at": at, "id": headers.get("webhook-id"), "run": body.get("run"), "type": body.get("type")}
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
