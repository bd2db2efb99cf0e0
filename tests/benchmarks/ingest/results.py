"""What ``make bench`` keeps for the page on performance, and what it says of the machine."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results.txt"


def heading() -> str:
    """When, on what, and how busy the machine was with other work before: busy neighbours make all figures worse."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} processors, Python {platform.python_version()}; "
        f"load average before: {load}"
    )
