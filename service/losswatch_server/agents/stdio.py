"""The tools over standard input and output, for an agent on this machine.

Runs are those of a service. Logs are read and pages shown here, in this process: that needs no service, and a log does
not leave the machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import httpx

from losswatch_server.agents.in_process import InProcess
from losswatch_server.agents.service import Caller, Service
from losswatch_server.agents.tools import tools
from losswatch_server.api import create_api


def serve_stdio(url: str, key: str | None, project: str | None) -> None:
    """Serve until standard input ends. ``url`` and ``key`` are those of the service with the runs."""
    anyio.run(_serve, url, key, project)


async def _serve(url: str, key: str | None, project: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def of_this_user(_: Caller) -> Mapping[str, str]:
        return {}

    async with (
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        httpx.AsyncClient(base_url="http://localhost", transport=InProcess(create_api())) as reader,
    ):
        service = Service(client=client, reader=reader, headers=of_this_user, project=project)
        await tools(service, own_files=True).run_stdio_async()
