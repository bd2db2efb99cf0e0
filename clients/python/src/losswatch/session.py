"""The run of this process, for scripts that hold none in their hand: ``losswatch.init``, ``log`` and ``finish``."""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional, Union

from losswatch.notices import logger, prepare
from losswatch.run import Run

_run: Optional[Run] = None
_log: Optional[Callable[..., None]] = None
"""What takes the calls of `log` for the run, where that is not the run itself."""
_said = False


def init(name: Optional[str] = None, **options: Any) -> Run:
    """Begins the run of this process and returns it; one that was begun before ends as finished.

    Takes what `Run` takes. Without a name it is LOSSWATCH_RUN, else one made of the script's name and the time or job.
    """
    global _run, _log
    if _run is not None:
        _run.finish()
    _run, _log = Run(name, **options), None
    return _run


def route(run: Run, to: Callable[..., None]) -> None:
    """Sends what `log` gets for ``run`` through an integration, which measures the same steps."""
    global _log
    if run is _run:
        _log = to


def current() -> Optional[Run]:
    """The run that `init` began, or the first `log`; None when there is none, or it was finished."""
    return None if _run is None or _run.is_finished else _run


def log(step: Any = None, /, *others: Any, **values: Any) -> None:
    """`Run.log` of this process's run; the first call begins one if `init` did not. Never raises."""
    run = _run or _begun()
    if run is not None:
        (_log or run.log)(step, *others, **values)


def finish(state: str = "finished", timeout: float = 5.0, error: Union[str, BaseException, None] = None) -> None:
    """Ends this process's run, as `Run.finish` does; nothing where none was begun."""
    global _run, _log
    run, _run, _log = _run, None, None
    if run is not None:
        run.finish(state, timeout, error)


def _begun() -> Optional[Run]:
    """A run for a script that only logs. A worker process has none to begin: a run belongs to the training's own."""
    global _said
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return init()
    if not _said:
        _said = True
        prepare()
        logger.warning("losswatch: a worker process has no run; hand it the Run of its parent, or call init there")
    return None
