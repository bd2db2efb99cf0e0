"""For scripts that are written for Weights & Biases or trackio: ``import losswatch.wandb_compat as wandb``.

``init``, ``log``, ``config``, ``summary``, ``define_metric`` and ``finish`` report to Losswatch. Pictures, tables,
files, artifacts and whatever else those libraries have is taken and not kept: no call of theirs is an error here.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

from losswatch.notices import logger, prepare
from losswatch.parameter_names import as_context
from losswatch.wandb_compat.attributes import Attributes, Unkept, flat, unkept
from losswatch.wandb_compat.bridged_run import BridgedRun

__all__ = ["BridgedRun", "config", "define_metric", "finish", "init", "log", "run", "summary"]

_EXPECTED_TO_ACT = ("agent", "sweep", "restore", "use_artifact", "Api")
"""Calls without which a script does something else: that is said."""

_run: Optional[BridgedRun] = None
_before = Attributes(lambda _: None)
"""What is set before there is a run."""


def init(
    project: Optional[str] = None,
    *others: Any,
    name: Optional[str] = None,
    id: Optional[str] = None,
    group: Optional[str] = None,
    config: Any = None,
    tags: Any = None,
    mode: Optional[str] = None,
    **ignored: Any,
) -> BridgedRun:
    """Begins a run and returns it; one that was begun before ends as finished.

    ``name`` (else ``id``) is the run's; a name that comes again is a new attempt of its run. ``group``, else
    ``project``, is its group. ``config`` is its context: a mapping or a namespace. ``mode="disabled"`` reports nothing.
    """
    global _run
    if _run is not None:
        _run.finish()
    given = {**dict(_before.items()), **flat(config)}
    project = project or os.environ.get("WANDB_PROJECT") or None
    context = as_context(given)
    context["group"] = group or os.environ.get("WANDB_RUN_GROUP") or project
    context["tags"] = {str(tag): "" for tag in ([tags] if isinstance(tags, str) else tags or ())}
    off = (mode or os.environ.get("WANDB_MODE")) == "disabled"
    wanted = name or id or os.environ.get("WANDB_NAME") or os.environ.get("WANDB_RUN_ID") or None
    _run = BridgedRun(wanted, project, given, {k: v for k, v in context.items() if v}, is_disabled=off)
    return _run


def log(
    data: Optional[Mapping[str, Any]] = None, step: Any = None, commit: Optional[bool] = None, **ignored: Any
) -> None:
    """The numbers of a step; begins a run if none was begun."""
    (_run or init()).log(data or {}, step, commit)


def define_metric(name: str, step_metric: Any = None, **ignored: Any) -> Unkept:
    """Which of the numbers that are logged together is the step."""
    if _run is not None:
        _run.define_metric(name, step_metric)
    return Unkept()


def finish(exit_code: Optional[int] = None, **ignored: Any) -> None:
    """Ends the run: failed with an exit code other than 0."""
    global _run
    run, _run = _run, None
    if run is not None:
        run.finish(exit_code)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'losswatch.wandb_compat' has no attribute {name!r}")
    if name == "run":
        return _run
    if name in ("config", "summary"):
        return _before if _run is None else getattr(_run, name)
    if name in _EXPECTED_TO_ACT:
        prepare()
        logger.warning("losswatch: wandb.%s does nothing here", name)
    return unkept(name)
