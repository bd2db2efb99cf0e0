"""``python -m benchmarks.notifications``: print what was measured; fail where a promise is not kept."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from benchmarks.notifications import crash, latency


def main() -> None:
    """Crash rounds and latency trials."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--live-runs", type=int, default=1_000)
    asked = parser.parse_args()
    crashed = crash.measure(asked.rounds)
    print("crash  ", asdict(crashed))
    timed = latency.measure(asked.live_runs, asked.trials)
    print("latency", asdict(timed))
    kept = not crashed.lost and not crashed.unexplained and not timed.missing and timed.p99 <= 1.0
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
