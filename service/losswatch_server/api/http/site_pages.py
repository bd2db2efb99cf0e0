"""The way from an address of the API to the page of the dashboard that shows the same: what a browser is led to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

TO_ITS_PAGE: dict[str, Any] = {
    "description": "Where a browser asks: the page that shows it.",
    "headers": {"Location": {"description": "The page.", "schema": {"type": "string"}}},
}


def to_page(path: str, **query: Any) -> Response:
    """A redirection to a page; what is None in ``query``, and the default project, is left out."""
    kept = {name: str(value) for name, value in query.items() if value is not None}
    if kept.get("project") == "default":
        del kept["project"]
    address = f"{path}?{urlencode(kept)}" if kept else path
    return RedirectResponse(address, 303, {"Vary": "Accept", "Cache-Control": "no-cache"})
