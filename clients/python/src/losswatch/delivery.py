"""Delivering records to one address: what the service refuses of them is left out and said, the rest is sent again."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional, Union

from losswatch.batches import MAX_POINTS, Batch, next_batch
from losswatch.limits import Limits, cut_point
from losswatch.notices import Notices
from losswatch.points import dumps
from losswatch.spool import Address, Source
from losswatch.transport import Away, Delivered, Gone, Outcome, Refused, Transport, run_path

REFUSALS_THAT_MEAN_ALL = 8
"""So many single points refused in a row, none taken and none named as bad: then it is not about the points."""


class Delivery:
    """The way of the records of one run and writer to the service."""

    def __init__(
        self,
        transport: Transport,
        address: Address,
        notices: Notices,
        limits: Limits,
        timeout: Callable[[], float],
        on_report: Optional[Callable[[Delivered], None]] = None,
    ) -> None:
        """``timeout`` gives the seconds for a request; ``on_report`` hears of every batch that was stored."""
        self.refused = 0
        """Points that the service refused for good."""
        self._transport = transport
        self._address = address
        self._notices = notices
        self._limits = limits
        self._timeout = timeout
        self._on_report = on_report
        self._refused_in_a_row = 0
        self._refused_of_batch = 0

    def drain(self, source: Source) -> Union[Away, Gone, None]:
        """Sends what is in ``source``, oldest first; None when all of it is delivered, else why not."""
        while source:
            batch = next_batch(source.peek(MAX_POINTS))
            if batch is None:
                return None
            self._refused_of_batch = 0
            outcome = self._send(batch)
            if isinstance(outcome, (Away, Gone)):
                return outcome
            source.advance(batch.used)
            self.refused += self._refused_of_batch
            if self._on_report is not None and isinstance(outcome, Delivered):
                self._on_report(outcome)
        return None

    def _send(self, batch: Batch) -> Outcome:
        if batch.finish is not None:
            return self._send_end(batch.finish, batch.error)
        points, context = batch.points, batch.context
        while points:
            outcome = self._post_points(points, context)
            if not isinstance(outcome, Refused):
                if isinstance(outcome, Delivered):
                    self._refused_in_a_row = 0
                return outcome
            bad = {place: fields for place, fields in outcome.points.items() if place < len(points)}
            if bad:
                points = self._without(points, bad)
            elif context:
                context = self._mended_context(context, outcome)
            elif self._refused_in_a_row >= REFUSALS_THAT_MEAN_ALL:
                return Away(f"everything is refused: {outcome.detail}", 30.0, 422, is_ours=True)
            elif len(points) > 1:  # too large, or bad in a way without a pointer: find the part that is taken
                half = len(points) // 2
                first = self._send(Batch(None, points[:half], None, half))
                if isinstance(first, (Away, Gone)):
                    return first
                points = points[half:]
            else:
                self._refused_in_a_row += 1
                self._refuse(1, json.loads(points[0]).get("step"), outcome.detail)
                points = []
        return Delivered(None)

    def _send_end(self, state: str, error: Optional[str]) -> Outcome:
        outcome = self._post("finish", dumps({"state": state, **({"error": error} if error else {})}))
        if isinstance(outcome, Refused) and error:  # an older service does not know the field
            outcome = self._post("finish", dumps({"state": state}))
        if isinstance(outcome, Refused):
            self._notices.once("refused end", f"the end of the run is refused: {outcome.detail}")
            return Delivered(None)
        if isinstance(outcome, Away) and outcome.status == 404 and outcome.is_ours:
            return Delivered(None)  # none of its points was taken: there is no such run
        return outcome

    def _without(self, points: List[bytes], bad: Dict[int, Dict[str, str]]) -> List[bytes]:
        """The points without the fields that are refused; what carries nothing else then is refused as a whole."""
        for fields in bad.values():
            for field in fields:
                if self._limits.lower(field):
                    self._notices.once(f"fewer {field}", f"this service takes fewer {field}: {fields[field]}")
        cut_all = any(field in fields for fields in bad.values() for field in ("layers", "metrics"))
        kept = []
        for place, line in enumerate(points):
            point = json.loads(line) if cut_all or place in bad else {}
            cut = cut_point(point, self._limits) if cut_all else ()
            fields = {name: why for name, why in bad.get(place, {}).items() if name not in cut}
            whole = [why for name, why in fields.items() if name == "step" or name not in point]
            for name, why in () if whole else fields.items():
                del point[name]
                sentence = f"{name} is refused and left out from step {point['step']} on: {why}"
                self._notices.once(f"refused {name}", sentence)
            if whole or (fields and not set(point) - {"step", "rank"}):
                self._refuse(1, point.get("step"), (whole or list(fields.values()))[0])
            else:
                kept.append(dumps(point) if cut or fields else line)
        return kept

    def _refuse(self, count: int, step: Any, why: str) -> None:
        self._refused_of_batch += count
        self._notices.once("refused", f"points are refused and dropped, the first at step {step}: {why}")

    def _mended_context(self, context: Dict[str, Any], refusal: Refused) -> Optional[Dict[str, Any]]:
        wrong = [name for name in refusal.context if name in context] or list(context)
        said = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        self._notices.once("refused context", f"left out of the context: {said}. {refusal.detail}")
        return {name: value for name, value in context.items() if name not in wrong}

    def _post_points(self, points: List[bytes], context: Optional[Dict[str, Any]]) -> Outcome:
        head = {"writer": self._address.writer, **({"context": context} if context else {})}
        return self._post("points", dumps(head)[:-1] + b',"points":[' + b",".join(points) + b"]}")

    def _post(self, call: str, body: bytes) -> Outcome:
        return self._transport.post(run_path(self._address.run, call), self._address.project, body, self._timeout())
