"""``make bench-teamday``: 250 runs, two kills, Slack away for a quarter of an hour."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.teamday.figures import figures
from benchmarks.teamday.play import START, play
from benchmarks.teamday.team import team


def main() -> None:
    """Play the day and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print each title that was heard, by kind of target")
    asked = parser.parse_args()
    jobs = team(asked.runs, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        day = asyncio.run(play(jobs, Path(folder), asked.seed, kills=(3_600, 10_800), away=(14_400, 15_300)))
    if asked.show:
        for message in (message for receiver in day.receivers.values() for message in receiver.heard):
            print(f"{message.kind:<9}  {message.at - START:8.0f}  {message.title}")
    for name, receiver in day.receivers.items():
        print(
            name, *(f"  {key}: {value}" for key, value in asdict(figures(jobs, day, receiver.heard)).items()), sep="\n"
        )


if __name__ == "__main__":
    main()
