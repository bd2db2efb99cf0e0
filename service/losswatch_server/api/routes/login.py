"""Logging in with an API key, for the pages: a form, and the cookie of a session."""

from __future__ import annotations

import time
from html import escape
from typing import cast
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from losswatch_server.api.http.authentication import session_of
from losswatch_server.api.http.body import read_as
from losswatch_server.api.http.html import html_page
from losswatch_server.keys import KeyRing
from losswatch_server.keys.session import COOKIE, LASTS_S, sealed

router = APIRouter(include_in_schema=False)

FORM_LIMIT = 4096


@router.get("/login")
async def login_page(request: Request) -> Response:
    ring = cast("KeyRing", request.app.state.keys)
    if not ring.is_on:
        return RedirectResponse("/", 303)
    return _form(_local(request.query_params.get("next")), session_of(request.scope, ring) is not None)


@router.post("/login")
async def log_in(request: Request) -> Response:
    ring = cast("KeyRing", request.app.state.keys)
    fields = await read_as(request, FORM_LIMIT, lambda raw: parse_qs(raw.decode("utf-8", "replace")))
    back = _local(fields.get("next", [""])[0])
    key = ring.find(fields.get("key", [""])[0])
    if key is None:
        page = _form(back, False, "This key is mistyped, expired or revoked.")
        page.status_code = 401
        return page
    response = RedirectResponse(back, 303)
    response.set_cookie(
        COOKIE,
        sealed(key, time.time()),
        max_age=LASTS_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def log_out() -> Response:
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _local(where: str | None) -> str:
    """The address to go on to: a path of this service, else its first page."""
    parts = urlsplit(where or "/")
    if parts.scheme or parts.netloc or not (where or "").startswith("/") or (where or "").startswith(("//", "/\\")):
        return "/"
    return where or "/"


def _form(back: str, logged_in: bool, wrong: str = "") -> Response:
    said = f'<p role="alert"><strong>{escape(wrong)}</strong></p>' if wrong else ""
    out = '<form method="post" action="/logout"><button>Log out</button></form>' if logged_in else ""
    body = (
        f'<h1>Log in</h1>{said}<form method="post" action="/login"><p><label for="key">API key</label><br>'
        '<input id="key" name="key" type="password" size="60" autocomplete="current-password" required autofocus></p>'
        f'<input type="hidden" name="next" value="{escape(back)}"><p><button>Log in</button></p></form>{out}'
        "<p>Whoever runs the service makes keys: <code>losswatch-server keys create --project default --scope read"
        "</code>. A key with the scope <code>admin</code> can also acknowledge, mute and change targets.</p>"
    )
    return html_page("Log in", body, forms=True)
