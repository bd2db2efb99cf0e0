"""For clients of other tools: errors in their words, and a project in the path for those that can give it nowhere else.

An unmodified client reads the errors of its own service alone, and takes any other as an internal one.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Scope

from losswatch_server.api.http.problems import ProblemError, problem_response

Dialect = Callable[[ProblemError, Scope], Response]
"""The answer that tells such a client of a problem."""

_PREFIX = "/mlflow/"


def refusal_response(scope: Scope, problem: ProblemError, instance: str | None = None) -> Response:
    """The answer that tells of ``problem``, as whoever calls this path reads it."""
    for beginning, dialect in scope["app"].state.dialects:
        if scope["path"].startswith(beginning):
            told: Response = dialect(problem, scope)
            return told
    return problem_response(problem, instance)


def at_project(scope: Scope) -> Scope:
    """``/mlflow/PROJECT/api/…`` as the same request to ``/api/…?project=PROJECT``; any other as it is."""
    path: str = scope["path"]
    if not path.startswith(_PREFIX):
        return scope
    project, slash, rest = path[len(_PREFIX) :].partition("/")
    if not rest.startswith("api/"):
        return scope
    query = scope["query_string"] + (b"&" if scope["query_string"] else b"") + b"project=" + quote(project).encode()
    return {**scope, "path": slash + rest, "raw_path": quote(slash + rest).encode(), "query_string": query}
