"""The catalogue of conditions and causes: JSON, markdown or HTML by ``Accept``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from losswatch_server import catalogue
from losswatch_server.api import examples, schemas
from losswatch_server.api.access import json_answer
from losswatch_server.api.describe import answer, refusals
from losswatch_server.api.html import html_page
from losswatch_server.api.negotiation import preferred
from losswatch_server.api.problems import PAGE_NOT_FOUND, ProblemError
from losswatch_server.catalogue.pages import Kind, Page

router = APIRouter(tags=["catalogue"])

JSON, MARKDOWN, HTML = "application/json", "text/markdown", "text/html"
Name = Annotated[str, Path(max_length=64, description="The name of the condition or cause.", examples=["diverging"])]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def _page_answers() -> dict[int | str, dict[str, Any]]:
    found = answer(200, schemas.Page, "The page: JSON, markdown or HTML by `Accept`.", examples.PAGE)
    found[200]["content"][MARKDOWN] = {"schema": {"type": "string"}, "example": examples.PAGE["markdown"]}
    found[200]["content"][HTML] = {"schema": {"type": "string"}, "example": "<h1>Diverging</h1>"}
    return {**found, **refusals(PAGE_NOT_FOUND)}


@router.get(
    "/v1/conditions",
    operation_id="list_conditions",
    summary="List the conditions",
    responses={
        **answer(200, schemas.Conditions, "Every condition.", examples.CONDITIONS),
        **refusals(parameters=False),
    },
)
async def list_conditions() -> Response:
    return json_answer({"conditions": [_line(page) for page in catalogue.conditions()]})


@router.get(
    "/v1/causes",
    operation_id="list_causes",
    summary="List the causes",
    responses={**answer(200, schemas.Causes, "Every cause.", examples.CAUSES), **refusals(parameters=False)},
)
async def list_causes() -> Response:
    return json_answer({"causes": [_line(page) for page in catalogue.causes()]})


@router.get(
    "/v1/conditions/{name}", operation_id="get_condition", summary="Explain a condition", responses=_page_answers()
)
async def get_condition(name: Name, accept: Accept = None) -> Response:
    return _answer("condition", name, accept)


@router.get("/v1/causes/{name}", operation_id="get_cause", summary="Explain a cause", responses=_page_answers())
async def get_cause(name: Name, accept: Accept = None) -> Response:
    return _answer("cause", name, accept)


def _answer(kind: Kind, name: str, accept: str | None) -> Response:
    try:
        page = catalogue.page(kind, name)
    except KeyError as error:
        raise ProblemError(
            PAGE_NOT_FOUND, f"There is no {kind} of this name. GET /v1/{kind}s lists all of them."
        ) from error
    headers = {"Vary": "Accept", "Cache-Control": "max-age=300"}
    match preferred(accept, (JSON, MARKDOWN, HTML)):
        case "text/markdown":
            return Response(page.markdown, headers=headers, media_type=MARKDOWN)
        case "text/html":
            response = html_page(page.title, page.html)
            response.headers.update(headers)
            return response
    return json_answer({**_line(page), "kind": page.kind, "markdown": page.markdown}, headers=headers)


def _line(page: Page) -> dict[str, Any]:
    return {"name": page.name, "title": page.title, "summary": page.summary, "url": page.url}
