"""Run: what a training script holds in its hand."""

from __future__ import annotations

import atexit
import collections
import itertools
import os
import re
import sys
import threading
import uuid
import weakref
from pathlib import Path
from typing import Any, Deque, Dict, Optional, Tuple, Type, Union

from losswatch.notices import Notices, logger
from losswatch.sender import Entry, Sender
from losswatch.spool import Address, default_folder
from losswatch.transport import Transport
from losswatch.values import hold

DEFAULT_URL = "http://127.0.0.1:8000"
QUEUE_LENGTH = 32_768
"""Steps that may wait for the sender thread: half a minute of a loop that makes a thousand a second."""

_RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Run:
    """A training run that is being watched.

    Nothing here raises, blocks on the network or waits for an accelerator: `log` only puts the numbers into a queue
    that a background thread empties. While the service is away points are kept on disk and delivered later.
    """

    def __init__(
        self,
        name: str,
        *,
        project: Optional[str] = None,
        url: Optional[str] = None,
        api_key: Optional[str] = None,
        rank: Optional[int] = None,
        quiet: bool = False,
        flush_interval: float = 0.25,
        spool_dir: Union[str, Path, None] = None,
        **context: Any,
    ) -> None:
        """Begins to report as run ``name``; the service creates it with the first points.

        ``url`` is else taken from LOSSWATCH_URL (http://127.0.0.1:8000 without), ``api_key`` from LOSSWATCH_API_KEY,
        ``project`` from LOSSWATCH_PROJECT. ``context`` is what is known of the job: ``learning_rate=0.01``,
        ``optimizer="sgd"``, ``batch_size=32``, ``total_steps=10_000``, … It sharpens the advice. ``rank`` is taken
        from the launcher's environment; of ranks other than 0 only values that are not finite are sent.
        ``quiet`` keeps findings out of the terminal. ``flush_interval`` is in seconds.
        """
        self.name = _slug(name)
        self.project = project or os.environ.get("LOSSWATCH_PROJECT") or None
        self.url = (url or os.environ.get("LOSSWATCH_URL") or DEFAULT_URL).rstrip("/")
        if "://" not in self.url:
            self.url = "http://" + self.url
        self.rank = _rank() if rank is None else rank
        self._api_key = api_key or os.environ.get("LOSSWATCH_API_KEY") or None
        self._interval = max(float(flush_interval), 0.005)
        self._folder = _folder(spool_dir)
        self._quiet = quiet
        self._context = context
        self._owner = True
        self._reset()
        self._start()
        _alive.add(self)

    def _reset(self) -> None:
        self.writer = uuid.uuid4().hex[:16]
        self._queue: Deque[Entry] = collections.deque(maxlen=QUEUE_LENGTH)
        self._append = self._queue.append
        self._sequence = itertools.count()
        self._sender: Optional[Sender] = None
        self._finished = False
        self._lock = threading.Lock()

    def _start(self) -> None:
        from losswatch import __version__

        with self._lock:
            if self._sender is not None or self._finished:
                return
            try:
                self._sender = Sender(
                    self._queue,
                    Address(self.url, self.project, self.name, self.writer),
                    Transport(self.url, self._api_key, f"losswatch-python/{__version__}"),
                    Notices(self.name, self._quiet),
                    context=self._context if self._owner else {},
                    rank=self.rank,
                    interval=self._interval,
                    folder=self._folder,
                )
            except RuntimeError as error:  # no thread can be started: the interpreter is going down
                self._finished = True
                logger.warning("losswatch: %s: nothing is reported: %s", self.name, error)

    def log(self, step: int, **values: Any) -> None:
        """Notes what was measured at ``step``, in microseconds; never raises.

        ``loss``, ``grad_norm``, ``learning_rate``, ``validation_loss``, ``epoch``, ``layers`` (name -> gradient
        norm), ``metrics`` (name -> number, kept but not judged). Any other name is kept as a metric. Values may be
        numbers or anything with one number in it (tensors of any framework, also on an accelerator); ``None`` means
        that it was not measured. NaN and infinities are what matters most: do not filter them.
        """
        try:
            for value in values.values():
                kind = type(value)
                if kind is not float and kind is not int:
                    values = {name: hold(item) for name, item in values.items()}
                    break
            # A plain tuple, as building a named one takes longer: this line is run at every step of every training.
            self._append((next(self._sequence), step if type(step) is int else hold(step), values, None, None))
            if self._sender is None:
                self._start()
        except Exception as error:  # noqa: BLE001 - the one promise of this method
            logger.warning("losswatch: %s: a point is lost: %r", self.name, error)

    def update_context(self, **context: Any) -> None:
        """Tells what has become known of the job, from the next point on."""
        self._append((next(self._sequence), 0, None, dict(context), None))
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
        """Whether going on is pointless: the loss stays non-finite, or it diverges beyond doubt."""
        return (self.report or {}).get("action") == "stop"

    @property
    def dropped(self) -> int:
        """Points that were lost because they came faster than they could be taken."""
        sender = self._sender
        return sender.dropped if sender is not None else 0

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what was logged so far is delivered; False when that took more than ``timeout`` seconds."""
        sender = self._sender
        return sender.flush(timeout) if sender is not None and not self._finished else True

    def finish(self, state: str = "finished", timeout: float = 5.0) -> None:
        """Ends the run as ``finished``, ``failed`` or ``cancelled``. Waits at most ``timeout`` seconds for delivery.

        What is not delivered by then stays on disk for the next run of this user, or for ``python -m losswatch``.
        """
        with self._lock:
            if self._finished:
                return
            self._finished = True
        sequence = next(self._sequence)
        if sequence and self._owner and self.rank == 0:
            self._append((sequence, 0, None, None, state))
        # Whatever is logged from here on falls into a queue of no length: no test on the way of every step.
        nowhere: Deque[Entry] = collections.deque(maxlen=0)
        self._append = nowhere.append
        _alive.discard(self)
        if self._sender is not None:
            self._sender.close(timeout)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: object) -> None:
        self.finish(_state_after(error))

    def __reduce__(self) -> Tuple[Any, ...]:
        # For worker processes. The key is left out: pickles end up in checkpoints; workers have the environment.
        return _in_another_process, (self.name, self.project, self.url, self.rank, self._quiet, self._interval)

    def __repr__(self) -> str:
        return f"<losswatch.Run {self.name!r} {self.status} at {self.url}>"

    def _become_a_child(self) -> None:
        """After a fork: the parent's thread is not here, and its queue and its run's end are the parent's to send."""
        self._owner = False
        self._reset()


_alive: weakref.WeakSet[Run] = weakref.WeakSet()


def _in_another_process(
    name: str, project: Optional[str], url: str, rank: int, quiet: bool, flush_interval: float
) -> Run:
    run = Run.__new__(Run)
    run.name, run.project, run.url, run.rank = name, project, url, rank
    run._quiet, run._interval, run._context = quiet, flush_interval, {}
    run._api_key = os.environ.get("LOSSWATCH_API_KEY") or None
    run._folder = _folder(None)
    run._become_a_child()
    _alive.add(run)
    return run


def _slug(name: str) -> str:
    slug = _NOT_IN_A_NAME.sub("-", str(name)).lstrip("._-")[:128] or "run"
    if slug != name:
        logger.warning("losswatch: %r cannot be the name of a run; it is reported as %s", name, slug)
    return slug


def _rank() -> int:
    for variable in _RANK_VARIABLES:
        value = os.environ.get(variable, "")
        if value.isdigit():
            return int(value)
    return 0


def _folder(given: Union[str, Path, None]) -> Optional[Path]:
    try:
        return Path(given) if given is not None else default_folder()
    except RuntimeError:  # this user has no home
        return None


def _state_after(error: Optional[BaseException]) -> str:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished"
    return "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"


def _at_exit() -> None:
    """Ends the runs that the script did not end itself, by how the script ended."""
    error: Optional[BaseException] = getattr(sys, "last_value", None)
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:
        error = None  # in an interactive session that is only the latest slip
    for run in list(_alive):
        run.finish(_state_after(error))


def _after_fork_in_child() -> None:
    for run in list(_alive):
        run._become_a_child()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
