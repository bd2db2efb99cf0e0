"""A real service at several times what it can do: what is answered how soon, what is turned away, what memory it takes.

``python -m benchmarks.overload [SECONDS]``. Capacity is measured first, with as many clients as keep it busy; then
requests come at a steady pace, whether or not earlier ones were answered, from at most 500 connections.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from docs.service import running_service

BODY = b'{"points":[{"step":%d,"loss":1.5,"grad_norm":0.7}]}'
HEAD = b"POST /v1/runs/run-%d/points?report=false HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
CONNECTIONS = 500
BUSY_CLIENTS = 48
RECOVERED_WITHIN_S = 2.0


@dataclass
class Seen:
    """What came back."""

    codes: Counter[int] = field(default_factory=Counter)
    accepted_s: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    not_sent: int = 0
    refused_at: list[float] = field(default_factory=list)
    """Seconds of the clock when each was turned away."""

    def p(self, share: float) -> float:
        """A quantile of how long those took that were taken, in ms."""
        ordered = sorted(self.accepted_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Client:
    """One connection, for one run."""

    def __init__(self, port: int, number: int) -> None:
        self.port, self.number, self.step = port, number, 0
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, seen: Seen) -> None:
        began = time.perf_counter()
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self.streams
            body = BODY % self.step
            self.step += 1
            writer.write(HEAD % (self.number, len(body)) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, IndexError):
            self.streams = None
            seen.codes[0] += 1
            return
        code = int(head.split(b" ")[1])
        seen.codes[code] += 1
        if code == 200:
            seen.accepted_s.append(time.perf_counter() - began)
            return
        seen.refused_at.append(time.perf_counter())
        if b"retry-after" not in head.lower():
            seen.without_retry_after += 1


async def closed_loop(port: int, clients: list[Client], seconds: float) -> Seen:
    """Each client posts again as soon as it is answered."""
    seen, until = Seen(), time.perf_counter() + seconds

    async def go_on(client: Client) -> None:
        while time.perf_counter() < until:
            await client.post(seen)

    await asyncio.gather(*map(go_on, clients))
    return seen


async def open_loop(clients: list[Client], rate: float, seconds: float) -> Seen:
    """So many requests a second, from whichever connection is free."""
    seen, free, tasks = Seen(), list(clients), set()
    began = time.perf_counter()
    sent = 0

    async def one(client: Client) -> None:
        await client.post(seen)
        free.append(client)

    while (now := time.perf_counter() - began) < seconds:
        while sent < rate * now:
            sent += 1
            if not free:
                seen.not_sent += 1
                continue
            task = asyncio.create_task(one(free.pop(0)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    return seen


def memory_mb(port: int) -> float:
    """Of the process that listens there."""
    import urllib.request

    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    return float(text.split("\nprocess_resident_memory_bytes ")[1].split("\n")[0]) / 1e6


async def measure(port: int, seconds: float, factor: float = 4.0) -> bool:
    """Print what was seen; whether it is as promised."""
    clients = [Client(port, number) for number in range(CONNECTIONS)]
    for some in range(0, CONNECTIONS, BUSY_CLIENTS):  # runs that begin cost more than those that go on
        await asyncio.gather(*[client.post(Seen()) for client in clients[some : some + BUSY_CLIENTS]])
    busy = await closed_loop(port, clients[:BUSY_CLIENTS], seconds / 4)
    capacity = busy.codes[200] / (seconds / 4)
    normal = await open_loop(clients, capacity / 2, seconds / 4)
    before = memory_mb(port)
    over = await open_loop(clients, factor * capacity, seconds)
    during = memory_mb(port)
    ended = time.perf_counter()
    after = await open_loop(clients, capacity / 2, seconds / 4)
    recovered_s = max((at - ended for at in after.refused_at), default=0.0)
    print(
        f"capacity {capacity:.0f}/s with {BUSY_CLIENTS} clients; memory {before:.0f} MB before, {during:.0f} MB after"
    )
    for name, seen in (("half of it", normal), (f"{factor:g} times", over), ("half again", after)):
        print(
            f"{name:>12}: p50 {seen.p(0.5):6.1f} ms, p99 {seen.p(0.99):6.1f} ms, {dict(seen.codes)}, "
            f"{seen.not_sent} found no free connection"
        )
    print(f"nothing was turned away any more {recovered_s:.1f} s after the overload")
    return (
        over.without_retry_after == 0
        and set(over.codes) <= {200, 429, 503}
        and recovered_s < RECOVERED_WITHIN_S
        and after.codes.keys() <= {200, 503}
        and during < 2 * before + 100
    )


def main() -> None:
    """Run it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    os.environ["LOSSWATCH_MAX_CONNECTIONS"] = "1000"
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder) / "data") as address:
        kept = asyncio.run(measure(int(address.rsplit(":", 1)[1]), seconds))
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
