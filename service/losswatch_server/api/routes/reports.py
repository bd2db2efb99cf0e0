"""``GET /v1/runs/{run}/report``: the latest report, cheap to poll."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import Project, RunName, answer, refusals
from losswatch_server.api.http.access import UseCases
from losswatch_server.api.http.negotiation import HTML, JSON, preferred
from losswatch_server.api.http.problems import RUN_NOT_FOUND
from losswatch_server.api.http.site_pages import TO_ITS_PAGE, to_page
from losswatch_server.codec.reports import report_bytes

router = APIRouter(tags=["runs"])

_ETAG = {"ETag": {"description": "Changes with the report.", "schema": {"type": "string"}}}


@router.get(
    "/v1/runs/{run}/report",
    operation_id="get_report",
    summary="Read the latest report",
    description=(
        "Send the ETag of the last answer as `If-None-Match`; 304 means that nothing has changed. "
        "A browser is led to the run's page."
    ),
    responses={
        200: {**answer(200, schemas.Report, "The report.", examples.REPORT)[200], "headers": _ETAG},
        303: TO_ITS_PAGE,
        304: {"description": "Nothing has changed.", "headers": _ETAG},
        **refusals(RUN_NOT_FOUND),
    },
)
async def get_report(
    run: RunName,
    runs: UseCases,
    project: Project = "default",
    if_none_match: Annotated[str | None, Header(description="The ETag of the report that is known.")] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    if preferred(accept, (JSON, HTML)) == HTML:
        await runs.get(project, run)
        return to_page(f"/runs/{run}", project=project)
    report = await runs.report(project, run)
    body = report_bytes(report)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept"}
    if if_none_match is not None and matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as RFC 9110 asks for If-None-Match."""
    known = {item.strip().removeprefix("W/") for item in if_none_match.split(",")}
    return "*" in known or etag in known
