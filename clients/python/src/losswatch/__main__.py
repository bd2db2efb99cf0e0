"""``python -m losswatch``: delivers what earlier training processes could not, and says what became of it."""

from __future__ import annotations

import argparse
import collections
import os
import sys
from pathlib import Path
from typing import Dict, List, Optional

from losswatch import __version__
from losswatch.addresses import DEFAULT_URL, address
from losswatch.leftovers import Route, Tried, deliver_file
from losswatch.spool_folder import REJECTED, default_folder, files
from losswatch.transport import Away, Transport

TRIES = 3
"""So many files in a row without any answer: then nobody is there, and the rest of that address waits untried."""


class Routes:
    """The ways to the services that files are meant for, each found once."""

    def __init__(self, only: Optional[str], meant_for: Optional[str]) -> None:
        """``only`` and ``meant_for``: send what was meant for the second (else for the first) to the first."""
        self._only = only
        self._meant_for = meant_for or only
        self._own = address(os.environ.get("LOSSWATCH_URL") or DEFAULT_URL)
        self._transports: Dict[str, Transport] = {}
        self._silent: Dict[str, int] = collections.Counter()
        self._away: Dict[str, Away] = {}

    def route(self, url: str) -> Route:
        """The way for a file that is meant for ``url``."""
        if self._meant_for is not None and url != self._meant_for:
            return None
        to = self._only or url
        if self._silent[url] >= TRIES:
            return self._away[url]
        if to not in self._transports:
            # The key is that of the service that was set or asked for: no other gets to see it.
            key = os.environ.get("LOSSWATCH_API_KEY") or None
            is_known = to in (self._own, self._only)
            self._transports[to] = Transport(to, key if is_known else None, f"losswatch-python/{__version__}")
        return self._transports[to]

    def note(self, tried: Tried) -> None:
        """Remembers whether anybody answers at the file's address."""
        if tried.address is None:
            return
        url = tried.address.url
        if tried.away is not None and tried.away.status == 0:
            self._silent[url] += 1
            self._away[url] = tried.away
        elif tried.result != "elsewhere":
            self._silent[url] = 0

    def close(self) -> None:
        """Closes the connections."""
        for transport in self._transports.values():
            transport.close()


def main(arguments: Optional[List[str]] = None, *, command: str = "python -m losswatch") -> int:
    """Exit status 0 when nothing that was asked for is left, else 1. ``command``: how it was called."""
    given = _parser(command).parse_args(arguments)
    if given.meant_for and not given.url:
        print(f"{command}: --from needs --url, the address to send to", file=sys.stderr)  # noqa: T201
        return 64
    folder = given.spool_dir / REJECTED if given.rejected else given.spool_dir
    routes = Routes(given.url and address(given.url), given.meant_for and address(given.meant_for))
    tried = []
    for path in files(folder):
        outcome = deliver_file(path, routes.route)
        routes.note(outcome)
        if outcome.result == "delivered":
            path.with_suffix(".reason.txt").unlink(missing_ok=True)
        tried.append(outcome)
    routes.close()
    for line in told(folder, tried, len(files(given.spool_dir / REJECTED))):
        print(line)  # noqa: T201
    return 1 if any(outcome.result in ("away", "held", "rejected") for outcome in tried) else 0


def told(folder: Path, tried: List[Tried], rejected: int) -> List[str]:
    """What was found and what became of it, line by line."""
    found = [outcome for outcome in tried if outcome.result != "gone"]
    delivered = [outcome for outcome in found if outcome.result == "delivered"]
    lines = [f"{folder}: {len(delivered)} of {len(found)} spooled runs delivered"]
    refused = sum(outcome.refused for outcome in delivered)
    if refused:
        lines.append(f"  {refused} of their points were refused and dropped")
    away: Dict[str, List[Tried]] = {}
    for outcome in found:
        if outcome.result in ("away", "elsewhere") and outcome.address is not None:
            away.setdefault(outcome.address.url, []).append(outcome)
    for url, some in away.items():
        why = next((outcome.away.why for outcome in reversed(some) if outcome.away is not None), None)
        lines.append(
            f"  {len(some)} for {url}: {'not asked for' if why is None else why}. If the address is wrong: "
            f"python -m losswatch --from {url} --url ADDRESS; new runs report to LOSSWATCH_URL"
        )
    held = sum(outcome.result == "held" for outcome in found)
    if held:
        lines.append(f"  {held} in use by trainings that still run, or not readable by this user")
    lines.extend(f"  rejected: {outcome.reason}" for outcome in found if outcome.result == "rejected")
    if rejected:
        lines.append(
            f"  {rejected} in {REJECTED}, with the reason beside each; python -m losswatch --rejected tries them again"
        )
    return lines


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=command,
        description="Deliver what waited on disk while the service was away, each run to the address it was for.",
    )
    parser.add_argument("--url", help="only what was meant for this address")
    parser.add_argument("--from", dest="meant_for", metavar="URL", help="send what was meant for this one to --url")
    parser.add_argument("--rejected", action="store_true", help="try what was rejected before")
    parser.add_argument("--spool-dir", type=Path, default=default_folder(), help="default: %(default)s")
    parser.add_argument("--version", action="version", version=f"losswatch {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
