"""Where faults of rules, causes and sentences are heard of: counted each time, logged once for each kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from losswatch_server.monitor.faults import Fault

logger = logging.getLogger(__name__)

Count = Callable[[Fault], None]


class FaultLog:
    """One for each process. ``count`` is told of every fault that is taken."""

    def __init__(self, count: Count | None = None) -> None:
        self._count = count
        self._logged: set[tuple[str, str, str]] = set()

    def take(self, faults: Iterable[Fault], run: str) -> None:
        """Count what failed while ``run`` (its name, for people) was judged, and log with a traceback what is new."""
        for fault in faults:
            if self._count is not None:
                self._count(fault)
            kind = (fault.part, fault.of, fault.error)
            if kind not in self._logged:
                self._logged.add(kind)
                logger.error(
                    "A fault in the judgement of %s (logged once, counted in losswatch_judgement_faults_total): %s\n%s",
                    run,
                    fault.note,
                    fault.traceback,
                )
