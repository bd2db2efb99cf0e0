"""The background thread of a run: collects what was logged, delivers it in order, keeps what cannot be delivered."""

from __future__ import annotations

import collections
import random
import threading
import time
from pathlib import Path
from typing import Any, Deque, Dict, List, Optional, Tuple

from losswatch.batches import MAX_POINTS, Batch, Record, next_batch
from losswatch.notices import Notices
from losswatch.points import dumps, encode, encode_context, is_finite
from losswatch.spool import Address, FileSpool, MemorySpool, Spool, left_behind, open_spool
from losswatch.transport import Away, Delivered, Gone, Outcome, Refused, Transport, run_path

REQUEST_TIMEOUT_S = 5.0
MAX_BACKOFF_S = 30.0
YIELD_EVERY = 32
"""Points encoded before the interpreter is offered to the training thread: about 0.2 ms of work."""


Entry = Tuple[int, Any, Optional[Dict[str, Any]], Optional[Dict[str, Any]], Optional[str]]
"""What goes through the queue: a sequence number, the step, and one of values, context and last state."""


class Sender:
    """Owns the thread, the connection and the spool of one run in one process."""

    def __init__(
        self,
        queue: Deque[Entry],
        address: Address,
        transport: Transport,
        notices: Notices,
        *,
        context: Dict[str, Any],
        rank: int,
        interval: float,
        folder: Optional[Path],
    ) -> None:
        self.report: Optional[Dict[str, Any]] = None
        self.dropped = 0
        self._queue = queue
        self._address = address
        self._transport = transport
        self._notices = notices
        self._rank = rank
        self._interval = interval
        self._folder = folder
        self._waiting: Spool = MemorySpool(limit=10 * (queue.maxlen or 0))
        self._spool: Optional[Spool] = None
        self._left: Optional[List[Tuple[Address, FileSpool]]] = None
        if context:
            self._waiting.append([self._context_record(context)])
        self._taken = 0
        self._highest = -1
        self._failures = 0
        self._retry_at = 0.0
        self._reached = False
        self._gone = False
        self._closing_at: Optional[float] = None
        self._flushes: Deque[threading.Event] = collections.deque()
        self._wake = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._live, name="losswatch-sender", daemon=True)
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Waits until what was logged so far is delivered; False when that did not happen in time."""
        delivered = threading.Event()
        self._flushes.append(delivered)
        self._wake.set()
        return delivered.wait(timeout)

    @property
    def left_behind(self) -> Optional[int]:
        """How many files of earlier processes still wait; None before they were looked for."""
        return None if self._left is None else len(self._left)

    @property
    def is_away(self) -> bool:
        """Whether the service could not be reached at the last try."""
        return self._failures > 0

    def close(self, timeout: float) -> bool:
        """Delivers what can be delivered within ``timeout`` seconds, leaves the rest on disk, and ends the thread."""
        self._closing_at = time.monotonic() + timeout
        self._wake.set()
        return self._done.wait(timeout + 1.0)

    def _live(self) -> None:
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            closing = self._closing_at
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread or touch the training
                self._notices.once("fault", f"the client failed ({error!r}); some points may be missing")
            if closing is not None and (self._all_delivered() or not self._worth_waiting(closing)):
                break
        self._leave()
        self._done.set()

    def _pause(self) -> float:
        if self._closing_at is None:
            return self._interval
        return max(0.0, min(self._retry_at - time.monotonic(), self._interval))

    def _worth_waiting(self, closing_at: float) -> bool:
        """Whether a service that is away may still be back before the end: only if it was there before."""
        return self._reached and self._failures > 0 and time.monotonic() < self._retry_at < closing_at

    def _turn(self) -> None:
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        self._collect()
        if time.monotonic() >= self._retry_at:
            self._deliver()
        if self._all_delivered():
            for delivered in flushes:
                delivered.set()
        else:
            self._flushes.extend(flushes)

    def _all_delivered(self) -> bool:
        return not any(spool and next_batch(spool.peek(MAX_POINTS)) for spool in (self._spool, self._waiting))

    # --- from the queue -------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        records: List[Record] = []
        for count in range(len(self._queue)):
            try:
                entry = self._queue.popleft()
            except IndexError:  # the training thread pushed the oldest out meanwhile
                break
            self._taken += 1
            self._highest = max(self._highest, entry[0])
            record = self._record(entry)
            if record is not None:
                records.append(record)
            if count % YIELD_EVERY == YIELD_EVERY - 1:
                time.sleep(0)
        if self._gone:
            return
        lost = self._highest + 1 - self._taken
        if lost > self.dropped:
            self.dropped = lost
            self._notices.once("full", "points come faster than they can be read; the oldest are dropped")
        (self._spool or self._waiting).append(records)

    def _record(self, entry: Entry) -> Optional[Record]:
        _, step, values, context, state = entry
        if state is not None:
            return Record(dumps({"finish": state}), finish=state)
        if context is not None:
            return self._context_record(context)
        encoded = encode(step, values or {}, self._rank)
        self._notices.complain(encoded.complaints)
        if encoded.line is None or (self._rank and is_finite(encoded.line)):
            return None
        return Record(encoded.line, encoded.step, encoded.names)

    def _context_record(self, context: Dict[str, Any]) -> Record:
        plain, complaints = encode_context(context)
        self._notices.complain(complaints)
        return Record(dumps({"context": plain}), context=plain)

    # --- to the service -------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Everything that waits, in order: what an earlier process of this run left, the spool, then memory."""
        if self._left is None:
            self._left = left_behind(self._folder, self._address)
        while self._left and self._left[0][0][:3] == self._address[:3]:
            if not self._deliver_left():
                return
        if self._spool and not self._drain(self._address, self._spool):
            return
        if not self._drain(self._address, self._waiting):
            return
        if self._left:  # of other runs: one file a turn, so that this run never waits for them long
            self._deliver_left()

    def _deliver_left(self) -> bool:
        left = self._left or []
        owner, spool = left[0]
        if not self._drain(owner, spool):
            return False
        spool.clear()  # at most a change of context that no point followed
        spool.close()
        left.pop(0)
        return True

    def _drain(self, address: Address, source: Spool) -> bool:
        """Sends what is in ``source``; False when the service is away and the rest has to wait."""
        while source:
            batch = next_batch(source.peek(MAX_POINTS))
            if batch is None:
                return True
            outcome = self._send(address, batch)
            if isinstance(outcome, Away):
                self._back_off(outcome)
                return False
            if isinstance(outcome, Gone):
                self._notices.once("gone", f"{outcome.detail} Nothing more of it is sent.")
                source.clear()
                self._gone = self._gone or address == self._address
                return True
            source.advance(batch.used)
            self._succeed(address, outcome)
        return True

    def _send(self, address: Address, batch: Batch) -> Outcome:
        """One batch. What the service refuses for good is dropped and said; the rest is sent again without it."""
        if batch.finish is not None:
            body = dumps({"state": batch.finish})
            return self._post(address, "finish", body, "the end of the run")
        points, context = batch.points, batch.context
        while points:
            outcome = self._post_points(address, points, context)
            if not isinstance(outcome, Refused):
                return outcome
            bad = {place: why for place, why in outcome.points.items() if place < len(points)}
            if bad:
                place, why = min(bad.items())
                what = f"{len(bad)} of {len(points)} points refused and dropped"
                self._notices.say(f"{what}; the first, {points[place].decode()}: {why}")
                points = [point for place, point in enumerate(points) if place not in bad]
            elif context:
                wrong = {name: why for name, why in outcome.context.items() if name in context} or context
                self._notices.say(f"left out of the context: {', '.join(wrong)}. {outcome.detail}")
                context = {name: value for name, value in context.items() if name not in wrong}
            elif len(points) > 1:  # too large, or bad in a way without a pointer: find the part that is taken
                half = len(points) // 2
                first = self._send(address, Batch(None, points[:half], None, half))
                if isinstance(first, (Away, Gone)):
                    return first
                points = points[half:]
            else:
                self._notices.say(f"a point is refused and dropped, {points[0].decode()}: {outcome.detail}")
                points = []
        return Delivered(None)

    def _post_points(self, address: Address, points: List[bytes], context: Optional[Dict[str, Any]]) -> Outcome:
        head = {"writer": address.writer, **({"context": context} if context else {})}
        body = dumps(head)[:-1] + b',"points":[' + b",".join(points) + b"]}"
        return self._transport.post(run_path(address.run, "points"), address.project, body, self._timeout())

    def _post(self, address: Address, call: str, body: bytes, what: str) -> Outcome:
        outcome = self._transport.post(run_path(address.run, call), address.project, body, self._timeout())
        if isinstance(outcome, Refused):
            self._notices.say(f"{what} is refused: {outcome.detail}")
            return Delivered(None)
        return outcome

    def _timeout(self) -> float:
        if self._closing_at is None:
            return REQUEST_TIMEOUT_S
        return min(max(self._closing_at - time.monotonic(), 0.1), REQUEST_TIMEOUT_S)

    def _succeed(self, address: Address, outcome: Outcome) -> None:
        self._reached = True
        if self._failures:
            self._failures = 0
            self._notices.say("the service is back; what waited is delivered")
            self._notices.again("away")
        if isinstance(outcome, Delivered) and outcome.report is not None and address == self._address:
            self.report = outcome.report
            self._notices.report(outcome.report)

    def _back_off(self, away: Away) -> None:
        """Waits before the next try, longer each time, with jitter so that many clients do not come back at once."""
        self._failures += 1
        delay: float = min(self._interval * 2.0 ** min(self._failures - 1, 20), MAX_BACKOFF_S) * random.uniform(0.5, 1)
        delay = max(delay, away.after * random.uniform(1, 1.1))
        self._retry_at = time.monotonic() + delay
        self._keep()
        self._notices.once(
            "away", f"{self._address.url} is away ({away.why}); training goes on, points are kept and delivered later"
        )

    def _keep(self) -> None:
        """Moves what waits in memory to the spool, in order."""
        if self._spool is None:
            self._spool = open_spool(self._folder, self._address)
        records = self._waiting.peek(1_000_000)
        try:
            self._spool.append(records)
            self._waiting.advance(len(records))
        except OSError as error:  # the disk is full: memory has to do
            self._notices.once("disk", f"cannot keep points on disk ({error}); they are kept in memory")
        if self._spool.dropped:
            self._notices.once("spool", "the spool is full; the oldest points are dropped")

    def _leave(self) -> None:
        """The end: what is not delivered goes to disk, files and the connection are let go of."""
        try:
            if not self._all_delivered():
                self._keep()
                self._notices.say(self._last_words())
            elif self._spool is not None:
                self._spool.clear()
            if self._spool is not None:
                self._spool.close()
            for _, spool in self._left or ():
                spool.close()
        except Exception as error:  # noqa: BLE001 - the training is over; there is nobody left to hurt
            self._notices.say(f"points are lost: {error!r}")
        self._transport.close()

    def _last_words(self) -> str:
        if isinstance(self._spool, FileSpool):
            return (
                f"undelivered points wait in {self._spool.path}; the next run, or `python -m losswatch`, delivers them"
            )
        return "the service is away; undelivered points are lost"
