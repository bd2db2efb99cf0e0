"""Servers of other trackers under the same load, where their packages are installed: points a processor second.

trackio takes points as its own client sends them (``/api/bulk_log``, an entry for each point), MLflow as ``log-batch``
with two metrics for each point. Both keep what they are sent; neither judges it.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ingest.load import Client, ready

TRACKIO, MLFLOW = "trackio", "mlflow"
PEERS = (TRACKIO, MLFLOW)
HISTORY = 100
"""Points that a run of theirs has when it is first measured: it makes no difference to them."""
_SERVERS = Path(__file__).with_name("peer_servers.py")


@contextmanager
def served_peer(python: str, kind: str) -> Iterator[dict[str, Any] | None]:
    """What a server of this kind says of itself, its ``port`` above all; None where it cannot be started."""
    process = subprocess.Popen(
        [python, str(_SERVERS), kind], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        told: dict[str, Any] | None = json.loads(said) if said.startswith("{") else None
        if told is not None:
            ready(told["port"])
        yield told
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


async def connect_peer(kind: str, told: dict[str, Any], *, connections: int, points: int) -> list[Client]:
    """Clients that post ``points`` at a time, each to a run of its own."""
    clients: list[Client] = []
    for _ in range(connections):
        client = TrackioClient(points, told["token"]) if kind == TRACKIO else MlflowClient(points, told["port"])
        await client.begin_run(told["port"])
        clients.append(client)
    return clients


class TrackioClient(Client):
    """One entry of a log for each point."""

    def __init__(self, points: int, token: str) -> None:
        self.token = token
        super().__init__(points, HISTORY)

    def message(self, listed: list[dict[str, Any]]) -> bytes:
        """See Client."""
        logs = [
            {
                "project": "bench",
                "run": self.run,
                "metrics": {name: point[name] for name in _SERIES},
                "step": point["step"],
            }
            for point in listed
        ]
        body = json.dumps({"logs": logs, "hf_token": None}, separators=(",", ":")).encode()
        return self.head("/api/bulk_log", len(body), f"X-Trackio-Write-Token: {self.token}\r\n") + body


class MlflowClient(Client):
    """Two metrics for each point."""

    def __init__(self, points: int, port: int) -> None:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/create",
            b'{"experiment_id": "0"}',
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            self.run_id = json.load(answer)["run"]["info"]["run_id"]
        super().__init__(points, HISTORY)

    def message(self, listed: list[dict[str, Any]]) -> bytes:
        """See Client."""
        now = int(1000 * time.time())
        metrics = [
            {"key": name, "value": point[name], "timestamp": now, "step": point["step"]}
            for point in listed
            for name in _SERIES
        ]
        body = json.dumps({"run_id": self.run_id, "metrics": metrics}, separators=(",", ":")).encode()
        return self.head("/api/2.0/mlflow/runs/log-batch", len(body)) + body


_SERIES = ("loss", "grad_norm")
