"""The API's documentation, from files that are installed with the service: it works without a network."""

from __future__ import annotations

from html import escape
from importlib import resources

from fastapi import APIRouter
from starlette.responses import FileResponse, RedirectResponse, Response

from losswatch_server.api.html import html_page, html_response, policy
from losswatch_server.api.problems import KINDS, NOT_FOUND, ProblemError

router = APIRouter(include_in_schema=False)

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null});\n'
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Losswatch API</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="/docs/assets/favicon.png"><link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="docs"></div><noscript>This page needs JavaScript; <a href="/openapi.json">openapi.json</a> says the
same.</noscript>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script></body></html>
"""
# Swagger UI sets style attributes and draws its icons from data URLs.
_POLICY = policy(script_src="'self'", style_src="'self' 'unsafe-inline'", img_src="'self' data:", connect_src="'self'")


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/docs", 307)


@router.get("/docs")
async def docs() -> Response:
    return html_response(_PAGE, _POLICY)


@router.get("/docs/problems")
async def problems() -> Response:
    rows = "".join(
        f'<h2 id="{kind.slug}">{escape(kind.title)}</h2>'
        f"<p><code>{kind.status}</code> <code>{escape(kind.type)}</code></p>"
        f"<p>{escape(kind.meaning)}</p>"
        for kind in KINDS
    )
    return html_page("Problems", f"<h1>What the service may answer when it cannot do what was asked</h1>{rows}")


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    headers = {"Cache-Control": "max-age=86400"}
    if name == "start.js":
        return Response(_START, headers=headers, media_type="text/javascript")
    if name not in _ASSETS:
        raise ProblemError(NOT_FOUND, "The documentation has no such file.")
    with resources.as_file(resources.files("fastapi_offline") / "static" / name) as path:
        return FileResponse(path, headers=headers, media_type=_ASSETS[name])
