"""The run of a callback, and stopping its training the way its framework stops, where that was asked for."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from losswatch import session
from losswatch.notices import logger
from losswatch.run import Run


class Verdict:
    """Begins and ends the run of a callback, and says whether its training should end."""

    def __init__(
        self, name: Optional[str], run: Optional[Run], stop_on: Optional[str], options: Dict[str, Any]
    ) -> None:
        """``stop_on``: "stop" (going on is pointless beyond doubt), "critical", or None for never."""
        if stop_on not in (None, "stop", "critical"):
            raise ValueError(f'stop_on is "stop", "critical" or None, not {stop_on!r}')
        self.run = run
        self.stop_on = stop_on
        self._name = name
        self._options = options
        self._is_own = False
        self._said = False

    def begin(self, **context: Any) -> Run:
        """The run: the one that was given, else that of `losswatch.init`, else a new one. ``None`` is not known."""
        if self.run is None or self.run.is_finished:
            self.run = session.current()
            self._is_own = self.run is None
            self.run = self.run or session.init(self._name, **self._options)
        given = self.run._context
        known = {key: value for key, value in context.items() if value is not None and key not in given}
        if known:
            self.run.update_context(**known)
        return self.run

    def stops(self, *, waits: bool = False) -> bool:
        """Whether to stop now; says why, once. ``waits`` until all that was logged is judged (some milliseconds)."""
        run = self.run
        if self.stop_on is None or run is None:
            return False
        if waits:
            run.check()
        report = run.report or {}
        is_over = report.get("action") == "stop"
        if not is_over and not (self.stop_on == "critical" and report.get("status") == "critical"):
            return False
        if not self._said:
            self._said = True
            said: List[str] = [report.get("headline", "")]
            said += [a["summary"] for f in report.get("findings") or () for a in f.get("advice") or ()][:1]
            logger.warning("losswatch: %s: the training is stopped. %s", run.name, " ".join(said))
        return True

    def finish(self, error: Optional[BaseException] = None) -> None:
        """Ends the run if it was begun here; one that was given, or that `losswatch.init` began, is its owner's."""
        if self.run is None:
            return
        if self._is_own:
            self.run.finish("finished" if error is None else "failed", error=error)
        else:
            self.run.flush(2.0)
