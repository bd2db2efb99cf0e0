"""The tools for agents, by the SDK's own client: over HTTP, in both generations of the protocol, and over stdio."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from starlette.testclient import TestClient

from api.conftest import serving
from issued_keys import issue
from losswatch_server.agents import endpoint
from losswatch_server.app import create_app
from losswatch_server.settings import Settings

DIVERGING = [{"step": step, "loss": 450.0 * 3.55**step} for step in range(20)]
LOG = "step,loss\n" + "".join(f"{point['step']},{point['loss']}\n" for point in DIVERGING)
COMMAND = str(Path(sys.executable).parent / "losswatch-server")
WAYS = ("http", "http-2025", "stdio")
PATIENCE_S = 60


class Service:
    """A service with keys, its address, and ways to call it."""

    def __init__(self, data: Path) -> None:
        self.keys = issue(data)
        self.app = create_app(Settings(data_dir=data))
        self.url = ""

    def post(self, path: str, body: object, who: str = "admin") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[who]}"}
        return httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=PATIENCE_S).raise_for_status()

    def call(self, way: str, work: Callable[[Client], Awaitable[Any]], who: str = "read") -> Any:
        """What ``work`` returns, given a client that came this way with the key of somebody."""

        async def over_http(mode: str) -> Any:
            headers = {"Authorization": f"Bearer {self.keys[who]}"} if who else {}
            async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http:
                transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
                async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE_S) as client:
                    return await work(client)

        async def over_stdio() -> Any:
            environment = {**os.environ, "LOSSWATCH_URL": self.url, "LOSSWATCH_API_KEY": self.keys[who]}
            server = StdioServerParameters(command=COMMAND, args=["mcp"], env=environment)
            async with Client(server, read_timeout_seconds=PATIENCE_S) as client:
                return await work(client)

        return asyncio.run(over_stdio() if way == "stdio" else over_http("legacy" if way == "http-2025" else "auto"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    found = Service(tmp_path_factory.mktemp("agents"))
    with serving(found.app) as (host, port):
        found.url = f"http://{host}:{port}"
        found.post("/v1/runs/ill/points", {"points": DIVERGING, "context": {"learning_rate": 0.01, "optimizer": "sgd"}})
        yield found


async def listeners(app: FastAPI, number: int) -> None:
    """Wait until so many listen."""
    while app.state.feed.listeners != number:  # noqa: ASYNC110 - the service has no reason to say when
        await asyncio.sleep(0.01)


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_an_agent_goes_from_the_list_of_runs_to_the_number_to_change(service: Service, way: str) -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"list_runs", "report", "diagnose", "explain_finding", "catalogue", "wait_for_change"}
        assert all(tool.annotations.read_only_hint and tool.description for tool in tools.values())
        assert ("path" in tools["diagnose"].input_schema["properties"]) == (way == "stdio")

        runs = (await client.call_tool("list_runs", {"status": "critical"})).structured_content["runs"]
        assert [(run["run"], run["project"], run["action"]) for run in runs] == [("ill", "a", "stop")]
        report = (await client.call_tool("report", {"run": "ill"})).structured_content
        finding = report["findings"][0]
        assert (finding["condition"], finding["advice"][0]["action"]) == ("diverging", "set_learning_rate")
        told = (await client.call_tool("explain_finding", {"run": "ill", "finding": finding["id"]})).structured_content
        assert told["opened_step"] in [row["step"] for row in told["values"]]

        page = await client.call_tool("catalogue", {"name": finding["condition"]})
        assert text_of(page).startswith("# The loss is diverging")
        cause = await client.call_tool("catalogue", {"name": finding["causes"][0]["cause"]})
        assert text_of(cause).startswith("# ")
        names = text_of(await client.call_tool("catalogue"))
        assert "`diverging`" in names
        assert "`learning_rate_too_high`" in names

        known = {"learning_rate": 0.01, "optimizer": "sgd", "nesterov": False}
        verdict = (await client.call_tool("diagnose", {"log": LOG, "known": known})).structured_content
        assert verdict["findings"][0]["advice"] == finding["advice"]
        assert verdict["read"]["points"] == len(DIVERGING)

    service.call(way, work)


def test_an_error_says_what_to_do_and_is_no_crash(service: Service) -> None:
    async def work(client: Client) -> None:
        for tool, given, said in (
            ("report", {"run": "none-such"}, "404: The project has no run of this name"),
            ("report", {"run": "../../livez"}, "404:"),
            ("list_runs", {"state": "happy"}, "422: The parameter state is not as described"),
            ("list_runs", {"project": "b"}, "404: There is no such project"),
            ("list_runs", {"limit": 0}, "greater than or equal to 1"),
            ("catalogue", {"name": "boredom"}, "no such page"),
            ("diagnose", {"log": "nothing to read here"}, "422:"),
            ("diagnose", {"log": LOG, "known": {"learning_rat": 1}}, "learning_rat"),
        ):
            result = await client.call_tool(tool, given)
            assert result.is_error, (tool, given)
            assert said in text_of(result), (tool, given, text_of(result))

    service.call("http", work)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_waiting_ends_with_the_news_and_nothing_is_missed_between_two_waits(service: Service, way: str) -> None:
    run = f"watched-{way}"
    service.post(f"/v1/runs/{run}/points", {"points": [{"step": 0, "loss": 1.0}]})

    async def work(client: Client) -> None:
        async def wait(**given: Any) -> Any:
            return (await client.call_tool("wait_for_change", {"run": run, **given})).structured_content

        nothing = await wait(timeout_s=1)
        assert (nothing["changed"], nothing["events"], nothing["report"]["state"]) == (False, [], "running")

        waiting = asyncio.create_task(wait(timeout_s=PATIENCE_S, after=nothing["next"]))
        await asyncio.to_thread(service.post, f"/v1/runs/{run}/points", {"points": DIVERGING[1:]})
        news = await waiting
        assert news["changed"]
        assert news["events"][0]["kind"] == "finding.opened"
        assert news["events"][0]["finding"]["condition"] == "diverging"
        assert news["report"]["status"] == "critical"

        assert (await wait(timeout_s=PATIENCE_S, version=nothing["report"]["version"]))["changed"], "a newer report"

        await asyncio.to_thread(service.post, f"/v1/runs/{run}/finish", {"state": "failed"})
        for after in (None, news["next"]):
            ended = await wait(timeout_s=PATIENCE_S, after=after)
            assert (ended["changed"], ended["report"]["state"]) == (True, "failed")
        everything = await client.call_tool("wait_for_change", {"timeout_s": PATIENCE_S, "after": news["next"]})
        assert f"{run}" in {event["run"] for event in everything.structured_content["events"]}

    service.call(way, work)


@pytest.mark.slow
def test_a_key_opens_what_its_scope_and_project_open(service: Service) -> None:
    async def outcomes(client: Client) -> dict[str, bool]:
        calls = {
            "list_runs": {},
            "report": {"run": "ill"},
            "wait_for_change": {"run": "ill", "timeout_s": 1},
            "catalogue": {},
            "diagnose": {"log": LOG},
        }
        return {name: not (await client.call_tool(name, given)).is_error for name, given in calls.items()}

    of_runs, of_all = {"list_runs", "report", "wait_for_change"}, {"catalogue", "diagnose"}
    assert {name for name, went in service.call("http", outcomes, "ingest").items() if went} == of_all
    assert {name for name, went in service.call("http", outcomes, "admin").items() if went} == of_runs | of_all
    assert {name for name, went in service.call("http", outcomes, "other").items() if went} == of_all | {"list_runs"}


MESSAGE = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPTS = {"Accept": "application/json, text/event-stream"}


def test_the_door_is_closed_like_every_other(service: Service) -> None:
    def status(headers: dict[str, str], **more: Any) -> tuple[int, str]:
        given = {"json": MESSAGE, "headers": ACCEPTS | headers, "timeout": PATIENCE_S} | more
        answer = httpx.post(f"{service.url}/mcp", **given)
        return answer.status_code, answer.headers["content-type"].partition(";")[0]

    key = {"Authorization": f"Bearer {service.keys['read']}"}
    problem = "application/problem+json"
    assert status({}) == (401, problem)
    assert status({"Authorization": "Bearer lw_nonsense"}) == (401, problem)
    assert status(key)[0] == 200
    assert status(key | {"Host": "evil.example"}) == (421, problem)
    assert status(key | {"Origin": "https://evil.example"}) == (403, problem)
    assert status(key, json={**MESSAGE, "padding": "x" * endpoint.LIMIT}) == (413, problem)
    answer = httpx.get(f"{service.url}/mcp", headers=key, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_service_that_stops_lets_who_waits_go(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    with serving(app) as (host, port):
        url = f"http://{host}:{port}"
        httpx.put(f"{url}/v1/runs/quiet", timeout=PATIENCE_S).raise_for_status()

        async def work() -> Any:
            async with Client(f"{url}/mcp", read_timeout_seconds=PATIENCE_S) as client:
                waiting = asyncio.create_task(client.call_tool("wait_for_change", {"run": "quiet", "timeout_s": 300}))
                await listeners(app, 1)
                app.state.feed.close()  # the first thing that the service does when it stops
                return await waiting

        assert asyncio.run(work()).structured_content["changed"] is False


def test_who_stops_waiting_leaves_no_listener_behind(service: Service) -> None:
    async def work(client: Client) -> None:
        waiting = asyncio.create_task(client.call_tool("wait_for_change", {"timeout_s": 300}))
        await listeners(service.app, 1)
        waiting.cancel()
        await listeners(service.app, 0)

    service.call("http", work)


@pytest.mark.slow
def test_without_the_extra_the_door_and_the_command_say_how_to_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "is_installed", lambda: False)
    with TestClient(create_app(Settings(data_dir=tmp_path)), "http://localhost") as client:
        answer = client.post("/mcp", json=MESSAGE)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert endpoint.INSTALL in answer.json()["detail"]
    hidden = "import sys; sys.modules['mcp'] = None\nfrom losswatch_server.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "mcp"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert endpoint.INSTALL in done.stderr


@pytest.mark.slow
def test_on_an_agents_machine_logs_are_read_without_a_service(tmp_path: Path) -> None:
    log = tmp_path / "train.csv"
    log.write_text(LOG)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOSSWATCH_")}
    server = StdioServerParameters(command=COMMAND, args=["mcp", "--service", "http://127.0.0.1:9"], env=environment)

    async def work() -> None:
        async with Client(server, read_timeout_seconds=PATIENCE_S) as client:
            verdict = await client.call_tool("diagnose", {"path": str(log)})
            assert verdict.structured_content["status"] == "critical"
            assert text_of(await client.call_tool("catalogue", {"name": "plateau"})).startswith("# ")
            for given in ({}, {"log": LOG, "path": str(log)}, {"path": str(tmp_path / "none")}):
                assert (await client.call_tool("diagnose", given)).is_error
            away = await client.call_tool("list_runs")
            assert away.is_error
            assert "LOSSWATCH_URL" in text_of(away)

    asyncio.run(work())
