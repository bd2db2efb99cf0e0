"""The tools: what an agent that watches a training needs, each a call or two of the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from losswatch_server import __version__
from losswatch_server.agents.service import Caller, Service, StreamedEvent

INSTRUCTIONS = """\
Losswatch watches training runs. A run's report says how it is doing (status: waiting, healthy, warning, critical), \
why (causes with probabilities, and the check that tells them apart) and what to change (advice with numbers). \
`action` is for the loop: continue, look, or stop, which is said only where going on is pointless.
To watch a live run call wait_for_change in a loop, each time with the `next` of the last answer, instead of polling \
its log. To judge a training that is over, or that does not post to Losswatch, call diagnose with its log as it is.
Quote numbers as they are; do not restate a probability as a certainty."""

LONGEST_LOG = 64 << 20
LONGEST_EXPLANATION = 100
"""Rows of an explanation that are given: more says no more to a reader."""
LONGEST_WAIT_S = 300
TOGETHER_S = 0.3
"""How long after an event others are waited for: one thing often makes several."""
ENDED = ("finished", "failed", "cancelled")

RunName = Annotated[str, Field(description="The run's name, as list_runs gives it.")]
Project = Annotated[str | None, Field(description="The project; leave it out for your own.")]
Text = Annotated[
    str | None,
    Field(description="The log as it is: console output, CSV, JSON lines, a trainer state file. Whole, or an excerpt."),
]
LogPath = Annotated[str | None, Field(description="A log file on this machine, in place of `log`.")]
Known = Annotated[
    dict[str, str | float | int | bool] | None,
    Field(
        description="What is known of the job; it sharpens the advice. learning_rate, optimizer, batch_size, "
        "total_steps, loss_name, num_classes, warmup_steps, weight_decay, precision and other names of a context; also "
        "loss_column, step_column, validation_column and gradient_norm_column, where `read.doubts` asks for them."
    ),
]
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def tools(service: Service, *, own_files: bool) -> MCPServer:
    """The server with its tools. ``own_files``: whether it may read a log by its path, as one that an agent has
    started on its own machine may, and one that others call may not."""
    server: MCPServer = MCPServer(
        "losswatch",
        title="Losswatch",
        instructions=INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
        subscriptions=False,
    )
    asking = _Asking(service)
    diagnose = asking.diagnose_file if own_files else asking.diagnose
    for tool in (asking.list_runs, asking.report, asking.explain_finding, asking.catalogue, asking.wait_for_change):
        server.add_tool(tool, annotations=_READS)
    server.add_tool(diagnose, name="diagnose", annotations=_READS)
    return server


class _Asking:
    """The tools. What a docstring says, an agent reads."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list_runs(
        self,
        caller: Caller,
        project: Project = None,
        state: Annotated[str | None, Field(description="running, silent, finished, failed or cancelled")] = None,
        status: Annotated[str | None, Field(description="waiting, healthy, warning or critical")] = None,
        group: Annotated[str | None, Field(description="The group of a sweep.")] = None,
        q: Annotated[str | None, Field(description="Part of the name.")] = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
        cursor: Annotated[str | None, Field(description="`next_cursor` of the last answer, for the next page.")] = None,
    ) -> dict[str, Any]:
        """List training runs, newest first, each with its state, status, action and headline."""
        asked = {"project": project, "state": state, "status": status, "group": group, "q": q, "cursor": cursor}
        answer = await self._service.get(caller, "/v1/runs", {**asked, "limit": limit})
        return {"runs": [_row(run) for run in answer["runs"]], "next_cursor": answer["next_cursor"]}

    async def report(self, caller: Caller, run: RunName, project: Project = None) -> dict[str, Any]:
        """Read the report of a run: how it is doing, each finding with its causes and advice, and the forecast."""
        return await self._report(caller, run, project)

    async def explain_finding(
        self,
        caller: Caller,
        run: RunName,
        finding: Annotated[str, Field(description="The finding's `id` in the report.")],
        project: Project = None,
    ) -> dict[str, Any]:
        """Read the numbers behind a finding: its rule, the statistic over time, and its threshold."""
        path = f"/v1/runs/{quote(run, safe='')}/findings/{quote(finding, safe='')}/explain"
        answer: dict[str, Any] = await self._service.get(caller, path, {"project": project})
        rows = answer["values"]
        every = -(-len(rows) // LONGEST_EXPLANATION)
        if every > 1:
            kept = {answer["onset_step"], answer["opened_step"]}
            answer["values"] = [row for i, row in enumerate(rows) if i % every == 0 or row["step"] in kept]
            answer["values_left_out"] = len(rows) - len(answer["values"])
        return answer

    async def catalogue(
        self,
        caller: Caller,
        name: Annotated[str | None, Field(description="A condition or a cause; leave it out for all names.")] = None,
    ) -> str:
        """Read what a condition (such as diverging) or a cause (such as learning_rate_too_high) means, how it is
        recognised, what to do about it, and how often it is wrong. Markdown."""
        if name is None:
            pages = [await self._service.page(caller, f"/v1/{kind}") for kind in ("conditions", "causes")]
            return "\n\n".join(page for page in pages if page)
        for kind in ("conditions", "causes"):
            page = await self._service.page(caller, f"/v1/{kind}/{quote(name, safe='')}")
            if page is not None:
                return page
        raise ToolError("The catalogue has no such page. Call catalogue without a name for all of them.")

    async def diagnose(self, caller: Caller, log: Text, known: Known = None) -> dict[str, Any]:
        """Judge a training by its log; nothing is stored. `read` in the answer says what was read as what, and
        `suspicions` what is most likely wrong where nothing is wrong beyond doubt."""
        return await self._read(caller, (log or "").encode(), known)

    async def diagnose_file(
        self, caller: Caller, log: Text = None, path: LogPath = None, known: Known = None
    ) -> dict[str, Any]:
        """Judge a training by its log, given as text or by its path; nothing is stored. `read` in the answer says what
        was read as what, and `suspicions` what is most likely wrong where nothing is wrong beyond doubt."""
        if (log is None) == (path is None):
            raise ToolError("Give either `log`, the text, or `path`, a file.")
        raw = (log or "").encode() if path is None else await asyncio.to_thread(_contents, path)
        return await self._read(caller, raw, known)

    async def wait_for_change(
        self,
        caller: Caller,
        run: Annotated[str | None, Field(description="The run; leave it out for all runs of the project.")] = None,
        timeout_s: Annotated[float, Field(ge=1, le=LONGEST_WAIT_S, description="Seconds to wait at most.")] = 50,
        after: Annotated[
            str | None, Field(description="`next` of the last answer, so that nothing in between is missed.")
        ] = None,
        version: Annotated[
            int | None,
            Field(description="`version` of the report that you have: any newer report is news then."),
        ] = None,
        project: Project = None,
    ) -> dict[str, Any]:
        """Wait until there is news: a finding opened, worsened or resolved, a run ended, fell silent or came back.
        `changed` says whether there is any within the time, `events` what happened; of one run its report comes along.
        Where a run has ended it returns at once. Call it in a loop with `next` as `after`."""
        path = "/v1/events" if run is None else f"/v1/runs/{quote(run, safe='')}/events"
        heard: list[StreamedEvent] = []
        place, report = after, None
        async with self._service.events(caller, path, {"project": project}, after) as events:
            try:
                async with asyncio.timeout(timeout_s) as waiting:
                    async for event in events:
                        place = event.id or place
                        if event.name == "hello":
                            report = None if run is None else await self._report(caller, run, project)
                            if report is not None and _is_news(report, version):
                                break
                        elif event.name != "report" or version is not None:
                            heard.append(event)
                            waiting.reschedule(asyncio.get_running_loop().time() + TOGETHER_S)
            except TimeoutError:
                pass
        if heard and run is not None:
            gone = any(event.name == "run.deleted" for event in heard)
            report = None if gone else await self._report(caller, run, project)
        changed = bool(heard) or (report is not None and _is_news(report, version))
        return {"changed": changed, "events": [_event(one) for one in heard], "next": place, "report": report}

    async def _report(self, caller: Caller, run: str, project: str | None) -> dict[str, Any]:
        path = f"/v1/runs/{quote(run, safe='')}/report"
        report: dict[str, Any] = await self._service.get(caller, path, {"project": project})
        return report

    async def _read(self, caller: Caller, log: bytes, known: Mapping[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = await self._service.read(
            caller, log, {name: _written(value) for name, value in (known or {}).items()}
        )
        return answer


def _written(value: object) -> str:
    """As in a query."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _contents(path: str) -> bytes:
    """A log file. Raises ToolError where it cannot be read or is too long."""
    try:
        with Path(path).expanduser().open("rb") as file:
            raw = file.read(LONGEST_LOG + 1)
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from error
    if len(raw) > LONGEST_LOG:
        raise ToolError(f"{path} has more than {LONGEST_LOG >> 20} MiB. Give a part of it, as `log`.")
    return raw


_ROW = ("run", "project", "state", "status", "action", "headline", "step", "points", "last_seen_at", "error")


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: run.get(name) for name in _ROW}


def _is_news(report: Mapping[str, Any], version: int | None) -> bool:
    """Whether there is nothing to wait for: the run has ended, or its report is newer than the one that is known."""
    return report["state"] in ENDED or (version is not None and report["version"] != version)


def _event(event: StreamedEvent) -> dict[str, Any]:
    """An event for a reader: what, of which run, and the finding; the report beside it has the rest."""
    data = event.data
    run = data.get("run")
    return {
        "kind": event.name,
        "at": data.get("at"),
        "run": run.get("run") if isinstance(run, dict) else run,
        "headline": data.get("headline"),
        "finding": data.get("finding"),
    }
