"""How runs end that nobody ended: their senders are held here until all is delivered, whatever became of the Run.

A Run that goes out of scope ends in the background. At the end of the process all that are open end together, as
failed when an exception ended the process. A worker of ``multiprocessing`` leaves without the interpreter's own exit
handlers and may be terminated as soon as its task is done: there a Run that goes out of scope waits for its delivery.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Optional, Set

from losswatch.failures import describe
from losswatch.leftovers import sweeps

if TYPE_CHECKING:
    from losswatch.sender import Sender

TIMEOUT_S = 5.0
_SIGNALLED = (128 + 2, 128 + 15)
"""Exit statuses that stand for SIGINT and SIGTERM, as shells and handlers use them."""

_open: Set[Sender] = set()
_minded_process = 0


def opened(sender: Sender) -> None:
    """Holds the sender until `closed`; minds the end of a worker process."""
    _open.add(sender)
    _mind_worker()


def closed(sender: Sender) -> None:
    """Lets go of it."""
    _open.discard(sender)


def release(sender: Sender) -> None:
    """Ends the run of a Run that went out of scope. May be called by the garbage collector in any thread, at any time.

    Where a later Run of this process reports under the same name the run goes on: only the older sender ends.
    """
    if sender.is_done:
        return
    goes_on = any(other.address[:3] == sender.address[:3] and other.number > sender.number for other in tuple(_open))
    sender.end(None if goes_on else "finished", TIMEOUT_S)
    if _is_worker() and threading.current_thread() is not sender.thread:
        sender.wait(TIMEOUT_S + 1.0)


def state_after(error: Optional[BaseException]) -> str:
    """How a run ended whose code was left by ``error``."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished"
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in _SIGNALLED):
        return "cancelled"
    return "failed"


def error_after(error: Optional[BaseException]) -> Optional[str]:
    """What to tell of the error where the run failed of it."""
    return describe(error) if state_after(error) == "failed" else None


def _at_exit() -> None:
    """Ends the runs that are still open, by how the process ended."""
    # A worker's exit handlers run while its exception is on the way; the interpreter's own run after it was reported.
    error: Optional[BaseException] = sys.exc_info()[1] or getattr(sys, "last_value", None)
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:
        error = None  # in an interactive session that is only the latest slip
    senders = tuple(_open)
    for sender in senders:
        sender.end(state_after(error), TIMEOUT_S, error_after(error))
    deadline = time.monotonic() + TIMEOUT_S + 1.0
    for sender in senders:
        sender.wait(max(deadline - time.monotonic(), 0.0))


def is_spawning() -> bool:
    """Whether a process of ``multiprocessing`` is being started just now, for which what it needs is pickled."""
    context = sys.modules.get("multiprocessing.context")
    return context is not None and context.get_spawning_popen() is not None


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _mind_worker() -> None:
    global _minded_process
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _minded_process != os.getpid() and _is_worker():
        _minded_process = os.getpid()
        util.Finalize(None, _at_exit, exitpriority=100)


def _after_fork_in_child() -> None:
    """The parent's senders have no threads here."""
    _open.clear()
    sweeps.forget()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
