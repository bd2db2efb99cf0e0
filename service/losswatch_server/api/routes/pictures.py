"""``GET /v1/runs/{run}/chart.svg``, ``chart.png``, ``badge.svg``: pictures for messages, mails and READMEs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from losswatch_server.api.description.describe import Project, RunName, refusals
from losswatch_server.api.http.access import UseCases
from losswatch_server.api.http.authentication import PROJECT
from losswatch_server.api.http.body import share_of
from losswatch_server.api.http.html import policy
from losswatch_server.api.http.load import POINT
from losswatch_server.api.http.problems import RUN_NOT_FOUND
from losswatch_server.api.routes.reports import matches
from losswatch_server.keys.picture import picture_token
from losswatch_server.pictures.badge import badge
from losswatch_server.pictures.chart import chart
from losswatch_server.pictures.gather import picture_of, tag_of
from losswatch_server.pictures.of_run import RESOLUTION, run_picture
from losswatch_server.pictures.png import MEMORY, png
from losswatch_server.pictures.scene import Scene
from losswatch_server.pictures.svg import svg
from losswatch_server.runs import Runs
from losswatch_server.runs.answers import Report

router = APIRouter(tags=["runs"])

SVG, PNG = "image/svg+xml", "image/png"
SVG_POLICY = policy(style_src="'unsafe-inline'") + "; sandbox"
"""Of the SVG opened by itself: it holds a style sheet and nothing else."""

_ETAG = {"ETag": {"description": "Changes with the picture.", "schema": {"type": "string"}}}
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the picture that is known.")]
Version = Annotated[
    int | None,
    Query(description="Changes nothing. A number of your own, such as the run's `version`, keeps caches from showing "
          "an older picture.", ge=0, le=2**53),
]  # fmt: skip


Token = Annotated[
    str | None,
    Query(description="Where keys are on: opens this one picture without a key, for chat services and READMEs. The "
          "`Content-Location` of the answer to a request with a key has it.", max_length=256),
]  # fmt: skip


def _responses(media_type: str, what: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string"} if media_type == SVG else {"type": "string", "format": "binary"}
    example = '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="420">…</svg>' if media_type == SVG else "…"
    return {
        200: {
            "description": what,
            "content": {media_type: {"schema": schema, "example": example}},
            "headers": _ETAG,
        },
        304: {"description": "Nothing has changed.", "headers": _ETAG},
        **refusals(RUN_NOT_FOUND),
    }


@router.get(
    "/v1/runs/{run}/chart.svg",
    operation_id="get_chart_svg",
    summary="Draw a run as SVG",
    description=(
        "The loss over the steps, logarithmic where it spans more than a factor of ten; the validation loss; what an "
        "earlier attempt did in grey; NaN and infinities as marks at the edge; and open findings where they began and "
        "where they were found. Light or dark as the viewer prefers."
    ),
    response_class=Response,
    responses=_responses(SVG, "The chart."),
)
async def get_chart_svg(
    request: Request, run: RunName, runs: UseCases, project: Project = "default", version: Version = None,
    token: Token = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    del version, token
    share_of(request).take(POINT * RESOLUTION)
    return _with_address(request, await _drawn(runs, project, run, "chart.svg", if_none_match, SVG, _as_svg))


@router.get(
    "/v1/runs/{run}/chart.png",
    operation_id="get_chart_png",
    summary="Draw a run as PNG",
    description="The same as `chart.svg`, 1600 x 840 pixels on light ground: for chat and mail, which show no SVG.",
    response_class=Response,
    responses=_responses(PNG, "The chart."),
)
async def get_chart_png(
    request: Request, run: RunName, runs: UseCases, project: Project = "default", version: Version = None,
    token: Token = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    del version, token
    share_of(request).take(MEMORY)
    return _with_address(request, await _drawn(runs, project, run, "chart.png", if_none_match, PNG, png))


@router.get(
    "/v1/runs/{run}/badge.svg",
    operation_id="get_badge_svg",
    summary="Draw a run's status as a badge",
    description="Its status and last step, as high as a line of text: for a README or a wiki.",
    response_class=Response,
    responses=_responses(SVG, "The badge."),
)
async def get_badge_svg(
    request: Request, run: RunName, runs: UseCases, project: Project = "default", version: Version = None,
    token: Token = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    del version, token
    report = await runs.report(project, run)
    known = _unchanged(report, "badge.svg", if_none_match)
    drawn = known or _picture(_as_svg(badge(run_picture(report, ()))), report, "badge.svg", SVG)
    return _with_address(request, drawn)


async def _drawn(
    runs: Runs, project: str, run: str, kind: str, if_none_match: str | None, media_type: str,
    write: Callable[[Scene], bytes],
) -> Response:  # fmt: skip
    report = await runs.report(project, run)
    if (known := _unchanged(report, kind, if_none_match)) is not None:
        return known
    picture = await picture_of(runs, project, run, report)
    body = await asyncio.to_thread(lambda: write(chart(picture)))
    return _picture(body, report, kind, media_type)


def _with_address(request: Request, answer: Response) -> Response:
    """Where keys are on, the answer says under which address the picture needs none."""
    project, path = request.scope.get(PROJECT), request.url.path
    token = None if project is None else picture_token(request.app.state.keys, project, path)
    if token is not None:
        answer.headers["Content-Location"] = f"{path}?{urlencode({'project': project, 'token': token})}"
    return answer


def _as_svg(scene: Scene) -> bytes:
    return svg(scene).encode()


def _unchanged(report: Report, kind: str, if_none_match: str | None) -> Response | None:
    headers = _headers(report, kind)
    if if_none_match is not None and matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return None


def _picture(body: bytes, report: Report, kind: str, media_type: str) -> Response:
    headers = _headers(report, kind) | ({"Content-Security-Policy": SVG_POLICY} if media_type == SVG else {})
    return Response(body, headers=headers, media_type=media_type)


def _headers(report: Report, kind: str) -> dict[str, str]:
    return {"ETag": f'"{tag_of(report, kind)}"', "Cache-Control": "no-cache"}
