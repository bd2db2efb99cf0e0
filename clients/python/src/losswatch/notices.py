"""What the client says in the terminal: through the logger ``losswatch``, each kind of thing once a run."""

from __future__ import annotations

import logging
import sys
from typing import Any, Callable, Dict, Iterable, Optional, Sequence, Set

from losswatch.points import Complaint

logger = logging.getLogger("losswatch")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_RANKS = {"info": 0, "warning": 1, "critical": 2}

Listener = Callable[[Dict[str, Any]], object]
"""Hears of a finding."""


class Terminal(logging.Handler):
    """Writes to stderr where nobody has set up logging, so that also what is not a warning is seen."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # they get it too
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a closed terminal must not end a training
            return


def prepare() -> None:
    """Makes sure that the lines of a run are seen; leaves alone whatever the program has set up for ``losswatch``."""
    if not logger.handlers:
        logger.addHandler(Terminal())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


class Notices:
    """Says what a person should know, once each; ``quiet`` leaves trouble of the client alone: losses are told."""

    def __init__(self, run: str, quiet: bool, listeners: Sequence[Listener] = ()) -> None:
        self._run = run
        self._quiet = quiet
        self._listeners = listeners
        self._said: Set[str] = set()
        self._findings: Dict[str, int] = {}

    def once(self, key: str, sentence: str) -> None:
        """A warning, unless one of this ``key`` was said already."""
        if key not in self._said:
            self._said.add(key)
            logger.warning("losswatch: %s: %s", self._run, sentence)

    def tell(self, key: str, sentence: str) -> None:
        """A line about the ordinary course of things: once, and not when quiet."""
        if key not in self._said and not self._quiet:
            self._said.add(key)
            logger.info("losswatch: %s: %s", self._run, sentence)

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
            for listener in tuple(self._listeners):
                try:
                    listener(finding)
                except Exception as error:  # noqa: BLE001 - a fault of theirs must not end the reporting
                    self.once(f"listener {listener!r}", f"what listens for findings failed: {error!r}")

    def end(self, state: Optional[str], report: Optional[Dict[str, Any]], link: str) -> None:
        """The line at the end of a run that was delivered."""
        if state is not None and report is not None:
            step = f" after step {report['step']}" if report.get("step") is not None else ""
            self.tell("end", f"{state}{step}. {report.get('headline', '')} {link}")

    def _sentence(self, report: Dict[str, Any], finding: Dict[str, Any]) -> str:
        is_first = finding is next(iter(report["findings"]))
        what = (is_first and report.get("headline")) or finding.get("summary")
        advice: Dict[str, Any] = next(iter(finding.get("advice") or ()), {})
        said = f"losswatch: {self._run}, step {finding.get('opened_step')}: {what}"
        return f"{said} {advice['summary']}" if advice.get("summary") else said
