"""``make bench-teamday``: 250 runs, two kills, Slack away for a quarter of an hour."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.teamday.figures import figures
from benchmarks.teamday.play import play
from benchmarks.teamday.team import team


def main() -> None:
    """Play the day and print its figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print each title that Slack heard")
    asked = parser.parse_args()
    jobs = team(asked.runs, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        day = asyncio.run(play(jobs, Path(folder), asked.seed, kills=(3_600, 10_800), away=(14_400, 15_300)))
    if asked.show:
        for message in day.slack.heard:
            print(f"{message.at - 1_800_000_000:8.0f}  {message.body['text']}")
    for name, receiver in (("slack", day.slack), ("webhook", day.webhook)):
        print(
            name, *(f"  {key}: {value}" for key, value in asdict(figures(jobs, day, receiver.heard)).items()), sep="\n"
        )


if __name__ == "__main__":
    main()
