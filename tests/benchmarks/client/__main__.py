"""Measure what the client costs, print it, and with ``--publish`` keep it in results.txt, for the documentation.

``make bench-client`` runs all of it: `log` beside other trackers, each integration on a small training, and a training
whose service comes and goes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.client import integrations, overhead, plug
from benchmarks.ingest.results import heading
from losswatch_server.cli.demo import service

RESULTS = Path(__file__).with_name("results.txt")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.client", description=__doc__)
    parser.add_argument("--trackers", default=sys.executable, help="the Python with the trackers to compare with")
    parser.add_argument("--frameworks", default=sys.executable, help="the Python with the frameworks")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=overhead.STEPS)
    parser.add_argument("--away-steps", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5, help="of a watched and an unwatched training, an integration")
    parser.add_argument("--plugged-steps", type=int, default=plug.STEPS)
    parser.add_argument("--publish", action="store_true", help="keep the tables in results.txt, for the documentation")
    given = parser.parse_args()
    trackers, frameworks = (str(Path(python).absolute()) for python in (given.trackers, given.frameworks))
    parts = [heading()]
    print(parts[0], flush=True)
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as url:
        for measured in (
            lambda: overhead.report(trackers, url, given.rounds, given.steps, given.away_steps),
            lambda: integrations.report(frameworks, url, given.pairs),
        ):
            parts.append(measured())
            print(f"\n{parts[-1]}", flush=True)
    parts.append(plug.report(given.plugged_steps))
    print(f"\n{parts[-1]}")
    if given.publish:
        RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
