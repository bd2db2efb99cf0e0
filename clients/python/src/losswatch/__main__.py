"""``python -m losswatch``: delivers what earlier training processes could not."""

from __future__ import annotations

import argparse
import collections
import os
import sys
import time
from pathlib import Path
from typing import List, Optional

from losswatch import __version__
from losswatch.notices import Notices
from losswatch.run import DEFAULT_URL
from losswatch.sender import Sender
from losswatch.spool import Address, default_folder
from losswatch.transport import Transport


def main(arguments: Optional[List[str]] = None) -> int:
    """Exit status 0 when nothing is left, 1 when the service is away."""
    parser = argparse.ArgumentParser(
        prog="python -m losswatch", description="Deliver the points that waited on disk while the service was away."
    )
    parser.add_argument("--url", default=os.environ.get("LOSSWATCH_URL", DEFAULT_URL), help="default: %(default)s")
    parser.add_argument("--spool-dir", type=Path, default=default_folder(), help="default: %(default)s")
    parser.add_argument("--version", action="version", version=f"losswatch {__version__}")
    given = parser.parse_args(arguments)
    url = given.url.rstrip("/")
    sender = Sender(
        collections.deque(maxlen=0),
        Address(url, None, "", ""),
        Transport(url, os.environ.get("LOSSWATCH_API_KEY") or None, f"losswatch-python/{__version__}"),
        Notices("spool", quiet=True),
        context={},
        rank=0,
        interval=0.05,
        folder=given.spool_dir,
    )
    found = None
    while sender.left_behind != 0 and not sender.is_away:
        time.sleep(0.02)
        found = max(found or 0, sender.left_behind or 0)
    left = sender.left_behind or 0
    sender.close(1.0)
    print(f"{given.spool_dir}: {(found or 0) - left} of {found or 0} spooled runs delivered to {url}")  # noqa: T201
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
