"""The documentation, from files that are installed with the service: it works without a network."""

from __future__ import annotations

from html import escape
from importlib import resources

from fastapi import APIRouter
from starlette.responses import FileResponse, RedirectResponse, Response

from losswatch_server import docs
from losswatch_server.api.http.html import DOCUMENTATION, html_page, html_response, policy
from losswatch_server.api.http.problems import KINDS, NOT_FOUND, ProblemError
from losswatch_server.catalogue.markdown import render_inline

router = APIRouter(include_in_schema=False)

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null});\n'
_INTERACTIVE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>HTTP API · Losswatch</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="/docs/assets/favicon.png"><link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><p><a href="/docs">Documentation</a></p><div id="docs"></div><noscript>This page needs JavaScript;
<a href="/openapi.json">openapi.json</a> says the same.</noscript>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script></body></html>
"""
# Swagger UI sets style attributes and draws its icons from data URLs.
_POLICY = policy(script_src="'self'", style_src="'self' 'unsafe-inline'", img_src="'self' data:", connect_src="'self'")


@router.get("/docs")
async def contents() -> Response:
    return _page(docs.contents()[0])


@router.get("/docs/api")
async def interactive() -> Response:
    return html_response(_INTERACTIVE, _POLICY)


@router.get("/docs/problems")
async def problems() -> Response:
    rows = "".join(
        f'<h2 id="{kind.slug}">{escape(kind.title)}</h2>'
        f"<p><code>{kind.status}</code> <code>{escape(kind.type)}</code></p>"
        f"<p>{render_inline(kind.meaning)}</p>"
        for kind in KINDS
    )
    return html_page("Errors", f"<h1>Errors</h1><p>By the <code>type</code> of the answer.</p>{rows}", (DOCUMENTATION,))


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    headers = {"Cache-Control": "max-age=86400"}
    if name == "start.js":
        return Response(_START, headers=headers, media_type="text/javascript")
    if name not in _ASSETS:
        raise ProblemError(NOT_FOUND, "The documentation has no such file.")
    with resources.as_file(resources.files("fastapi_offline") / "static" / name) as path:
        return FileResponse(path, headers=headers, media_type=_ASSETS[name])


@router.get("/llms.txt")
async def llms() -> Response:
    return Response(docs.llms(), media_type="text/markdown")


@router.get("/docs/{name}")
async def page(name: str) -> Response:
    try:
        found = docs.page(name.removesuffix(".md"))
    except KeyError:
        raise ProblemError(NOT_FOUND, "The documentation has no such page. GET /docs lists all of them.") from None
    if name.endswith(".md"):
        return Response(found.markdown, media_type="text/markdown")
    return RedirectResponse(found.url, 307) if found.name == docs.CONTENTS else _page(found, (DOCUMENTATION,))


def _page(found: docs.DocumentationPage, way: tuple[tuple[str, str], ...] = ()) -> Response:
    return html_page(found.title, found.html, way)
