"""Errors as RFC 9457 problem details: one table of kinds, and one from domain errors to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from losswatch_logs import UnreadableLogError
from losswatch_server.codec import BodyRefusedError, NotJsonError, Problem, dumps
from losswatch_server.runs import (
    FindingNotFoundError,
    PointsRefusedError,
    RunGoneError,
    RunNotFoundError,
)
from losswatch_server.store.errors import (
    RunMovedError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreLostError,
    StoreUncertainError,
    StoreUnreadableError,
)
from losswatch_server.workers import WorkerLostError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A stable ``type`` of problem. ``meaning`` is for the documentation."""

    slug: str
    status: int
    title: str
    meaning: str
    retry_after_s: int | None = None

    @property
    def type(self) -> str:
        """The URI reference that a client may compare; it leads to the page that lists all of them."""
        return f"/docs/problems#{self.slug}"


MALFORMED_BODY = ProblemKind(
    "malformed-body", 400, "The body cannot be read", "The body is not JSON, not UTF-8, or its gzip data is damaged."
)
MALFORMED_REQUEST = ProblemKind(
    "malformed-request", 400, "The request cannot be read", "The data on the connection is not HTTP/1.1."
)
TOO_SLOW = ProblemKind(
    "too-slow", 408, "The request did not arrive in time", "Its head or its body stopped arriving; nothing was stored."
)
URL_TOO_LONG = ProblemKind("url-too-long", 414, "The address is too long", "Path and query have more than 16 KiB.")
HEAD_TOO_LARGE = ProblemKind(
    "head-too-large",
    431,
    "The headers are too large",
    "They have more than 64 KiB, or there are more than 256.",
)
INVALID_REQUEST = ProblemKind(
    "invalid-request",
    422,
    "The request is not as described",
    "A path or query parameter has a value that is not allowed.",
)
INVALID_BODY = ProblemKind(
    "invalid-body",
    422,
    "The body is not as described",
    "The body is JSON, but some of it is not allowed. `errors` lists each place; nothing was stored.",
)
UNREADABLE_LOG = ProblemKind(
    "unreadable-log", 422, "No training log was recognised", "The text holds no numbers that look like a training log."
)
NOT_FOUND = ProblemKind("not-found", 404, "Not found", "No endpoint has this path.")
RUN_NOT_FOUND = ProblemKind("run-not-found", 404, "There is no such run", "The project has no run of this name.")
FINDING_NOT_FOUND = ProblemKind(
    "finding-not-found", 404, "There is no such finding", "The run has no finding of this id."
)
PAGE_NOT_FOUND = ProblemKind(
    "page-not-found", 404, "There is no such page", "The catalogue has no condition or cause of this name."
)
TARGET_NOT_FOUND = ProblemKind(
    "target-not-found", 404, "There is no such target", "The project has no notification target of this id."
)
DELIVERY_NOT_FOUND = ProblemKind(
    "delivery-not-found", 404, "There is no such delivery", "The target has no delivery of this id."
)
SILENCE_NOT_FOUND = ProblemKind(
    "silence-not-found", 404, "There is no such silence", "The project has no silence of this id."
)
TARGET_FROM_FILE = ProblemKind(
    "target-from-file",
    409,
    "The target comes from a file",
    "It can only be changed in the operator's targets file.",
)
TOO_MANY = ProblemKind("too-many", 409, "There are too many already", "The project has as many as it may have.")
RUN_EXISTS = ProblemKind(
    "run-exists", 409, "There is such a run already", "The project has a run of this name, or this very run, already."
)
TOO_MANY_TESTS = ProblemKind(
    "too-many-tests", 429, "Too many tests", "A project can send at most ten test messages a minute.", retry_after_s=60
)
TOO_MANY_REQUESTS = ProblemKind(
    "too-many-requests",
    429,
    "Too many requests or points",
    "The operator limits what one key (without keys: one address) may send in a minute; `RateLimit` says what is left.",
    retry_after_s=1,
)
METHOD_NOT_ALLOWED = ProblemKind(
    "method-not-allowed",
    405,
    "The path has no such method",
    "`Allow` lists the methods that the path supports.",
)
RUN_GONE = ProblemKind(
    "run-gone",
    410,
    "The run was deleted",
    "The run to which this writer posts was deleted. A new writer can use the name.",
)
TOO_LARGE = ProblemKind("too-large", 413, "The body is too large", "The body is larger than the endpoint accepts.")
UNSUPPORTED_MEDIA_TYPE = ProblemKind(
    "unsupported-media-type",
    415,
    "The format of the body is not supported",
    "The content encoding is not gzip, or the content type of a body that is not JSON is not supported.",
)
WRONG_HOST = ProblemKind(
    "wrong-host",
    421,
    "The request names another host",
    "The service answers only to its own names: those of loopback or of its network, and those it was started with.",
)
KEY_MISSING = ProblemKind(
    "key-missing",
    401,
    "The request needs an API key",
    "With keys on, `Authorization: Bearer …` must carry one that is neither mistyped, expired nor revoked.",
)
KEY_SCOPE = ProblemKind(
    "key-scope", 403, "The API key is not for this", "The key is valid, and has no scope that allows the request."
)
PROJECT_NOT_FOUND = ProblemKind(
    "project-not-found", 404, "There is no such project", "The API key is for another project, or there is none."
)
FOREIGN_PAGE = ProblemKind(
    "foreign-page",
    403,
    "The request comes from a web page of another site",
    "By `Origin` or `Sec-Fetch-Site`, a page of another origin sent it. They can neither change nor read anything.",
)
INTERNAL = ProblemKind("internal", 500, "Internal error", "An error in the service. It has been logged.")
BUSY = ProblemKind("busy", 503, "The service is busy", "Too much is waiting to be stored.", retry_after_s=1)
STOPPING = ProblemKind(
    "stopping", 503, "The service is starting or stopping", "It accepts no requests now.", retry_after_s=5
)
STORE_FAILED = ProblemKind(
    "store-failed", 503, "Nothing could be stored", "The database could not store the data.", retry_after_s=10
)
STORE_UNREADABLE = ProblemKind(
    "store-unreadable", 503, "The stored data cannot be read", "The database could not be read.", retry_after_s=10
)
STORE_LOST = ProblemKind(
    "store-lost",
    503,
    "The database is gone",
    "The database file was deleted or replaced while the service ran; the service stops.",
    retry_after_s=30,
)

KINDS = (
    MALFORMED_REQUEST,
    MALFORMED_BODY,
    NOT_FOUND,
    RUN_NOT_FOUND,
    FINDING_NOT_FOUND,
    PAGE_NOT_FOUND,
    TARGET_NOT_FOUND,
    DELIVERY_NOT_FOUND,
    SILENCE_NOT_FOUND,
    METHOD_NOT_ALLOWED,
    TARGET_FROM_FILE,
    TOO_MANY,
    RUN_EXISTS,
    TOO_MANY_TESTS,
    TOO_MANY_REQUESTS,
    TOO_SLOW,
    RUN_GONE,
    TOO_LARGE,
    URL_TOO_LONG,
    UNSUPPORTED_MEDIA_TYPE,
    HEAD_TOO_LARGE,
    WRONG_HOST,
    KEY_MISSING,
    KEY_SCOPE,
    PROJECT_NOT_FOUND,
    FOREIGN_PAGE,
    INVALID_REQUEST,
    INVALID_BODY,
    UNREADABLE_LOG,
    INTERNAL,
    BUSY,
    STOPPING,
    STORE_FAILED,
    STORE_UNREADABLE,
    STORE_LOST,
)


class ProblemError(Exception):
    """A request that cannot be served, with what its sender should change."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        errors: Iterable[Problem] = (),
        total: int | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.total = total
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        """Further members of the answer's body (RFC 9457, 3.2)."""


def problem_response(problem: ProblemError, instance: str | None = None) -> Response:
    """The answer that tells of ``problem``."""
    kind = problem.kind
    body: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
    }
    if instance is not None:
        body["instance"] = instance
    if problem.errors:
        body["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in problem.errors]
        body["errors_total"] = len(problem.errors) if problem.total is None else problem.total
    headers = dict(problem.headers)
    if kind.retry_after_s is not None:
        headers.setdefault("Retry-After", str(kind.retry_after_s))
        body["retry_after"] = int(headers["Retry-After"])
    body |= problem.members
    return Response(dumps(body), kind.status, headers, MEDIA_TYPE)


def refused_body(refusal: BodyRefusedError) -> ProblemError:
    """A body with faults, each named by its place."""
    return ProblemError(
        INVALID_BODY, _told(refusal.problems, refusal.total), errors=refusal.problems, total=refusal.total
    )


def _told(problems: tuple[Problem, ...], total: int) -> str:
    first = problems[0]
    where = f"At {first.pointer}: " if first.pointer else ""
    others = "1 more such place is" if total == 2 else f"{total - 1} more such places are"
    more = f" ({others} in errors.)" if total > 1 else ""
    return f"{where}{_sentence(first.detail)}{more}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _run_not_found(_: Exception) -> ProblemError:
    return ProblemError(
        RUN_NOT_FOUND,
        "The project has no run of this name. Check the spelling and ?project=; "
        "a run is created by its first point or by PUT.",
    )


def _finding_not_found(_: Exception) -> ProblemError:
    return ProblemError(
        FINDING_NOT_FOUND, "The run has no finding of this id. GET …/findings lists the ids of its findings."
    )


def _run_gone(_: Exception) -> ProblemError:
    return ProblemError(
        RUN_GONE,
        "The run was deleted while this writer was posting to it, so its points are not taken. "
        "Restart the training script, or choose another name, to begin a new run.",
    )


def _busy(_: Exception) -> ProblemError:
    return ProblemError(
        BUSY, "Too much is waiting to be stored. Nothing of this request was stored; send it again in a second."
    )


def _broken_off(_: Exception) -> ProblemError:
    return ProblemError(BUSY, "The work on this request was broken off. Send it again in a moment.")


def _stopping(_: Exception) -> ProblemError:
    return ProblemError(STOPPING, "The service is stopping. Nothing of this request was stored; send it again later.")


def _store_failed(_: Exception) -> ProblemError:
    return ProblemError(
        STORE_FAILED,
        "The database could not store the data, for example because the disk is full. "
        "Nothing of this request was stored; send it again later.",
    )


def _store_uncertain(_: Exception) -> ProblemError:
    return ProblemError(
        STORE_FAILED,
        "The database broke while it was to keep this request, and did not say whether it did. Points can be sent "
        "again: those that were kept are counted once. Look whether anything else was done before you repeat it.",
    )


def _store_unreadable(_: Exception) -> ProblemError:
    return ProblemError(
        STORE_UNREADABLE,
        "The database could not be read, for example because of a disk error. Nothing was changed; "
        "send the request again later.",
    )


def _store_lost(_: Exception) -> ProblemError:
    return ProblemError(
        STORE_LOST,
        "The database file was deleted or replaced while the service was using it. Nothing of this request was stored; "
        "send it again when the service has been restarted.",
    )


def _not_json(error: Exception) -> ProblemError:
    return ProblemError(MALFORMED_BODY, _sentence(str(error)[:1].upper() + str(error)[1:]))


def _points_refused(error: Exception) -> ProblemError:
    assert isinstance(error, PointsRefusedError)
    problems = [Problem(f"/points/{p.index}" + (f"/{p.field}" if p.field else ""), p.detail) for p in error.problems]
    return refused_body(BodyRefusedError(problems, len(problems)))


def _body_refused(error: Exception) -> ProblemError:
    assert isinstance(error, BodyRefusedError)
    return refused_body(error)


def _unreadable_log(error: Exception) -> ProblemError:
    assert isinstance(error, UnreadableLogError)
    return ProblemError(UNREADABLE_LOG, _sentence(error.detail))


def _disconnected(_: Exception) -> ProblemError:
    return ProblemError(MALFORMED_BODY, "The connection ended before the body did.")


DOMAIN_PROBLEMS: Mapping[type[Exception], Callable[[Exception], ProblemError]] = {
    RunNotFoundError: _run_not_found,
    FindingNotFoundError: _finding_not_found,
    RunGoneError: _run_gone,
    PointsRefusedError: _points_refused,
    BodyRefusedError: _body_refused,
    NotJsonError: _not_json,
    UnreadableLogError: _unreadable_log,
    ClientDisconnect: _disconnected,
    StoreBusyError: _busy,
    StoreClosedError: _stopping,
    RunMovedError: _busy,
    WorkerLostError: _broken_off,
    StoreUncertainError: _store_uncertain,
    StoreUnreadableError: _store_unreadable,
    StoreLostError: _store_lost,
    StoreError: _store_failed,
}
"""From what the inside raises to what the outside is told."""


def problem_of(error: Exception) -> ProblemError:
    """What the outside is told of an error in DOMAIN_PROBLEMS, or of a kind of it."""
    return next(DOMAIN_PROBLEMS[kind] for kind in type(error).__mro__ if kind in DOMAIN_PROBLEMS)(error)
