"""One request to the service, and what its answer means for what was sent."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import httpx

GZIP_FROM_BYTES = 16_384
CONNECT_TIMEOUT_S = 3.0
MAX_RETRY_AFTER_S = 300.0
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_POINTER = re.compile(r"/points/(\d+)(?:/([^/]+))?(?:/|$)")
_CONTEXT_POINTER = re.compile(r"/context/([^/]+)")


class Delivered(NamedTuple):
    """Stored. ``report`` is the run's health, where the answer brought one."""

    report: Optional[Dict[str, Any]]


class Refused(NamedTuple):
    """Understood and refused for good: the bad fields of points by place ("" for a whole point), and of the context."""

    points: Dict[int, Dict[str, str]]
    context: Dict[str, str]
    detail: str


class Away(NamedTuple):
    """Not taken now: worth trying again, not before ``after`` seconds.

    ``status`` is that of the answer, 0 where none came: then nothing else is taken at this address either.
    ``is_ours`` says that a Losswatch service answered, not something else at its address.
    """

    why: str
    after: float
    status: int = 0
    is_ours: bool = False


class Gone(NamedTuple):
    """The run was removed: nothing more of it is wanted."""

    detail: str


Outcome = Union[Delivered, Refused, Away, Gone]


class Transport:
    """A connection that is kept open. Loads httpx with its first request: it is made in the sender thread."""

    def __init__(self, url: str, api_key: Optional[str], user_agent: str) -> None:
        self.url = url
        self._headers = {"content-type": "application/json", "user-agent": user_agent}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._client: Optional[httpx.Client] = None

    def post(self, path: str, project: Optional[str], body: bytes, timeout: float) -> Outcome:
        """Sends ``body``; never raises. The whole answer must be there within ``timeout`` seconds."""
        try:
            client = self._client or self._open()
            headers = {}
            if len(body) >= GZIP_FROM_BYTES:
                import gzip

                body = gzip.compress(body, compresslevel=3)
                headers["content-encoding"] = "gzip"
            deadline = time.monotonic() + timeout
            params = {"project": project} if project else {}
            with client.stream("POST", path, params=params, content=body, headers=headers, timeout=timeout) as answer:
                content = bytearray()
                for chunk in answer.iter_bytes():
                    content += chunk
                    if time.monotonic() > deadline:
                        return Away(f"no whole answer within {timeout:.3g} seconds", 0.0)
                return judge(answer.status_code, bytes(content), answer.headers.get("retry-after"))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here must not reach the training
            self.close()
            return Away(str(error) or type(error).__name__, 0.0)

    def _open(self) -> httpx.Client:
        httpx = _without_command_line()
        parts = urlsplit(self.url)
        self._client = httpx.Client(
            base_url=self.url,
            headers=self._headers,
            # Redirects are not followed, so a plain address never turns into TLS: its certificates (2 MiB) stay away.
            verify=parts.scheme == "https",
            # A proxy for the outside world is not asked for a service on this machine.
            trust_env=parts.hostname not in _LOOPBACK,
            timeout=httpx.Timeout(5.0, connect=CONNECT_TIMEOUT_S),
        )
        return self._client

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # it may be broken: that is why it is closed
                client.close()


def _without_command_line() -> Any:
    """The module ``httpx``. Where click and rich are installed it would load its own command line: 5 MiB, 0.1 s."""
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]  # not to be found, which httpx is prepared for
        try:
            return import_module("httpx")
        finally:
            sys.modules.pop("httpx._main", None)
    return import_module("httpx")


def run_path(run: str, call: str) -> str:
    """The path of a call below a run."""
    return f"/v1/runs/{quote(run, safe='')}/{call}"


def page_link(url: str, project: Optional[str], run: str) -> str:
    """Where a person looks at a run: its page of the dashboard, which needs the root of its host; else the report."""
    query = f"?project={quote(project, safe='')}" if project else ""
    path = run_path(run, "report") if urlsplit(url).path.strip("/") else f"/runs/{quote(run, safe='')}"
    return f"{url}{path}{query}"


def judge(status: int, content: bytes, retry_after: Optional[str]) -> Outcome:
    """What an answer means. Pure but for the clock that a Retry-After date is held against."""
    body = _object(content)
    if 200 <= status < 300:
        if body is None or not ("status" in body or "accepted" in body):
            return Away("the answer is not one of a Losswatch service", 0.0, status)
        return Delivered(body if "status" in body else None)
    detail = str((body or {}).get("detail") or f"the service answered {status}")
    if status == 410:
        return Gone(detail)
    if status in (400, 409, 413, 415, 422):
        points, context = _problems(body or {})
        return Refused(points, context, detail)
    after = 30.0 if status in (401, 403, 404) else _seconds(retry_after)
    return Away(f"{detail} (status {status})", after, status, "type" in (body or {}) and "detail" in (body or {}))


def _object(content: bytes) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _problems(body: Dict[str, Any]) -> Tuple[Dict[int, Dict[str, str]], Dict[str, str]]:
    """The bad points and context fields of a problem document, by the pointers of its list of errors."""
    points: Dict[int, Dict[str, str]] = {}
    context: Dict[str, str] = {}
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if not isinstance(error, dict):
            continue
        pointer = str(error.get("pointer", ""))
        detail = str(error.get("detail") or body.get("detail") or "")
        point = _POINTER.search(pointer)
        field = _CONTEXT_POINTER.search(pointer)
        if point:
            points.setdefault(int(point.group(1)), {}).setdefault(_unescaped(point.group(2) or ""), detail)
        elif field:
            context.setdefault(_unescaped(field.group(1)), detail)
    return points, context


def _unescaped(part: str) -> str:
    """A part of a JSON pointer (RFC 6901) as the name that it stands for."""
    return part.replace("~1", "/").replace("~0", "~")


def _seconds(retry_after: Optional[str]) -> float:
    """A Retry-After header in seconds (RFC 9110: a number or a date), within bounds; 0 where there is none."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else 0.0
