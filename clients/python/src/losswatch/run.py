"""Run: what a training script holds in its hand."""

from __future__ import annotations

import collections
import itertools
import os
import threading
import weakref
from pathlib import Path
from typing import Any, Deque, Dict, List, Mapping, Optional, Set, Tuple, Type, Union

from losswatch import lifetime
from losswatch.addresses import DEFAULT_URL, address
from losswatch.failures import describe
from losswatch.job import is_disabled, own_rank, run_name
from losswatch.names import slug
from losswatch.notices import Listener, Notices, logger, prepare
from losswatch.points import NAMELESS
from losswatch.sender import Entry, Origin, Sender
from losswatch.spool import Address
from losswatch.spool_folder import default_folder
from losswatch.transport import Transport, page_link
from losswatch.values import hold
from losswatch.waiting import Promise

QUEUE_LENGTH = 32_768
"""Steps that may wait for the sender thread: half a minute of a loop that makes a thousand a second."""


class Run:
    """A training run that is being watched.

    Nothing here raises, blocks on the network or waits for an accelerator: `log` only puts the numbers into a queue
    that a background thread empties. While the service is away points are kept on disk and delivered later.

    End it with `finish`, or use it in a ``with`` block: then an exception makes it ``failed``. A Run that merely goes
    out of scope is delivered and ends as ``finished``; one that is there at the end of the process ends as that does.
    """

    def __init__(  # noqa: PLR0913 - each is an option of whoever trains
        self,
        name: Optional[str] = None,
        *,
        project: Optional[str] = None,
        url: Optional[str] = None,
        api_key: Optional[str] = None,
        rank: Optional[int] = None,
        quiet: bool = False,
        stop_on: str = "stop",
        flush_interval: float = 0.25,
        spool_dir: Union[str, Path, None] = None,
        **context: Any,
    ) -> None:
        """Begins to report as run ``name``; the service creates it with the first points.

        Without ``name`` it is LOSSWATCH_RUN, else made of the script's name and the job or the time. ``url`` is else
        taken from LOSSWATCH_URL (http://127.0.0.1:8000 without), ``api_key`` from LOSSWATCH_API_KEY, ``project`` from
        LOSSWATCH_PROJECT. With LOSSWATCH_DISABLED=1 nothing is reported. ``context`` is what is known of the job:
        ``learning_rate=0.01``, ``optimizer="sgd"``, ``batch_size=32``, ``total_steps=10_000``, … It sharpens the
        advice. ``rank`` is taken from the launcher's environment, torch.distributed or JAX; of ranks other than 0 only
        values that are not finite are sent. ``quiet`` keeps the first line, the last line and the findings out of the
        terminal. With ``stop_on="critical"`` `should_stop` is true for every critical finding, not only where going on
        is pointless beyond doubt.
        ``flush_interval`` is in seconds.
        """
        prepare()
        self.name = _named(run_name() if name is None else name, "run", "a run")
        given = project or os.environ.get("LOSSWATCH_PROJECT") or None
        self.project = None if given is None else _named(given, "project", "a project")
        self.url = address(url or os.environ.get("LOSSWATCH_URL") or DEFAULT_URL)
        self.rank = own_rank() if rank is None else rank
        self._api_key = api_key or os.environ.get("LOSSWATCH_API_KEY") or None
        self._interval = max(float(flush_interval), 0.005)
        self._folder = _folder(spool_dir)
        self._quiet = quiet
        self._stop_on = stop_on
        if stop_on not in ("stop", "critical"):
            logger.warning('losswatch: %s: stop_on must be "stop" or "critical"; "stop" is taken', self.name)
        self._context = context
        self._owner = True
        self._listeners: List[Listener] = []
        self._told: Set[str] = set()
        """The names of what was told of the job since it began."""
        self._first: Optional[Promise] = None
        self._reset(last_step=-1, writer=_new_writer())
        self._start()
        _runs.add(self)

    def _reset(self, last_step: int, writer: str) -> None:
        self.writer = writer
        self._queue: Deque[Entry] = collections.deque(maxlen=QUEUE_LENGTH)
        self._append = self._queue.append
        self._sequence = itertools.count()
        self._last_step = last_step
        self._sender: Optional[Sender] = None
        self._finished = is_disabled()
        self._lock = threading.Lock()

    def _start(self) -> None:
        from losswatch import __version__

        with self._lock:
            if self._sender is not None or self._finished:
                return
            url, key = self.url, self._api_key
            try:
                self._sender = Sender(
                    self._queue,
                    Address(self.url, self.project, self.name, self.writer),
                    lambda: Transport(url, key, f"losswatch-python/{__version__}"),
                    Notices(self.name, self._quiet, self._listeners),
                    Origin(self.rank, self._owner, self._last_step, self._first),
                    context=self._context,
                    interval=self._interval,
                    folder=self._folder,
                )
            except RuntimeError as error:  # no thread can be started: the interpreter is going down
                self._finished = True
                logger.warning("losswatch: %s: nothing is reported: %s", self.name, error)

    def log(self, step: Any = None, /, *others: Any, loss: Any = None, grad_norm: Any = None, **values: Any) -> None:
        """Notes what was measured at ``step``, in microseconds; never raises.

        ``loss``, ``grad_norm``, ``learning_rate``, ``validation_loss``, ``epoch``, ``layers`` (name -> gradient
        norm), ``metrics`` (name -> number, kept but not judged). Any other name is kept as a metric. Values may be
        numbers or anything with one number in it (tensors of any framework, also on an accelerator); ``None`` means
        that it was not measured. NaN and infinities are what matters most: do not filter them.

        Without a step it is the one after the last that was logged, 0 at first. So ``log(loss=…)`` counts by itself,
        also after ``log(100, loss=…)``, where it goes on with 101; what belongs to a step that was logged already (a
        validation loss) must name it. A script that resumes from a checkpoint must give its steps.
        A dictionary of values is taken too: ``log({"loss": 0.7}, step=3)``.
        """
        try:
            # The two most common numbers have names of their own, as a dictionary takes longer to make, and a plain
            # tuple less than a named one: these lines are run at every step of every training.
            if type(loss) is not float or type(step) is not int or values or others:
                step, loss, grad_norm, values = _understood(step, others, loss, grad_norm, values)
            elif type(grad_norm) is not float:
                grad_norm = hold(grad_norm)
            self._append((next(self._sequence), step, loss, grad_norm, values or None, None))
            if self._sender is None:
                self._start()
        except Exception as error:  # noqa: BLE001 - the one promise of this method
            logger.warning("losswatch: %s: a point is lost: %r", self.name, error)

    def update_context(self, /, **context: Any) -> None:
        """Tells what has become known of the job, from the next point on."""
        self._told.update(context)
        self._append((next(self._sequence), 0, None, None, None, dict(context)))
        if self._sender is None:
            self._start()

    @property
    def report(self) -> Optional[Dict[str, Any]]:
        """The latest report of the service, as it came (see its API), or None before the first."""
        sender = self._sender
        return sender.report if sender is not None else None

    @property
    def status(self) -> str:
        """``waiting``, ``healthy``, ``warning`` or ``critical``."""
        return str((self.report or {}).get("status", "waiting"))

    @property
    def should_stop(self) -> bool:
        """Whether going on is pointless: the loss stays non-finite, or it diverges beyond doubt.

        As of the latest report that has come; see `check`. With ``stop_on="critical"`` also while the run is critical.
        """
        report = self.report or {}
        return report.get("action") == "stop" or (self._stop_on == "critical" and report.get("status") == "critical")

    def check(self, timeout: float = 2.0) -> bool:
        """`should_stop`, once the service has judged everything that was logged so far.

        Takes a round trip to the service (some milliseconds), at most ``timeout`` seconds, and does not wait for a
        service that is away. In a loop with fast steps call it every now and then.
        """
        sender = self._sender
        if sender is not None and not self._finished:
            sender.flush(timeout, while_away=False)
        return self.should_stop

    def on_finding(self, listener: Listener) -> Listener:
        """Calls ``listener`` with each finding (a dictionary, as in the report) that is new or has become worse.

        To be written above a function: ``@run.on_finding``. It is called from a background thread, soon after the
        point that it is about; what it raises is said and goes no further.
        """
        self._listeners.append(listener)
        return listener

    @property
    def is_finished(self) -> bool:
        """Whether it was ended: what is logged now goes nowhere."""
        return self._finished

    @property
    def dropped(self) -> int:
        """Points that were logged and will never be stored.

        They came faster than they could be taken, found no room on disk and in memory while the service was away, or
        were refused. One line says so, once for each reason.
        """
        sender = self._sender
        return sender.dropped if sender is not None else 0

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what was logged so far is stored by the service.

        False when that took more than ``timeout`` seconds, or when any point of this run was dropped.
        """
        sender = self._sender
        return sender.flush(timeout) if sender is not None else True

    def finish(
        self, state: str = "finished", timeout: float = 5.0, error: Union[str, BaseException, None] = None
    ) -> None:
        """Ends the run as ``finished``, ``failed`` or ``cancelled``. Waits at most ``timeout`` seconds for delivery.

        ``error`` is what it failed of, for whoever is notified: an exception (its type and first line are sent, without
        secrets) or a sentence. A ``with`` block sends the exception that left it.

        What is not delivered by then stays on disk for the next run of this user, or for ``python -m losswatch``.
        """
        with self._lock:
            if self._finished:
                return
            self._finished = True
        # Whatever is logged from here on falls into a queue of no length: no test on the way of every step.
        nowhere: Deque[Entry] = collections.deque(maxlen=0)
        self._append = nowhere.append
        if self._sender is not None:
            self._sender.end(state, timeout, describe(error))
            self._sender.wait(timeout + 1.0)

    def __del__(self) -> None:
        sender = self.__dict__.get("_sender")
        if sender is not None and not self._finished:
            self._finished = True
            lifetime.release(sender)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: object) -> None:
        state = lifetime.state_after(error)
        self.finish(state, error=error if state == "failed" else None)

    def __reduce__(self) -> Tuple[Any, ...]:
        # For worker processes. The key is left out: pickles end up in checkpoints; workers have the environment.
        options = {"quiet": self._quiet, "stop_on": self._stop_on, "interval": self._interval}
        if lifetime.is_spawning():
            options["parent"] = self.writer
            if self._sender is not None:  # no memory is shared that the child could wait by
                self._sender.flush(SPAWN_WAIT_S, while_away=False)
        return _in_another_process, (self.name, self.project, self.url, self.rank, self._step_so_far(), options)

    def __repr__(self) -> str:
        return f"<losswatch.Run {self.name!r} {self.status} at {self.url}>"

    def _repr_html_(self) -> str:
        from losswatch.notebook import html

        sender = self._sender
        losses = sender.history.stretches() if sender is not None else ()
        return html(self.name, self.report, losses, page_link(self.url, self.project, self.name))

    def _step_so_far(self) -> int:
        """The last step that was logged, as far as it is known without waiting for a device."""
        step = self._sender.last_step if self._sender is not None else self._last_step
        for _, given, loss, grad_norm, values, context in tuple(self._queue):
            if context is not None:
                continue
            if type(given) is int:
                step = given
            elif given is None and (values or loss is not None or grad_norm is not None):
                step += 1
        return step

    def _before_fork(self) -> None:
        """What was logged until now comes before what the child logs."""
        self._first = None
        if self._sender is not None and not self._finished:
            self._first = self._sender.promise()

    def _become_a_child(self) -> None:
        """After a fork: the parent's thread is not here, and its queue and its run's end are the parent's to send."""
        self._owner = False
        self._reset(self._step_so_far(), _forked_from(self.writer))


SPAWN_WAIT_S = 0.5
"""Spent at most on what was logged before a process is spawned, which takes as long itself: a child that delivers
before its parent looks like a step back. A service that is away is not waited for."""
_runs: weakref.WeakSet[Run] = weakref.WeakSet()
"""The Runs that code still holds: after a fork each gets a sender of its own. Nothing else hangs on it."""


def _new_writer() -> str:
    return os.urandom(8).hex()


def _forked_from(writer: str) -> str:
    """The writer of a child process. The service knows by the name whose it is: what the parent logs is the run."""
    return f"{writer.partition('~')[0]}~{os.urandom(4).hex()}"


def _in_another_process(
    name: str, project: Optional[str], url: str, rank: int, last_step: int, options: Mapping[str, Any]
) -> Run:
    prepare()
    run = Run.__new__(Run)
    run.name, run.project, run.url, run.rank = name, project, url, rank
    run._quiet, run._stop_on, run._interval = options["quiet"], options["stop_on"], options["interval"]
    run._api_key = os.environ.get("LOSSWATCH_API_KEY") or None
    run._folder = _folder(None)
    run._context = {}
    run._listeners = []
    run._told = set()
    run._owner = False
    run._first = None
    parent = options.get("parent")
    run._reset(last_step, _new_writer() if parent is None else _forked_from(parent))
    _runs.add(run)
    return run


def _understood(
    step: Any, others: Tuple[Any, ...], loss: Any, grad_norm: Any, values: Dict[str, Any]
) -> Tuple[Any, Any, Any, Dict[str, Any]]:
    """What `Run.log` was given in another way than as a step and the two most common numbers."""
    values = {name: hold(value) for name, value in values.items()}
    if type(step) is int and not others:
        return step, hold(loss), hold(grad_norm), values
    given = [step, *others]
    step = None
    for place, item in enumerate(given):
        if isinstance(item, Mapping):
            values = {**{str(name): hold(value) for name, value in item.items()}, **values}
        elif item is None:
            continue
        elif place == 0 or (step is None and isinstance(given[0], Mapping)):
            step = hold(item)
        else:
            values[NAMELESS] = hold(item)
    common = [
        values.pop(name, None) if value is None else hold(value)
        for name, value in (("loss", loss), ("grad_norm", grad_norm))
    ]
    return values.pop("step", None) if step is None else step, common[0], common[1], values


def _named(given: Any, default: str, what: str) -> str:
    kept = slug(given, default)
    if kept != given:
        shown = str(given)
        shown = repr(shown if len(shown) <= 60 else shown[:59] + "…")
        logger.warning("losswatch: %s cannot be the name of %s; it is reported as %s", shown, what, kept)
    return kept


def _folder(given: Union[str, Path, None]) -> Optional[Path]:
    try:
        return Path(given) if given is not None else default_folder()
    except RuntimeError:  # this user has no home
        return None


def _before_fork() -> None:
    for run in list(_runs):
        run._before_fork()


def _after_fork_in_child() -> None:
    for run in list(_runs):
        run._become_a_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
