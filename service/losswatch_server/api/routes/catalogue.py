"""The catalogue of conditions and causes: JSON, markdown or HTML by ``Accept``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel
from starlette.responses import Response

from losswatch_server import catalogue
from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import answer, refusals
from losswatch_server.api.http.access import json_answer
from losswatch_server.api.http.html import CAUSES, CONDITIONS, DOCUMENTATION, html_page
from losswatch_server.api.http.negotiation import preferred
from losswatch_server.api.http.problems import PAGE_NOT_FOUND, ProblemError
from losswatch_server.catalogue.pages import Kind, Page

router = APIRouter(tags=["catalogue"])

JSON, MARKDOWN, HTML = "application/json", "text/markdown", "text/html"
_VARIES = {"Vary": "Accept", "Cache-Control": "max-age=300"}
_LISTS: Mapping[Kind, tuple[str, str]] = {"condition": CONDITIONS, "cause": CAUSES}
_INTRODUCTIONS: Mapping[Kind, str] = {
    "condition": "What Losswatch can find in a run, in the order in which a headline prefers them.",
    "cause": "Why it may have happened. A finding names its most probable causes, and a check that tells them apart.",
}
Name = Annotated[str, Path(max_length=64, description="The name of the condition or cause.", examples=["diverging"])]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def _line_markdown(line: Mapping[str, Any]) -> str:
    return f"- [{line['title']}]({line['url']}) (`{line['name']}`): {line['summary']}\n"


def _line_html(line: Mapping[str, Any]) -> str:
    title, name, summary = (escape(line[field]) for field in ("title", "name", "summary"))
    return f'<li><a href="{escape(line["url"])}">{title}</a> (<code>{name}</code>): {summary}</li>'


def _in_three_forms(found: dict[int | str, dict[str, Any]], markdown: str, html: str) -> dict[int | str, Any]:
    found[200]["content"][MARKDOWN] = {"schema": {"type": "string"}, "example": markdown}
    found[200]["content"][HTML] = {"schema": {"type": "string"}, "example": html}
    return found


def _page_answers() -> dict[int | str, dict[str, Any]]:
    found = answer(200, schemas.Page, "The page: JSON, markdown or HTML by `Accept`.", examples.PAGE)
    return {
        **_in_three_forms(found, examples.PAGE["markdown"], "<h1>The loss is diverging</h1>"),
        **refusals(PAGE_NOT_FOUND),
    }


def _list_answers(model: type[BaseModel], description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    found = answer(200, model, f"{description} JSON, markdown or HTML by `Accept`.", example)
    (lines,) = example.values()
    return {
        **_in_three_forms(found, _line_markdown(lines[0]), _line_html(lines[0])),
        **refusals(),
    }


@router.get(
    "/v1/conditions",
    operation_id="list_conditions",
    summary="List the conditions",
    responses=_list_answers(schemas.Conditions, "Every condition.", examples.CONDITIONS),
)
async def list_conditions(accept: Accept = None) -> Response:
    return _list("condition", catalogue.conditions(), accept)


@router.get(
    "/v1/causes",
    operation_id="list_causes",
    summary="List the causes",
    responses=_list_answers(schemas.Causes, "Every cause.", examples.CAUSES),
)
async def list_causes(accept: Accept = None) -> Response:
    return _list("cause", catalogue.causes(), accept)


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
    match preferred(accept, (JSON, MARKDOWN, HTML)):
        case "text/markdown":
            return Response(page.markdown, headers=_VARIES, media_type=MARKDOWN)
        case "text/html":
            return _html(page.title, page.html, (DOCUMENTATION, _LISTS[kind]))
    return json_answer({**_line(page), "kind": page.kind, "markdown": page.markdown}, headers=_VARIES)


def _list(kind: Kind, pages: Sequence[Page], accept: str | None) -> Response:
    title, introduction = _LISTS[kind][0], _INTRODUCTIONS[kind]
    lines = [_line(page) for page in pages]
    match preferred(accept, (JSON, MARKDOWN, HTML)):
        case "text/markdown":
            text = f"# {title}\n\n{introduction}\n\n" + "".join(_line_markdown(line) for line in lines)
            return Response(text, headers=_VARIES, media_type=MARKDOWN)
        case "text/html":
            items = "".join(_line_html(line) for line in lines)
            return _html(title, f"<h1>{title}</h1><p>{introduction}</p><ul>{items}</ul>", (DOCUMENTATION,))
    return json_answer({f"{kind}s": lines}, headers=_VARIES)


def _html(title: str, body: str, way: Sequence[tuple[str, str]]) -> Response:
    response = html_page(title, body, way)
    response.headers.update(_VARIES)
    return response


def _line(page: Page) -> dict[str, Any]:
    return {"name": page.name, "title": page.title, "summary": page.summary, "url": page.url}
