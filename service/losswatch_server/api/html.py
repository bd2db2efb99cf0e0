"""Plain HTML pages that need nothing from elsewhere and allow nothing from elsewhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape

from starlette.responses import HTMLResponse

STYLE = """
body{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1,h2,h3{line-height:1.25}code,pre{font:.9em ui-monospace,monospace;background:#f2f4f6}code{padding:.1em .3em}
pre{padding:.8em;overflow:auto}table{border-collapse:collapse}td,th{padding:.35em .7em;text-align:left}
td,th{border:1px solid #d0d7de}
a{color:#0b57d0}@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171a}code,pre{background:#23282e}
a{color:#8ab4f8}td,th{border-color:#3a4149}}
"""

_STYLE_HASH = "'sha256-" + b64encode(hashlib.sha256(STYLE.encode()).digest()).decode() + "'"
_COMMON = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def policy(**allowed: str) -> str:
    """A content security policy that allows nothing but what is named (``script_src="'self'"``)."""
    directives = {"default-src": "'none'", **{name.replace("_", "-"): value for name, value in allowed.items()}}
    directives |= {"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def html_page(title: str, body: str) -> HTMLResponse:
    """A page with the given body, which is HTML already."""
    return html_response(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Losswatch</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{body}</body></html>',
        policy(style_src=_STYLE_HASH),
    )


def html_response(text: str, content_security_policy: str) -> HTMLResponse:
    """HTML with its security headers."""
    return HTMLResponse(text, headers={**_COMMON, "Content-Security-Policy": content_security_policy})
