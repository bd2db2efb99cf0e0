"""The background thread of a run: collects what was logged, delivers it in order, keeps what cannot be delivered."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from pathlib import Path
from typing import Any, Callable, Deque, Dict, NamedTuple, Optional, Tuple

from losswatch import lifetime
from losswatch.addresses import heard, mend
from losswatch.batches import Record, has_more_than_contexts
from losswatch.context import encode_context
from losswatch.delivery import Delivery
from losswatch.history import History
from losswatch.leftovers import deliver_file, sweeps
from losswatch.limits import Limits
from losswatch.notices import Notices
from losswatch.points import dumps, encode_entry, is_finite
from losswatch.spool import Address, FileSpool, MemorySpool
from losswatch.spool_folder import files_of_run, spool_path
from losswatch.transport import Away, Delivered, Gone, Transport, page_link
from losswatch.waiting import BREATH_S, Patience, Promise, Waiters

REQUEST_TIMEOUT_S = 5.0
MAX_BACKOFF_S = 30.0
GIVES_WAY_AFTER_S = 0.0002
"""Of encoding, before the interpreter is offered to the training thread, which may keep it for 5 ms."""
KEPT_AT_ONCE = 200
"""Records written to disk together: where it is nearly full, the most that leave the room unused."""

Entry = Tuple[int, Any, Any, Any, Optional[Dict[str, Any]], Optional[Dict[str, Any]]]
"""What goes through the queue: a sequence number, the step, its loss, gradient norm and other values, or a context."""

_numbers = itertools.count()


class Origin(NamedTuple):
    """In whose name a sender speaks: a worker process reports points, but neither the context nor the end of a run."""

    rank: int
    is_owner: bool
    last_step: int
    """The step before the first that is logged without one."""
    first: Optional[Promise] = None
    """What the process that this one was forked from delivers first."""


class Sender:
    """Owns the thread, the connection and the spool of one run in one process."""

    def __init__(
        self,
        entries: Deque[Entry],
        address: Address,
        make_transport: Callable[[], Transport],
        notices: Notices,
        origin: Origin,
        *,
        context: Dict[str, Any],
        interval: float,
        folder: Optional[Path],
    ) -> None:
        self.address = address
        self.number = next(_numbers)
        self.report: Optional[Dict[str, Any]] = None
        self.last_step = origin.last_step
        self.history = History()
        self._entries = entries
        self._make_transport = make_transport
        self._transport = make_transport()
        self._notices = notices
        self._origin = origin
        self._interval = interval
        self._folder = folder
        self._limits = Limits()
        self._delivery = Delivery(self._transport, address, notices, self._limits, self._timeout, self._stored)
        self._waiting = MemorySpool()
        self._spool: Optional[FileSpool] = None
        if context and origin.is_owner:
            self._waiting.append([self._context_record(context)])
        self._taken = self._highest = 0
        self._overrun = self._left_out = self._unwanted = self._dropped_on_disk = 0
        self._failures = 0
        self._retry_at = 0.0
        self._why_away = ""
        self._reached = False
        self._patience = Patience(origin.first)
        self._earlier_are_sent = False
        self._earlier_tries = 0
        self._gone = False
        self._end_state: Optional[str] = None
        self._end_error: Optional[str] = None
        self._closing_at: Optional[float] = None
        self._end_is_kept = False
        self._is_complete = False
        """Whether everything was delivered when the thread ended."""
        self._is_busy = False
        """Whether something that was taken from the queue waits for its delivery."""
        self._waiters = Waiters()
        # Not an Event: the garbage collector may end a run in this very thread while it holds the Event's lock.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._done = threading.Event()
        self.thread = threading.Thread(target=self._live, name="losswatch-sender", daemon=True)
        lifetime.opened(self)
        try:
            self.thread.start()
        except BaseException:
            lifetime.closed(self)
            raise

    @property
    def dropped(self) -> int:
        """Points that were logged and will never be stored."""
        on_disk = self._dropped_on_disk + (self._spool.dropped if self._spool is not None else 0)
        refused = self._delivery.refused
        return self._overrun + self._left_out + self._unwanted + on_disk + self._waiting.dropped + refused

    def flush(self, timeout: float, *, while_away: bool = True) -> bool:
        """Waits until everything that was logged is stored; False when it took too long or points were dropped.

        Without ``while_away`` it waits no longer than until the service turns out to be away.
        """
        if not self._done.is_set() and (while_away or not self._failures):
            return self._waiters.wait(timeout, while_away, self.hurry, self._done.is_set) and self.dropped == 0
        return self._is_complete and self.dropped == 0

    def promise(self) -> Optional[Promise]:
        """What a child that is forked now waits for; None where everything is delivered, or nothing can be shared."""
        if self.is_done or not (self._entries or self._is_busy):
            return None
        promise = self._waiters.promise()
        self.hurry()
        return promise

    def hurry(self) -> None:
        """Delivers at once what was logged so far."""
        self._wake.put(None)

    def end(self, state: Optional[str], timeout: float, error: Optional[str] = None) -> None:
        """Asks the thread to deliver what it can within ``timeout`` seconds and to end. The first wins; no lock."""
        if self._closing_at is None:
            self._end_state = state if self._origin.is_owner and self._origin.rank == 0 else None
            self._end_error = error
            self._closing_at = time.monotonic() + timeout
            self._wake.put(None)

    def wait(self, timeout: float) -> bool:
        """Whether the thread has ended in time."""
        return self._done.wait(timeout)

    @property
    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self._done.is_set()

    def _live(self) -> None:
        while True:
            self._sleep()
            closing = self._closing_at
            try:
                self._turn(closing is not None)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread or touch the training
                self._notices.once("fault", f"the client failed ({error!r}); some points may be missing")
            if closing is not None and (self._all_delivered() or not self._worth_waiting(closing)):
                break
        self._leave()
        lifetime.closed(self)
        self._done.set()

    @staticmethod
    def _end_record(state: str, error: Optional[str]) -> Record:
        line = {"finish": state, **({"error": error} if error else {})}
        return Record(dumps(line), finish=state, error=error)

    def _sleep(self) -> None:
        pause = self._interval
        if self._closing_at is not None:
            waits = self._patience.waits(self._closing_at)
            pause = max(BREATH_S if waits else 0.0, min(self._retry_at - time.monotonic(), self._interval))
        try:
            self._wake.get(timeout=pause)
            while True:
                self._wake.get_nowait()
        except queue.Empty:
            return

    def _worth_waiting(self, closing_at: float) -> bool:
        """Whether a parent may still deliver before the end, or a service that is away be back, if it was there."""
        may_be_back = self._reached and self._failures > 0 and time.monotonic() < self._retry_at < closing_at
        return may_be_back or self._patience.waits(closing_at)

    def _turn(self, is_closing: bool) -> None:
        self._is_busy = True
        waiters = self._waiters.come()
        self._collect(is_closing)
        if is_closing and not self._end_is_kept:
            self._end_is_kept = True
            if self._end_state is not None and self._taken and not self._gone:
                self._waiting.append([self._end_record(self._end_state, self._end_error)])
            self._retry_at = 0.0  # a last try
        if time.monotonic() >= self._retry_at:
            self._deliver()
        if self._failures:
            self._keep()
        elif self._reached:
            sweeps.start_if_due(self.address.url, self._folder, self._make_transport)
        is_delivered = self._all_delivered()
        self._is_busy = not is_delivered
        self._waiters.settle(waiters, is_delivered, self._failures > 0)

    def _all_delivered(self) -> bool:
        return not any(kept and has_more_than_contexts(kept.peek) for kept in (self._spool, self._waiting))

    # --- from the queue -------------------------------------------------------------------------------------------

    def _collect(self, is_last: bool) -> None:
        was_full = len(self._entries) == self._entries.maxlen
        until = time.monotonic() + GIVES_WAY_AFTER_S
        for _ in range(len(self._entries)):
            try:
                entry = self._entries.popleft()
            except IndexError:  # the training thread pushed the oldest out meanwhile
                break
            self._taken += 1
            self._highest = max(self._highest, entry[0] + 1)
            record = self._record(entry)
            if record is not None and self._gone:
                self._unwanted += record.step >= 0
            elif record is not None:
                self._waiting.append([record])
            if time.monotonic() > until:
                time.sleep(0)
                until = time.monotonic() + GIVES_WAY_AFTER_S
        # Two threads may put in their entries in another order than that of their numbers: only a full queue has lost.
        if was_full or is_last or len(self._entries) == self._entries.maxlen:
            self._overrun = max(self._overrun, self._highest - self._taken)
        if self._overrun:
            self._notices.once("full", "points come faster than they can be read; the oldest are dropped")

    def _record(self, entry: Entry) -> Optional[Record]:
        _, step, loss, grad_norm, others, context = entry
        if context is not None:
            return self._context_record(context)
        try:
            step_of = self.last_step + 1 if step is None else step
            encoded = encode_entry(step_of, loss, grad_norm, others, self._origin.rank, self._limits)
        except Exception as error:  # noqa: BLE001 - one point must not take others with it
            self._left_out += 1
            self._notices.once("point", f"a point is left out: {error!r}")
            return None
        self._notices.complain(encoded.complaints)
        self._left_out += encoded.step < 0
        if encoded.step >= 0 and (step is not None or encoded.line is not None):
            self.last_step = encoded.step
        if isinstance(encoded.loss, float):
            self.history.add(encoded.step, encoded.loss)
        if encoded.line is None or (self._origin.rank and is_finite(encoded.line)):
            return None
        return Record(encoded.line, encoded.step, encoded.names)

    def _context_record(self, context: Dict[str, Any]) -> Record:
        plain, complaints = encode_context(context)
        self._notices.complain(complaints)
        return Record(dumps({"context": plain}), context=plain)

    # --- to the service -------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Everything that waits, in order: what an earlier process of this run left, the spool, then memory."""
        if self._patience.waits(self._closing_at):
            return None
        if not self._earlier_are_sent and not self._deliver_earlier():
            return None
        for kept in (self._spool, self._waiting):
            if kept:
                outcome = self._delivery.drain(kept)
                if isinstance(outcome, Away):
                    return self._back_off(outcome)
                if isinstance(outcome, Gone):
                    return self._give_up(outcome)
        self._earlier_are_sent = True
        if self._failures:
            self._failures = 0
            self._notices.once("back", "the service is back; what waited is delivered")
        if self._spool is not None:
            self._let_go_of_spool()
        return None

    def _deliver_earlier(self) -> bool:
        """What other writers of this run left: before its own points, as their order matters after a resume.

        Only a service that is away as a whole keeps this run waiting. A file that is not taken is left to the sweeps;
        so is one that gets no answer while, at the third try, the run's own points do.
        """
        for path in files_of_run(self._folder, self.address):
            tried = deliver_file(path, lambda url: self._transport if url == self.address.url else None)
            if tried.away is not None and tried.away.status == 0:
                self._earlier_tries += 1
                if self._earlier_tries % 3 == 0:
                    return True
                self._back_off(tried.away)
                return False
        return True

    def _timeout(self) -> float:
        if self._closing_at is None:
            return REQUEST_TIMEOUT_S
        return min(max(self._closing_at - time.monotonic(), 0.1), REQUEST_TIMEOUT_S)

    def _stored(self, delivered: Delivered) -> None:
        self._reached = True
        if delivered.report is None:
            return
        self.report = delivered.report
        if self._origin.is_owner and self._origin.rank == 0:
            self._notices.tell("begin", f"reports to {page_link(*self.address[:3])}")
        self._notices.report(delivered.report)

    def _give_up(self, gone: Gone) -> None:
        """The run was removed from the service: nothing more of it is wanted."""
        self._gone = True
        for kept in (self._spool, self._waiting):
            if kept is not None:
                self._unwanted += kept.points
                kept.clear()
        self._notices.once("gone", f"{gone.detail} Nothing more of it is sent.")

    def _back_off(self, away: Away) -> None:
        """Waits before the next try, longer each time, with jitter so that many clients do not come back at once."""
        self._failures += 1
        said, self._why_away = heard(away.why, away.status)
        delay: float = min(self._interval * 2.0 ** min(self._failures - 1, 20), MAX_BACKOFF_S) * random.uniform(0.5, 1)
        delay = max(delay, away.after * random.uniform(1, 1.1))
        self._retry_at = time.monotonic() + delay
        wrong = "" if self._reached else f"; {mend(self.address.url, away.why, away.status)}"
        self._notices.once(
            "away",
            f"{self.address.url} {said}; training goes on, points are kept and delivered later{wrong}",
        )

    def _keep(self) -> None:
        """Moves what waits in memory to disk, in order; what the disk does not take stays in memory for now."""
        try:
            if self._folder is None:
                raise OSError("this user has no folder for them")
            if self._spool is None:
                self._spool = FileSpool(spool_path(self._folder, self.address), self.address)
            while self._waiting:
                records = self._waiting.peek(KEPT_AT_ONCE)
                self._spool.append(records)
                self._waiting.advance(len(records))
        except OSError as error:
            self._notices.once("disk", f"cannot keep points on disk ({error}); they are kept in memory")
        if self._waiting.dropped or (self._spool is not None and self._spool.dropped):
            self._notices.once("spool", "there is no room left for points that wait; the oldest are dropped")

    def _leave(self) -> None:
        """The end: what is not delivered goes to disk, files and the connection are let go of."""
        try:
            self._is_complete = self._all_delivered()
            if self._is_complete:
                if self._spool is not None:
                    self._spool.clear()
                self._notices.end(self._end_state, self.report, page_link(*self.address[:3]))
            else:
                self._keep()
                self._tell_what_waits()
            if self.dropped:
                self._notices.once("dropped", f"points that were dropped: {self.dropped}")
        except Exception as error:  # noqa: BLE001 - the training is over; there is nobody left to hurt
            self._notices.once("lost", f"points are lost: {error!r}")
        self._let_go_of_spool()
        self._waiters.leave()
        self._transport.close()

    def _let_go_of_spool(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            self._dropped_on_disk += spool.dropped
            spool.close()

    def _tell_what_waits(self) -> None:
        lost = self._waiting.points
        if lost:
            self._unwanted += lost
            self._waiting.clear()
            self._notices.once("lost", f"{lost} points are lost: neither the service nor the disk takes them")
        if self._spool:
            points = self._spool.points
            what = f"{points} point{' waits' if points == 1 else 's wait'}" if points else "the end of the run waits"
            elsewhere = f"; to another address: python -m losswatch --from {self.address.url} --url ADDRESS"
            self._notices.once(
                "left",
                f"{what} in {self._spool.path}: {self.address.url} {self._why_away}; the next run, or "
                f"`python -m losswatch`, delivers them{'' if self._reached else elsewhere}",
            )
