"""Parameters and tags of foreign clients as the context of a run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from losswatch.names import plain, printable
from losswatch.parameter_names import as_context
from losswatch_server.codec.contexts import read_context
from losswatch_server.codec.hyperparameters import MAX_TAGS, MAX_TEXT
from losswatch_server.monitor.points import CONTEXT_FIELDS, Context

Describe = Callable[[Context], Context | None]
"""What a request says of a run, given what is known of it."""

MAX_PARAMETERS = 1000
"""Hyper-parameters that a run keeps of what foreign clients log."""
_UNKEPT_TAGS = ("mlflow.log-model.history", "mlflow.loggedArtifacts", "mlflow.runName")


def description(
    parameters: Mapping[str, Any], tags: Mapping[str, str] | None = None, group: str | None = None
) -> Describe:
    """Parameters, tags and a group, cut to what a run keeps."""

    def describe(known: Context) -> Context | None:
        if not parameters and not tags and group is None:
            return None
        room = max(MAX_PARAMETERS - len(known.extra), len(CONTEXT_FIELDS))
        given = [(plain(name), _cut(value)) for name, value in as_context(parameters).items()]
        kept = {plain(name): str(_cut(value)) for name, value in (tags or {}).items() if name not in _UNKEPT_TAGS}
        for name in [name for name in kept if name not in known.tags][max(0, MAX_TAGS - len(known.tags)) :]:
            del kept[name]
        others = {} if group is None else {"group": group}
        return read_context({**dict(given[-room:]), "tags": kept, **others})  # the fields of a context come last

    return describe


def _cut(value: Any) -> Any:
    """Text as a run keeps it."""
    if not isinstance(value, str):
        return value
    clean = printable(value)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"
