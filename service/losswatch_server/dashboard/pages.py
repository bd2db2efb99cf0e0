"""The routes of the dashboard. A page is a frame with the names in its address; its script reads the rest from /v1."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from losswatch_server import __version__, catalogue
from losswatch_server.dashboard.assets import address, assets, imported, version
from losswatch_server.keys.session import COOKIE, opened
from losswatch_server.runs import RunNotFoundError
from losswatch_server.store.errors import StoreError
from losswatch_server.store.rows import RunRow

router = APIRouter(include_in_schema=False)

_SLUG = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
Project = Annotated[str, Query(pattern=_SLUG)]
RunName = Annotated[str, Path(alias="run", pattern=_SLUG)]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing of another origin, nothing inline: a text that slipped through as HTML could still run nothing."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
_FOREVER = "public, max-age=31536000, immutable"

_templates = Environment(
    loader=FileSystemLoader(FilePath(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(asset=address, imported=imported, service_version=__version__)


@cache
def searchable_words() -> Mapping[str, str]:
    """The words of each entry of the catalogue by its address, each once and without those that most entries have."""
    of_entry = {
        entry.url: set(re.findall(r"[\w.]{3,}", f"{entry.title} {entry.name} {entry.markdown}".lower()))
        for entry in (*catalogue.conditions(), *catalogue.causes())
    }
    times = Counter(word for words in of_entry.values() for word in words)
    return {
        url: " ".join(sorted(word for word in words if times[word] <= len(of_entry) / 2))
        for url, words in of_entry.items()
    }


def _page(request: Request, template: str, project: str = "default", status: int = 200, **values: Any) -> Response:
    text = _templates.get_template(template).render(project=project, logged_in=_has_session(request), **values)
    return HTMLResponse(text, status, HEADERS)


def _has_session(request: Request) -> bool:
    """Whether this browser has logged in with a key, and can log out."""
    ring, cookie = getattr(request.app.state, "keys", None), request.cookies.get(COOKIE)
    return ring is not None and ring.is_on and cookie is not None and opened(cookie, ring, time.time()) is not None


def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """What a browser shows for an address that has no page."""
    return _page(request, "missing.html", status=status, title=title, detail=detail)


@router.get("/")
async def runs_page(request: Request, project: Project = "default") -> Response:
    return _page(request, "runs.html", project)


@router.get("/runs/{run}")
async def run_page(request: Request, run: RunName, project: Project = "default") -> Response:
    base = (getattr(request.app.state, "base_url", None) or "").rstrip("/")
    try:
        row, status = await _known(request, run, project), 200
    except RunNotFoundError:
        row, status = None, 404
    return _page(request, "run.html", project, status, run=run, base=base, row=row)


async def _known(request: Request, run: str, project: str) -> RunRow | None:
    """What may be said of the run before anybody has logged in. Raises RunNotFoundError.

    With keys on nothing is said here: the page's own calls have the session, this request may have none. Nor where
    the store cannot answer: the page says that, and comes by itself when it can.
    """
    ring = getattr(request.app.state, "keys", None)
    if ring is not None and ring.is_on:
        return None
    try:
        found: RunRow = await request.app.state.runs.get(project, run)
    except StoreError:
        return None
    return found


@router.get("/compare")
async def compare_page(request: Request, project: Project = "default") -> Response:
    return _page(request, "compare.html", project)


@router.get("/findings")
async def findings_page(request: Request, project: Project = "default") -> Response:
    return _page(request, "findings.html", project)


@router.get("/paste")
async def paste_page(request: Request, project: Project = "default") -> Response:
    return _page(request, "paste.html", project)


@router.get("/notifications")
async def notifications_page(request: Request, project: Project = "default") -> Response:
    return _page(request, "notifications.html", project)


@router.get("/catalogue")
async def catalogue_page(request: Request, project: Project = "default") -> Response:
    return _page(
        request,
        "catalogue.html",
        project,
        conditions=catalogue.conditions(),
        causes=catalogue.causes(),
        searchable=searchable_words(),
    )


@router.get("/catalogue/{kind}/{name}")
async def catalogue_entry_page(request: Request, kind: str, name: str, project: Project = "default") -> Response:
    try:
        found = catalogue.page("cause" if kind == "causes" else "condition", name)
    except KeyError:
        return error_page(request, 404, "There is no such entry", "The catalogue has all of them.")
    html = found.html.replace('href="/v1/conditions/', 'href="/catalogue/conditions/')
    html = html.replace('href="/v1/causes/', 'href="/catalogue/causes/')
    return _page(request, "entry.html", project, entry=found, html=html)


@router.get("/assets/{of}/{name:path}")
async def asset(
    of: str,
    name: str,
    accept_encoding: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    found = assets().get(name)
    if found is None:
        return Response(status_code=404, headers={"Cache-Control": "no-store"})
    # A tab that was open during an upgrade still asks under the old address; it gets the new file, but not for long.
    headers = {
        "Cache-Control": _FOREVER if of == version() else "no-cache",
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
    }
    if found.etag in if_none_match:
        return Response(status_code=304, headers=headers)
    if "gzip" in accept_encoding:
        return Response(found.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)
