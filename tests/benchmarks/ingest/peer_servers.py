"""Servers of other trackers, each in a process of its own: ``PYTHON peer_servers.py KIND``, a Python that has them.

It prints a line of JSON once it listens: its port, and for trackio the token that a writer needs. Nothing of Losswatch
is imported here: what is compared has an environment of its own.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Told = dict[str, str]


def trackio(directory: Path) -> tuple[Any, Told]:
    """The application that ``trackio.show()`` serves, with SQLite as it comes (a log that is not synchronised at each
    commit)."""
    os.environ["TRACKIO_DIR"] = str(directory)
    from trackio.server import build_starlette_app_only

    app, token = build_starlette_app_only()
    return app, {"token": token}


def mlflow(directory: Path) -> tuple[Any, Told]:
    """The tracking server in one process, on SQLite, without its runners of jobs."""
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{directory}/mlflow.sqlite"
    os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = os.environ["_MLFLOW_SERVER_FILE_STORE"]
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(directory / "artifacts")
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    from mlflow.server.fastapi_app import app

    return app, {}


def telling_cpu(app: Any) -> Any:
    """The same, which also answers GET /cpu with the processor seconds of this process."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/cpu":
            await app(scope, receive, send)
            return
        body = json.dumps(time.process_time()).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


KINDS = {"trackio": trackio, "mlflow": mlflow}


def main() -> None:
    """Serve on a free port until told to stop."""
    import uvicorn

    with TemporaryDirectory(prefix="losswatch-bench-") as directory:
        app, told = KINDS[sys.argv[1]](Path(directory))
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
            print(json.dumps({"port": listening.getsockname()[1], **told}), flush=True)
            uvicorn.Server(uvicorn.Config(telling_cpu(app), log_level="warning", access_log=False)).run([listening])


if __name__ == "__main__":
    main()
