"""What the client says in the terminal: through the logger ``losswatch``, each thing once."""

from __future__ import annotations

import logging
from typing import Any, Dict, Iterable, Set

from losswatch.points import Complaint

logger = logging.getLogger("losswatch")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_RANKS = {"info": 0, "warning": 1, "critical": 2}


class Notices:
    """Says what a person should know, once each; findings go silent with ``quiet``, trouble of the client does not."""

    def __init__(self, run: str, quiet: bool) -> None:
        self._run = run
        self._quiet = quiet
        self._said: Set[str] = set()
        self._findings: Dict[str, int] = {}

    def once(self, key: str, sentence: str) -> None:
        """A warning, unless one of this ``key`` was said already."""
        if key not in self._said:
            self._said.add(key)
            self.say(sentence)

    def again(self, key: str) -> None:
        """Lets the next warning of this ``key`` be said."""
        self._said.discard(key)

    def say(self, sentence: str) -> None:
        """A warning, each time."""
        logger.warning("losswatch: %s: %s", self._run, sentence)

    def complain(self, complaints: Iterable[Complaint]) -> None:
        """What was logged and could not be sent as it was."""
        for complaint in complaints:
            self.once(complaint.key, complaint.sentence)

    def report(self, report: Dict[str, Any]) -> None:
        """One line for each finding that is new or has become worse."""
        for finding in report.get("findings") or ():
            rank = _RANKS.get(finding.get("severity"), 1)
            if finding.get("closed_by") or self._findings.get(finding.get("id"), -1) >= rank:
                continue
            self._findings[finding.get("id")] = rank
            if not self._quiet:
                logger.log(_LEVELS.get(finding.get("severity"), logging.WARNING), "%s", self._sentence(report, finding))

    def _sentence(self, report: Dict[str, Any], finding: Dict[str, Any]) -> str:
        is_first = finding is next(iter(report["findings"]))
        what = (is_first and report.get("headline")) or finding.get("summary")
        advice: Dict[str, Any] = next(iter(finding.get("advice") or ()), {})
        said = f"losswatch: {self._run}, step {finding.get('opened_step')}: {what}"
        return f"{said} {advice['summary']}" if advice.get("summary") else said
