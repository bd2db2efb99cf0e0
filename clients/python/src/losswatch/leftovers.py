"""What earlier processes could not deliver: taken one file after the other, so that none keeps another waiting.

A file is opened, locked, delivered and let go of before the next is looked at: however many there are, they take one
descriptor and one connection. What no service will take, or what found none for a month, is moved to ``rejected``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Tuple, Union

from losswatch.delivery import Delivery
from losswatch.limits import Limits
from losswatch.notices import Notices
from losswatch.spool import Address, FileSpool
from losswatch.spool_folder import files, place_for_rejected, reject
from losswatch.transport import Away, Gone, Transport

REQUEST_TIMEOUT_S = 5.0
SWEEP_EVERY_S = 10.0
DAYS_WITHOUT_A_SERVICE = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
"""Before a file that was not taken is tried again: doubled each time."""


class Tried(NamedTuple):
    """What became of one file: ``delivered``, ``held`` by a living process, ``away``, ``elsewhere`` (not asked for),
    ``rejected`` or ``gone``."""

    result: str
    address: Optional[Address] = None
    away: Optional[Away] = None
    reason: str = ""
    refused: int = 0
    """Points of a delivered file that the service refused."""


Route = Union[Transport, Away, None]
"""How to reach a URL: by a transport, not now (and why), or not at all."""


def deliver_file(path: Path, route: Callable[[str], Route]) -> Tried:
    """Delivers one spool, if no living process holds it, by the ``route`` to its URL. Never raises."""
    try:
        spool = FileSpool(path)
    except FileNotFoundError:
        return Tried("gone")
    except ValueError as error:
        return _reject_unreadable(path, str(error))
    except OSError as error:
        return Tried("held", reason=str(error))
    address = spool.address
    try:
        way = route(address.url)
        if way is None:
            return Tried("elsewhere", address)
        quiet = Notices(f"{address.run} (left by an earlier process)", quiet=True)
        outcome: Union[Away, Gone, None]
        if isinstance(way, Away):
            outcome = way
        else:
            delivery = Delivery(way, address, quiet, Limits(), lambda: REQUEST_TIMEOUT_S)
            outcome = delivery.drain(spool)
            if outcome is None:
                spool.clear()  # at most a change of context that no point followed
                spool.close()
                return Tried("delivered", address, refused=delivery.refused)
        reason = _final(outcome, address, path)
        if reason is not None:
            reject(spool, reason)
            return Tried("rejected", address, reason=reason)
        return Tried("away", address, outcome if isinstance(outcome, Away) else None)
    except Exception as error:  # noqa: BLE001 - one file must not keep the others waiting
        return Tried("held", address, reason=repr(error))
    finally:
        spool.let_go()


def _final(outcome: Union[Away, Gone], address: Address, path: Path) -> Optional[str]:
    """Why nobody will ever take this file, or None while that is not certain."""
    where = f"{address.url}, run {address.run}" + (f", project {address.project}" if address.project else "")
    if isinstance(outcome, Gone):
        return f"{where}: {outcome.detail}"
    if outcome.is_ours and outcome.status in (404, 422):
        return f"{where}: {outcome.why}"
    days = (time.time() - path.stat().st_mtime) / 86_400
    if days > DAYS_WITHOUT_A_SERVICE:
        return f"{where}: not taken for {days:.0f} days; at last: {outcome.why}"
    return None


def _reject_unreadable(path: Path, reason: str) -> Tried:
    """A file that does not say where it goes."""
    with contextlib.suppress(OSError):
        path.replace(place_for_rejected(path, reason))
    return Tried("rejected", reason=f"it cannot be read: {reason}")


class Sweeps:
    """The deliveries of leftovers beside the runs of this process: one thread at a time, none between sweeps."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew, as in a forked child."""
        self._running = False
        self._due: Dict[Tuple[str, Path], float] = {}
        self._not_before: Dict[Path, Tuple[float, float]] = {}

    def start_if_due(self, url: str, folder: Optional[Path], make_transport: Callable[[], Transport]) -> None:
        """Called by runs whose service answers, from their own threads; returns at once."""
        now = time.monotonic()
        if folder is None or self._running or now < self._due.get((url, folder), 0.0):
            return
        self._due[url, folder] = now + SWEEP_EVERY_S
        self._running = True
        try:
            threading.Thread(
                target=self._sweep, args=(url, folder, make_transport), name="losswatch-leftovers", daemon=True
            ).start()
        except RuntimeError:  # the interpreter is going down
            self._running = False

    def _sweep(self, url: str, folder: Path, make_transport: Callable[[], Transport]) -> None:
        transport = make_transport()
        try:
            for path in files(folder):
                not_before, pause = self._not_before.get(path, (0.0, FIRST_PAUSE_S))
                if time.monotonic() < not_before:
                    continue
                began = time.monotonic()
                tried = deliver_file(path, lambda meant_for: transport if meant_for == url else None)
                is_busy = tried.away is not None and tried.away.status in (0, 429, 503)
                if tried.result in ("away", "elsewhere"):
                    longer = FIRST_PAUSE_S if is_busy else min(2 * pause, LONGEST_PAUSE_S)
                    self._not_before[path] = (time.monotonic() + pause, longer)
                else:
                    self._not_before.pop(path, None)
                if is_busy:
                    break  # the service itself; the next sweep begins with another file
                time.sleep(min(time.monotonic() - began, 1.0))  # half of the time is the training's
        finally:
            transport.close()
            self._running = False


sweeps = Sweeps()
