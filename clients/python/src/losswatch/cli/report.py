"""What is read of a log, to the service: each measurement once, whatever is read again."""

from __future__ import annotations

import math
import uuid
from collections import OrderedDict
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from losswatch.names import slug
from losswatch.run import Run
from losswatch_logs import LogPoint

FIELDS = ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch")
_REMEMBERED = 20_000
"""Steps whose fields are remembered: what is read once more lies among the last few hundred."""
_AT_ONCE = 5_000
"""Points after which the sender is waited for: its queue holds six times as many."""


class WatchedRun(Run):
    """A run whose writer is known beforehand, so that a watcher that is started again goes on with it."""

    def __init__(self, name: str, writer: str, **options: Any) -> None:
        self._known_writer = writer
        super().__init__(name, **options)

    def _reset(self, last_step: int, writer: str) -> None:
        super()._reset(last_step, self._known_writer)

    def leave(self, timeout: float = 30.0) -> bool:
        """Lets go of the run without ending it; whether everything was delivered."""
        delivered = self.flush(timeout)
        with self._lock:
            is_over, self._finished = self._finished, True
        if self._sender is not None and not is_over:
            self._sender.end(None, timeout)
            self._sender.wait(timeout + 1.0)
        return delivered


class Reporter:
    """One run: begins with its first points, sends what is new of what is read, and ends it."""

    def __init__(self, name: str, context: Mapping[str, Any], *, writer: Optional[str] = None, **options: Any) -> None:
        self.name = slug(name, "run")
        self.writer = writer or uuid.uuid4().hex[:16]
        self.points = 0
        self.run: Optional[WatchedRun] = None
        self.until: Optional[Tuple[int, int]] = None
        """Attempt and step up to which an earlier watcher reported: nothing up to there is sent again."""
        self.place: Optional[Tuple[int, int]] = None
        self.is_news = False
        """Whether something was sent that was not asked after since."""
        self._given = dict(context)
        self._options = options
        self._context: Dict[str, Any] = {}
        self._sent: OrderedDict[Tuple[int, int], Set[str]] = OrderedDict()
        self._ever_a_loss = False

    def send(self, points: List[LogPoint], context: Mapping[str, Any], *, revised: bool = False) -> None:
        """Sends what of these points was not sent yet. ``revised``: what was sent was read wrongly; all comes anew."""
        if revised and self.run is not None:
            self.writer = uuid.uuid4().hex[:16]  # a new writer begins an attempt, which supersedes the points before
            self._sent.clear()
            before, self.run = self.run, None
            self._begin(context)
            before.leave()
        for count, point in enumerate(points, start=1):
            values = self._new(point)
            if not values:
                continue
            if self.run is None:
                self._begin(context)
            assert self.run is not None
            self.points += 1
            self.is_news = True
            self.run.log(point.step, **values)
            if count % _AT_ONCE == 0:
                self.run.flush(60.0)
        self._tell(context)

    @property
    def report(self) -> Dict[str, Any]:
        """The latest report of the service; empty before the first."""
        return (self.run.report if self.run is not None else None) or {}

    def finish(self, state: str, error: Optional[str] = None) -> None:
        """Ends the run, if it ever began."""
        if self.run is not None:
            self.run.finish(state, timeout=30.0, error=error)

    def leave(self) -> bool:
        """Delivers what is left and lets the run stay open, for a watcher that comes later."""
        return self.run is None or self.run.leave()

    def _begin(self, context: Mapping[str, Any]) -> None:
        self._context = dict(context)
        self.run = WatchedRun(self.name, self.writer, **{**self._context, **self._given, **self._options})

    def _tell(self, context: Mapping[str, Any]) -> None:
        """What has become known of the job since."""
        news = {name: value for name, value in context.items() if self._context.get(name) != value}
        news = {name: value for name, value in news.items() if name not in self._given}
        if news and self.run is not None:
            self._context.update(news)
            self.run.update_context(**news)

    def _new(self, point: LogPoint) -> Dict[str, Any]:
        place = (point.attempt, point.step)
        if self.until is not None and place <= self.until:
            return {}
        self.place = place if self.place is None else max(self.place, place)
        sent = self._sent.setdefault(place, set())
        values: Dict[str, Any] = {}
        for name in FIELDS:
            value = getattr(point, name)
            if name == "loss" and point.loss_is_null and self._ever_a_loss:
                value = math.nan  # JavaScript and others write NaN as null
            if value is not None and name not in sent:
                values[name] = value
                sent.add(name)
        self._ever_a_loss = self._ever_a_loss or point.loss is not None
        metrics = {name: value for name, value in point.metrics.items() if f"metrics.{name}" not in sent}
        if metrics:
            sent.update(f"metrics.{name}" for name in metrics)
            values["metrics"] = metrics
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return values
