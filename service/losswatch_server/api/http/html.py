"""Plain HTML pages that need nothing from elsewhere and allow nothing from elsewhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--page:#fff;--soft:#f2f4f6;--line:#d0d7de;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--text:#e6e8eb;--page:#14171a;--soft:#23282e;--line:#3a4149;--link:#8ab4f8}}
body{font:16px/1.55 system-ui,sans-serif;max-width:50rem;margin:0 auto;padding:1rem 1rem 4rem;color:var(--text);
background:var(--page)}
h1,h2,h3{line-height:1.25}h2{margin-top:2em}a{color:var(--link)}
nav{font-size:.9em;padding-bottom:.6em;border-bottom:1px solid var(--line)}
code,pre{font:.9em ui-monospace,monospace;background:var(--soft);border-radius:4px}code{padding:.1em .3em}
pre{padding:.8em;overflow-x:auto}pre code{padding:0;font-size:1em}
table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{padding:.35em .7em;text-align:left;vertical-align:top;border:1px solid var(--line)}
svg{max-width:100%;height:auto}
input,button{font:inherit;color:var(--text);background:var(--page);border:1px solid var(--line);border-radius:6px;
box-sizing:border-box;min-height:44px;max-width:100%;padding:.3rem .7rem}
input{width:32rem}button{background:var(--soft);font-weight:600;padding:.3rem 1.2rem;cursor:pointer}
"""

_STYLE_HASH = "'sha256-" + b64encode(hashlib.sha256(STYLE.encode()).digest()).decode() + "'"
_COMMON = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

DOCUMENTATION = ("Documentation", "/docs")
CONDITIONS = ("Conditions", "/v1/conditions")
CAUSES = ("Causes", "/v1/causes")


def policy(**allowed: str) -> str:
    """A content security policy that allows nothing but what is named (``script_src="'self'"``)."""
    directives = {"default-src": "'none'", "form-action": "'none'"}
    directives |= {name.replace("_", "-"): value for name, value in allowed.items()}
    directives |= {"base-uri": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def html_page(title: str, body: str, way: Sequence[tuple[str, str]] = (), *, forms: bool = False) -> HTMLResponse:
    """A page with the given body, which is HTML already. ``way``: words and address of each page above it; ``forms``:
    whether it may send forms to this service."""
    page = html_response(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Losswatch</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"{_way_back(title, way)}<main>{body}</main></body></html>",
        policy(style_src=_STYLE_HASH, **({"form_action": "'self'"} if forms else {})),
    )
    if forms:  # under no-referrer a browser sends a form with "Origin: null", which is that of a foreign page
        page.headers["Referrer-Policy"] = "same-origin"
    return page


def html_response(text: str, content_security_policy: str) -> HTMLResponse:
    """HTML with its security headers."""
    return HTMLResponse(text, headers={**_COMMON, "Content-Security-Policy": content_security_policy})


def _way_back(title: str, way: Sequence[tuple[str, str]]) -> str:
    links = [f'<a href="{escape(address)}">{escape(words)}</a>' for words, address in (("Losswatch", "/"), *way)]
    return f'<nav aria-label="Breadcrumb">{" / ".join((*links, escape(title)))}</nav>'
